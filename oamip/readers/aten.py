"""The ATen operators that an exported network may use: a table from operator to the rule that rebuilds it.

Each call becomes the module (`aten_layers`) or function (`aten_functions`) that a person would have written. An
operator may stand under several names: in place or not, whole or decomposed.
"""

from __future__ import annotations

import operator

import torch
from torch import nn

from oamip.readers.aten_functions import (
    arithmetic,
    clamp,
    concatenate,
    mean,
    pad,
    part,
    pieces,
    reshape,
    same_value,
    size,
    transpose,
    unary,
)
from oamip.readers.aten_layers import (
    activation,
    adaptive_pool,
    batch_norm,
    convolution,
    dropout,
    linear,
    matrix_product,
    permute,
    pool,
)
from oamip.readers.builder import Rule

__all__ = ["RULES"]

_MAX = {"kernel_size": None, "stride": None, "padding": 0, "dilation": 1, "ceil_mode": False}
_AVG = {"kernel_size": None, "stride": None, "padding": 0, "ceil_mode": False, "count_include_pad": True}

RULES: dict[str, Rule] = {
    "aten.linear.default": linear,
    "aten.addmm.default": matrix_product,
    "aten.mm.default": matrix_product,
    "aten.conv1d.default": convolution,
    "aten.conv1d.padding": convolution,
    "aten.conv2d.default": convolution,
    "aten.conv2d.padding": convolution,
    "aten.conv_transpose2d.input": convolution,
    "aten.convolution.default": convolution,
    "aten.batch_norm.default": batch_norm,
    "aten._native_batch_norm_legit_no_training.default": batch_norm,
    "aten.max_pool1d.default": pool(nn.MaxPool1d, 1, _MAX),
    "aten.max_pool2d.default": pool(nn.MaxPool2d, 2, _MAX),
    "aten.max_pool2d_with_indices.default": pool(nn.MaxPool2d, 2, _MAX),
    "aten.avg_pool1d.default": pool(nn.AvgPool1d, 1, _AVG),
    "aten.avg_pool2d.default": pool(nn.AvgPool2d, 2, {**_AVG, "divisor_override": None}),
    "aten.adaptive_avg_pool1d.default": adaptive_pool(nn.AdaptiveAvgPool1d),
    "aten.adaptive_avg_pool2d.default": adaptive_pool(nn.AdaptiveAvgPool2d),
    "aten._adaptive_avg_pool2d.default": adaptive_pool(nn.AdaptiveAvgPool2d),
    "aten.relu.default": activation(nn.ReLU),
    "aten.relu_.default": activation(nn.ReLU),
    "aten.relu6.default": activation(nn.ReLU6),
    "aten.leaky_relu.default": activation(nn.LeakyReLU, negative_slope=0.01),
    "aten.leaky_relu_.default": activation(nn.LeakyReLU, negative_slope=0.01),
    "aten.hardtanh.default": activation(nn.Hardtanh, min_val=-1.0, max_val=1.0),
    "aten.hardtanh_.default": activation(nn.Hardtanh, min_val=-1.0, max_val=1.0),
    "aten.dropout.default": dropout,
    "aten.flatten.using_ints": reshape,
    "aten.view.default": reshape,
    "aten._unsafe_view.default": reshape,
    "aten.reshape.default": reshape,
    "aten.squeeze.dim": reshape,
    "aten.squeeze.dims": reshape,
    "aten.unsqueeze.default": reshape,
    "aten.permute.default": permute,
    "aten.t.default": permute,
    "aten.transpose.int": transpose,
    "aten.add.Tensor": arithmetic(operator.add),
    "aten.add_.Tensor": arithmetic(operator.add),
    "aten.sub.Tensor": arithmetic(operator.sub),
    "aten.sub_.Tensor": arithmetic(operator.sub),
    "aten.mul.Tensor": arithmetic(operator.mul),
    "aten.mul_.Tensor": arithmetic(operator.mul),
    "aten.div.Tensor": arithmetic(operator.truediv),
    "aten.rsub.Scalar": arithmetic(operator.sub, "other", "self"),
    "aten.neg.default": unary(torch.neg),
    "aten.abs.default": unary(torch.abs),
    "aten.mean.dim": mean,
    "aten.clamp.default": clamp,
    "aten.clamp_min.default": clamp,
    "aten.cat.default": concatenate,
    "aten.chunk.default": pieces(torch.chunk, "chunks"),
    "aten.split.Tensor": pieces(torch.split, "split_size"),
    "aten.split_with_sizes.default": pieces(torch.split, "split_sizes"),
    "aten.slice.Tensor": part,
    "aten.pad.default": pad,
    "aten.constant_pad_nd.default": pad,
    "aten.sym_size.int": size,
    "aten.clone.default": same_value,
    "aten.contiguous.default": same_value,
    "aten.detach.default": same_value,
    "aten.alias.default": same_value,
    "aten.lift_fresh_copy.default": same_value,
}
