"""Parts and tasks on the command line: whose options there are, and what is said of those that are somebody else's."""

from __future__ import annotations

import sys
import types
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from forestpilot.data_collection.rollouts.collect import CollectConfig
from forestpilot.launch.config import ConfigError, parse_config
from forestpilot.launch.verbs import get_verb
from forestpilot.policies.evaluation.evaluate import EvaluateConfig
from forestpilot.sim.registry import PartConfig, Registry, UnknownNameError, name_of, part_of
from forestpilot.sim.tasks import TaskOptions, task_options
from forestpilot.sim.tasks.drive import DriveOptions
from forestpilot.sim.tasks.drone import DroneOptions

HOME = "toys_of_this_test"
HEADS: Registry[Any] = Registry("toy head", f"{HOME}:HEADS")
LAYERS: Registry[Any] = Registry("toy layer", f"{HOME}:LAYERS")


@dataclass(frozen=True)
class Dense(PartConfig):
    """A layer."""

    part = "dense"


@dataclass(frozen=True)
class Sparse(PartConfig):
    """A sparse layer."""

    part = "sparse"
    share: float = 0.1
    """Share of the weights that are kept."""


@dataclass(frozen=True)
class Regression(PartConfig):
    """A head that regresses."""

    part = "regression"


@dataclass(frozen=True)
class Mixture(PartConfig):
    """A head with several components."""

    part = "mixture"
    components: int = 3
    """Number of components."""
    layer: PartConfig = field(default=Dense(), metadata=part_of(f"{HOME}:LAYERS"))
    """Last layer."""

    def __post_init__(self) -> None:
        if self.components < 1:
            raise ValueError(f"components is {self.components}, but must be 1 or more")


@dataclass(frozen=True)
class Policy:
    """A network."""

    head: PartConfig = field(default=Regression(), metadata=part_of(f"{HOME}:HEADS"))
    """What acts."""
    window: int = 8
    """Steps per window."""


@dataclass(frozen=True)
class Mix:
    """Worlds."""

    options: TaskOptions | None = field(default=None, metadata=task_options())
    """The task's own."""


@dataclass(frozen=True)
class Job:
    """Do a job."""

    task: str = field(default="drone", metadata=name_of("forestpilot.sim.tasks:TASKS"))
    """What to do."""
    episodes: int = 5
    """How many."""
    near_misses: int = 0
    """How many to show."""
    policy: Policy = Policy()
    """The network."""
    mix: Mix = Mix()
    """Worlds."""
    judged: TaskOptions | None = field(default=None, metadata=task_options("evaluation_options"))
    """How it is judged."""


def _part(config: type[PartConfig]) -> type[Any]:
    return type(config.__name__, (), {"Config": config})


@pytest.fixture(autouse=True)
def toys(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    module = types.ModuleType(HOME)
    module.HEADS, module.LAYERS = HEADS, LAYERS  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, HOME, module)
    lines = (
        (HEADS, Regression, "one answer"),
        (HEADS, Mixture, "several answers"),
        (LAYERS, Dense, ""),
        (LAYERS, Sparse, ""),
    )
    for registry, config, summary in lines:
        registry.register(config.part, _part(config), summary)
    yield
    for registry, config, _ in lines:
        registry.unregister(config.part)


def parse(*args: str, presets: dict[str, Job] | None = None) -> Job:
    return parse_config(Job, args, "forestpilot job", presets)


def test_a_part_is_chosen_by_its_name_and_takes_its_own_options() -> None:
    job = parse("--policy.head.components", "5", "--policy.head", "mixture")
    assert job.policy == Policy(Mixture(5))
    assert type(job.policy.head) is Mixture
    assert type(job) is Job


def test_parts_inside_parts_are_chosen_too() -> None:
    job = parse("--policy.head=mixture", "--policy.head.layer=sparse", "--policy.head.layer.share", "0.5")
    assert job.policy.head == Mixture(layer=Sparse(0.5))


def test_a_file_names_a_part_and_flags_change_it(tmp_path: Path) -> None:
    file = tmp_path / "job.yaml"
    file.write_text("policy: {head: {part: mixture, components: 7}}")
    assert parse("--config", str(file)).policy.head == Mixture(7)
    assert parse("--config", str(file), "--policy.head.layer", "sparse").policy.head == Mixture(7, Sparse())
    assert parse("--config", str(file), "--policy.head", "mixture").policy.head == Mixture(7)
    assert parse("--config", str(file), "--policy.head", "regression").policy.head == Regression()
    file.write_text("policy: {head: mixture}")
    assert parse("--config", str(file)).policy.head == Mixture()


def test_an_option_of_another_part_is_answered_by_whose_it_is() -> None:
    with pytest.raises(
        ConfigError, match=r"belongs to the toy head mixture, but .* is regression.*--policy.head mixture"
    ):
        parse("--policy.head.components", "5")


def test_an_unknown_part_is_answered_by_the_closest() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'mixture'"):
        parse("--policy.head", "mixtur")


