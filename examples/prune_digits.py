"""Prune a network of your own, on data of your own, to half of its parameters."""

import torch
from sklearn.datasets import load_digits
from torch import nn

import oamip

torch.manual_seed(0)
torch.set_num_threads(1)
x, y = load_digits(return_X_y=True)
x = (x / 16).astype("float32").reshape(-1, 1, 8, 8)

network = nn.Sequential(
    nn.Conv2d(1, 12, 3, padding=1), nn.BatchNorm2d(12), nn.ReLU(), nn.MaxPool2d(2),
    nn.Conv2d(12, 24, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
    nn.Flatten(), nn.Linear(96, 48), nn.ReLU(), nn.Linear(48, 10),
)  # fmt: skip
optimiser = torch.optim.Adam(network.parameters(), 2e-3)
for _ in range(15):
    for batch in torch.randperm(1000).split(32):  # the first thousand images; the others were never seen
        optimiser.zero_grad()
        nn.functional.cross_entropy(network(torch.from_numpy(x[batch])), torch.from_numpy(y[batch])).backward()
        optimiser.step()
network.eval()

parts = {"x_train": x[:1000], "y_train": y[:1000], "x_score": x[1000:1350], "y_score": y[1000:1350],
         "x_test": x[1350:], "y_test": y[1350:]}  # fmt: skip
result = oamip.prune(network, parts, budget="params=0.5", baselines=("l2", "random"))
print(result.report.table())
print(result.module)
