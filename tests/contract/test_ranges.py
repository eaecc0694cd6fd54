"""Every number that a command, a part or a task takes has a range, and is refused outside it wherever it is given."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any, get_args, get_type_hints

import pytest

from forestpilot.data_collection.episodes.plain import ConfigError, from_plain, to_plain
from forestpilot.data_collection.export import EXPORTERS
from forestpilot.data_collection.rollouts.gates import GATES
from forestpilot.data_collection.rollouts.noises import NOISES
from forestpilot.launch.studies import STUDIES
from forestpilot.launch.verbs import get_verb, verb_lines
from forestpilot.policies.algorithms.semi import SEMI_METHODS
from forestpilot.policies.networks.encoders import ENCODERS
from forestpilot.policies.networks.heads import HEADS
from forestpilot.policies.networks.memories import MEMORIES
from forestpilot.policies.training.input_noise import INPUT_NOISES
from forestpilot.policies.training.train_config import TrainConfig
from forestpilot.sim.ranges import Range, RangeError, ranges_of
from forestpilot.sim.tasks import TASKS

NUMBERS = {int, float}


def _classes() -> Iterator[type[Any]]:
    """All config classes, those inside others too."""
    tops: list[Any] = [get_verb(line.name).Config for line in verb_lines()]
    tops += [type(STUDIES.get(name).full) for name in STUDIES]
    tops += [
        registry.get(name).Config
        for registry in (ENCODERS, HEADS, MEMORIES, GATES, NOISES, INPUT_NOISES, EXPORTERS, SEMI_METHODS)
        for name in registry
    ]
    tops += [TASKS.get(name).Options for name in TASKS]
    seen = {top for top in tops if top is not None}
    while tops:
        top = tops.pop()
        inner = [hint for hint in get_type_hints(top).values() if dataclasses.is_dataclass(hint)] if top else []
        tops += [hint for hint in inner if hint not in seen]
        seen |= set(inner)
    return iter(sorted(seen, key=lambda kind: f"{kind.__module__}.{kind.__qualname__}"))


CLASSES = list(_classes())
WITH_NUMBERS = [kind for kind in CLASSES if ranges_of(kind)]


def _id(config_class: type[Any]) -> str:
    return f"{config_class.__module__.removeprefix('forestpilot.')}.{config_class.__name__}"


@pytest.mark.parametrize("config_class", CLASSES, ids=_id)
def test_every_number_has_a_range_that_holds_its_default(config_class: type[Any]) -> None:
    ranges = ranges_of(config_class)
    for name, hint in get_type_hints(config_class).items():
        if NUMBERS & {hint, *get_args(hint)}:
            assert name in ranges
    for field in dataclasses.fields(config_class):
        default = field.default if field.default_factory is dataclasses.MISSING else field.default_factory()
        if field.name in ranges and default is not dataclasses.MISSING:
            assert ranges[field.name].problem(default) is None


@pytest.mark.parametrize("config_class", WITH_NUMBERS, ids=_id)
def test_what_lies_outside_is_refused_from_python_and_from_a_file(config_class: type[Any]) -> None:
    needed = {
        field.name: "x"
        for field in dataclasses.fields(config_class)
        if field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
    }
    for name, allowed in ranges_of(config_class).items():
        several = "tuple" in str(get_type_hints(config_class)[name])
        length = len(getattr(config_class, name, ())) or 1 if several else 0
        for wrong in (allowed.low - 1, float("nan")):
            value = length * (wrong,) if several else wrong
            with pytest.raises(RangeError, match=f"{name} is .*; allowed: "):
                config_class(**{**needed, name: value})
        large = allowed.high + 1
        with pytest.raises(ConfigError, match=f"a file: {name} "):
            from_plain(config_class, {name: length * [large] if several else large, **needed}, "a file")


@pytest.mark.parametrize(
    ("allowed", "inside", "outside", "told"),
    [
        (Range(1, 10), (1, 5, 10), (0, 11, float("nan"), "3", float("inf")), "1 to 10"),
        (Range(0, 1, above=True), (0.1, 1), (0, -0.1, 1.1), "above 0 to 1"),
        (Range(0, 1, below=True), (0, 0.9), (1, 2), "0 to below 1"),
    ],
)
def test_ends_belong_to_a_range_unless_it_says_otherwise(
    allowed: Range, inside: tuple[Any, ...], outside: tuple[Any, ...], told: str
) -> None:
    assert all(allowed.problem(value) is None for value in (*inside, inside, None))
    assert all(str(allowed.problem(value)).endswith(f"allowed: {told}") for value in (*outside, outside))


def test_a_config_within_its_ranges_is_itself_again_from_its_plain_values() -> None:
    config = TrainConfig(steps=7, weight_decay=0)
    assert from_plain(TrainConfig, to_plain(config)) == config
