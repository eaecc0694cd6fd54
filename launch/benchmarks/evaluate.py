"""How long the evaluation of a policy takes on two processes, start-up said apart."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from forestpilot.launch.benchmarks.commands import Used, checkouts, in_turns, run_command
from forestpilot.launch.benchmarks.demo import Checkout
from forestpilot.sim.scratch import scratch

FEW = 4
"""Worlds of an evaluation that takes little more than its start."""
GAP_MODULE = "*/policies/evaluation/gap.py"
"""Tells a version that runs the expert beside the policy."""


def bench_evaluate(against: Path | None = None, turns: int = 3, worlds: int = 100) -> dict[str, Any]:
    """Evaluate the pretrained drone as a command, in `FEW` and in `FEW + worlds` test forests; the difference is what
    the worlds take when everything runs.

    Args:
        against: another checkout, whose evaluations take turns with this one's.
        turns: how many times.
        worlds: test forests.

    Returns:
        See `in_turns`: `worlds`, and `start` with its `FEW` worlds; also how many `worlds`.
    """
    with scratch("bench") as folder:
        count = 0

        def evaluate(checkout: Checkout, episodes: int) -> Used:
            nonlocal count
            count += 1
            out = str(folder / f"evaluation-{count}")
            options = ["--episodes", str(episodes), "--workers", "2", "--out", out]
            if any(checkout.python_path.glob(GAP_MODULE)):
                options.append("--no-imitation-gap")  # versions up to 0.2 did not run the expert
            return run_command(checkout, folder, "evaluate", "--policy", "pretrained", *options)

        def measure(_: str, checkout: Checkout) -> dict[str, Used]:
            start = evaluate(checkout, FEW)
            return {"start": start, "worlds": evaluate(checkout, FEW + worlds).without(start)}

        runs = checkouts(against)
        for checkout in runs.values():
            evaluate(checkout, FEW)  # compiles what is not compiled yet
        return {"test_forests": worlds, **in_turns(runs, measure, turns)}
