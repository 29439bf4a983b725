"""Every operator in every form against ONNX's own reference, in double precision; where that errs, against torch."""

import gzip
import subprocess
import sys
import warnings
from collections import OrderedDict
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from hypothesis import assume, given, reject, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper
from torch import nn
from torch.nn import functional

import oamip.readers
from oamip.errors import InputError, MissingDependency, UnsupportedOperator
from oamip.network import Affine, Max, ReLU, cost_of, find_groups
from oamip.readers import read
from oamip.readers.onnx_graph import read_onnx

IMAGE = {"x": ["n", 4, 7, 6]}
ROW = {"x": ["n", 6]}
ONE_IMAGE, ONE_ROW = {"x": [1, 4, 7, 6]}, {"x": [1, 6]}
CONV = {"w": (6, 4, 3, 2), "b": (6,)}
NORM = {"s": (4,), "b": (4,), "m": (4,), "v": np.array([0.5, 1.0, 2.0, 0.1])}

# name → (opset, inputs, nodes, weights)
CASES = {
    # ── layers ──
    "gemm": (7, ROW, "y = Gemm (x, w, b)", {"w": (6, 3), "b": (3,)}),
    "gemm, both factors": (13, ROW, "y = Gemm <alpha=0.5, beta=-2.0, transB=1> (x, w, b)", {"w": (3, 6), "b": (1, 3)}),
    "gemm, no bias": (11, ROW, "y = Gemm (x, w)", {"w": (6, 3)}),
    "gemm, one bias for all": (13, ROW, "y = Gemm (x, w, b)", {"w": (6, 3), "b": np.array(0.7)}),
    "gemm, turned input": (13, {"x": [6, 2]}, "y = Gemm <transA=1> (x, w, b)", {"w": (6, 3), "b": (2, 3)}),
    "gemm, weights left": (13, {"x": [6, 2]}, "y = Gemm <alpha=2.0> (w, x, b)", {"w": (3, 6), "b": (3, 1)}),
    "gemm, weights left, all turned": (
        *(13, {"x": [2, 6]}, "y = Gemm <transA=1, transB=1, beta=3.0> (w, x, b)"),
        {"w": (6, 3), "b": (3, 2)},
    ),
    "gemm, bias from the input": (13, ROW, "h = Gemm (x, v) y = Gemm <beta=0.5> (x, w, h)", {"w": (6, 3), "v": (6, 3)}),
    "matmul": (13, ROW, "y = MatMul (x, w)", {"w": (6, 3)}),
    "matmul, positions": (13, {"x": [1, 4, 5, 6]}, "y = MatMul (x, w)", {"w": (6, 3)}),
    "matmul, no batch": (13, {"x": [6]}, "y = MatMul (x, w)", {"w": (6, 3)}),
    "matmul, vector right": (13, {"x": [2, 6]}, "y = MatMul (x, w)", {"w": (6,)}),
    "matmul, vector to number": (13, {"x": [6]}, "h = MatMul (x, w) y = Relu (h)", {"w": (6,)}),
    "matmul, weights left": (13, {"x": [1, 5, 6, 2]}, "y = MatMul (w, x)", {"w": (3, 6)}),
    "matmul, vector left": (13, {"x": [1, 5, 6, 2]}, "y = MatMul (w, x)", {"w": (6,)}),
    "matmul, weights left of a vector": (13, {"x": [6]}, "y = MatMul (w, x)", {"w": (3, 6)}),
    "matmul, leading ones": (13, {"x": [5, 6]}, "y = MatMul (x, w)", {"w": (1, 1, 6, 3)}),
    "matmul with bias": (13, ROW, "h = MatMul (x, w) y = Add (b, h)", {"w": (6, 3), "b": (3,)}),
    "matmul with bias at a second reader": (
        *(13, ROW, "h = MatMul (x, w) i = Identity (h) j = Add (i, b) y = Sub (j, h)"),
        {"w": (6, 3), "b": (3,)},
    ),
    "conv": (7, IMAGE, "y = Conv (x, w, b)", CONV),
    "conv, no bias": (11, IMAGE, "y = Conv <kernel_shape=[3, 2]> (x, w)", {"w": (6, 4, 3, 2)}),
    "conv, pads on four sides": (
        *(11, IMAGE, "y = Conv <pads=[0, 1, 2, 3], strides=[2, 1], dilations=[1, 2]> (x, w, b)"),
        CONV,
    ),
    "conv, groups": (22, IMAGE, "y = Conv <group=2> (x, w, b)", {"w": (6, 2, 3, 2), "b": (6,)}),
    "conv, depthwise": (13, IMAGE, "y = Conv <group=4, strides=[2, 2]> (x, w, b)", {"w": (4, 1, 3, 2), "b": (4,)}),
    "conv, same upper": (13, IMAGE, 'y = Conv <auto_pad="SAME_UPPER", strides=[2, 2]> (x, w, b)', CONV),
    "conv, same lower": (13, IMAGE, 'y = Conv <auto_pad="SAME_LOWER", strides=[2, 3]> (x, w, b)', CONV),
    "conv, valid": (13, IMAGE, 'y = Conv <auto_pad="VALID", strides=[2, 2]> (x, w, b)', CONV),
    "conv, one axis": (13, {"x": [1, 2, 9]}, "y = Conv <pads=[2, 1], strides=[2]> (x, w)", {"w": (3, 2, 4)}),
    "conv, three axes": (13, {"x": [1, 2, 4, 5, 3]}, "y = Conv (x, w)", {"w": (3, 2, 2, 3, 1)}),
    "conv transpose": (
        *(11, IMAGE, "y = ConvTranspose <strides=[2, 3], pads=[1, 0, 0, 1], output_padding=[1, 2]> (x, w, b)"),
        {"w": (4, 3, 3, 2), "b": (3,)},
    ),
    "conv transpose, dilations": (11, IMAGE, "y = ConvTranspose <dilations=[2, 1]> (x, w)", {"w": (4, 3, 3, 2)}),
    "conv transpose, same upper": (
        *(11, IMAGE, 'y = ConvTranspose <auto_pad="SAME_UPPER", strides=[2, 2]> (x, w)'),
        {"w": (4, 3, 3, 3)},
    ),
    "batch norm 15": (15, {"x": [1, 4]}, "y = BatchNormalization <training_mode=0> (x, s, b, m, v)", NORM),
    # ── arithmetic ──
    "add": (7, IMAGE, "y = Add (x, c)", {"c": (4, 1, 1)}),
    "add, constant enlarges": (13, ONE_ROW, "y = Add (c, x)", {"c": (5, 1, 6)}),
    "add, broadcast": (13, {"x": [1, 3, 4], "z": [4]}, "y = Add (x, z)", {}),
    "add to itself": (13, ROW, "h = Add (x, x) y = Relu (h)", {}),
    "sub": (14, IMAGE, "h = Sub (x, c) y = Sub (c, h)", {"c": (1, 4, 7, 6)}),
    "sub, broadcast": (13, {"x": [1, 3, 4], "z": [3, 1]}, "y = Sub (x, z)", {}),
    "mul": (13, IMAGE, "h = Mul (x, c) y = Mul (d, h)", {"c": (4, 1, 1), "d": np.array(-0.3)}),
    "mul, constant enlarges": (13, {"x": [1, 1, 3]}, "y = Mul (x, c)", {"c": (2, 4, 3)}),
    "div": (13, IMAGE, "y = Div (x, c)", {"c": np.array([0.5, -2.0, 3.0, 0.1]).reshape(4, 1, 1)}),
    "neg": (6 + 1, ROW, "y = Neg (x)", {}),
    "sum": (8, {"x": [1, 6], "z": [6]}, "y = Sum (x, z, c, x)", {"c": (6,)}),
    "mean of tensors": (8, {"x": [1, 6], "z": [6]}, "y = Mean (x, z, c)", {"c": (1,)}),
    # ── activations ──
    "relu": (7, ROW, "y = Relu (x)", {}),
    "leaky": (7, ROW, "y = LeakyRelu (x)", {}),
    "leaky, steep": (16, ROW, "y = LeakyRelu <alpha=1.5> (x)", {}),
    "leaky, negative": (16, ROW, "y = LeakyRelu <alpha=-0.3> (x)", {}),
    "prelu": (7, IMAGE, "y = PRelu (x, s)", {"s": np.array([0.1, -0.5, 2.0, 0.0]).reshape(4, 1, 1)}),
    "prelu, one slope": (16, IMAGE, "y = PRelu (x, s)", {"s": np.array([0.2])}),
    "clip 6": (7, ROW, "y = Clip <min=-0.5, max=1.0> (x)", {}),
    "clip 6, from below": (7, ROW, "y = Clip <min=0.25> (x)", {}),
    "clip 11": (11, ROW, "y = Clip (x, low, high)", {"low": np.array(0.0), "high": np.array(6.0)}),
    "clip 13, from above": (13, ROW, 'y = Clip (x, "", high)', {"high": np.array(-0.5)}),
    "clip, infinite": (13, ROW, "y = Clip (x, low, high)", {"low": np.array(-np.inf), "high": np.array(0.5)}),
    "clip, crossed": (13, ROW, "y = Clip (x, low, high)", {"low": np.array(1.0), "high": np.array(-1.0)}),
    "clip, no bounds": (13, ROW, "h = Clip (x) y = Neg (h)", {}),
    "abs": (13, ROW, "y = Abs (x)", {}),
    "hard sigmoid": (7, ROW, "y = HardSigmoid (x)", {}),
    "hard sigmoid, other slope": (22, ROW, "y = HardSigmoid <alpha=0.5, beta=-0.1> (x)", {}),
    "max": (8, {"x": [1, 3, 4], "z": [3, 1]}, "y = Max (x, z, c, d)", {"c": (4,), "d": (1,)}),
    "max of one": (13, ROW, "h = Max (x) y = Neg (h)", {}),
    "min": (13, {"x": [1, 3, 4], "z": [3, 1]}, "y = Min (c, x, z)", {"c": (2, 1, 1)}),
    "min with a constant": (13, ROW, "y = Min (x, c)", {"c": (1, 6)}),
    # ── pools and reductions ──
    "max pool": (8, IMAGE, "y = MaxPool <kernel_shape=[3, 2]> (x)", {}),
    "max pool, all": (
        *(12, IMAGE, "y = MaxPool <kernel_shape=[3, 2], pads=[1, 0, 1, 1], strides=[2, 3], dilations=[2, 1]> (x)"),
        {},
    ),
    "max pool, same upper": (
        *(12, IMAGE, 'y = MaxPool <kernel_shape=[3, 4], auto_pad="SAME_UPPER", strides=[2, 2]> (x)'),
        {},
    ),
    "max pool, ceil": (12, IMAGE, "y = MaxPool <kernel_shape=[2, 2], strides=[2, 4], ceil_mode=1> (x)", {}),
    "max pool, one axis": (12, {"x": [1, 2, 9]}, "y = MaxPool <kernel_shape=[3], strides=[2]> (x)", {}),
    "max pool, three axes": (
        *(12, {"x": [1, 2, 4, 5, 3]}, "y = MaxPool <kernel_shape=[2, 3, 1], strides=[2, 1, 1]> (x)"),
        {},
    ),
    "average pool": (7, IMAGE, "y = AveragePool <kernel_shape=[3, 2], strides=[2, 2]> (x)", {}),
    "average pool, pads left out": (
        *(11, IMAGE, "y = AveragePool <kernel_shape=[3, 2], pads=[1, 0, 1, 1], strides=[2, 1]> (x)"),
        {},
    ),
    "average pool, pads count": (
        *(11, IMAGE, "y = AveragePool <kernel_shape=[3, 2], pads=[1, 0, 1, 1], count_include_pad=1> (x)"),
        {},
    ),
    "average pool, same upper": (
        *(11, IMAGE, 'y = AveragePool <kernel_shape=[3, 2], auto_pad="SAME_UPPER", strides=[2, 2]> (x)'),
        {},
    ),
    "average pool, same lower": (
        *(11, IMAGE, 'y = AveragePool <kernel_shape=[2, 4], auto_pad="SAME_LOWER", strides=[2, 2]> (x)'),
        {},
    ),
    "average pool, dilations": (
        *(19, IMAGE, "y = AveragePool <kernel_shape=[2, 3], dilations=[3, 2], strides=[1, 1]> (x)"),
        {},
    ),
    "global average": (7, IMAGE, "y = GlobalAveragePool (x)", {}),
    "global max": (7, IMAGE, "y = GlobalMaxPool (x)", {}),
    "reduce mean 7": (7, IMAGE, "y = ReduceMean <axes=[2, 3], keepdims=0> (x)", {}),
    "reduce mean 13": (13, IMAGE, "y = ReduceMean <axes=[-1]> (x)", {}),
    "reduce mean 18": (18, IMAGE, "y = ReduceMean <keepdims=0> (x, a)", {"a": np.array([1, 3])}),
    "reduce mean, everything": (18, {"x": [3, 4]}, "y = ReduceMean (x)", {}),
    "reduce mean, nothing": (18, ROW, "h = ReduceMean <noop_with_empty_axes=1> (x) y = Neg (h)", {}),
    "reduce sum": (13, ONE_IMAGE, "y = ReduceSum <keepdims=0> (x, a)", {"a": np.array([0, 2])}),
    "reduce sum, first axis": (11, {"x": [3, 4, 2]}, "y = ReduceSum <axes=[0, 2]> (x)", {}),
    "reduce max": (13, IMAGE, "y = ReduceMax <axes=[1, 2], keepdims=0> (x)", {}),
    "reduce max 18": (18, {"x": [3, 4]}, "y = ReduceMax (x, a)", {"a": np.array([0])}),
    "reduce min": (13, ONE_IMAGE, "y = ReduceMin <axes=[0, 3]> (x)", {}),
    # ── moves ──
    "flatten": (9, IMAGE, "y = Flatten (x)", {}),
    "flatten, axis": (13, ONE_IMAGE, "h = Flatten <axis=-2> (x) y = MatMul (h, w)", {"w": (42, 2)}),
    "reshape": (13, IMAGE, "y = Reshape (x, s)", {"s": np.array([0, -1, 6])}),
    "transpose": (13, IMAGE, "h = Transpose <perm=[0, 2, 3, 1]> (x) y = Relu (h)", {}),
    "transpose, all": (13, {"x": [2, 3, 4]}, "y = Transpose (x)", {}),
    "squeeze 11": (11, {"x": [1, 1, 3, 1]}, "y = Squeeze <axes=[1, -1]> (x)", {}),
    "squeeze 13": (13, {"x": [1, 1, 3, 1]}, "y = Squeeze (x, a)", {"a": np.array([0, 3])}),
    "squeeze, all": (13, {"x": [1, 1, 3, 1]}, "h = Squeeze (x) y = Relu (h)", {}),
    "unsqueeze 11": (11, ONE_ROW, "y = Unsqueeze <axes=[0, 2]> (x)", {}),
    "unsqueeze 13": (13, ROW, "y = Unsqueeze (x, a)", {"a": np.array([-1, 1])}),
    "concat": (13, {"x": [1, 2, 3], "z": [1, 4, 3]}, "y = Concat <axis=1> (x, z, x, c)", {"c": (1, 1, 3)}),
    "concat, last axis": (13, {"x": [1, 2, 3], "z": [1, 2, 1]}, "y = Concat <axis=-1> (z, x)", {}),
    "slice 9": (9, IMAGE, "y = Slice <starts=[1, -4], ends=[3, 1000], axes=[1, 3]> (x)", {}),
    "slice 13": (
        *(13, IMAGE, "y = Slice (x, s, e, a, t)"),
        {"s": np.array([-1, 0]), "e": np.array([-1000, 5]), "a": np.array([2, -1]), "t": np.array([-2, 2])},
    ),
    "slice, no axes": (13, {"x": [4, 5]}, "y = Slice (x, s, e)", {"s": np.array([1, 2]), "e": np.array([4, -1])}),
    "gather": (13, IMAGE, "y = Gather <axis=1> (x, i)", {"i": np.array([[2, -1], [0, 2]])}),
    "gather, one": (13, IMAGE, "y = Gather <axis=-1> (x, i)", {"i": np.array(3)}),
    "pad 7": (7, IMAGE, "y = Pad <pads=[0, 0, 1, 2, 0, 1, 0, 3], value=0.5> (x)", {}),
    "pad 13": (
        *(13, IMAGE, "y = Pad (x, p, v)"),
        {"p": np.array([0, 0, 1, 2, 0, 1, 0, 3]), "v": np.array(-1.5)},
    ),
    "pad 18": (18, IMAGE, 'y = Pad (x, p, "", a)', {"p": np.array([1, 2, 0, 1]), "a": np.array([-1, 2])}),
    "pad, reflect": (13, IMAGE, 'y = Pad <mode="reflect"> (x, p)', {"p": np.array([0, 0, 1, 2, 0, 0, 3, 1])}),
    "pad, edge": (13, IMAGE, 'y = Pad <mode="edge"> (x, p)', {"p": np.array([0, 0, 1, 2, 0, 0, 3, 1])}),
    "split 11": (11, IMAGE, "a, b = Split <axis=1, split=[1, 3]> (x) c = Relu (a) y = Add (b, c)", {}),
    "split 13": (
        *(13, IMAGE, "a, b = Split <axis=-1> (x, s) c = ReduceMean <axes=[3]> (a) y = Add (b, c)"),
        {"s": np.array([2, 4])},
    ),
    "split 11, equal": (11, IMAGE, "a, b = Split <axis=1> (x) y = Sub (a, b)", {}),
    "split 18": (18, {"x": [1, 7]}, "a, b = Split <axis=1, num_outputs=2> (x) y = Concat <axis=1> (b, a)", {}),
    "expand": (13, {"x": [1, 3, 1]}, "y = Expand (x, s)", {"s": np.array([2, 1, 4])}),
    "tile": (13, {"x": [1, 3, 2]}, "y = Tile (x, r)", {"r": np.array([1, 2, 3])}),
    "depth to space": (13, {"x": [1, 8, 2, 3]}, "y = DepthToSpace <blocksize=2> (x)", {}),
    "depth to space, channels first": (11, {"x": [1, 8, 2, 3]}, 'y = DepthToSpace <blocksize=2, mode="CRD"> (x)', {}),
    "space to depth": (13, {"x": [1, 2, 4, 6]}, "y = SpaceToDepth <blocksize=2> (x)", {}),
    "identity": (13, ROW, "h = Identity (x) y = Identity (h)", {}),
    "dropout 7": (7, ROW, "h = Dropout <ratio=0.3> (x) y = Neg (h)", {}),
    "dropout 13": (13, ROW, "h, m = Dropout (x, r) y = Neg (h)", {"r": np.array(0.4)}),
    "cast": (13, ROW, "h = Cast <to=11> (x) i = Cast <to=1> (h) y = Neg (i)", {}),
    # ── shapes and constants ──
    "reshape by the batch": (
        *(13, IMAGE, "s = Shape (x) n = Gather <axis=0> (s, zero) m = Unsqueeze (n, axes)"),
        {"zero": np.array(0), "axes": np.array([0]), "rest": np.array([-1])},
    ),
    "constants": (
        *(13, ROW, "c = Constant <value_floats=[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]> () y = Mul (x, c)"),
        {},
    ),
    "constant, arithmetic": (
        *(13, ROW, "a = Sqrt (v) b = Reciprocal (a) c = Max (b, s) d = Mul (c, s) y = Mul (x, d)"),
        {"v": np.arange(1.0, 7.0), "s": np.array(0.5)},
    ),
    "constant, gemm": (
        *(13, ROW, "c = Gemm <alpha=0.5, beta=2.0, transA=1, transB=1> (v, w, b) d = Gemm (c, u) y = Mul (x, d)"),
        {"v": (2, 1), "w": (3, 2), "b": (3,), "u": (3, 6)},
    ),
    "range and constant of shape": (
        *(13, ROW, "f = ConstantOfShape (six) r = Range (a, b, c) g = Add (f, r) y = Mul (x, g)"),
        {"six": np.array([6]), "a": np.array(1.0), "b": np.array(4.0), "c": np.array(0.5)},
    ),
    "reshape by arithmetic": (
        *(
            13,
            ONE_IMAGE,
            "s = Shape (x) p = Slice (s, one, three) q = ReduceProd <keepdims=1> (p) c = Concat <axis=0> (m, q)",
        ),
        {"one": np.array([1]), "three": np.array([3]), "m": np.array([-1])},
    ),
    "expand by a mask": (
        *(13, {"x": [1, 3]}, "c = Equal (s, m) w = Where (c, o, s) y = Expand (x, w)"),
        {"s": np.array([4, -1]), "m": np.array(-1), "o": np.array([1, 1])},
    ),
}
CASES["reshape by the batch"] = (
    *CASES["reshape by the batch"][:2],
    CASES["reshape by the batch"][2] + " r = Concat <axis=0> (m, rest) y = Reshape (x, r)",
    CASES["reshape by the batch"][3],
)
CASES["reshape by arithmetic"] = (
    *CASES["reshape by arithmetic"][:2],
    CASES["reshape by arithmetic"][2] + " y = Reshape (x, c)",
    CASES["reshape by arithmetic"][3],
)


