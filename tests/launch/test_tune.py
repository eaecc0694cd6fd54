"""`forestpilot tune`: what is searched is checked before any work; trials outlive whoever runs them, are shared, and
are told in a table and a config."""

from __future__ import annotations

import csv
import dataclasses
import io
import itertools
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from forestpilot.launch.config import ConfigError, parse_config
from forestpilot.launch.tuning.held_out import told
from forestpilot.launch.tuning.search import Choice, NumberRange, Space
from forestpilot.launch.tuning.targets import config_class, settings_of, target_names, target_of
from forestpilot.launch.tuning.trials import TrialRow, best_of, short_names, told_value
from forestpilot.launch.verbs import tune
from forestpilot.policies.algorithms import ALGORITHMS
from forestpilot.policies.algorithms.algorithm import Algorithm
from forestpilot.policies.algorithms.behavioural_cloning import BehaviouralCloning, BehaviouralCloningConfig, clone
from forestpilot.policies.algorithms.config import AlgorithmConfig
from forestpilot.policies.algorithms.validation import Validation
from forestpilot.policies.networks.checkpoint import describe_policy
from forestpilot.policies.training.train_config import TrainConfig
from forestpilot.sim.errors import ForestPilotError
from tests.policies.test_dagger import TINY_MIX, TINY_TRAIN

pytest.importorskip("optuna", reason="tune needs Optuna: forestpilot[tune]")

from forestpilot.launch.tuning.optimiser import JOURNAL_FILE
from forestpilot.launch.tuning.tuning import Tuning

EPISODES = 40
SEARCH = ("train.learning_rate=log:1e-4:1e-2", "train.policy.memory=tcn,none", "train.policy.memory.dropout=0:0.5")


class Killed(BaseException):
    """Stands in for the end of a process."""


