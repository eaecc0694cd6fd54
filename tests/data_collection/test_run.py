"""Run folders: each belongs to one config, tells it, and is opened whichever version made it."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
import torch

from forestpilot.data_collection.episodes.config_fields import (
    not_the_result,
    of_this_machine,
    result_values,
    travelling_values,
)
from forestpilot.data_collection.episodes.run import Run, RunError, config_values, read_run
from forestpilot.policies.evaluation.pilots import PolicyPilot
from forestpilot.policies.networks.checkpoint import save_policy
from forestpilot.policies.networks.threads import torch_threads
from tests.helpers.made_up import make_observations, make_policy


@dataclass(frozen=True)
class Inner:
    rate: float = 0.5
    every: int = not_the_result(10)


@dataclass(frozen=True)
class Config:
    out: str = not_the_result("runs/x")
    data: tuple[str, ...] = of_this_machine(())
    steps: int = 5
    inner: Inner = field(default_factory=Inner)


def test_a_field_says_whether_it_changes_the_result_and_whether_it_travels() -> None:
    config = Config(data=("here",))
    assert result_values(config) == {"data": ["here"], "steps": 5, "inner": {"rate": 0.5}}
    assert travelling_values(config) == {"steps": 5, "inner": {"rate": 0.5}}


def test_a_run_writes_who_made_it_and_how(tmp_path: Path) -> None:
    Run.claim(tmp_path / "run", "train", Config(steps=7))
    values = json.loads((tmp_path / "run" / "config.json").read_text())
    assert values["verb"] == "train" and values["version"]
    assert values["config"]["steps"] == 7
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["config.json"]
    assert config_values(values) == values["config"] == config_values(values["config"])


def test_a_config_that_was_changed_is_not_believed_but_one_without_a_digest_is(tmp_path: Path) -> None:
    path = Run.claim(tmp_path, "train", Config(steps=7)).path
    stored = json.loads(path.read_text())
    stored["config"]["steps"] = 8
    path.write_text(json.dumps(stored))
    with pytest.raises(RunError, match="damaged or altered"):
        read_run(tmp_path)
    assert config_values(stored)["steps"] == 8, "whoever gives it as a config may edit it"
    path.write_text(json.dumps({key: stored[key] for key in ("verb", "version", "config")}))
    run = read_run(tmp_path)
    assert run is not None and run.config["steps"] == 8


def test_a_run_goes_on_with_the_same_result_only(tmp_path: Path) -> None:
    Run.claim(tmp_path, "train", Config())
    other = Config(out="elsewhere", inner=Inner(every=3))
    run = Run.claim(tmp_path, "train", other)
    assert read_run(tmp_path).config["inner"]["every"] == 10
    run.record()
    assert read_run(tmp_path).config["inner"]["every"] == 3
    with pytest.raises(RunError, match=r"steps: 5 there, 6 asked; inner.rate: 0.5 there, 0.1 asked"):
        Run.claim(tmp_path, "train", Config(steps=6, inner=Inner(rate=0.1)))


def test_a_folder_is_of_one_verb(tmp_path: Path) -> None:
    Run.claim(tmp_path, "dagger", Config())
    with pytest.raises(RunError, match="forestpilot dagger"):
        Run.claim(tmp_path, "train", Config())
    with pytest.raises(RunError, match="forestpilot dagger"), Run(tmp_path, "evaluate", Config()).recording():
        pytest.fail("it is refused before the work begins")


@pytest.mark.parametrize(("verb", "name"), [("dagger", "dagger.json"), ("study roads", "study.json")])
def test_a_claim_of_version_0_1_counts(tmp_path: Path, verb: str, name: str) -> None:
    (tmp_path / name).write_text(json.dumps({"out": "there", "data": [], "steps": 5}))
    (tmp_path / "config.json").write_text(json.dumps({"web": False}))
    with pytest.raises(RunError, match="steps: 5 there, 6 asked"):
        Run.claim(tmp_path, verb, Config(steps=6))
    Run.claim(tmp_path, verb, Config()).record()
    stored = read_run(tmp_path)
    assert stored is not None and stored.verb == verb and stored.path.name == "config.json"


def test_a_plain_config_of_version_0_1_counts_for_any_verb(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"steps": 5}))
    Run.claim(tmp_path, "train", Config())
    with pytest.raises(RunError, match="steps: 5 there, 6 asked"):
        Run.claim(tmp_path, "train", Config(steps=6))


def test_a_setting_that_came_later_has_the_value_it_was_born_with(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"verb": "train", "version": "0.1", "config": {"steps": 5}}))
    Run.claim(tmp_path, "train", Config())
    with pytest.raises(RunError, match=r"inner.rate: 0.5 there, 0.1 asked"):
        Run.claim(tmp_path, "train", Config(inner=Inner(rate=0.1)))


def test_a_part_of_a_part_has_the_values_it_was_born_with(tmp_path: Path) -> None:
    @dataclass(frozen=True)
    class Other(Inner):
        late: int = 0

    @dataclass(frozen=True)
    class Outer:
        config: Config = field(default_factory=Config)

    stored = {"verb": "train", "version": "0.1", "config": {"config": {"steps": 5, "inner": {"rate": 0.5}}}}
    (tmp_path / "config.json").write_text(json.dumps(stored))
    Run.claim(tmp_path, "train", Outer(Config(inner=Other())))
    with pytest.raises(RunError, match=r"config.inner.late: 0 there, 1 asked"):
        Run.claim(tmp_path, "train", Outer(Config(inner=Other(late=1))))


def test_a_damaged_config_is_named(tmp_path: Path) -> None:
    for text in ('{"steps": ', "[1]"):
        (tmp_path / "config.json").write_text(text)
        with pytest.raises(RunError, match=r"config\.json cannot be read"):
            Run.claim(tmp_path, "train", Config())


def test_the_config_is_noted_when_the_work_is_done_or_interrupted(tmp_path: Path) -> None:
    first, second = (Run(tmp_path, "collect", Config(steps=steps)) for steps in (1, 2))
    with pytest.raises(ZeroDivisionError), first.recording():
        raise ZeroDivisionError
    assert list(tmp_path.iterdir()) == []
    for run in (first, second):
        with pytest.raises(KeyboardInterrupt), run.recording():
            raise KeyboardInterrupt
    assert read_run(tmp_path).config["steps"] == 1
    with second.recording():
        pass
    assert read_run(tmp_path).config["steps"] == 2
    assert dataclasses.asdict(second.config)["steps"] == 2


def test_threads_are_given_back_even_after_an_error() -> None:
    before = torch.get_num_threads()

    def fail() -> None:
        assert torch.get_num_threads() == before + 1
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError), torch_threads(before + 1):
        fail()
    assert torch.get_num_threads() == before


def test_a_pilot_leaves_the_threads_of_its_caller_alone(tmp_path: Path) -> None:
    policy = make_policy()
    save_policy(tmp_path, policy)
    with torch_threads(2):
        pilot = PolicyPilot(str(tmp_path), "tested")
        pilot.begin(2)
        pilot.act(make_observations(np.random.default_rng(0), 2, policy.spec), [{}, {}], np.arange(2))
        assert torch.get_num_threads() == 2