BATCHED = {
    "rows by number": (ROW, "s = Shape (x) n = Gather (s, i) m = Concat <axis=0> (n, w) y = Reshape (x, m)", [2, 3]),
    "zeros for each sample": (ROW, "s = Shape (x) z = ConstantOfShape (s) y = Concat <axis=-1> (x, z)", [0]),
    "one number a sample": (ROW, "y = ReduceSum <keepdims=0> (x, w)", [1]),
    "a product on the left": ({"x": ["n", 6, 2]}, "y = MatMul (v, x)", [0]),
    "all samples": (ROW, "y = Slice (x, i, w, i)", [2**31 - 1]),
    "part of an axis": (IMAGE, "s = Shape (x) e = Gather (s, w) y = Slice (x, i, e, w)", [1]),
}
"""Inputs, body, and the numbers in ``w``."""


@pytest.mark.parametrize("name", BATCHED)
def test_a_batch_of_any_size_is_computed_as_the_reference_does(name, models, tmp_path):
    inputs, body, numbers = BATCHED[name]
    weights = {"i": np.array([0]), "w": np.array(numbers), "v": (3, 6)}
    models.compare(models.build(body, inputs, weights), tmp_path)


MIXED = {
    "mean over the batch": (ROW, "y = ReduceMean <axes=[0]> (x)"),
    "mean over everything": (ROW, "y = ReduceMean <keepdims=0> (x)"),
    "one sample": (ROW, "y = Gather <axis=0> (x, i)"),
    "first samples": (ROW, "y = Slice (x, i, one, i)"),
    "samples backwards": (ROW, "y = Slice (x, last, least, i, last)"),
    "many samples": (ROW, "y = Slice (x, i, sixteen, i)"),
    "seven samples": (ROW, "y = Slice (x, i, seven, i)"),
    "reshaped to seven samples": ({"x": ["n", 7, 5]}, "y = Reshape (x, sevens)"),
    "enlarged to seven samples": ({"x": ["n", 5]}, "y = Expand (x, seven_fives)"),
    "three samples, seen from behind": (ROW, "h = Transpose (x) k = Slice (h, i, three, one) y = Transpose (k)"),
    "zeros for all samples": (
        ROW,
        "h = Transpose (x) s = Shape (h) z = ConstantOfShape (s) k = Add (h, z) y = Transpose (k)",
    ),
    "samples joined": (ROW, "y = Concat <axis=0> (x, x)"),
    "more samples": (ROW, "y = Tile (x, twice)"),
    "samples padded": (ROW, "y = Pad (x, front)"),
    "flattened from the batch on": (IMAGE, "y = Flatten <axis=0> (x)"),
    "flattened behind": (IMAGE, "y = Flatten <axis=2> (x)"),
    "reshaped across": (IMAGE, "y = Reshape (x, sizes)"),
    "transposed": (ROW, "y = Transpose (x)"),
    "an axis in front": (ROW, "h = Unsqueeze (x, one) y = Add (h, x)"),
    "a constant for each sample": (ROW, "y = Add (x, c)"),
    "a constant with more axes": (ROW, "h = Unsqueeze (c, i) y = Mul (x, h)"),
    "weights for the batch": (ROW, "y = MatMul (v, x)"),
    "weights for the batch, transposed": (ROW, "y = Gemm <transA=1> (x, v)"),
    "its size as a number": (ROW, "s = Shape (x) n = Gather <axis=0> (s, i) f = Cast <to=1> (n) y = Mul (x, f)"),
    "its size times others": (ROW, "s = Size (x) f = Cast <to=1> (s) y = Div (x, f)"),
    "scores over the batch": (ROW, "h = Relu (x) y = Softmax <axis=0> (h)"),
}


