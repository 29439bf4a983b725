"""A formulation of your own, in forty lines, on any backend and solver: the fewest units that still get samples right.

For small networks. Every sample's true class must win by a margin, whatever units are
switched off; binary gates, exact. What is written here is the whole of it: no solver and no modelling language occurs.
"""

import numpy as np
import torch
from torch import nn

import oamip
from oamip.bounds import Box, interval
from oamip.data import load
from oamip.formulations import Gates, embed
from oamip.gates import ExactGate
from oamip.learning import train
from oamip.program import Program


class FewestUnits:
    def __init__(self, groups, x, y, margin=0.01):
        self.groups, self.x, self.y, self.margin = groups, x, y, margin

    def program(self):
        program = Program("fewest_units")
        keep = program.variables("keep", self.groups.size, domain="binary")
        bounds = interval(self.groups.network, Box.of(self.x, self.x), self.groups)
        outputs = embed(program, self.groups.network, bounds, self.x, Gates(self.groups, keep, ExactGate())).output
        classes = np.arange(outputs.shape[1])
        for k, label in enumerate(self.y):
            program.add(f"right_{k}", outputs[k, [label]] - outputs[k, classes[classes != label]] >= self.margin)
        for number, group in enumerate(self.groups.groups):
            program.add(f"alive_{number}", keep[group.slice].sum() >= 1)
        program.minimize(keep.sum())
        return program

    def interpret(self, solution):
        return oamip.Decision.of(self.groups, solution["keep"] > 0.5)


torch.set_num_threads(1)
torch.manual_seed(0)
data = load("digits")
module = train(nn.Sequential(nn.Flatten(), nn.Linear(64, 24), nn.ReLU(), nn.Linear(24, 10)), data, epochs=15)
network = oamip.read(module, torch.from_numpy(data.train.x[:2]))
groups = oamip.find_groups(network)
right = np.flatnonzero(network(data.score.x).argmax(1) == data.score.y)[:30]
question = FewestUnits(groups, data.score.x[right].astype(float), data.score.y[right])
for backend in ("matrix", "pyomo"):
    solution = oamip.solve(question.program(), oamip.Options(time_limit=60), backend=backend)
    decision = question.interpret(solution)
    kept = decision.flat(groups)
    print(f"{backend}: {kept.sum()} of {kept.size} units, bound {solution.bound:.1f}, {solution.reason}")
    masked = network(data.score.x[right], groups.mask(kept))
    assert (masked.argmax(1) == data.score.y[right]).all()  # the network itself agrees
