"""Networks are timed once here, not in rounds: nothing in these tests looks at the times."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import pytest

from oamip.pruning import bench
from oamip.pruning.measure import latencies


@pytest.fixture(scope="module", autouse=True)
def _timed_once() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bench, "latencies", partial(latencies, rounds=1))
        yield