@pytest.mark.parametrize("name", MIXED)
def test_what_mixes_samples_of_an_open_batch_is_refused(name, models, tmp_path):
    inputs, body = MIXED[name]
    weights = {"i": np.array([0]), "one": np.array([1]), "last": np.array([-1]), "least": np.array([-(2**63)])}
    weights |= {"twice": np.array([2, 1]), "front": np.array([1, 0, 0, 0]), "sizes": np.array([-1, 6])}
    weights |= {"c": (3, 6), "v": (3, 2), "seven": np.array([7]), "sixteen": np.array([16]), "three": np.array([3])}
    weights |= {"sevens": np.array([7, -1]), "seven_fives": np.array([7, 5])}
    path = models.saved(models.build(body, inputs, weights), tmp_path)
    with pytest.raises(UnsupportedOperator, match="the size of the batch"):
        read_onnx(path)


BACK = {
    "rows of all samples": (
        {"x": ["n", 4, 6]},
        "h = Reshape (x, rows) k = MatMul (h, w) l = Relu (k) y = Reshape (l, back)",
    ),
    "time in front": (
        {"x": ["n", 4, 6]},
        "h = Transpose <perm=[1, 0, 2]> (x) k = MatMul (h, w) y = Transpose <perm=[1, 0, 2]> (k)",
    ),
    "forms added up": (
        ROW,
        "b = Unsqueeze (x, i) d = Concat <axis=0> (b, b) e = ReduceSum (d, i) y = Squeeze (e, i)",
    ),
    "weights on the left": (
        ROW,
        "h = Transpose (x) k = MatMul (v, h) l = Transpose (k) c = Constant <value_float=0.3> () y = Add (l, c)",
    ),
    "scores of all samples": (ROW, "h = Transpose (x) k = MatMul (v, h) l = Transpose (k) y = Softmax <axis=1> (l)"),
}


