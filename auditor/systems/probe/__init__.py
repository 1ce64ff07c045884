"""Find by trying what a checkpoint accepts and what it answers.

**Conventions.** A probe feeds small random arrays and looks at what comes back; it needs no data
and no contract, but takes over what of a contract is declared. What it finds has the source *probed*; what
cannot be found that way (axes, spacing, intensities, names of labels) is asked for by name, with the line
to write.

How far each finding can be trusted: dimensions, channels, layouts, sizes, batches, the chosen output: high,
they were run. Activation of a checkpoint: high, because the range of values on several inputs and the
last operation of the network must agree, else it is asked for. Activation of a Python callable:
medium, only its values can be seen, and that is said.
"""

from auditor.systems.probe.probing import probe, probe_runner, probe_system
from auditor.systems.probe.report import ProbeReport
from auditor.systems.questions import Question

__all__ = ["ProbeReport", "Question", "probe", "probe_runner", "probe_system"]
