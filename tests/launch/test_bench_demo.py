"""The benchmark of the demo: whole commands in turns, each in a fresh folder, cold ones with a cache of their own."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from forestpilot.launch.benchmarks import demo as benchmark
from forestpilot.launch.benchmarks.demo import Checkout, bench_demo
from forestpilot.sim.errors import ForestPilotError

FAKE = """
import json, os, pathlib, subprocess, sys
args = sys.argv[1:]
out = pathlib.Path(args[args.index("--out") + 1])
cache = pathlib.Path(os.environ["NUMBA_CACHE_DIR"])
told = {"who": WHO, "args": args, "compiled": any(cache.iterdir())}
with open(LOG, "a") as file:
    print(json.dumps(told), file=file)
(cache / "kernel.nbc").touch()
if FAILS:
    print("kernels are not ripe")
    sys.exit(2)
(out / "evaluation").mkdir(parents=True)
(out / "policy.safetensors").touch()
rows = "".join(f"dagger,{i},success,{int(i < 3)}\\n" for i in range(4))
(out / "evaluation" / "outcomes.csv").write_text("policy,seed,outcome,success\\nbc,0,collision,0\\n" + rows)
"""


def fake(folder: Path, who: str, log: Path, fails: bool = False) -> Path:
    """A checkout laid out like version 0.1, whose demo only notes how it was called."""
    (folder / "launch").mkdir(parents=True)
    (folder / "launch" / "__init__.py").touch()
    values = f"WHO, LOG, FAILS = {who!r}, {str(log)!r}, {fails}\n"
    (folder / "launch" / "cli.py").write_text(values + FAKE)
    return folder


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Notes of all demos that were run; the one that is here is a fake too."""
    log = tmp_path / "log.jsonl"
    here = Checkout.at(fake(tmp_path / "here", "here", log))
    monkeypatch.setattr(Checkout, "here", classmethod(lambda cls: here))
    return log


def notes(log: Path) -> list[dict]:
    return [json.loads(line) for line in log.read_text().splitlines()]


def test_two_checkouts_take_turns_cold_and_warm(log: Path, tmp_path: Path) -> None:
    other = fake(tmp_path / "other", "other", log)
    figures = bench_demo(against=other, seeds=2, arguments=("--videos", "0"))
    told = notes(log)
    assert [run["who"] for run in told] == ["here", "other", "here", "other", "other", "here", "other", "here"]
    assert [run["compiled"] for run in told] == [False, False, True, True] * 2
    assert all(run["args"][-2:] == ["--videos", "0"] for run in told)
    assert [run["args"][run["args"].index("--dagger.seed") + 1] for run in told] == ["0"] * 4 + ["1"] * 4
    outs = [run["args"][run["args"].index("--out") + 1] for run in told]
    assert len(set(outs)) == len(outs), "a demo goes on in a folder that it knows"
    for start in ("cold", "warm"):
        assert figures[start]["here"]["successes"] == ["3/4", "3/4"]
        assert len(figures[start]["against"]["s"]) == 2
        for ratio, figure in (("ratio", "s"), ("policy_ratio", "policy_s")):
            ours, theirs = figures[start]["here"][figure], figures[start]["against"][figure]
            assert figures[start][ratio] == (ours[0] / theirs[0] + ours[1] / theirs[1]) / 2
    assert json.loads(json.dumps(figures)) == figures


def test_warm_alone_compiles_first_and_a_busy_process_runs_beside_this_one_only(log: Path, monkeypatch) -> None:
    monkeypatch.setattr(benchmark, "BUSY", "import time; time.sleep(60)")
    figures = bench_demo(start="warm", contended=True)
    told = notes(log)
    assert [run["compiled"] for run in told] == [False, True, True]
    assert "--dagger.rounds" in told[0]["args"] and "--dagger.rounds" not in told[1]["args"]
    assert set(figures) == {"warm", "contended"} and "ratio" not in figures["warm"]
    assert figures["contended"]["ratio"] == figures["contended"]["here"]["s"][0] / figures["warm"]["here"]["s"][0]
    assert len(figures["warm"]["here"]["s"]) == 1, "the warming up is not counted"


def test_after_installation_what_it_compiles_is_there(log: Path, tmp_path: Path, monkeypatch) -> None:
    other = fake(tmp_path / "other", "other", log)
    code = "import os, pathlib; (pathlib.Path(os.environ['NUMBA_CACHE_DIR']) / 'kernel.nbc').touch()"
    (tmp_path / "here" / "compile_all.py").write_text(code)
    here = dataclasses.replace(Checkout.here(), compiler="compile_all")
    monkeypatch.setattr(Checkout, "here", classmethod(lambda cls: here))
    figures = bench_demo(against=other, start="installed")
    assert [(run["who"], run["compiled"]) for run in notes(log)] == [("here", True), ("other", False)]
    assert set(figures) == {"installed"} and figures["installed"]["ratio"] > 0


def test_a_demo_that_fails_shows_its_last_lines(log: Path, tmp_path: Path) -> None:
    other = fake(tmp_path / "other", "other", log, fails=True)
    with pytest.raises(ForestPilotError, match=r"(?s)cold, against, seed 0.* code 2.*kernels are not ripe"):
        bench_demo(against=other)


def test_a_checkout_is_known_by_its_command(tmp_path: Path) -> None:
    (tmp_path / "new" / ".package" / "forestpilot" / "launch").mkdir(parents=True)
    (tmp_path / "new" / ".package" / "forestpilot" / "launch" / "cli.py").touch()
    assert Checkout.at(tmp_path / "new").module == "forestpilot.launch.cli"
    assert not Checkout.at(tmp_path / "new").compiler
    with pytest.raises(ValueError, match="no checkout of ForestPilot"):
        Checkout.at(tmp_path)
    with pytest.raises(ValueError, match="give --start warm or both"):
        bench_demo(start="cold", contended=True)


def test_this_checkout_is_the_one_that_runs() -> None:
    here = Checkout.here()
    assert (here.python_path / "forestpilot" / "launch" / "cli.py").is_file()
    assert Checkout.at(here.python_path.parent).compiler == here.compiler != ""
