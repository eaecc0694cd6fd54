"""Benchmarks that take turns with another checkout."""

from __future__ import annotations

from pathlib import Path

import pytest

from forestpilot.launch.benchmarks.commands import Used, checkouts, in_turns, run_command
from forestpilot.sim.errors import ForestPilotError


def test_medians_and_ratios_of_turns_in_changing_order() -> None:
    order: list[str] = []
    times = {"here": iter([2.0, 3.0, 10.0]), "against": iter([4.0, 12.0, 10.0])}

    def measure(key: str, checkout: object) -> dict[str, Used]:
        order.append(key)
        cpu_s = next(times[key])
        return {"films": Used(2 * cpu_s, cpu_s)}

    figures = in_turns({"here": None, "against": None}, measure, 3)  # type: ignore[dict-item]
    assert order == ["here", "against", "against", "here", "here", "against"]
    assert figures["here"]["films"] == {"s": 6.0, "cpu_s": 3.0} and figures["against"]["films"]["cpu_s"] == 10.0
    assert figures["ratio_cpu"] == {"films": 0.5}
    assert Used(5.0, 3.0).without(Used(1.0, 2.0)) == (4.0, 1.0)


def test_a_command_is_timed_and_its_failure_shown(tmp_path: Path) -> None:
    here = checkouts(None)["here"]
    used = run_command(here, tmp_path, "--version")
    assert used.cpu_s > 0 and used.s > 0
    with pytest.raises(ForestPilotError, match=r"(?s)replay nowhere failed with code.*there is no nowhere/outcomes"):
        run_command(here, tmp_path, "replay", "nowhere")
