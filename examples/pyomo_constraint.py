"""Add a constraint of your own, in your own modelling language, to a program that oamip built."""

import pyomo.environ as pyo
import torch

import oamip
from oamip.data import choose, load
from oamip.models import open_model
from oamip.solving import find_backend, solve_built

torch.set_num_threads(1)
data = load("digits")
network = oamip.read(open_model("digits-mlp", data=data, epochs=10), torch.from_numpy(data.train.x[:2]))
groups = oamip.find_groups(network)
samples = data.score.take(choose(data.score, 50, seed=0))
question = oamip.Importance(groups, samples.x, samples.y)

pyomo = find_backend("pyomo")
built = pyomo.build(question.program())
keep = built.columns["keep"]  # native Pyomo variables, in the shape of the block
first, second = groups.groups
built.model.my_budget = pyo.Constraint(expr=sum(keep[i] for i in range(first.size)) <= 10)

solution = solve_built(built, backend=pyomo)
scores = question.interpret(solution)
print(f"objective {solution.objective:.4f}; first layer's scores sum to {scores.values[first.name].sum():.4f} (≤ 10)")
print("the same from Pyomo's own variables:", round(sum(pyo.value(keep[i]) for i in range(first.size)), 4))