@pytest.mark.parametrize("name", BACK)
def test_a_batch_that_is_moved_and_put_back_is_read(name, models, tmp_path):
    inputs, body = BACK[name]
    weights = {"i": np.array([0]), "rows": np.array([-1, 6]), "back": np.array([-1, 4, 3]), "w": (6, 3), "v": (3, 6)}
    model = models.build(body, inputs, weights)
    if "Softmax" in body:
        assert read_onnx(models.saved(model, tmp_path)).output.shape == (3,)
    else:
        models.compare(model, tmp_path)


def test_what_mixes_samples_is_told_a_way_out_by_its_input(models, tmp_path):
    path = models.saved(models.build("y = Flatten <axis=0> (Image)", {"Image": ["n", 4, 7]}), tmp_path)
    with pytest.raises(
        UnsupportedOperator, match=r"shapes=\{'Image': \(1, 4, 7\)\}\), or export it with a fixed batch"
    ):
        read_onnx(path)


def test_an_open_batch_takes_no_more_numbers_than_one_sample(models, tmp_path, monkeypatch):
    monkeypatch.setattr("oamip.readers.onnx_graph.reader.ENTRIES", 8 * 168)
    body = "h = Transpose <perm=[0, 2, 3, 1]> (x) y = Gather <axis=1> (h, i)"
    models.compare(models.build(body, IMAGE, {"i": np.arange(6, -1, -1)}), tmp_path)


def test_a_batch_that_shapes_fix_is_read_as_one(models, tmp_path):
    model = models.build("y = Flatten <axis=0> (x)", IMAGE)
    assert read_onnx(models.saved(model, tmp_path), shapes={"x": (1, 4, 7, 6)}).output.shape == (168,)


def test_other_sizes_may_be_given_and_the_batch_left_open(models, tmp_path):
    given = {"x": (None, 6, 2)}
    model = models.build("y = Relu (x)", {"x": ["n", "k", "m"]})
    assert read_onnx(models.saved(model, tmp_path), shapes=given).output.shape == (6, 2)
    path = models.saved(models.build("y = Flatten <axis=0> (x)", {"x": ["n", "k", "m"]}), tmp_path)
    with pytest.raises(UnsupportedOperator, match="the size of the batch"):
        read_onnx(path, shapes=given)
    with pytest.raises(InputError, match="shapes gives"):
        read_onnx(path, shapes={"x": (1, None, 2)})


@pytest.mark.parametrize("name", CASES)
def test_an_operator_computes_what_the_reference_does(name, models, tmp_path):
    opset, inputs, body, weights = CASES[name]
    models.compare(models.build(body, inputs, weights, opset=opset), tmp_path)


@given(st.sampled_from(sorted(CASES)), st.integers(7, 23))
@settings(max_examples=150)
def test_what_an_operator_means_follows_the_opset(models, tmp_path_factory, name, opset):
    _, inputs, body, weights = CASES[name]
    assume(not name.startswith(("batch norm", "max pool, same")))  # where the reference errs
    model = models.build(body, inputs, weights, opset=opset)
    try:
        read_onnx(models.saved(model, tmp_path_factory.getbasetemp()))
    except InputError:  # the operator, or this form of it, is of another opset
        reject()
    models.compare(model, tmp_path_factory.getbasetemp(), 1)


