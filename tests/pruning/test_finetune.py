"""Fine-tuning is training with manners: same module, same modes, same seeds, and no harm when it fails."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from torch import nn

from oamip.errors import InputError
from oamip.pruning.finetune import finetune


def _made() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.1), nn.Linear(8, 2))


def _labelled() -> tuple[np.ndarray, np.ndarray]:
    x = np.random.default_rng(0).standard_normal((60, 4)).astype(np.float32)
    return x, (x.sum(1) > 0).astype(np.int64)


def _state(module: nn.Module) -> list[torch.Tensor]:
    return [tensor.clone() for tensor in module.state_dict().values()]


def _equal(left: list[torch.Tensor], right: list[torch.Tensor]) -> bool:
    return all(map(torch.equal, left, right))


@pytest.mark.parametrize("targets", ["labels", "numbers"])
def test_loss_falls_and_is_told_after_every_epoch(targets: str) -> None:
    x, y = _labelled()
    told: list[tuple[int, int, float]] = []
    wanted = y if targets == "labels" else np.stack([x.sum(1), x[:, 0]], axis=1)
    finetune(_made(), x, wanted, epochs=8, learning_rate=1e-2, progress=lambda *news: told.append(news))
    assert [(epoch, epochs) for epoch, epochs, _ in told] == [(epoch, 8) for epoch in range(1, 9)]
    assert told[-1][2] < 0.8 * told[0][2]


def test_equal_seeds_give_equal_weights() -> None:
    x, y = _labelled()
    first, second = (_state(finetune(_made(), x, y, epochs=2, seed=3)) for _ in range(2))
    other = _state(finetune(_made(), x, y, epochs=2, seed=4))
    assert _equal(first, second)
    assert not _equal(first, other)


def test_the_global_generator_is_left_alone() -> None:
    module, generator = _made(), torch.get_rng_state()
    finetune(module, *_labelled(), epochs=1)
    assert torch.equal(torch.get_rng_state(), generator)


def test_modes_and_frozen_parameters_stay() -> None:
    x, y = _labelled()
    module = _made().train()
    module[1].eval()
    module[0].requires_grad_(False)
    frozen = module[0].weight.clone()
    with torch.no_grad():  # the caller's mode does not matter
        assert finetune(module, x, y, epochs=1) is module
    assert [part.training for part in module] == [True, False, True, True, True]
    assert torch.equal(module[0].weight, frozen)
    assert all(parameter.grad is None for parameter in module.parameters())


def test_a_loss_that_explodes_is_refused_and_undone() -> None:
    x, y = _labelled()
    module = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
    before = _state(copy.deepcopy(module))
    with pytest.raises(InputError, match="take a smaller one"):
        finetune(module, x, (y[:, None] * np.array([1e30, -1e30])).astype(np.float32), epochs=3, learning_rate=1e20)
    assert _equal(_state(module), before)


def test_nothing_to_train_is_said() -> None:
    x, y = _labelled()
    with pytest.raises(InputError, match="no parameter"):
        finetune(_made().requires_grad_(False), x, y, epochs=1)