class Scripted(Algorithm[AlgorithmConfig]):
    """Trains nothing; the nearer its learning rate is to 1e-3, the better it is, and with a memory it is worse."""

    name = title = "scripted"
    calls: Iterator[int] = itertools.count()
    """Numbers its rounds, of all trials; a test ends it when they run out."""

    def collect(self, round_number: int) -> None:
        """Record nothing."""

    def update(self, round_number: int) -> None:
        if next(self.calls, None) is None:
            raise Killed
        if not self.is_stored(round_number):
            self.keep(round_number)

    def validate(self, round_number: int) -> Validation:
        rate = self.config.train.learning_rate
        distance = max(rate / 1e-3, 1e-3 / rate) + 2 * (self.config.train.policy.memory.part != "none")
        return Validation(max(0, int(EPISODES - 3 * distance)) // (self.config.rounds + 1 - round_number), EPISODES)


@pytest.fixture(autouse=True, scope="module")
def scripted() -> Iterator[None]:
    """The algorithm is registered, as a plug-in would do it: nothing else is needed to tune it."""
    ALGORITHMS.register("scripted", Scripted, "trains nothing")
    yield
    ALGORITHMS.unregister("scripted")


@pytest.fixture(autouse=True)
def alive(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is killed, and, since that takes longer than these trials, nothing is drawn."""
    Scripted.calls = itertools.count()
    monkeypatch.setattr(Tuning, "_draw", lambda *_: None)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[TrialRow]]:
    """A search that nobody disturbed: (folder, trials)."""
    Scripted.calls = itertools.count()
    folder = tmp_path_factory.mktemp("whole")
    return folder, tuning(folder).run()


def tuning(out: Path, name: str = "scripted", **values: Any) -> Tuning:
    target = target_of(name)
    ordinary = {"rounds": 0, "workers": 1, "mix": TINY_MIX, "train": TINY_TRAIN}
    search = {"search": SEARCH, "trials": 8, "first_trials": 3}
    return Tuning(target, config_class(target)(out=str(out), **{**ordinary, **search, **values}))


def space(*search: str, **values: Any) -> Space:
    return Space(BehaviouralCloningConfig(train=TINY_TRAIN, **values), search)


def test_ranges_lists_and_parts_are_read() -> None:
    found = space(
        "train.learning-rate=log:1e-4:3e-3", "train.policy.memory=lstm,tcn", "--train.flip=true,false",
        "first_steps=100:500:100", "train.side_labels=asked,none", "train.policy.memory.dropout=0:0.5",
    ).dimensions  # fmt: skip
    by_path = {dimension.path: dimension for dimension in found}
    assert by_path["train.learning_rate"] == NumberRange("train.learning_rate", 1e-4, 3e-3, None, True)
    assert by_path["first_steps"] == NumberRange("first_steps", 100, 500, 100)
    assert by_path["train.policy.memory"] == Choice("train.policy.memory", ("lstm", "tcn"), True)
    assert by_path["train.flip"].values == (True, False)
    assert found.index(by_path["train.policy.memory"]) < found.index(by_path["train.policy.memory.dropout"])


@pytest.mark.parametrize(
    ("search", "told"),
    [
        ((), "--search is missing"),
        (("train.learning_rate",), "give FIELD=VALUES"),
        (("train.learnin_rate=1:2",), "did you mean 'train.learning_rate'"),
        (("train.learning_rate=0:1",), "allowed: above 0 to 10"),
        (("train.learning_rate=log:1e-4:50",), "allowed: above 0 to 10"),
        (("train.learning_rate=log:0:1",), "begins above 0"),
        (("train.learning_rate=2:1",), "must go up"),
        (("train.learning_rate=1e-4:inf",), "must go up"),
        (("train.learning_rate=a:b",), "must be numbers"),
        (("train.learning_rate=1:2:3:4",), "a range is"),
        (("first_steps=1.5:9",), "must be whole numbers"),
        (("first_steps=1:9:20",), "the step"),
        (("train.learning_rate=",), "the list is empty"),
        (("train.policy.memory=",), "the list is empty"),
        (("train.policy.memory=[",), "give values with commas"),
        (("train.policy.memory=lstm,lstm",), "lstm is there twice"),
        (("train.policy.memory=lstm,nosuch",), "'nosuch'"),
        (("nosuch=1:2",), "there is no such field; --help lists all"),
        (("train.policy.memory.dropout=0:0.5",), "belongs to the memory tcn"),
        (("train.policy.head.bins=3,5", "train.policy.memory=lstm,tcn"), "belongs to the head"),
        (("train.flip=maybe,true",), "must be bool"),
        (("train.side_labels=asked,guess",), "must be one of"),
        (("train.batch_windows=1,3",), "shards is 2"),
        (("train.policy=a,b",), "a group of fields"),
        (("out=a,b",), "does not change what a trial comes to"),
        (("workers=1,2",), "does not change what a trial comes to"),
        (("seed=1,2", "seed=3,4"), "seed is searched already"),
    ],
)
def test_what_cannot_be_searched_is_refused_in_one_line(search: tuple[str, ...], told: str) -> None:
    with pytest.raises(ForestPilotError) as refused:
        space(*search)
    assert told in str(refused.value) and "\n" not in str(refused.value)


@pytest.mark.parametrize("search", ["mix.speeds=[3,5],[5,8]", "validation_episodes=4,8", "mix.goals=ahead,anywhere"])
def test_trials_are_judged_on_the_same_worlds(tmp_path: Path, search: str) -> None:
    with pytest.raises(ForestPilotError, match="changes the validation worlds"):
        tuning(tmp_path / "out", search=(search,))
    assert not (tmp_path / "out").exists()


def test_an_option_of_a_part_is_drawn_with_that_part(whole: tuple[Path, list[TrialRow]]) -> None:
    _, rows = whole
    assert {row.state for row in rows} == {"complete"}
    memories = {row.number: row.drawn["train.policy.memory"] for row in rows}
    assert set(memories.values()) == {"tcn", "none"}
    for row in rows:
        assert ("train.policy.memory.dropout" in row.drawn) == (memories[row.number] == "tcn")


@pytest.mark.parametrize("kills", [(1, 3), (2, 5), (3, 4, 6)])
def test_killed_and_gone_on_with_draws_the_same_trials(
    tmp_path: Path, whole: tuple[Path, list[TrialRow]], kills: tuple[int, ...]
) -> None:
    folder, rows = whole
    done = 0
    for kill in kills:
        Scripted.calls = iter(range(kill - done))
        with pytest.raises(Killed):
            tuning(tmp_path).run()
        done = kill
    Scripted.calls = itertools.count()
    assert tuning(tmp_path).run() == rows
    for name in ("trials.csv", "best.yaml"):
        ours, theirs = (tmp_path / name).read_text(), (folder / name).read_text()
        assert ours.replace(str(tmp_path), str(folder)) == theirs


def test_a_trial_that_was_drawn_in_part_keeps_what_was_drawn(
    tmp_path: Path, whole: tuple[Path, list[TrialRow]], monkeypatch: pytest.MonkeyPatch
) -> None:
    draw = NumberRange.draw
    calls = itertools.count()

    def dying(self: NumberRange, trial: Any) -> Any:
        value = draw(self, trial)
        if next(calls) == 5:
            raise Killed
        return value

    with monkeypatch.context() as patched:
        patched.setattr(NumberRange, "draw", dying)
        with pytest.raises(Killed):
            tuning(tmp_path).run()
    assert tuning(tmp_path).run() == whole[1]


def test_more_trials_go_on(tmp_path: Path, whole: tuple[Path, list[TrialRow]]) -> None:
    assert tuning(tmp_path, trials=2).run() == whole[1][:2]
    assert tuning(tmp_path, trials=4).run() == whole[1][:4]


def test_another_search_is_refused(tmp_path: Path) -> None:
    tuning(tmp_path, trials=1).run()
    with pytest.raises(ForestPilotError, match="holds a run with another config"):
        tuning(tmp_path, trials=1, search=SEARCH[:1]).run()


def test_several_share_the_trials(tmp_path: Path) -> None:
    ran: list[list[TrialRow]] = []
    threads = [threading.Thread(target=lambda: ran.append(tuning(tmp_path).run())) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(ran) == 2 and ran[0] == ran[1]
    assert [row.number for row in ran[0]] == list(range(8))
    assert {row.state for row in ran[0]} == {"complete"}


def test_half_a_line_that_a_dead_writer_left_is_cut_off(tmp_path: Path) -> None:
    few = tuning(tmp_path, trials=2).run()
    with (tmp_path / JOURNAL_FILE).open("ab") as journal:
        journal.write(b'{"op_code": 4, "worker')
    assert tuning(tmp_path, trials=4).run()[:2] == few


def test_a_damaged_journal_is_named(tmp_path: Path) -> None:
    tuning(tmp_path, trials=2).run()
    path = tmp_path / JOURNAL_FILE
    path.write_bytes(path.read_bytes().replace(b"tcn", b"tcm", 1))
    with pytest.raises(ForestPilotError, match=f"{JOURNAL_FILE} has been cut or altered"):
        tuning(tmp_path, trials=2).run()
    before = (tmp_path / "trials.csv").read_text()
    path.unlink()
    tuning(tmp_path, trials=2).run()
    assert (tmp_path / "trials.csv").read_text() == before


def test_trials_that_are_behind_are_ended_early(tmp_path: Path) -> None:
    rows = tuning(tmp_path, rounds=2, trials=9).run()
    pruned = [row for row in rows if row.state == "pruned"]
    assert pruned and all("behind the median" in row.reason for row in pruned)
    assert {max(row.reports) for row in pruned} <= {0, 1}
    assert all(row.state == "complete" for row in rows[:3])
    assert {row.state for row in tuning(tmp_path / "all", rounds=2, trials=6, prune=False).run()} == {"complete"}
    assert "pruned" in {row.state for row in rows[:6]}


def test_settings_that_do_not_go_together_are_one_refused_trial_each(tmp_path: Path) -> None:
    train = dataclasses.replace(TINY_TRAIN, batch_windows=6)
    rows = tuning(tmp_path, train=train, search=("train.shards=1,6", "train.batch_windows=6,12,5"), trials=9).run()
    refused = [row for row in rows if row.state == "refused"]
    assert refused and all(row.drawn == {"train.shards": 6, "train.batch_windows": 5} for row in refused)
    assert "shards is 6" in refused[0].reason


def test_the_best_is_a_config_that_the_verb_takes(tmp_path: Path) -> None:
    search = ("train.learning_rate=1e-3,5e-3", "train.flip=true,false", "mix.options.side_cameras=fixed,random")
    made = tuning(tmp_path, "bc", search=search, trials=1, expert_episodes=2, first_steps=4, validation_episodes=1)
    (row,) = made.run()
    config = parse_config(BehaviouralCloningConfig, ["--config", str(tmp_path / "best.yaml")], "forestpilot bc")
    tried = made.space.config(row.drawn)
    assert dataclasses.replace(config, out=tried.out, workers=1, train=tried.train) == tried
    assert dataclasses.replace(
        config.train, out=tried.train.out, tensorboard=False, log_every=5, checkpoint_every=5
    ) == (tried.train)
    assert sorted(path.name for path in (tmp_path / "trials/0000/looks").iterdir()) == [
        f"round-00-step-{step:06d}" for step in (1, 2, 3)
    ]
    table = list(csv.DictReader(io.StringIO((tmp_path / "trials.csv").read_text())))
    assert table[0]["state"] == "complete" and len(table[0]["reports"].split()) == 3


def test_test_worlds_are_looked_at_once(tmp_path: Path) -> None:
    tuning(tmp_path, trials=4).run()
    assert not (tmp_path / "test").exists()
    reporting = tuning(tmp_path, trials=4, report_test=2)
    rows = reporting.run()
    compared = reporting.comparison
    assert compared is not None and [score.policy for score in compared.scores] == ["default", "best"]
    assert compared.low <= compared.difference <= compared.high
    assert "best less default in 2 test worlds" in told(compared)
    best = best_of(rows)
    assert best is not None
    with (tmp_path / "test/outcomes.csv").open() as file:
        flown = {(row["policy"], int(row["seed"])) for row in csv.DictReader(file)}
    assert flown == {(name, seed) for name in ("default", "best") for seed in (2_000_000, 2_000_001)}
    with pytest.raises(ForestPilotError, match="looked at already"):
        tuning(tmp_path, trials=4, report_test=2)
    assert tuning(tmp_path, trials=4).run() == rows


def test_pictures_are_drawn_of_what_there_is(
    tmp_path: Path, whole: tuple[Path, list[TrialRow]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()
    tuning(tmp_path, trials=1).run()
    assert (tmp_path / "parallel.png").stat().st_size > 5000 and not (tmp_path / "importance.png").exists()
    assert (whole[0] / "importance.png").stat().st_size > 5000


def test_a_search_of_train_makes_the_policies_of_train(tmp_path: Path) -> None:
    run = BehaviouralCloningConfig(
        out=str(tmp_path / "bc"), expert_episodes=2, first_steps=2, validation_episodes=1, workers=1, mix=TINY_MIX,
        train=TINY_TRAIN,
    )  # fmt: skip
    BehaviouralCloning(run).run()
    target = target_of("train")
    train = {each.name: getattr(TINY_TRAIN, each.name) for each in dataclasses.fields(TINY_TRAIN)}
    ours = {"data": (str(tmp_path / "bc/dataset"),), "steps": 6, "out": str(tmp_path / "tune")}
    search = {"search": ("learning_rate=1e-3,2e-3",), "trials": 1, "looks": 1}
    config = config_class(target)(**{**train, **ours, **search}, mix=TINY_MIX, validation_episodes=1, workers=1)
    Tuning(target, config).run()
    best = ["--config", str(tmp_path / "tune/best.yaml"), "--out", str(tmp_path / "alone"), "--no-tensorboard"]
    clone(parse_config(TrainConfig, best, "forestpilot train"))
    alone, tuned = (describe_policy(tmp_path / name)["policy_id"] for name in ("alone", "tune/trials/0000"))
    assert alone == tuned


def test_rows_are_told_briefly() -> None:
    assert told_value(0.85) == "85 %" and told_value(-2.25) == "75 %, 3 interventions" and told_value(None) == "-"
    assert told_value(1.0) == "100 %" and told_value(-1.0) == "0 %, 1 interventions"
    assert short_names(["train.policy.memory", "train.policy.encoder.width", "mix.width"]) == [
        "memory", "encoder.width", "mix.width",
    ]  # fmt: skip
    rows = [TrialRow(0, "complete", 0.5), TrialRow(1, "complete", 0.5), TrialRow(2, "pruned", None)]
    assert best_of(rows) is rows[0] and best_of(rows[2:]) is None


@pytest.mark.parametrize("name", target_names())
def test_every_algorithm_is_tuned_without_a_line_of_its_own(name: str) -> None:
    asked = tune.parse([name, "--search", "seed=0,1", "--trials", "1"], "forestpilot tune")
    assert Space(settings_of(asked.target, asked.config), asked.config.search).dimensions[0].values == (0, 1)


def test_what_is_tuned_has_its_own_options() -> None:
    asked = config_class(target_of("train"))
    with pytest.raises(ConfigError, match="--search is missing"):
        Space(settings_of(target_of("train"), parse_config(asked, ["--steps", "7"], "tune train")), ())
    with pytest.raises(ForestPilotError, match="did you mean 'dagger'"):
        target_of("daggr")