# name → (opset, nodes, weights, the same in torch); ONNX's reference computes something else, or fails
TORCH = {
    "conv transpose, groups": (
        *(11, "y = ConvTranspose <group=2, strides=[2, 1], pads=[1, 0, 1, 0]> (x, w, b)"),
        {"w": (4, 3, 3, 2), "b": (6,)},
        lambda x, w, b: functional.conv_transpose2d(x, w, b, stride=(2, 1), padding=(1, 0), groups=2),
    ),
    "conv transpose, output shape": (
        *(11, "y = ConvTranspose <output_shape=[12, 11], strides=[2, 2]> (x, w)", {"w": (4, 3, 3, 3)}),
        lambda x, w: functional.conv_transpose2d(x, w, stride=2)[..., 2:-1, 1:-1],
    ),
    "conv transpose, output shape, same upper": (
        *(
            11,
            'y = ConvTranspose <output_shape=[12, 11], strides=[2, 2], auto_pad="SAME_UPPER"> (x, w)',
        ),
        {"w": (4, 3, 3, 3)},
        lambda x, w: functional.conv_transpose2d(x, w, stride=2)[..., 1:-2, 1:-1],
    ),
    "batch norm 7": (
        *(7, "y = BatchNormalization <epsilon=0.01> (x, s, b, m, v)", NORM),
        lambda x, s, b, m, v: functional.batch_norm(x, m, v, s, b, eps=0.01),
    ),
    "batch norm 9": (
        *(9, "y = BatchNormalization (x, s, b, m, v)", NORM),
        lambda x, s, b, m, v: functional.batch_norm(x, m, v, s, b, eps=float(np.float32(1e-5))),
    ),
    "max pool, ceil and pads": (
        *(12, "y = MaxPool <kernel_shape=[2, 3], strides=[3, 2], pads=[1, 1, 1, 1], ceil_mode=1> (x)", {}),
        lambda x: functional.max_pool2d(x, (2, 3), (3, 2), 1, ceil_mode=True),
    ),
    "max pool, same lower": (
        *(12, 'y = MaxPool <kernel_shape=[2, 3], strides=[2, 2], auto_pad="SAME_LOWER"> (x)', {}),
        lambda x: functional.max_pool2d(functional.pad(x, (1, 0, 1, 0), value=-np.inf), (2, 3), 2),
    ),
    "max pool, window shorter than the stride": (
        *(12, 'y = MaxPool <kernel_shape=[1, 2], strides=[2, 3], auto_pad="SAME_UPPER"> (x)', {}),
        lambda x: functional.max_pool2d(x, (1, 2), (2, 3)),
    ),
    "average pool, ceil": (
        *(19, "y = AveragePool <kernel_shape=[2, 3], strides=[2, 2], pads=[1, 1, 1, 1], ceil_mode=1> (x)", {}),
        lambda x: functional.avg_pool2d(x, (2, 3), 2, 1, ceil_mode=True, count_include_pad=False),
    ),
    "average pool, ceil, pads count": (
        11,
        "y = AveragePool <kernel_shape=[3,3], strides=[3, 2], pads=[1, 1, 1, 1], ceil_mode=1, count_include_pad=1> (x)",
        {},
        lambda x: functional.avg_pool2d(x, 3, (3, 2), 1, ceil_mode=True, count_include_pad=True),
    ),
}


@pytest.mark.parametrize("name", TORCH)
def test_where_the_reference_errs_an_operator_computes_what_torch_does(name, models, tmp_path):
    opset, body, weights, call = TORCH[name]
    model = models.build(body, IMAGE, weights, opset=opset)
    network = read_onnx(models.saved(model, tmp_path))
    x = torch.randn(3, 4, 7, 6, dtype=torch.float64)
    stored = [torch.tensor(numpy_helper.to_array(tensor).astype(np.float64)) for tensor in model.graph.initializer]
    np.testing.assert_allclose(network(x.numpy()), call(x, *stored).numpy(), rtol=0, atol=1e-9)


