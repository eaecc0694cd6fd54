"""Configs as plain values: there and back, with parts, and with everything that is wrong named."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pytest

from forestpilot.data_collection.episodes.plain import (
    ConfigError,
    fields_from_plain,
    from_plain,
    to_plain,
)
from forestpilot.sim.registry import PartConfig, Registry, part_of
from forestpilot.sim.tasks import NoOptions, TaskOptions, task_options
from forestpilot.sim.tasks.drive import DriveOptions
from forestpilot.sim.tasks.drone import DroneOptions

SHAPES: Registry[Any] = Registry("shape", f"{__name__}:SHAPES")


@dataclass(frozen=True)
class CircleConfig(PartConfig):
    """A circle."""

    part = "circle"
    radius_m: float = 1.0
    """Radius in metres."""


@dataclass(frozen=True)
class BoxConfig(PartConfig):
    """A box."""

    part = "box"
    sides_m: tuple[float, float] = (1.0, 2.0)
    """Sides in metres."""


class Circle:
    """A circle."""

    Config = CircleConfig


class Box:
    """A box."""

    Config = BoxConfig


@dataclass(frozen=True)
class Net:
    """A network."""

    memory: Literal["none", "lstm"] = "none"
    channels: tuple[int, ...] = (16, 32)


@dataclass(frozen=True)
class Job:
    """A job."""

    data: tuple[Path, ...]
    rate: float = 1e-3
    steps: int = 5
    limit_s: float | None = None
    either: int | str = 1
    size: tuple[int, int] = (4, 3)
    extra: dict[str, Any] = field(default_factory=dict)
    nets: tuple[Net, ...] = ()
    policy: Net = field(default_factory=lambda: Net("lstm"))
    shape: PartConfig = field(default=CircleConfig(2.0), metadata=part_of("shapes_of_this_test:SHAPES"))


@pytest.fixture(autouse=True)
def shapes(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The registry of shapes, where the metadata says that it is."""
    import sys
    import types

    module = types.ModuleType("shapes_of_this_test")
    module.SHAPES = SHAPES  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "shapes_of_this_test", module)
    SHAPES.register("circle", Circle)
    SHAPES.register("box", Box)
    yield
    SHAPES.unregister("circle")
    SHAPES.unregister("box")


JOBS = [
    Job((Path("a"), Path("b"))),
    Job(
        (), 0.5, 7, 3.0, "text", (1, 2), {"deep": [1, {"x": None}]}, (Net(), Net("lstm", ())), Net(), BoxConfig((3, 4))
    ),
]


@pytest.mark.parametrize("job", JOBS)
def test_plain_values_are_json_and_give_the_same_config(job: Job) -> None:
    plain = to_plain(job)
    assert json.loads(json.dumps(plain)) == plain
    assert from_plain(Job, plain) == job


def test_a_part_is_named_with_its_options() -> None:
    assert to_plain(JOBS[1])["shape"] == {"part": "box", "sides_m": [3, 4]}


@pytest.mark.parametrize(
    ("given", "shape"),
    [
        ("box", BoxConfig()),
        ("circle", CircleConfig(2.0)),
        ({"part": "box", "sides-m": [5, 6.0]}, BoxConfig((5.0, 6.0))),
        ({"radius_m": 4}, CircleConfig(4.0)),
        ({"part": "circle"}, CircleConfig(2.0)),
        ({}, CircleConfig(2.0)),
    ],
)
def test_a_part_is_chosen_by_name_or_keeps_the_one_that_is_the_default(given: Any, shape: PartConfig) -> None:
    assert from_plain(Job, {"data": [], "shape": given}).shape == shape


def test_what_is_given_in_part_keeps_the_rest_of_the_default_or_of_the_base() -> None:
    assert from_plain(Job, {"data": [], "policy": {"channels": [7]}}).policy == Net("lstm", (7,))
    base = Job((Path("x"),), policy=Net("none", (1,)), shape=BoxConfig((8, 9)))
    job = from_plain(Job, {"policy": {"memory": "lstm"}, "shape": {}}, base=base)
    assert job == Job((Path("x"),), policy=Net("lstm", (1,)), shape=BoxConfig((8, 9)))


