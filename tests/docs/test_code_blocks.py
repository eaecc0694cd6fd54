"""What stands in the documentation as code works: Python is run, commands are read by the program itself."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from forestpilot.launch.config import parse_config
from forestpilot.launch.verbs import Verb, get_verb
from tests.docs.pages import CHECKOUT, PAGES, Block, blocks_of, commands_of, name_of

TINY = {
    'DaggerConfig(out="runs/mine", rounds=3, expert_episodes=30, episodes=30)': (
        'DaggerConfig(out="runs/mine", rounds=1, expert_episodes=2, episodes=2, first_steps=3, steps=3, last_steps=3,'
        " validation_episodes=1, workers=1)"
    ),
    'out="runs/mine/evaluation", episodes=50': 'out="runs/mine/evaluation", episodes=1, workers=1',
}
"""What takes minutes as it stands in a page, and what is run here in its place."""
OTHER_PROGRAMS = {"cd", "git", "lerobot-eval", "lerobot-train", "pip", "python", "rerun", "ssh", "torchrun"}
"""Commands of the pages that are not ours to parse."""
LANGUAGES = {"python", "bash", "text", "toml", "yaml"}
TESTED = ("examples/", "policies/", "launch/", "sim/", "data_collection/")
"""Folders whose files tests run; what pages include comes from there."""


def python_of(page: Path) -> list[Block]:
    """Blocks of Python with text of their own."""
    return [block for block in blocks_of(page) if block.language == "python" and not block.included]


@pytest.mark.slow
@pytest.mark.parametrize("page", [page for page in PAGES if python_of(page)], ids=name_of)
def test_python_runs_in_the_order_of_the_page(page: Path, tmp_path: Path) -> None:
    script = tmp_path / "page.py"
    text = "\n".join(block.text for block in python_of(page))
    for long, short in TINY.items():
        text = text.replace(long, short)
    script.write_text(_with_guard(text), encoding="utf-8")
    env = {**os.environ, "PYTHONPATH": str(CHECKOUT / ".package")}
    done = subprocess.run([sys.executable, script], cwd=tmp_path, env=env, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stderr[-3000:]


def test_what_is_shortened_stands_in_a_page() -> None:
    texts = "".join(page.read_text(encoding="utf-8") for page in PAGES)
    assert [long for long in TINY if long not in texts] == []


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_commands_are_understood(page: Path) -> None:
    for program, *arguments in commands_of(page):
        if program == "forestpilot":
            _understand(arguments)
        elif program == "make":
            targets = {word for word in arguments if "=" not in word}
            assert targets <= _make_targets()
        else:
            assert program in OTHER_PROGRAMS


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_extras_that_are_installed_exist(page: Path) -> None:
    project = (CHECKOUT / "pyproject.toml").read_text(encoding="utf-8")
    for words in commands_of(page):
        named = re.findall(r"(?:forestpilot|\.)\[([\w,]+)\]", " ".join(words)) if words[0] == "pip" else []
        for extra in ",".join(named).split(","):
            assert not extra or f"\n{extra} = [" in project


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_blocks_say_their_language_and_include_what_is_tested(page: Path) -> None:
    for block in blocks_of(page):
        assert block.language in LANGUAGES
        for included in block.included:
            assert included.is_file()
            assert str(included.relative_to(CHECKOUT)).startswith(TESTED)


def _understand(arguments: list[str]) -> None:
    """Read the arguments of a `forestpilot` command as the program does; help ends it, everything else has to fit."""
    name, *options = arguments
    if name.startswith("-"):
        assert name in ("--help", "--version")
        return
    verb = get_verb(name)
    if "--help" in options:
        with pytest.raises(SystemExit, match="0"):
            _parse(verb, options, f"forestpilot {name}")
    else:
        _parse(verb, options, f"forestpilot {name}")


def _parse(verb: Verb, options: list[str], prog: str) -> None:
    if verb.parse is not None:
        verb.parse(options, prog)
    else:
        config_class, flags = verb.asked(options)
        parse_config(config_class, flags, prog, verb.presets if config_class is verb.Config else None)


def _make_targets() -> set[str]:
    return set(re.findall(r"^([a-z]+):", (CHECKOUT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))


def _with_guard(text: str) -> str:
    """The script, all of it behind the guard that spawned processes need; guards of its own do no harm."""
    indented = "\n".join(f"    {line}" if line else "" for line in text.splitlines())
    return f'if __name__ == "__main__":\n{indented}\n'
