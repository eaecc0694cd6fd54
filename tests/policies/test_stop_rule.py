"""Rounds end when validation says so: the next one is the last, it trains `last_steps`, and the run counts as done."""

from __future__ import annotations

import csv
import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from forestpilot.data_collection.rollouts.pool import RolloutPool
from forestpilot.launch.reading.tables import read_dagger
from forestpilot.launch.reports.learning import rounds_section
from forestpilot.policies.algorithms.algorithm import Algorithm
from forestpilot.policies.algorithms.config import AlgorithmConfig
from forestpilot.policies.algorithms.dagger.config import PRESETS
from forestpilot.policies.algorithms.dagger.loop import Dagger, run_dagger
from forestpilot.policies.algorithms.rounds import RoundResult
from forestpilot.policies.algorithms.validation import Validation
from forestpilot.policies.networks.checkpoint import describe_policy
from tests.policies.test_dagger import TINY_MIX, TINY_TRAIN, tiny


class Scripted(Algorithm[AlgorithmConfig]):
    """Trains nothing; its policies complete so many of 40 validation worlds as the script says."""

    name = title = "scripted"
    script: Sequence[int] = ()

    def collect(self, round_number: int) -> None:
        """Record nothing."""

    def update(self, round_number: int) -> None:
        self.steps = self.config.round_training(round_number, 0, self.last_round).steps
        self.keep(round_number)

    def validate(self, round_number: int) -> Validation:
        if not self.config.is_validated(round_number, self.last_round):
            return Validation()
        return Validation(self.script[round_number], 40)


class Notes:
    """Progress that keeps what is noted."""

    def __init__(self) -> None:
        self.noted: list[str] = []

    def note(self, message: str) -> None:
        self.noted.append(message)


def scripted(out: Path, script: Sequence[int], **changes) -> Scripted:
    values = {"rounds": 6, "steps": 9, "last_steps": 18, "stop_when": 0.95, "workers": 1}
    config = AlgorithmConfig(out=str(out), mix=TINY_MIX, train=TINY_TRAIN, **{**values, **changes})
    algorithm = Scripted(config, Notes())
    algorithm.script = script
    return algorithm


def run(algorithm: Scripted) -> list[RoundResult]:
    with RolloutPool(1) as pool:
        return algorithm.run(pool)


def test_after_a_good_round_one_more_is_trained_long_and_is_the_last(tmp_path: Path) -> None:
    algorithm = scripted(tmp_path / "run", [10, 30, 38, 40, 40, 40, 40])
    results = run(algorithm)
    assert [result.round for result in results] == [0, 1, 2, 3]
    assert algorithm.steps == 18
    told = "round 2 completed 38 of 40 validation worlds, and 95 % are asked (--stop-when): round 3 of 6 is the last"
    assert told in algorithm.progress.noted
    extra = describe_policy(tmp_path / "run")["extra"]
    assert (extra["chosen"]["round"], extra["stopped"]) == (3, told)


def test_the_best_round_is_kept_even_where_the_last_one_is_worse(tmp_path: Path) -> None:
    run(scripted(tmp_path / "run", [10, 39, 37, 40, 40, 40, 40]))
    assert describe_policy(tmp_path / "run")["extra"]["chosen"]["round"] == 1


@pytest.mark.parametrize(
    ("changes", "rounds"),
    [
        ({}, 2),
        ({"stop_when": None}, 6),
        ({"least_rounds": 4}, 4),
        ({"least_rounds": 6}, 6),
        ({"least_rounds": 99}, 6),
        ({"validate_from": 3}, 4),
        ({"validate_from": 2, "validate_every": 2}, 3),
        ({"stop_when": 1.0}, 6),
    ],
)
def test_the_floor_and_the_rounds_that_are_validated(tmp_path: Path, changes, rounds: int) -> None:
    results = run(scripted(tmp_path / "run", [10, 38, 38, 38, 38, 39, 39], **changes))
    assert results[-1].round == rounds
    assert results[-1].validation_success is not None, "the last round is always validated"


def test_where_no_round_is_good_enough_all_are_run_and_nothing_is_told(tmp_path: Path) -> None:
    algorithm = scripted(tmp_path / "run", [10, 10, 10, 10, 10, 40, 40])
    assert len(run(algorithm)) == 7
    assert not any("--stop-when" in note for note in algorithm.progress.noted), "round 6 was the last one anyway"
    assert "stopped" not in describe_policy(tmp_path / "run")["extra"]


def test_run_again_a_run_that_ended_early_is_done(tmp_path: Path) -> None:
    script = [10, 39, 40, 40, 40, 40, 40]
    first = run(scripted(tmp_path / "run", script))
    before = (tmp_path / "run" / "policy.json").read_bytes()
    assert run(scripted(tmp_path / "run", script)) == first
    assert (tmp_path / "run" / "policy.json").read_bytes() == before


def test_a_report_takes_a_run_that_ended_early_for_finished_and_says_why(tmp_path: Path) -> None:
    out = tmp_path / "run"
    run(scripted(out, [10, 39, 40, 40, 40, 40, 40]))
    dagger = read_dagger(out)
    assert dagger.notes == [] and dagger.chosen == 2
    assert dagger.stopped.endswith("round 2 of 6 is the last")
    told = [block.text for block in rounds_section([dagger]).blocks if hasattr(block, "text")]
    assert any("ended early: round 1 completed 39 of 40" in text for text in told)
    policy = json.loads((out / "policy.json").read_text())
    del policy["extra"]["stopped"]
    (out / "policy.json").write_text(json.dumps(policy))
    assert any("rounds 0 to 2 of 6" in note for note in read_dagger(out).notes)


def test_dagger_killed_in_its_last_round_ends_as_if_it_had_not_been(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(Dagger, "validate", lambda self, number: Validation(3, 3))
    config = tiny(tmp_path / "whole", rounds=3, first_steps=4, steps=5, last_steps=7, stop_when=0.9)
    expected = run_dagger(config)
    assert [result.round for result in expected] == [0, 1]
    with (tmp_path / "whole" / "metrics.csv").open() as file:
        steps = {int(row["round"]): int(row["step"]) for row in csv.DictReader(file)}
    assert steps == {0: 4, 1: 7}, "the last round trains last_steps"

    def dying(self: Dagger, result: RoundResult) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(Dagger, "_stop_when_good", dying)
        with pytest.raises(KeyboardInterrupt):
            run_dagger(dataclasses.replace(config, out=str(tmp_path / "killed")))
    assert run_dagger(dataclasses.replace(config, out=str(tmp_path / "killed"))) == expected
    ours, theirs = ((tmp_path / name / "policy.safetensors").read_bytes() for name in ("killed", "whole"))
    assert ours == theirs


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"stop_when": 97.0}, r"stop_when is 97\.0; allowed: above 0 to 1"),
        ({"stop_when": 0.9, "least_rounds": -1}, "least_rounds is -1"),
        ({"validate_every": 0}, "validate_every is 0"),
    ],
)
def test_a_rule_that_cannot_be_followed_is_refused(changes, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        AlgorithmConfig(**changes)


@pytest.mark.parametrize("name", ["demo", "full", "drive"])
def test_presets_end_when_validation_says_so_but_not_at_once(name: str) -> None:
    preset = PRESETS[name]
    assert preset.stop_when is not None and 0 < preset.least_rounds < preset.rounds
    may_end = [number for number in range(preset.rounds) if preset.is_validated(number)]
    earliest = next(number for number in may_end if preset.is_good_enough(number, 1.0))
    assert preset.least_rounds <= earliest + 1 < preset.rounds, "the rule can strike before the last round"
