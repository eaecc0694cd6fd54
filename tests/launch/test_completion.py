"""Completion: the words that are offered are those that the command takes, in a real bash."""

from __future__ import annotations

import contextlib
import re
import shutil
import subprocess

import pytest

from forestpilot.launch import cli
from forestpilot.launch.config.options import options_of
from forestpilot.launch.verbs import get_verb, verb_lines

OPTION = r"^[│ ]+(?:-h, )?(--\w[\w.-]*)(?:, (--\w[\w.-]*))?"
"""An option at the beginning of a line of help, and its second name."""


def printed(capsys: pytest.CaptureFixture[str], *command: str) -> str:
    """Standard output of a command that ends by itself, or as help does."""
    with contextlib.suppress(SystemExit):
        assert cli.main(command) == 0
    return capsys.readouterr().out


@pytest.fixture(scope="module")
def script() -> str:
    if shutil.which("bash") is None:
        pytest.skip("there is no bash here")
    from forestpilot.launch.verbs.completion import all_words, bash_script

    return bash_script(all_words())


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        (("co",), {"collect", "completion"}),
        (("collect", "--task", ""), {"drone", "drive"}),
        (("collect", "--mix.rend"), {"--mix.renderer"}),
        (("collect", "--no-w"), {"--no-web"}),
        (("train", "--policy.head", "mi"), {"mixture"}),
        (("dagger", "--preset", "dem"), {"demo"}),
        (("study", "ga"), {"gates"}),
        (("study", "gates", "--qui"), {"--quick"}),
        (("bench", "co"), {"cold"}),
        (("help", "eva"), {"evaluate"}),
        (("completion", ""), {"bash", "zsh", "fish"}),
        (("train", "--data", "d"), set()),
        (("nonsense", "--"), set()),
    ],
)
def test_bash_completes(script: str, line: tuple[str, ...], offered: set[str]) -> None:
    ask = 'COMP_WORDS=(forestpilot "$@"); COMP_CWORD=$#; _forestpilot; printf "%s\\n" "${COMPREPLY[@]}"'
    command = ["bash", "--norc", "-uc", f"{script}\n{ask}", "bash", *line]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert set(done.stdout.split()) == offered


@pytest.mark.parametrize("name", ["collect", "evaluate", "train", "export", "bench", "replay", "demo"])
def test_options_that_are_offered_are_those_of_the_help(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    verb = get_verb(name)
    assert verb.Config is not None
    offered = {flag for option in options_of(verb.Config, verb.presets) for flag in option.flags}
    told = re.findall(OPTION, printed(capsys, name, "--help"), re.MULTILINE)
    flags = {flag for pair in told for flag in pair if flag}
    # These two are taken before the parser is asked, which prints the help.
    assert offered | {"--config", "--preset"} == flags | {"--config", "--preset"}


def test_every_verb_is_offered_in_every_shell(capsys: pytest.CaptureFixture[str]) -> None:
    for shell in ("bash", "zsh", "fish"):
        told = printed(capsys, "completion", shell)
        for line in verb_lines():
            assert re.search(rf"\b{line.name}\b", told), (shell, line.name)


def test_the_parsers_own_completion_is_answered_by_ours(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["collect", "--tyro-print-completion", "bash"]) == 2
    assert "forestpilot completion bash" in capsys.readouterr().err


def test_help_of_a_verb_is_its_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert printed(capsys, "help", "export") == printed(capsys, "export", "--help")
    assert printed(capsys, "help") == printed(capsys, "--help")
    assert cli.main(["help", "exprt"]) == 2
    assert "did you mean 'export'?" in capsys.readouterr().err
