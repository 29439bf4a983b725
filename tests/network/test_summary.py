"""The table says what the network is, and its last line adds up."""

from __future__ import annotations

import re

import numpy as np
import pytest
import torch
from torch import nn

from oamip.bounds import Box, interval
from oamip.errors import InputError
from oamip.network import Affine, ReLU, cost_of
from oamip.network.summary import parameters, summary
from oamip.readers import read


def test_a_small_network_line_by_line():
    torch.manual_seed(0)
    module = nn.Sequential(nn.Conv2d(1, 2, 3, padding=1), nn.BatchNorm2d(2), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten())
    module.append(nn.Linear(8, 3))
    network = read(module.eval(), torch.zeros(1, 1, 4, 4))
    assert network.summary().split("\n") == [
        "node   kind    shape  map          parameters  non-zeros  source",
        "input  Input   1×4×4                                      input",
        "n0     Affine  2×4×4  Convolution          20        200  0",
        "n1     Affine  2×4×4  Scale                 4         32  1",
        "n2     ReLU    2×4×4                                      2",
        "n3     Max     2×2×2                                      3",
        "n4     Affine  8      Selection                        8  4",
        "n5     Affine  3      Dense                27         24  5",
        "total: 7 nodes, 51 parameters, 264 non-zeros, 32 ReLUs, 8 maxima",
    ]


def test_totals_are_those_of_the_lines(animal):
    network = animal.network
    lines = network.summary().split("\n")
    assert len(lines) == len(network.order) + 2
    total = {what: int(number.replace(",", "")) for number, what in re.findall(r"([\d,]+) ([a-zA-Z-]+)", lines[-1])}
    assert total["parameters"] == cost_of(animal.groups).count()[0]
    assert total["parameters"] == sum(parameters(network).values()) + network.extra_parameters
    matrices = [map_.matrix() for node in network.nodes(Affine) for _, map_ in network.edges(node.name)]
    assert total["non-zeros"] >= sum(int((matrix != 0).sum()) for matrix in matrices)
    assert total["ReLUs"] == sum(int(np.prod(node.shape)) for node in network.nodes(ReLU))


def test_bounds_add_how_many_relus_are_stable(zoo):
    specimen = zoo("convnet")
    bounds = interval(specimen.network, Box.around(specimen.x[:2].numpy(), 0.05))
    table = specimen.network.summary(bounds).split("\n")
    for name, counts in bounds.stability(specimen.network).items():
        (line,) = [line for line in table if line.split()[0] == name]
        assert tuple(int(cell) for cell in line.split()[3:6]) == counts
    on, off, unstable = (sum(column) for column in zip(*bounds.stability(specimen.network).values(), strict=True))
    assert table[-1].endswith(f"{on:,} always on, {off:,} always off, {unstable:,} unstable")
    assert min(on, off, unstable) > 0
    assert on + off + unstable == 2 * sum(int(np.prod(node.shape)) for node in specimen.network.nodes(ReLU))


def test_bounds_of_another_network_are_refused(zoo):
    other = zoo("mlp")
    bounds = interval(other.network, Box.around(other.x[:1].numpy(), 0.1))
    for show in (zoo("convnet").network.summary, lambda bounds: zoo("convnet").network.draw(bounds=bounds)):
        with pytest.raises(InputError, match="these bounds know no node"):
            show(bounds)


def test_a_module_that_is_called_twice_is_counted_once(zoo):
    counts = parameters(zoo("called_twice").network)
    assert sorted(counts.values()) == [0, 10, 24, 25, 30]


def test_a_constant_output_has_no_map(zoo):
    module = nn.Sequential(nn.Linear(3, 2), nn.ReLU())
    with torch.no_grad():
        module[0].weight.zero_()
    network = read(module, torch.zeros(1, 3)).simplify()
    assert re.search(r"^n1 +Affine +2 +0? *1$", summary(network), flags=re.MULTILINE)