@given(st.data())
def test_windows_in_every_combination_compute_what_torch_does(models, tmp_path_factory, data):
    draw = data.draw
    kernel, stride, spread = ([draw(st.integers(1, top)) for _ in range(2)] for top in (3, 4, 2))
    extent = [s * (k - 1) + 1 for k, s in zip(kernel, spread, strict=True)]
    pads = [draw(st.integers(0, k // 2)) for k in kernel]
    groups, ceil, bias = draw(st.sampled_from([1, 2, 4])), draw(st.booleans()), draw(st.booleans())
    size = [draw(st.integers(max(e - 2 * p, 1), 8)) for e, p in zip(extent, pads, strict=True)]
    kind = draw(st.sampled_from(["Conv", "ConvTranspose", "MaxPool", "AveragePool"]))
    text = f"strides={stride}, pads={[*pads, *pads]}"
    weights, x = {}, torch.randn(1, 4, *size, dtype=torch.float64)
    rng = np.random.default_rng(0)
    if kind in ("Conv", "ConvTranspose"):
        shape = (4, 8 // groups, *kernel) if kind == "ConvTranspose" else (8, 4 // groups, *kernel)
        weights = {"w": np.float32(rng.normal(size=shape)), "b": np.float32(rng.normal(size=8))}
        text += f", dilations={spread}, group={groups}"
        w, b = (torch.tensor(value).double() for value in weights.values())
        if kind == "Conv":
            want = functional.conv2d(x, w, b if bias else None, stride, pads, spread, groups)
        else:
            behind = [draw(st.integers(0, s - 1)) for s in stride]
            text += f", output_padding={behind}"
            full = [
                (n - 1) * s - 2 * p + e + o for n, s, p, e, o in zip(size, stride, pads, extent, behind, strict=True)
            ]
            assume(min(full) > 0 and all(o < max(s, d) for o, s, d in zip(behind, stride, spread, strict=True)))
            want = functional.conv_transpose2d(x, w, b if bias else None, stride, pads, behind, groups, spread)
    elif kind == "MaxPool":
        text += f", kernel_shape={kernel}, dilations={spread}, ceil_mode={int(ceil)}"
        want = functional.max_pool2d(x, kernel, stride, pads, spread, ceil)
    else:
        text += f", kernel_shape={kernel}, ceil_mode={int(ceil)}, count_include_pad={int(bias)}"
        want = functional.avg_pool2d(x, kernel, stride, pads, ceil, count_include_pad=bias)
    assume(want.isfinite().all())
    arguments = ", ".join(["x", *(list(weights) if bias else list(weights)[:1])])
    model = models.build(f"y = {kind} <{text}> ({arguments})", {"x": ["n", 4, *size]}, weights, opset=12)
    network = read_onnx(models.saved(model, tmp_path_factory.mktemp("net")))
    np.testing.assert_allclose(network(x.numpy()), want.numpy(), rtol=0, atol=1e-9)


STEPS = {
    "Relu": "Relu ({a})",
    "Neg": "Neg ({a})",
    "Abs": "Abs ({a})",
    "LeakyRelu": "LeakyRelu <alpha=0.1> ({a})",
    "Clip": "Clip ({a}, low, high)",
    "Add": "Add ({a}, {b})",
    "Sub": "Sub ({a}, {b})",
    "Max": "Max ({a}, {b}, c)",
    "Min": "Min ({a}, {b})",
    "Mul": "Mul ({a}, c)",
    "MatMul": "MatMul ({a}, w)",
    "AddC": "Add (c, {a})",
    "Reverse": "Slice ({a}, last, first, axis, down)",
    "Mean": "ReduceMean <axes=[1]> ({a})",
    "HardSigmoid": "HardSigmoid ({a})",
}


@given(st.data())
def test_random_graphs_compute_what_the_reference_does(models, tmp_path_factory, data):
    names, body = ["x"], []
    for number in range(data.draw(st.integers(1, 12))):
        step = STEPS[data.draw(st.sampled_from(sorted(STEPS)))]
        sources = {letter: data.draw(st.sampled_from(names)) for letter in "ab"}
        # A mean has one column; a sum makes it wide again.
        body += [f"m{number} = {step.format(**sources)}", f"t{number} = Add (m{number}, zero)"]
        names.append(f"t{number}")
    body.append(f"y = Identity ({names[-1]})")
    weights = {"w": (5, 5), "c": (5,), "zero": np.zeros((1, 5)), "low": np.array(-0.5), "high": np.array(1.0)}
    weights |= {"last": np.array([-1]), "first": np.array([-6]), "axis": np.array([1]), "down": np.array([-1])}
    model = models.build(" ".join(body), {"x": ["n", 5]}, weights, opset=13)
    models.compare(model, tmp_path_factory.mktemp("net"), 2, single=False)


# ── whole networks ───────────────────────────────────────────────────────────────────────────────────────────────────


class Mixed(nn.Module):
    """What torch's exporter makes of shapes, views and activations."""

    def __init__(self):
        super().__init__()
        self.conv, self.norm = nn.Conv2d(2, 6, 3, padding=1, bias=False), nn.BatchNorm2d(6)
        self.depthwise, self.point = nn.Conv2d(6, 6, 3, groups=6), nn.Conv2d(6, 4, 1)
        self.up = nn.ConvTranspose2d(4, 4, 2, stride=2, groups=2)
        self.slope, self.head = nn.PReLU(4), nn.Linear(16, 5)
        self.scale = nn.Parameter(torch.rand(5))

    def forward(self, x):
        x = functional.relu6(self.norm(self.conv(x)))
        x = self.slope(self.point(functional.leaky_relu(self.depthwise(x), 0.2)))
        y = functional.max_pool2d(functional.pad(self.up(x), (1, 0, 1, 0), value=0.5), 3, 2, ceil_mode=True)
        y = torch.cat([y[:, :2, 1:, :-1], functional.hardtanh(y[:, 2:, 1:, :-1])], 1)
        a, b = torch.chunk(functional.avg_pool2d(y, 2, 1), 2, dim=1)
        z = torch.maximum(a, -b).mean((1, 2, 3), keepdim=True) - torch.cat((b, a), 1).view(x.size(0), -1, 2, 2)
        z = functional.hardsigmoid(self.head(z.flatten(1).reshape(x.shape[0], 4, -1).permute(0, 2, 1).flatten(1)))
        return torch.softmax(z.abs() * self.scale - 1.0, 1)


class Residual(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.norm1 = nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4)
        self.second, self.short = nn.Conv2d(4, 4, 3, stride=2, padding=1), nn.Conv2d(4, 4, 1, stride=2)
        self.slope, self.fc1, self.fc2 = nn.PReLU(4), nn.Linear(36, 6), nn.Linear(6, 3, bias=False)

    def forward(self, x):
        x = self.norm1(self.first(x)).relu()
        x = self.slope(self.second(x) + self.short(x))
        return self.fc2(self.fc1(x.flatten(1)).relu())


NETWORKS = {
    "mixed": (Mixed, (2, 6, 6)),
    "residual": (Residual, (1, 6, 6)),
    "positions": (
        lambda: nn.Sequential(
            nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3), nn.Flatten(), nn.Dropout(), nn.Linear(15, 2)
        ),
        (5, 4),
    ),
    "series": (
        lambda: nn.Sequential(nn.Conv1d(2, 4, 3), nn.BatchNorm1d(4), nn.ReLU(), nn.AvgPool1d(2, ceil_mode=True)),
        (2, 10),
    ),
}


def exported(build, shape, path, *, opset=17, batch=True, fold=True):
    module = build().eval()
    for part in module.modules():
        if isinstance(part, nn.modules.batchnorm._BatchNorm):
            part.running_mean.normal_()
            part.running_var.uniform_(0.5, 2)
    axes = {"x": {0: "batch"}, "y": {0: "batch"}} if batch else None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            module,
            (torch.randn(2 if batch else 1, *shape),),
            path,
            dynamo=False,
            opset_version=opset,
            input_names=["x"],
            output_names=["y"],
            dynamic_axes=axes,
            do_constant_folding=fold,
            training=torch.onnx.TrainingMode.EVAL if fold else torch.onnx.TrainingMode.PRESERVE,
        )
    return module.double()


def nested():
    block = nn.Sequential(
        nn.Sequential(nn.Conv2d(2, 4, 3, bias=False), nn.BatchNorm2d(4), nn.ReLU()), nn.Conv2d(4, 3, 1)
    )
    return nn.Sequential(OrderedDict(stem=nn.Conv2d(1, 2, 1), body=block, flat=nn.Flatten(2), head=nn.Linear(16, 2)))


def test_layers_whose_weights_torch_folds_or_turns_keep_the_paths_of_their_modules(tmp_path):
    exported(nested, (1, 6, 6), tmp_path / "net.onnx")
    network = read_onnx(tmp_path / "net.onnx")
    assert [node.layer.path for node in network.nodes(Affine) if node.layer] == ["stem", "body.0.0", "body.1", "head"]


def test_two_layers_never_get_one_path(models, tmp_path):
    names = ["onnx::MatMul_1", "onnx::MatMul_2"]
    calls = [
        helper.make_node("MatMul", [a, w], [b], name=f"/part/MatMul{end}")
        for a, b, w, end in (("x", "h", names[0], ""), ("h", "y", names[1], "_1"))
    ]
    weights = [numpy_helper.from_array(np.full((2, 2), 1.0 + k, np.float32), name) for k, name in enumerate(names)]
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, (1, 2)) for name in "xy"]
    graph = helper.make_graph(calls, "net", ends[:1], ends[1:], weights)
    network = read_onnx(models.saved(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]), tmp_path))
    assert [node.layer.path for node in network.nodes(Affine) if node.layer] == ["part", "/part/MatMul_1"]
    assert network(np.ones((1, 2))).tolist() == [[8.0, 8.0]]


@pytest.mark.parametrize("batch", [True, False], ids=["any batch", "batch of one"])
@pytest.mark.parametrize("opset", [9, 12, 17, 20])
@pytest.mark.parametrize("name", NETWORKS)
def test_networks_that_torch_exports_compute_what_torch_does(name, opset, batch, tmp_path):
    build, shape = NETWORKS[name]
    path = tmp_path / "net.onnx"
    module = exported(build, shape, path, opset=opset, batch=batch, fold=batch)
    network = read_onnx(path)
    x = torch.randn(4, *shape, dtype=torch.float64)
    with torch.no_grad():
        want = module(x).numpy()
    found = network(x.numpy())
    if name == "mixed":
        found = torch.softmax(torch.tensor(found), 1).numpy()
    np.testing.assert_allclose(found, want, rtol=0, atol=1e-5)


