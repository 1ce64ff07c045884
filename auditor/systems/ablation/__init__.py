"""Networks with what flows through their skip connections replaced; in the child.

`selection` finds what is meant, `replacing` says by what, `torch_patching` and `onnx_surgery` do it,
`ablated` is the model that answers like any other.
"""
