"""The soak's verdict: what counts as growth. That nothing grows is what `make soak` itself shows."""

from __future__ import annotations

import pytest

from tests.faults.soak import Sample, verdict


def samples(growth_mb: float = 0.0, handles: int = 0, warm_up_mb: float = 80.0) -> list[Sample]:
    """Twenty samples: caches fill in the first two, then memory grows evenly; handles are left open at the end."""
    made = []
    for number in range(20):
        memory_mb = 500.0 + (0 if number < 2 else warm_up_mb) + growth_mb * number / 20
        open_now = 30 + (handles if number >= 18 else 0)
        made.append(Sample(60.0 * number, 100 * number, number, memory_mb / 2, memory_mb, open_now, 6))
    return made


def test_filling_caches_is_no_growth() -> None:
    told = verdict(samples())
    assert told["good"]
    assert told["growth"] == {"own_mb": 0.0, "all_mb": 0.0, "handles": 0, "threads": 0}


@pytest.mark.parametrize("grown", [{"growth_mb": 30.0}, {"handles": 1}])
def test_what_grows_is_told(grown: dict) -> None:
    assert not verdict(samples(**grown))["good"]