def test_help_shows_the_choices_and_the_options_of_the_chosen_part_alone(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parse("--help")
    text = capsys.readouterr().out
    assert "--policy.head {regression,mixture}" in text
    assert "several answers" in text
    assert "--task {drone,drive}" in text
    assert "fly a quadrotor" in text
    assert "components" not in text
    with pytest.raises(SystemExit):
        parse("--policy.head", "mixture", "--help")
    assert "--policy.head.components INT" in capsys.readouterr().out


def test_what_a_part_refuses_is_the_users_mistake() -> None:
    with pytest.raises(ConfigError, match="components is 0"):
        parse("--policy.head", "mixture", "--policy.head.components", "0")


def test_the_task_decides_which_options_there_are() -> None:
    assert parse().mix.options == DroneOptions()
    assert parse("--mix.options.density", "0.1", "0.2").mix.options == DroneOptions((0.1, 0.2))
    job = parse("--task", "drive", "--mix.options.length", "300")
    assert job.mix.options == DriveOptions(300.0)
    assert job.judged == DriveOptions(interventions="line")
    with pytest.raises(ConfigError, match=r"belongs to the task drive, but the task here is drone.*--task drive"):
        parse("--mix.options.length", "300")
    with pytest.raises(UnknownNameError, match="did you mean 'drive'"):
        parse("--task", "driv")


def test_a_file_may_name_the_task_and_its_options(tmp_path: Path) -> None:
    file = tmp_path / "job.yaml"
    file.write_text("task: drive\nmix: {options: {length: 250}}")
    assert parse("--config", str(file)).mix.options == DriveOptions(250.0)
    file.write_text("mix: {options: {length: 250}}")
    with pytest.raises(ConfigError, match="belongs to the task drive"):
        parse("--config", str(file))


def test_a_presets_task_and_parts_are_where_flags_begin() -> None:
    presets = {"road": Job("drive", policy=Policy(Mixture(4)), mix=Mix(DriveOptions(200.0)))}
    job = parse("--policy.head.layer", "sparse", presets=presets)
    assert job.mix.options == DriveOptions(200.0)
    assert job.policy.head == Mixture(4, Sparse())


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("--trips", "`--trips` is now `--episodes`"),
        ("--shaves", "`--shaves` is now `--near-misses`"),
        ("--mix.densities", "`--mix.densities` is now `--mix.options.density`"),
        ("--mix.length", "`--mix.length` is now `--mix.options.length`"),
        ("--policy.mixture-components", "`--policy.mixture-components` is now `--policy.head.components`"),
    ],
)
def test_an_option_of_an_earlier_version_is_answered_by_its_new_name(old: str, new: str) -> None:
    with pytest.raises(ConfigError, match=new):
        parse(old, "3")


def test_a_preset_of_an_earlier_version_is_answered_by_its_new_name() -> None:
    with pytest.raises(ConfigError, match="'person' is now 'human'"):
        parse("--preset", "person", presets={"human": Job()})


GONE = {
    "collect": "mix.densities mix.length mix.side-cameras mix.interventions",
    "train": "policy.channels policy.view-height policy.view-width policy.level-view policy.horizon-offset-px "
    "policy.memory-layers policy.memory-heads policy.mixture-components policy.turn-bins policy.cost-clip "
    "policy.cost-scale policy.cost-curve policy.hysteresis-per-rad policy.predict-go",
    "dagger": "trips most-trips limits.regret limits.calm-regret limits.clearance-m limits.calm-s limits.unsure-deg "
    "limits.agree-deg mix.densities train.policy.turn-bins",
    "evaluate": "density length interventions",
    "relabel": "trips",
    "demo": "dagger.trips drive.mix.length dagger.train.policy.memory-heads",
}
"""Options of version 0.1 that are called otherwise now."""


@pytest.mark.parametrize("verb", GONE)
def test_every_option_of_version_0_1_that_is_gone_is_answered_by_its_new_name(verb: str) -> None:
    found = get_verb(verb)
    assert found.Config is not None
    for option in GONE[verb].split():
        with pytest.raises(ConfigError, match=f"`--{option}` is now `--"):
            parse_config(found.Config, [f"--{option}", "1"], verb, found.presets)


def test_an_option_of_a_task_is_also_known_without_the_word_options() -> None:
    for flags in (["--mix.goals", "anywhere"], ["--mix.goals=anywhere"], ["--mix.options.goals", "anywhere"]):
        config = parse_config(CollectConfig, ["--out", "some", *flags], "forestpilot collect")
        assert isinstance(config.mix.options, DroneOptions) and config.mix.options.goals == "anywhere"
    flown = parse_config(EvaluateConfig, ["--goals-within", "30", "--goals", "anywhere"], "forestpilot evaluate")
    assert flown.options == DroneOptions(goals="anywhere", goals_within=30.0)
    with pytest.raises(ConfigError, match=r"is now `--mix\.options\.density`"):
        parse_config(CollectConfig, ["--mix.densities", "0.04"], "forestpilot collect")
