"""The command: quick help, closest verbs, one line for an error, exit codes."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from forestpilot.launch import cli
from forestpilot.launch.verbs import VERBS, Verb, verb_lines
from forestpilot.sim.errors import ForestPilotError, InvalidArgumentError


@dataclass(frozen=True)
class Config:
    """A verb for tests."""

    what: str = "nothing"
    """What to raise."""


def run(config: Config) -> int | None:
    """Raise what the config says."""
    errors: dict[str, BaseException] = {
        "mendable": ForestPilotError("the thing is\nmissing: make one"),
        "argument": InvalidArgumentError("size is 0, but must be positive"),
        "file": FileNotFoundError(2, "No such file or directory", "episodes.csv"),
        "library": ModuleNotFoundError("No module named 'torch'", name="torch"),
        "value": ValueError("could not broadcast"),
        "bug": RuntimeError("a bug"),
        "own module": ModuleNotFoundError("No module named 'forestpilot.x'", name="forestpilot.x"),
        "interrupt": KeyboardInterrupt(),
    }
    failed = ForestPilotError("it failed")
    failed.exit_code = 1  # type: ignore[attr-defined]
    errors["failed"] = failed
    if config.what in errors:
        raise errors[config.what]
    return 3 if config.what == "three" else None


@pytest.fixture
def verb(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.delenv("FORESTPILOT_DEBUG", raising=False)
    VERBS.register("tested", Verb(Config, run, resumes=True), "for tests")
    yield
    VERBS.unregister("tested")


@pytest.mark.usefixtures("verb")
@pytest.mark.parametrize(
    ("what", "code", "says"),
    [
        ("nothing", 0, ""),
        ("three", 3, ""),
        ("mendable", 2, "forestpilot tested: the thing is missing: make one\n"),
        ("argument", 2, "forestpilot tested: size is 0, but must be positive\n"),
        ("file", 2, "forestpilot tested: episodes.csv: No such file or directory\n"),
        (
            "library",
            2,
            'forestpilot tested: torch is not installed, and this needs it: pip install "forestpilot[train]"\n',
        ),
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
@pytest.mark.parametrize("what", ["value", "bug", "own module"])
def test_a_bug_shows_its_traceback_whatever_its_type(what: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["tested", "--what", what]) == 1
    shown = capsys.readouterr().err
    assert "Traceback" in shown and "Error: " in shown
    assert "forestpilot doctor --json" in shown.splitlines()[-1]


def test_a_bug_exits_with_1() -> None:
    code = (
        "from forestpilot.launch import cli\n"
        "from forestpilot.launch.verbs import VERBS, Verb, verb_lines\n"
        "def run(_): raise ValueError('deep inside')\n"
        "VERBS.register('broken', Verb(None, run, parse=lambda args, prog: None))\n"
        "raise SystemExit(cli.main(['broken']))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert "Traceback" in done.stderr
    assert "ValueError: deep inside" in done.stderr


@pytest.mark.usefixtures("verb")
def test_the_debug_switch_shows_the_traceback_of_any_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORESTPILOT_DEBUG", "1")
    with pytest.raises(ForestPilotError):
        cli.main(["tested", "--what", "mendable"])


def test_an_unknown_verb_names_the_closest(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["evalute"]) == 2
    assert "did you mean 'evaluate'?" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("command", "closest"),
    [
        (("bench", "envv"), "env"),
        (("study", "gats"), "gates"),
        (("export", "a", "b", "--to", "robomimc"), "robomimic"),
        (("evaluate", "--task", "drve"), "drive"),
        (("evaluate", "--renderer", "raycst"), "raycast"),
        (("collect", "--out", "d", "--mix.renderer=raycst"), "raycast"),
        (("train", "--data", "d", "--policy.head", "mixtre"), "mixture"),
        (("dagger", "--gate", "exprt"), "expert"),
    ],
)
def test_an_unknown_part_names_the_closest(
    capsys: pytest.CaptureFixture[str], command: tuple[str, ...], closest: str
) -> None:
    assert cli.main(list(command)) == 2
    assert f"did you mean {closest!r}?" in capsys.readouterr().err


def test_help_lists_every_verb_without_importing_anything_heavy() -> None:
    code = (
        "import sys; sys.argv = ['forestpilot']; from forestpilot.launch.cli import main; code = main(['--help']); "
        "heavy = {'torch', 'gymnasium', 'pybullet', 'numpy', 'cv2', 'av', 'matplotlib', 'tyro', 'rich'}; "
        "assert not heavy & set(sys.modules), sys.modules; raise SystemExit(code)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, done.stderr
    assert all(f"  {line.name} " in done.stdout for line in verb_lines())
    assert done.stderr == ""


def test_who_waits_for_a_verb_to_be_imported_is_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    told = threading.Event()

    def import_slowly(name: str) -> Verb:
        assert told.wait(60), "nobody was told"
        return Verb(Config, lambda config: None)

    def say(*words: str, **kwargs: Any) -> None:
        print(*words, **kwargs)
        told.set()

    monkeypatch.setattr(cli, "SILENT_S", 0.0)
    monkeypatch.setattr(cli, "get_verb", import_slowly)
    monkeypatch.setattr(cli, "print", say, raising=False)
    assert cli.main(["doctor"]) == 0
    assert capsys.readouterr().err == "forestpilot doctor: starting up\n"


HELP = """
import contextlib, io, json, sys
from forestpilot.launch.cli import main

told = {}
for name in sys.argv[1:]:
    had_torch = "torch" in sys.modules
    with contextlib.redirect_stdout(io.StringIO()) as shown, contextlib.suppress(SystemExit):
        main([name, "--help"])
    told[name] = (shown.getvalue(), "torch" in sys.modules and not had_torch)
had_torch = "torch" in sys.modules
from forestpilot.launch.verbs.completion import all_words
words = [word.verb for word in all_words()]
told["completion of all"] = (" ".join(words), "torch" in sys.modules and not had_torch)
print(json.dumps(told))
"""


@pytest.fixture(scope="module")
def helps() -> dict[str, tuple[str, bool]]:
    """The help of every verb, by name, and whether torch was imported for it, in a process without any."""
    command = [sys.executable, "-c", HELP, *(line.name for line in verb_lines())]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("name", [line.name for line in verb_lines()])
def test_no_help_imports_torch(name: str, helps: dict[str, tuple[str, bool]]) -> None:
    shown, imported_torch = helps[name]
    assert not imported_torch
    assert f"usage: forestpilot {name}" in shown
    assert "--task STR" not in shown


def test_completion_and_help_of_studies_import_no_torch(helps: dict[str, tuple[str, bool]]) -> None:
    completed, imported_torch = helps["completion of all"]
    assert completed.split() == ["help", *(line.name for line in verb_lines())]
    assert not imported_torch


def test_no_verb_is_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([]) == 2
    assert "usage: forestpilot VERB" in capsys.readouterr().out


def test_ctrl_c_in_a_destructor_is_not_lost(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Interrupted:
        def __del__(self) -> None:
            raise KeyboardInterrupt

    def run(_config: object) -> None:
        Interrupted()
        time.sleep(60)

    monkeypatch.setattr(cli, "_import_verb", lambda name: Verb(None, run, parse=lambda *_: None, resumes=True))
    before = sys.unraisablehook
    assert cli.main(["collect"]) == 130
    assert "interrupted. What is finished is kept" in capsys.readouterr().err
    assert sys.unraisablehook is before