def test_fields_that_are_not_given_are_left_out() -> None:
    assert fields_from_plain(Job, {"rate": 1, "limit-s": "1e-3"}) == {"rate": 1.0, "limit_s": 1e-3}


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"datta": []}, "here: datta is an unknown key; did you mean 'data'?"),
        ({"policy": {"memry": "lstm"}}, "here: policy.memry is an unknown key; did you mean 'memory'?"),
        ({"policy": {"memory": "lst"}}, "here: policy.memory is 'lst', but must be one of 'none', 'lstm'"),
        ({"policy": {"channels": [1, 2.5]}}, "here: policy.channels[1] must be int, not 2.5"),
        ({"nets": [{}, {"memory": 1}]}, "here: nets[1].memory is 1, but must be one of"),
        ({"rate": "fast"}, "here: rate must be float, not 'fast'"),
        ({"rate": True}, "here: rate must be float, not True"),
        ({"steps": True}, "here: steps must be int, not True"),
        ({"limit_s": []}, "here: limit_s must be float, not []"),
        ({"either": 1.5}, "here: either must be str, not 1.5"),
        ({"data": "a"}, "here: data must be a list, not 'a'"),
        ({"size": [1, 2, 3]}, "here: size must have 2 entries, not 3"),
        ({"policy": 3}, "here: policy must be a mapping of keys to values, not 3"),
        ({"extra": 3}, "here: extra must be a mapping of keys to values, not 3"),
        ({"rate": 1}, "here lacks data, which Job has no default for"),
        ({"shape": "bx"}, "here: shape is wrong: there is no shape 'bx'; did you mean 'box'?"),
        ({"shape": {"part": "box", "radius_m": 1}}, "here: shape is 'box', but radius_m is an option of 'circle'"),
        ({"shape": {"part": "box", "sids_m": 1}}, "here: shape.sids_m is an unknown key; did you mean 'sides_m'?"),
        ({"shape": {"part": "box", "sides_m": [1, "b"]}}, "here: shape.sides_m[1] must be float, not 'b'"),
    ],
)
def test_what_is_wrong_is_named(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as error:
        from_plain(Job, values, "here")
    assert str(error.value).startswith(message)


@dataclass(frozen=True)
class Mix:
    """Worlds."""

    options: TaskOptions = field(default=NoOptions(), metadata=task_options())
    """The task's own."""


@dataclass(frozen=True)
class Evaluation:
    """An evaluation."""

    task: str = "drone"
    mix: Mix = Mix()
    options: TaskOptions = field(default=NoOptions(), metadata=task_options("evaluation_options"))


def test_options_are_those_of_the_task_around_them_and_keep_the_rest_of_its_own() -> None:
    values = {"task": "drive", "mix": {"options": {"length": 80}}, "options": {"length": 90}}
    config = from_plain(Evaluation, values)
    assert config.mix.options == DriveOptions(length=80.0)
    assert config.options == DriveOptions(length=90.0, interventions="line")
    assert from_plain(Evaluation, to_plain(config)) == config
    assert from_plain(Evaluation, {"mix": {"options": {"density": [0.1, 0.2]}}}).mix.options == DroneOptions((0.1, 0.2))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"mix": {"options": {"length": 80}}}, "here: mix.options.length is an unknown key"),
        ({"task": "drve"}, "here: task is wrong: there is no task 'drve'; did you mean 'drive'?"),
        ({"options": 3}, "here: options must be a mapping"),
    ],
)
def test_options_of_another_task_are_refused(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as error:
        from_plain(Evaluation, values, "here")
    assert str(error.value).startswith(message)
    with pytest.raises(ConfigError, match="nothing around them"):
        from_plain(Mix, {"options": {"length": 80}})