def test_units_and_costs_are_those_of_the_torch_module(tmp_path):
    module = exported(Residual, (1, 6, 6), tmp_path / "net.onnx", fold=False)
    ours, theirs = (
        find_groups(network)
        for network in (read_onnx(tmp_path / "net.onnx"), read(module, torch.zeros(1, 1, 6, 6).double()))
    )
    assert [(group.name, group.size, group.layers) for group in ours.groups] == [
        (group.name, group.size, group.layers) for group in theirs.groups
    ]
    keep = np.arange(ours.size) % 3 > 0
    for kept in (None, keep):
        assert cost_of(ours).count(kept) == cost_of(theirs).count(kept)
    x = np.random.default_rng(0).normal(size=(3, 1, 6, 6))
    np.testing.assert_allclose(
        ours.network(x, ours.mask(keep)), theirs.network(x, theirs.mask(keep)), rtol=0, atol=1e-6
    )


def test_an_addition_behind_a_product_becomes_its_bias(models, tmp_path):
    model = models.build("h = MatMul (x, w) y = Add (h, b)", ROW, {"w": (6, 3), "b": (3,)})
    network = models.compare(model, tmp_path)
    (node,) = network.nodes(Affine)
    assert node.layer.bias
    assert node.bias.any()


def test_shared_weights_are_one_layer_whose_channels_stay(models, tmp_path):
    body = "a = MatMul (x, w) b = Relu (a) c = MatMul (b, w) d = Relu (c) y = MatMul (d, v)"
    network = models.compare(models.build(body, ROW, {"w": (6, 6), "v": (6, 2)}), tmp_path)
    groups = find_groups(network)
    assert groups.size == 0
    assert "more than once" in groups.frozen["w"]
    assert cost_of(groups).count()[0] == 36 + 12


FILES = {  # inputs, outputs and kinds of node
    "ACASXU_run2a_1_1_batch_2000.onnx": ((1, 1, 5), 5, 6, 0),
    "Convnet_avgpool.onnx": ((1, 28, 28), 10, 1, 0),
    "Convnet_maxpool.onnx": ((1, 28, 28), 10, 1, 1),
    "cartpole.onnx": ((4,), 2, 2, 0),
    "cifar_base_kw.onnx": ((3, 32, 32), 10, 3, 0),
    "mnist-net_256x2.onnx": ((784, 1), 10, 2, 0),
    "resnet_2b.onnx": ((3, 32, 32), 10, 6, 0),
}


@pytest.mark.parametrize("name", FILES)
def test_real_files_compute_what_the_reference_does(name, models, shared, tmp_path):
    model = onnx.load(shared / "networks" / name)
    network = models.compare(model, tmp_path)
    shape, outputs, relus, pools = FILES[name]
    assert network[network.inputs[0]].shape == shape
    assert network.output.shape == (outputs,)
    assert (len(network.nodes(ReLU)), len(network.nodes(Max))) == (relus, pools)


def test_the_onnx_file_and_the_torch_weights_of_one_network_agree(shared):
    network = read_onnx(shared / "networks" / "cifar_base_kw.onnx")
    layers = [nn.Conv2d(3, 8, 4, 2, 1), nn.ReLU(), nn.Conv2d(8, 16, 4, 2, 1), nn.ReLU(), nn.Flatten()]
    module = nn.Sequential(*layers, nn.Linear(1024, 100), nn.ReLU(), nn.Linear(100, 10))
    state = torch.load(shared / "networks" / "cifar_base_kw.pth", weights_only=True, map_location="cpu")
    module.load_state_dict(state["state_dict"][0])
    x = torch.randn(2, 3, 32, 32, dtype=torch.float64)
    with torch.no_grad():
        np.testing.assert_allclose(network(x.numpy()), module.double()(x).numpy(), rtol=0, atol=1e-9)


# ── ends of a network ────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("operator", ["Softmax", "LogSoftmax"])
def test_a_softmax_at_the_end_is_left_out_and_told(operator, models, tmp_path, caplog):
    model = models.build(f"h = Gemm (x, w) y = {operator} <axis=1> (h)", ROW, {"w": (6, 3)})
    network = read_onnx(models.saved(model, tmp_path))
    assert operator in caplog.text
    assert "'y' holds its logits" in caplog.text
    x = np.random.default_rng(0).normal(size=(1, 6))
    plain = models.build("y = Gemm (x, w)", ROW, {"w": (6, 3)})
    np.testing.assert_allclose(network(x), models.reference(models.doubled(plain), {"x": x})[0], atol=1e-9)


@pytest.mark.parametrize("body", ["h = Softmax (x) y = Neg (h)", "y = Softmax (x) z = Neg (y)"])
def test_a_softmax_that_is_read_further_is_refused(body, models, tmp_path):
    outputs = ("y", "z") if "z" in body else ("y",)
    path = models.saved(models.build(body, ROW, outputs=outputs), tmp_path)
    with pytest.raises(UnsupportedOperator, match=r"Softmax at 'h|Softmax at 'y.*apply it to the outputs"):
        read_onnx(path)


def test_several_inputs_and_outputs_keep_their_order(models, tmp_path):
    body = "y = Sub (b, a) z = Relu (a)"
    model = models.build(body, {"b": ["n", 3], "a": ["n", 3]}, outputs=("z", "y", "b"))
    network = models.compare(model, tmp_path)
    assert network.inputs == ("b", "a")
    assert network.outputs == ("z", "y", "b")


@pytest.mark.parametrize(
    ("declared", "given", "shape"),
    [
        (["batch", 5], None, (5,)),
        ([None, 5], None, (5,)),
        ([-1, 5], None, (5,)),
        ([0, 5], None, (5,)),
        ([1, 5], None, (5,)),
        ([5], None, (5,)),
        ([3, 5], None, (3, 5)),
        (["batch", "width"], (1, 7), (7,)),
        (None, (1, 4), (4,)),
        (["width"], (6,), (6,)),
        ([1, 1, 5], None, (1, 5)),
    ],
)
def test_the_batch_axis_is_no_part_of_the_input(declared, given, shape, models, tmp_path):
    model = models.build("y = Relu (x)", {"x": declared})
    network = read_onnx(models.saved(model, tmp_path), shapes=given and {"x": given})
    assert network[network.inputs[0]].shape == shape
    x = np.random.default_rng(0).normal(size=(3, *shape))
    np.testing.assert_array_equal(network(x), np.maximum(x, 0))


@pytest.mark.parametrize(
    ("declared", "given", "words"),
    [
        (["batch", 3, "height", "width"], None, r"\(batch, 3, height, width\).*shapes=\{'x'"),
        (["width"], None, r"\(width\)"),
        (None, None, r"\(unknown\)"),
        ([1, 3, None, 8], {"x": (1, 4, 8, 8)}, r"\(1, 3, \?, 8\), and shapes gives \(1, 4, 8, 8\)"),
        ([1, 3], {"x": (1, 3, 1)}, "shapes gives"),
        ([1, "n"], {"x": (1, -3)}, "shapes gives"),
        ([1, 3], {"image": (1, 3)}, "'image'; the inputs of .* are x"),
    ],
)
def test_sizes_that_are_open_or_wrong_are_told(declared, given, words, models, tmp_path):
    path = models.saved(models.build("y = Relu (x)", {"x": declared}), tmp_path)
    with pytest.raises(InputError, match=words):
        read_onnx(path, shapes=given)


