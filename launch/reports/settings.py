"""The section on success by world setting: density, speed and whatever else tells worlds apart."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

from forestpilot.launch.pages.blocks import Cell, Section, Table, Text, interval, percent, table_of
from forestpilot.launch.reading.evaluations import Setting
from forestpilot.launch.reports.arms import Arm
from forestpilot.launch.reports.results import episodes_of


def settings_section(task: str, arms: Sequence[Arm]) -> Section | None:
    """Success by world setting; None where there is only one."""
    settings = _sorted_settings(arms)
    if len(settings) < 2:
        return None
    section = Section(f"settings-{task}", f"By world setting: {episodes_of(task)}")
    section.blocks.append(
        Text(
            "Success by how the worlds are, with its 95 % Wilson interval; the stronger the shade, the more successes. "
            "Arms that were run in one setting only stand in the table above."
        )
    )
    if len(_speeds(settings)) > 1:
        for arm in arms:
            if len(arm.settings) > 1:
                section.blocks.append(_speed_table(arm))
        return section
    shared, names = _told_apart(settings)
    columns: list[list[str | Cell]] = [["worlds", *names]]
    for arm in arms:
        columns.append([arm.name, *(_setting_cell(arm, setting) for setting in settings)])
    header, *rows = zip(*columns, strict=True)
    section.blocks.append(Table(header, rows, f"In all of them: {shared}" if shared else ""))
    return section


def _sorted_settings(arms: Sequence[Arm]) -> list[Setting]:
    """The settings that any of the arms was run in."""
    settings: set[Setting] = set()
    for arm in arms:
        settings.update(arm.settings)
    return sorted(settings, key=_setting_order)


def _speeds(settings: Sequence[Setting]) -> list[float | None]:
    """The different speeds, ascending; none first."""
    return sorted({setting.speed for setting in settings}, key=_none_first)


def _speed_table(arm: Arm) -> Table:
    """One arm in several settings: a row for each kind of world, a column for each speed."""
    settings = sorted(arm.settings, key=_setting_order)
    kinds = list(dict.fromkeys(_at_speed(setting, None) for setting in settings))
    shared, names = _told_apart(kinds)
    rows = []
    for name, kind in zip(names, kinds, strict=True):
        row: dict[str, str | Cell] = {"worlds": name}
        for speed in _speeds(settings):
            heading = "any speed" if speed is None else f"{speed:g} m/s"
            row[heading] = _setting_cell(arm, _at_speed(kind, speed))
        rows.append(row)
    return table_of(rows, ": ".join(filter(None, (arm.name, shared))))


def _at_speed(setting: Setting, speed: float | None) -> Setting:
    return dataclasses.replace(setting, speed=speed)


def _told_apart(settings: Sequence[Setting]) -> tuple[str, list[str]]:
    """(what all settings share, what is left of each), in words."""
    described = [setting.words.split(", ") for setting in settings]
    common = set(described[0]).intersection(*described)
    names = []
    for parts in described:
        own = [part for part in parts if part not in common]
        names.append(", ".join(own) or "all")
    shared = [part for part in described[0] if part in common]
    return ", ".join(shared), names


def _setting_cell(arm: Arm, setting: Setting) -> Cell:
    worlds = arm.in_setting(setting)
    if not worlds:
        return Cell("–")
    score = arm.score_of(worlds)
    share = score.successes / score.episodes
    note = f"{score.successes}/{score.episodes}, {interval(score.low, score.high)}"
    if score.autonomy is not None:
        note += f"\nautonomy {percent(score.autonomy, 2)}"
    return Cell(percent(share), share, note=note)


def _setting_order(setting: Setting) -> tuple[object, ...]:
    return setting.preset, setting.options, _none_first(setting.speed), setting.rule


def _none_first(value: float | None) -> float:
    return -math.inf if value is None else value
