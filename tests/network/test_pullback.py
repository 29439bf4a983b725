"""Gradients by adjoint maps are those of automatic differentiation."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from oamip.network import pullback


def test_input_gradients_equal_autograd(animal, rng):
    if animal.name == "in_place":
        pytest.skip("autograd refuses what this module does in place")
    n, outputs = len(animal.x), animal.network.output.shape
    cotangent = rng.normal(size=(3, n, *outputs))
    values = animal.network.evaluate(animal.x.numpy())
    ours = pullback(animal.network, values, cotangent)[animal.network.inputs[0]]
    for function, weights in enumerate(cotangent):
        x = animal.x.clone().requires_grad_()
        animal.module(x).backward(torch.from_numpy(weights))
        np.testing.assert_allclose(ours[function], x.grad.numpy(), rtol=1e-9, atol=1e-10)
    animal.module.zero_grad()


def test_gradients_of_inner_nodes_predict_small_changes(animal, rng):
    network, step = animal.network, 1e-6
    values = network.evaluate(animal.x.numpy())
    cotangent = rng.normal(size=(1, *values[network.output.name].shape))
    gradients = pullback(network, values, cotangent)
    assert gradients.keys() == set(network.order)
    for name in network.order:
        # Where a max sees two zeros from a ReLU there is no derivative; moving the other entries keeps away from it.
        direction = rng.normal(size=values[name].shape) * (values[name] != 0)
        ends = [
            np.sum(cotangent * network(animal.x.numpy(), {name: lambda v, s=sign, d=direction: v + s * step * d}))
            for sign in (1, -1)
        ]
        slope = (ends[0] - ends[1]) / (2 * step)
        np.testing.assert_allclose(slope, np.sum(gradients[name][0] * direction), rtol=1e-5, atol=1e-5)
