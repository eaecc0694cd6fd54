"""A sample of `make faults`: commands that are killed end alike, damaged files are named or put aside."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

CHECKOUT = Path(__file__).parents[2]


def test_a_few_kills_and_damages_end_well(tmp_path: Path) -> None:
    # A process of its own: what is forked must not have trained, and none of its threads may hold a lock.
    sizes = ["--only", "collect", "export", "--kinds", "episode", "dataset.json", "--kills", "8", "--mutants", "60"]
    done = subprocess.run(
        [sys.executable, "-m", "tests.faults.injector", *sizes, "--out", str(tmp_path)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(CHECKOUT), *filter(None, sys.path)])},
        capture_output=True,
        text=True,
        cwd=CHECKOUT,
    )
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert done.returncode == 0 and summary["bad"] == 0, done.stdout + done.stderr
    assert (summary["kills"], summary["mutants"], summary["broken"]) == (8, 60, [])
    assert summary["by"]["mutants"]["episode"]["named"] > 0
