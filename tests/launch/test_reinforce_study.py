"""The study of rewards and clones: its arms differ in what they begin with and hold on to, and in nothing else."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from forestpilot.data_collection.episodes.progress import SilentProgress
from forestpilot.launch.studies import reinforce
from forestpilot.launch.studies.reinforce import Config, ReinforceStudy
from forestpilot.launch.studies.study import Bench
from forestpilot.policies.algorithms.dagger.config import DaggerConfig
from forestpilot.policies.algorithms.reinforce.config import ReinforceConfig
from forestpilot.policies.algorithms.rounds import RoundResult, round_folder

LABELS = 70


def row(number: int, visited: int, rollout_success: float) -> RoundResult:
    return RoundResult(
        round=number,
        beta=0.0,
        episodes=0,
        labels=0,
        rollout_success=rollout_success,
        validation_success=None,
        validation_episodes=0,
        low=None,
        high=None,
        visited=visited,
        crashes=3 * number,
    )


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Configs of the runs that the study asks for, by run folder; every run learns in its second round."""
    asked: dict[str, Any] = {}

    def run(config: ReinforceConfig | DaggerConfig) -> list[RoundResult]:
        asked[Path(config.out).name] = config
        results = [row(number, 1000 * number, 0.5 + 0.2 * number) for number in range(config.rounds + 1)]
        for result in results:
            folder = round_folder(Path(config.out), result.round)
            folder.mkdir(parents=True)
            (folder / "policy.json").write_text("{}")
        return results

    class Learned:
        def __init__(self, config: ReinforceConfig, *_: Any) -> None:
            self.config = config

        def run(self, *_: Any, **__: Any) -> list[RoundResult]:
            return run(self.config)

    def demonstrated(name: str, *_: Any) -> Any:
        return SimpleNamespace(folder=f"flights-{name}", episodes=[SimpleNamespace(num_labels=LABELS)])

    monkeypatch.setattr(reinforce, "Reinforce", Learned)
    monkeypatch.setattr(reinforce, "run_dagger", lambda config, *_, **__: run(config))
    monkeypatch.setattr(reinforce, "demonstrate", demonstrated)
    monkeypatch.setattr(Bench, "clone", lambda *_: None)
    monkeypatch.setattr(Bench, "evaluate", lambda _, config: [{"seed": "1", "success": "1"}] * config.episodes)
    return asked


def test_arms_differ_in_what_they_begin_with_and_hold_on_to_alone(asked: dict[str, Any], tmp_path: Path) -> None:
    study = ReinforceStudy(Config(out=str(tmp_path), rounds=(1, 2), round_steps=1000))
    bench = Bench(tmp_path, None, SilentProgress())  # type: ignore[arg-type]
    cells = {arm.name: study.run_cell(arm, 2000.0, 1, bench) for arm in study.arms()}
    runs = {name.removesuffix("-seed-1"): config for name, config in asked.items()}
    assert set(runs) == {arm.name for arm in study.arms()}
    clone = str(tmp_path / "clones" / "seed-1")
    base = runs["clone"]
    assert base.start == clone and not base.shaping and not base.keep_close
    for name, own in {
        "scratch": {"start": ""},
        "shaped-low": {"shaping": 0.03},
        "shaped-mid": {"shaping": 0.1},
        "shaped-high": {"shaping": 0.3},
        "close": {"keep_close": 0.2},
    }.items():
        assert runs[name] == dataclasses.replace(base, out=runs[name].out, **own)
    rlpd = runs["rlpd"]
    assert rlpd.method == study.config.sac and rlpd.demonstrations == ("flights-seed-1",) and not rlpd.first_steps
    assert (rlpd.steps, rlpd.rounds, rlpd.mix, rlpd.train) == (base.steps, base.rounds, base.mix, base.train)
    assert runs["dagger"].demonstrations == ("flights-seed-1",) and not runs["dagger"].expert_episodes
    assert runs["dagger"].mix == base.mix and runs["dagger"].train == base.train
    assert {name: cell.labels for name, cell in cells.items() if name != "dagger"} == {
        name: 0 if name == "scratch" else LABELS for name in cells if name != "dagger"
    }


def test_a_run_has_learned_with_the_first_round_whose_flights_arrive(asked: dict[str, Any], tmp_path: Path) -> None:
    study = ReinforceStudy(Config(out=str(tmp_path), rounds=(1, 3), round_steps=1000))
    bench = Bench(tmp_path, None, SilentProgress())  # type: ignore[arg-type]
    arm = study.arms()[0]
    first = study.run_cell(arm, 1000.0, 0, bench).figures
    last = study.run_cell(arm, 3000.0, 0, bench).figures
    assert (first["steps"], first["crashes"], last["steps"], last["crashes"]) == (1000, 3, 3000, 9)
    # 70, 90 and 110 % of the flights arrive: the second round is the first with 80.
    assert first["learned_steps"] == last["learned_steps"] == 2000 and last["learned_crashes"] == 6
    assert last["minutes"] == pytest.approx(3 * first["minutes"])


def test_dagger_is_compared_by_the_steps_that_it_has_flown(asked: dict[str, Any], tmp_path: Path) -> None:
    study = ReinforceStudy(Config(out=str(tmp_path), rounds=(1, 4), round_steps=600))
    bench = Bench(tmp_path, None, SilentProgress())  # type: ignore[arg-type]
    dagger = study.arms()[-1]
    assert study.run_cell(dagger, 600.0, 0, bench).figures["steps"] == 1000  # its first round has more
    assert study.run_cell(dagger, 2400.0, 0, bench).figures["steps"] == 2000
