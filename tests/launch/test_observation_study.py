"""The study of observation: arms learn from the same flights, as often, and those that watch are told no action."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from forestpilot.data_collection.episodes.dataset import Dataset
from forestpilot.launch.studies import observation
from forestpilot.launch.studies.observation import ARMS, Config, Observation


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Observation:
    """One cell of cloning and one of BCO(alpha), really run."""
    out = tmp_path_factory.mktemp("study") / "run"
    quick = dataclasses.replace(Observation.quick, out=str(out), workers=1, seeds=1, videos=(2,), speed=10.0)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(observation, "ARMS", (ARMS[0], ARMS[3]))
        patched.setattr(observation, "PAIRS", ())
        patched.setattr(observation, "differences", lambda cells: [])
        chosen = Observation(quick)
        chosen.result = chosen.run()
    return chosen


def test_who_watches_is_told_no_action_and_learns_from_the_same_flights(study: Observation) -> None:
    folder = Path(study.config.out)
    (done,) = (Dataset.open(path) for path in (folder / "demonstrations").iterdir())
    (seen,) = (Dataset.open(path) for path in (folder / "videos").iterdir())
    assert seen.lacks == ("actions",) and done.lacks == ()
    assert [header.meta.seed for header in seen.episodes] == [header.meta.seed for header in done.episodes]
    assert (folder / "policies" / "bco-alpha-few-2-seed-0" / "inferred" / "round-02").is_dir()


def test_errors_and_own_steps_are_of_who_watches(study: Observation) -> None:
    figures = {panel.name: {point.arm: point.value.mean for point in panel.points} for panel in study.result.panels}
    for key in ("turn_error_deg", "go_error", "own_steps"):
        assert figures[key]["cloning"] == 0 < figures[key]["bco-alpha-few"]


def test_all_arms_take_as_many_gradient_steps_and_own_flights() -> None:
    config = Config()
    chosen = Observation(config)
    for arm in ARMS[1:]:
        told = chosen.bco(arm, 1, ("x",), Path("out"))
        steps = [told.round_training(number).steps for number in range(told.rounds + 1)]
        assert sum(steps) == config.steps
        worlds = [seed for number in range(told.rounds + 1) for seed in told.seeds(number)]
        assert len(set(worlds)) == len(worlds) == config.own_flights(arm)
        assert min(worlds) >= config.first_world(1) + config.videos[-1]
        assert max(worlds) < config.first_world(2)
