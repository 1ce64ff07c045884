"""What each operator of ONNX and of torch means to the layout of its values."""

from __future__ import annotations

from auditor.systems.skips.recording import Kind

__all__ = ["kind_in_onnx", "kind_in_torch"]

_ONNX: dict[Kind, str] = {
    "convolution": "Conv ConvTranspose ConvInteger QLinearConv DeformConv FusedConv",
    "product": "MatMul Gemm MatMulInteger QLinearMatMul Einsum Attention MultiHeadAttention",
    "spatial": (
        "MaxPool AveragePool LpPool GlobalAveragePool GlobalMaxPool GlobalLpPool Resize Upsample "
        "BatchNormalization InstanceNormalization GroupNormalization LRN DepthToSpace SpaceToDepth "
        "GridSample MaxUnpool QLinearAveragePool QLinearGlobalAveragePool"
    ),
    "crop": "Pad Slice CenterCropPad",
    "merge": "Add Sub Mul Max Min Sum Mean QLinearAdd QLinearMul",
    "concat": "Concat QLinearConcat",
    "pointwise": (
        "Relu LeakyRelu PRelu Elu Selu Celu Gelu Mish Sigmoid HardSigmoid HardSwish Swish Tanh Softplus "
        "Softsign ThresholdedRelu Clip Softmax LogSoftmax Exp Log Neg Abs Sqrt Reciprocal Pow Div Erf "
        "Cast CastLike Identity Dropout QuantizeLinear DequantizeLinear DynamicQuantizeLinear QLinearSigmoid "
        "QLinearLeakyRelu Where"
    ),
    "reshape": "Reshape Expand Squeeze Unsqueeze Flatten Tile",
    "permute": "Transpose",
}

_TORCH: dict[Kind, str] = {
    "convolution": (
        "conv1d conv2d conv3d convolution _convolution conv_transpose1d conv_transpose2d conv_transpose3d "
        "mkldnn_convolution cudnn_convolution slow_conv3d conv2d_relu conv3d_relu"
    ),
    "product": (
        "matmul mm bmm addmm baddbmm linear einsum scaled_dot_product_attention "
        "_scaled_dot_product_flash_attention_for_cpu _native_multi_head_attention"
    ),
    "spatial": (
        "max_pool2d max_pool3d max_pool2d_with_indices max_pool3d_with_indices avg_pool2d avg_pool3d "
        "adaptive_avg_pool2d adaptive_avg_pool3d _adaptive_avg_pool2d _adaptive_avg_pool3d "
        "adaptive_max_pool2d adaptive_max_pool3d lp_pool2d upsample_nearest2d upsample_nearest3d "
        "_upsample_nearest_exact2d _upsample_nearest_exact3d upsample_bilinear2d upsample_trilinear3d "
        "upsample_bicubic2d _upsample_bilinear2d_aa interpolate batch_norm instance_norm group_norm "
        "native_batch_norm native_group_norm _native_batch_norm_legit "
        "_native_batch_norm_legit_no_training cudnn_batch_norm pixel_shuffle pixel_unshuffle "
        "grid_sampler grid_sampler_2d grid_sampler_3d max_unpool2d max_unpool3d"
    ),
    "crop": (
        "pad constant_pad_nd reflection_pad2d reflection_pad3d replication_pad2d replication_pad3d "
        "slice narrow"
    ),
    "merge": "add sub rsub mul maximum minimum lerp addcmul",
    "concat": "cat concat concatenate quantized_cat",
    "pointwise": (
        "relu relu6 leaky_relu prelu _prelu_kernel rrelu elu selu celu gelu silu mish sigmoid log_sigmoid "
        "hardsigmoid hardswish hardtanh tanh softplus softsign threshold clamp clamp_min clamp_max clip "
        "softmax _softmax log_softmax _log_softmax exp log neg abs sqrt reciprocal pow div true_divide "
        "dropout feature_dropout alpha_dropout native_dropout to _to_copy clone contiguous detach alias "
        "lift_fresh dequantize quantize_per_tensor where type_as float"
    ),
    "reshape": (
        "view reshape _unsafe_view _reshape_alias flatten unflatten squeeze unsqueeze expand repeat"
    ),
    "permute": "permute transpose swapaxes movedim t numpy_T",
}


def _turned(table: dict[Kind, str]) -> dict[str, Kind]:
    return {name: kind for kind, names in table.items() for name in names.split()}


_OF_ONNX, _OF_TORCH = _turned(_ONNX), _turned(_TORCH)


def kind_in_onnx(operator: str) -> Kind:
    """Return the kind of an ONNX operator.

    Parameters
    ----------
    operator : its type: Conv.
    """
    return _OF_ONNX.get(operator, "other")


def kind_in_torch(operator: str) -> Kind:
    """Return the kind of an operator of torch.

    Parameters
    ----------
    operator : its name without library and overload: conv2d; relu_ is relu.
    """
    return _OF_TORCH.get(operator) or _OF_TORCH.get(operator.rstrip("_"), "other")