def test_weights_of_other_precisions_are_read(tmp_path):
    rng = np.random.default_rng(0)
    for kind in (TensorProto.FLOAT16, TensorProto.BFLOAT16, TensorProto.DOUBLE):
        dtype = helper.tensor_dtype_to_np_dtype(kind)
        tensors = [
            numpy_helper.from_array(rng.normal(size=size).astype(dtype), name)
            for name, size in (("w", (4, 3)), ("b", 3))
        ]
        ends = [helper.make_tensor_value_info(name, kind, [1, size]) for name, size in (("x", 4), ("y", 3))]
        node = helper.make_node("Gemm", ["x", "w", "b"], ["y"])
        model = helper.make_model(helper.make_graph([node], "g", ends[:1], ends[1:], tensors))
        (tmp_path / "net.onnx").write_bytes(model.SerializeToString())
        w, b = (numpy_helper.to_array(tensor).astype(np.float64) for tensor in tensors)
        x = rng.normal(size=(2, 4))
        np.testing.assert_allclose(read_onnx(tmp_path / "net.onnx")(x), x @ w + b, rtol=0, atol=1e-12)


def test_weights_may_be_listed_as_inputs(models, tmp_path):
    model = models.build("y = Gemm (x, w)", {"x": [1, 6], "w": [6, 3]}, {"w": (6, 3)}, opset=11)
    assert models.compare(model, tmp_path).inputs == ("x",)


def test_nodes_may_stand_in_any_order_and_unused_ones_are_not_read(models, tmp_path):
    model = models.build("y = Neg (h) z = Tanh (h) h = Relu (x)", ROW)
    network = read_onnx(models.saved(model, tmp_path))
    np.testing.assert_array_equal(network([[1.0, -2.0, 0.0, 0.5, 3.0, -1.0]]), [[-1, 0, 0, -0.5, -3, 0]])


def test_a_packed_file_is_read(models, tmp_path):
    model = models.build("y = Gemm (x, w)", ROW, {"w": (6, 3)})
    (tmp_path / "net.onnx.gz").write_bytes(gzip.compress(model.SerializeToString()))
    plain = read_onnx(models.saved(model, tmp_path))
    x = np.ones((1, 6))
    np.testing.assert_array_equal(read_onnx(str(tmp_path / "net.onnx.gz"))(x), plain(x))


def test_nodes_say_where_they_come_from(models, tmp_path):
    model = models.build("h = Gemm (x, w) y = Relu (h)", ROW, {"w": (6, 3)})
    model.graph.node[0].name = "/Block.1/fc/Gemm"
    network = read_onnx(models.saved(model, tmp_path))
    assert [(node, network[node].module) for node in network.order] == [
        ("x", "x"),
        ("block_1_fc_gemm", "/Block.1/fc/Gemm"),
        ("y", "y"),
    ]


# ── refusals ─────────────────────────────────────────────────────────────────────────────────────────────────────────

# name → (opset, inputs, nodes, weights, what the message says)
REFUSED = {
    "smooth": (13, ROW, "y = Sigmoid (x)", {}, "Sigmoid at 'y'.*not piecewise linear; replace it by ReLU"),
    "normalisation": (17, ROW, "y = LayerNormalization (x, s)", {"s": (6,)}, "use BatchNormalization"),
    "product": (13, ROW, "y = Mul (x, x)", {}, "Mul at 'y'.*multiplies two tensors"),
    "matrix product": (13, {"x": [3, 3]}, "y = MatMul (x, x)", {}, "MatMul at 'y'.*multiplies two tensors"),
    "stack of weights": (13, {"x": [2, 3, 4]}, "y = MatMul (x, w)", {"w": (2, 4, 5)}, "stack of matrices"),
    "quotient": (13, ROW, "y = Div (c, x)", {"c": (6,)}, "Div at 'y'.*divides by a tensor"),
    "zero": (13, ROW, "y = Div (x, c)", {"c": np.array([0.0])}, "divides by zero"),
    "rounding": (13, ROW, "h = Cast <to=7> (x) y = Cast <to=1> (h)", {}, "Cast at 'h'.*rounds"),
    "statistics": (
        *(15, IMAGE, "y = BatchNormalization <training_mode=1> (x, s, b, m, v)", NORM),
        "export in evaluation mode",
    ),
    "randomness": (
        *(13, ROW, "y = Dropout (x, r, t)", {"r": np.array(0.5), "t": np.array(True)}),
        "export in evaluation mode",
    ),
    "weights from the input": (
        *(13, {"x": [1, 2, 5, 5], "w": [3, 2, 2, 2]}, "y = Conv (x, w)", {}),
        "Conv at 'y'.*weights or settings that depend on the input",
    ),
    "bounds from the input": (
        13,
        ONE_ROW,
        "m = ReduceMax <keepdims=0> (x) y = Clip (x, m)",
        {},
        "write it with Min and Max",
    ),
    "indices": (
        13,
        IMAGE,
        "y, i = MaxPool <kernel_shape=[2, 2]> (x) z = Cast <to=1> (i)",
        {},
        "only the first is read",
    ),
    "samples at once": (13, {"x": [5, 4, 7, 6]}, "y = Conv (x, w, b)", CONV, "5 samples at once"),
    "padding alone": (12, IMAGE, "y = MaxPool <kernel_shape=[1, 1], pads=[1, 1, 1, 1]> (x)", {}, "nothing but padding"),
    "branch": (
        *(
            13,
            ROW,
            "y = If (c) <then_branch = a () => (float z) {z = Neg (x)}, else_branch = b () => (float z) {z = Abs (x)}>",
        ),
        {"c": np.array(True)},
        "If at 'y'.*branches and loops",
    ),
    "other domain": (13, ROW, "y = com.microsoft.FusedGemm (x, w)", {"w": (6, 3)}, "com.microsoft.FusedGemm at 'y'"),
    "unknown": (13, ROW, "y = Bogus (x)", {}, "Bogus at 'y'.*opset 13 has no such operator"),
    "without a rule": (13, IMAGE, "y = Det (x)", {}, "Det at 'y'.*there is no rule"),
    "jump": (13, ROW, "y = ThresholdedRelu (x)", {}, "not continuous"),
    "constant by an odd operator": (13, ROW, "c = Erf (w) y = Add (x, c)", {"w": (6,)}, "Erf at 'c'.*fold them"),
    "training weights": (13, ROW, "y = Softmax (x) z = Gemm (y, w)", {"w": (6, 2)}, "Softmax at 'y'"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_refusal_names_the_operator_the_node_and_the_way_out(name, models, tmp_path):
    opset, inputs, body, weights, words = REFUSED[name]
    outputs = ("z",) if " z = " in body else ("y",)
    path = models.saved(models.build(body, inputs, weights, opset=opset, outputs=outputs), tmp_path)
    with pytest.raises(UnsupportedOperator, match=words):
        read_onnx(path)


def test_without_onnx_the_way_to_install_it_is_told(monkeypatch, tmp_path):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingDependency, match=r"pip install 'oamip\[onnx\]'"):
        read_onnx(tmp_path / "net.onnx")


def test_reading_needs_no_torch(models, tmp_path):
    path = models.saved(models.build("y = Relu (x)", ROW), tmp_path)
    code = (
        "import sys, types; sys.modules['torch'] = None; "
        "package = types.ModuleType('oamip.readers'); package.__path__ = [sys.argv[2]]; "
        "sys.modules['oamip.readers'] = package; "  # whose own page imports the torch reader
        "from oamip.readers.onnx_graph import read_onnx; print(read_onnx(sys.argv[1]).output.shape)"
    )
    folder = str(Path(oamip.readers.__file__).parent)
    done = subprocess.run([sys.executable, "-c", code, path, folder], capture_output=True, text=True, check=False)
    assert done.stdout == "(6,)\n", done.stderr
