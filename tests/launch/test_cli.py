"""The command: quick help, closest verbs, one line for an error, exit codes."""

from __future__ import annotations

import subprocess
import sys
import types
from dataclasses import dataclass

import pytest

from forestpilot.launch import cli
from forestpilot.sim.errors import ForestPilotError


@dataclass(frozen=True)
class Config:
    """A verb for tests."""

    what: str = "nothing"
    """What to raise."""


def run(config: Config) -> int | None:
    """Raise what the config says."""
    errors: dict[str, BaseException] = {
        "mendable": ForestPilotError("the thing is\nmissing: make one"),
        "value": ValueError("size is 0, but must be positive"),
        "bug": RuntimeError("a bug"),
        "interrupt": KeyboardInterrupt(),
    }
    failed = ForestPilotError("it failed")
    failed.exit_code = 1  # type: ignore[attr-defined]
    errors["failed"] = failed
    if config.what in errors:
        raise errors[config.what]
    return 3 if config.what == "three" else None


@pytest.fixture
def verb(monkeypatch: pytest.MonkeyPatch) -> None:
    module = types.ModuleType("forestpilot.launch.verbs.tested")
    module.Config, module.run = Config, run  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "forestpilot.launch.verbs.tested", module)
    monkeypatch.setitem(cli.VERBS, "tested", cli.Verb("for tests", resumes=True))
    monkeypatch.delenv("FORESTPILOT_DEBUG", raising=False)


@pytest.mark.usefixtures("verb")
@pytest.mark.parametrize(
    ("what", "code", "says"),
    [
        ("nothing", 0, ""),
        ("three", 3, ""),
        ("mendable", 2, "forestpilot tested: the thing is missing: make one\n"),
        ("value", 2, "forestpilot tested: size is 0, but must be positive (FORESTPILOT_DEBUG=1 shows where)\n"),
        ("failed", 1, "forestpilot tested: it failed\n"),
    ],
)
def test_errors_become_one_line_and_an_exit_code(
    what: str, code: int, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["tested", "--what", what]) == code
    assert capsys.readouterr().err == says


@pytest.mark.usefixtures("verb")
def test_an_interrupted_verb_says_how_to_go_on(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["tested", "--what", "interrupt"]) == 130
    assert "go on with: forestpilot tested --what interrupt" in capsys.readouterr().err


@pytest.mark.usefixtures("verb")
def test_a_bug_and_the_debug_switch_show_the_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(RuntimeError, match="a bug"):
        cli.main(["tested", "--what", "bug"])
    monkeypatch.setenv("FORESTPILOT_DEBUG", "1")
    with pytest.raises(ForestPilotError):
        cli.main(["tested", "--what", "mendable"])


def test_an_unknown_verb_names_the_closest(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["evalute"]) == 2
    assert "did you mean 'evaluate'?" in capsys.readouterr().err


def test_help_lists_every_verb_without_importing_anything_heavy() -> None:
    code = (
        "import sys; sys.argv = ['forestpilot']; from forestpilot.launch.cli import main; code = main(['--help']); "
        "heavy = {'torch', 'pybullet', 'numpy', 'cv2', 'av', 'matplotlib', 'tyro', 'rich'} & set(sys.modules); "
        "assert not heavy, heavy; raise SystemExit(code)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, done.stderr
    assert all(f"  {name} " in done.stdout for name in cli.VERBS)
    assert done.stderr == ""


def test_no_verb_is_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([]) == 2
    assert "usage: forestpilot VERB" in capsys.readouterr().out


@pytest.mark.parametrize("verb", sorted(cli.VERBS))
def test_every_verb_shows_its_options_with_defaults(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_:
        cli.main([verb, "--help"])
    assert exit_.value.code in (0, None)
    shown = capsys.readouterr().out
    assert "usage:" in shown and "default:" in shown
