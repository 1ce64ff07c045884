"""How far the activations of a network move between scans, layer by layer.

`choosing` picks the layers in a recording of one pass, `torch_taps` and `onnx_taps` read their values, and
`histograms` compares them; `measuring` does so in the child process. `answer` checks what the child tells,
and `asking` puts the question for whole scans.
"""
