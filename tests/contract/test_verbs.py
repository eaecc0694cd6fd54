"""What every verb keeps to, those of plug-ins too: it is listed, and its help shows options with their defaults."""

from __future__ import annotations

import pytest

from forestpilot.launch import cli
from forestpilot.launch.verbs import Verb, get_verb, verb_lines


@pytest.fixture(params=[line.name for line in verb_lines()])
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_it_is_a_verb_with_a_summary_of_one_line(name: str) -> None:
    verb = get_verb(name)
    assert isinstance(verb, Verb)
    assert (verb.Config is None) != (verb.parse is None)
    summary = next(line.summary for line in verb_lines() if line.name == name)
    assert 0 < len(summary) <= 100
    assert "\n" not in summary


def test_its_presets_are_configs_of_its_own(name: str) -> None:
    verb = get_verb(name)
    for config in (verb.presets or {}).values():
        assert type(config) is verb.Config


def test_its_help_shows_the_options_with_their_defaults(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        cli.main([name, "--help"])
    assert stop.value.code in (0, None)
    shown = capsys.readouterr().out
    assert "usage:" in shown
    has_options = "│ --" in shown
    assert "default:" in shown or not has_options
