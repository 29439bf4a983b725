"""The modules, functions and tensor methods that a saved network may name.

Reading a file looks everything up in these tables and evaluates nothing, so a file can ask for no more than what stands
here. A module is written as its class and the constructor arguments that its table entry reads from it.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from oamip.readers.norms import FixedNorm1d, FixedNorm2d

__all__ = ["ATTRIBUTES", "FUNCTIONS", "FUNCTION_NAMES", "METHODS", "MODULES", "MODULE_BY_NAME", "REMEDY"]

REMEDY = "build the network from the modules and functions listed in oamip.readers.vocabulary"


def _attributes(names: str, *, bias: bool = False) -> Callable[[Any], dict[str, Any]]:
    """A reader of a module's constructor arguments, which stand under their own names in its attributes."""

    def read(module: Any) -> dict[str, Any]:
        arguments = {name: getattr(module, name) for name in names.split()}
        return {**arguments, "bias": module.bias is not None} if bias else arguments

    return read


_CONVOLUTION = "in_channels out_channels kernel_size stride padding dilation groups padding_mode"
_BATCH_NORM = "num_features eps momentum affine track_running_stats"
_MAX_POOL = "kernel_size stride padding dilation ceil_mode"
_AVG_POOL = "kernel_size stride padding ceil_mode count_include_pad"

MODULES: dict[type[nn.Module], Callable[[Any], dict[str, Any]]] = {
    nn.Linear: _attributes("in_features out_features", bias=True),
    nn.Conv1d: _attributes(_CONVOLUTION, bias=True),
    nn.Conv2d: _attributes(_CONVOLUTION, bias=True),
    nn.ConvTranspose1d: _attributes(f"{_CONVOLUTION} output_padding", bias=True),
    nn.ConvTranspose2d: _attributes(f"{_CONVOLUTION} output_padding", bias=True),
    nn.BatchNorm1d: _attributes(_BATCH_NORM),
    nn.BatchNorm2d: _attributes(_BATCH_NORM),
    FixedNorm1d: _attributes(_BATCH_NORM),
    FixedNorm2d: _attributes(_BATCH_NORM),
    nn.MaxPool1d: _attributes(_MAX_POOL),
    nn.MaxPool2d: _attributes(_MAX_POOL),
    nn.AvgPool1d: _attributes(_AVG_POOL),
    nn.AvgPool2d: _attributes(f"{_AVG_POOL} divisor_override"),
    nn.AdaptiveAvgPool1d: _attributes("output_size"),
    nn.AdaptiveAvgPool2d: _attributes("output_size"),
    nn.ReLU: _attributes("inplace"),
    nn.ReLU6: _attributes("inplace"),
    nn.LeakyReLU: _attributes("negative_slope inplace"),
    nn.PReLU: _attributes("num_parameters"),
    nn.RReLU: _attributes("lower upper inplace"),
    nn.Hardtanh: _attributes("min_val max_val inplace"),
    nn.Hardsigmoid: _attributes("inplace"),
    nn.Softshrink: _attributes("lambd"),
    nn.Threshold: _attributes("threshold value inplace"),
    nn.AdaptiveMaxPool1d: _attributes("output_size return_indices"),
    nn.AdaptiveMaxPool2d: _attributes("output_size return_indices"),
    nn.PixelShuffle: _attributes("upscale_factor"),
    nn.PixelUnshuffle: _attributes("downscale_factor"),
    nn.Upsample: _attributes("size scale_factor mode"),
    nn.Softmax: _attributes("dim"),
    nn.LogSoftmax: _attributes("dim"),
    **dict.fromkeys((nn.ZeroPad1d, nn.ZeroPad2d, nn.CircularPad1d, nn.CircularPad2d), _attributes("padding")),
    **dict.fromkeys((nn.ReflectionPad1d, nn.ReflectionPad2d), _attributes("padding")),
    **dict.fromkeys((nn.ReplicationPad1d, nn.ReplicationPad2d), _attributes("padding")),
    **dict.fromkeys((nn.ConstantPad1d, nn.ConstantPad2d), _attributes("padding value")),
    nn.Flatten: _attributes("start_dim end_dim"),
    nn.Unflatten: _attributes("dim unflattened_size"),
    **dict.fromkeys((nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.AlphaDropout), _attributes("p inplace")),
    nn.Identity: _attributes(""),
}
MODULE_BY_NAME = {kind.__name__: kind for kind in MODULES}


def _named(prefix: str, source: Any, names: str) -> dict[str, Callable[..., Any]]:
    return {f"{prefix}.{name}": getattr(source, name) for name in names.split()}


FUNCTIONS: dict[str, Callable[..., Any]] = {
    **_named("operator", operator, "add sub mul truediv floordiv neg abs matmul getitem iadd isub imul itruediv"),
    **_named("torch", torch, "add sub subtract rsub mul multiply div divide true_divide neg negative"),
    **_named("torch", torch, "abs absolute matmul zeros_like relu relu_ prelu threshold"),
    **_named(
        "torch",
        torch,
        "clamp clip clamp_min clamp_max maximum minimum max min mean sum amax amin max_pool1d max_pool2d",
    ),
    **_named("torch", torch, "conv1d conv2d conv_transpose1d conv_transpose2d softmax log_softmax"),
    **_named("torch", torch, "cat concat concatenate stack chunk split tensor_split unbind narrow select index_select"),
    **_named("torch", torch, "flip roll tile repeat_interleave movedim swapaxes swapdims channel_shuffle"),
    **_named("torch", torch, "pixel_unshuffle flatten reshape permute transpose squeeze unsqueeze"),
    **_named("torch.nn.functional", functional, "linear relu relu6 leaky_relu leaky_relu_ rrelu hardtanh hardtanh_"),
    **_named("torch.nn.functional", functional, "hardsigmoid softshrink threshold softmax log_softmax"),
    **_named("torch.nn.functional", functional, "dropout dropout1d dropout2d pad interpolate pixel_shuffle unfold"),
    **_named("torch.nn.functional", functional, "max_pool1d max_pool2d avg_pool1d avg_pool2d"),
    **_named("torch.nn.functional", functional, "adaptive_avg_pool1d adaptive_avg_pool2d"),
    **_named("torch.nn.functional", functional, "adaptive_max_pool1d adaptive_max_pool2d"),
    "getattr": getattr,
}
FUNCTION_NAMES = {function: name for name, function in FUNCTIONS.items()}

ATTRIBUTES = frozenset({"shape", "ndim", "dtype", "device"})
"""What ``getattr`` may ask of a tensor."""

_ARITHMETIC_METHODS = "add sub mul div neg abs absolute matmul mean sum max min maximum minimum amax amin"
_ACTIVATION_METHODS = "relu clamp clip clamp_min clamp_max softmax log_softmax"
_IN_PLACE_METHODS = "add_ sub_ mul_ div_ abs_ relu_ clamp_ clip_ clamp_min_ clamp_max_"
_SHAPE_METHODS = "size dim view reshape flatten unflatten permute transpose movedim swapaxes swapdims squeeze unsqueeze"
_PARTS_METHODS = "chunk split tensor_split unbind narrow select index_select flip roll"
_COPYING_METHODS = "expand expand_as repeat repeat_interleave tile clone contiguous detach double new_zeros"
METHODS = frozenset(
    f"{_ARITHMETIC_METHODS} {_ACTIVATION_METHODS} {_IN_PLACE_METHODS} "
    f"{_SHAPE_METHODS} {_PARTS_METHODS} {_COPYING_METHODS}".split()
)
