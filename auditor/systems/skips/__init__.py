"""Skip connections of a network, found by resolution in a recording of one forward pass.

`recording` holds what both kinds of front end write, `rule` finds the skips in it and certifies them, `levels`
tells at which resolutions the network works;
`onnx_recording` and `torch_recording` run in the child process only.
"""

from auditor.systems.skips.levels import Level
from auditor.systems.skips.recording import Operation, Recording, Value
from auditor.systems.skips.rule import Skip, SkipEdge, Skips, find_skips

__all__ = ["Level", "Operation", "Recording", "Skip", "SkipEdge", "Skips", "Value", "find_skips"]
