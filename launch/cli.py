"""The command `forestpilot`: finds the verb, reads its config, runs it, and turns errors into one clear line.

Nothing heavy is imported before the verb is known, so that `forestpilot --help` answers at once.
"""

from __future__ import annotations

import os
import shlex
import signal
import sys
import threading
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from forestpilot.launch.verbs import Verb, get_verb, verb_lines
from forestpilot.policies.openmp import use_one_thread
from forestpilot.sim.errors import ForestPilotError
from forestpilot.sim.extras import missing_extra
from forestpilot.sim.registry import closest

PROG = "forestpilot"
ISSUES = "https://github.com/forestpilot/forestpilot/issues"
EXIT_FAILURE = 1
EXIT_USAGE = 2
EXIT_INTERRUPTED = 130
AGAIN_S = 0.02
"""Until an interrupt that Python dropped comes again."""
SILENT_S = 1.0
"""Importing what a verb needs (PyTorch: seconds) is not told before so many seconds."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command.

    Args:
        argv: arguments without the program's name; those of the process by default.

    Returns:
        Exit code, see docs/reference.md: 0 done, 1 failed, 2 refused what was given, 130 interrupted. An error that is
        nobody's mistake but the program's shows its traceback, asks for a report, and is a failure.
    """
    given = sys.argv[1:] if argv is None else argv
    if not given:
        print(_help())
        return EXIT_USAGE
    name, *args = given
    if name == "help" and args:
        name, *args = [*args, "--help"]
    if name in ("-h", "--help", "help"):
        print(_help())
        return 0
    if name in ("-V", "--version"):
        return _print_version()
    if name not in _names():
        return _unknown_verb(name)
    if any(arg.startswith("--tyro-") for arg in args):
        print(
            f"{PROG}: `{PROG} completion bash` (or zsh, fish) prints the script for the whole command", file=sys.stderr
        )
        return EXIT_USAGE
    return _run_verb(name, args)


def _run_verb(name: str, args: list[str]) -> int:
    """Import the verb, parse its config, run it; errors that the user can mend become one line."""
    verb: Verb | None = None
    use_one_thread()
    try:
        with _no_interrupt_lost():
            verb = _import_verb(name)
            result = verb.run(_parse(verb, args, f"{PROG} {name}"))
        sys.stdout.flush()
        return int(result or 0)
    except KeyboardInterrupt:
        return _interrupted(name, args, verb is not None and verb.resumes)
    except BrokenPipeError:
        # The reader (head, less) has closed the pipe; the interpreter must not complain when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_FAILURE
    except Exception as error:
        if os.environ.get("FORESTPILOT_DEBUG"):
            raise
        told = _for_the_user(error)
        if told is None:
            return _bug(name)
        print(f"{PROG} {name}: {' '.join(told.split())}", file=sys.stderr)
        return _exit_code(error)


@contextmanager
def _no_interrupt_lost() -> Iterator[None]:
    """Ctrl-C in a destructor or a callback, which Python drops with a traceback, comes again a moment later."""

    def heed(unraisable: sys.UnraisableHookArgs) -> None:
        if issubclass(unraisable.exc_type, KeyboardInterrupt):
            again = threading.Timer(AGAIN_S, os.kill, (os.getpid(), signal.SIGINT))
            again.daemon = True
            again.start()
        else:
            before(unraisable)

    before = sys.unraisablehook
    sys.unraisablehook = heed
    try:
        yield
    finally:
        sys.unraisablehook = before


def _import_verb(name: str) -> Verb:
    """The verb, with what it needs imported; who waits for that is told."""
    words = f"{PROG} {name}: starting up"
    timer = threading.Timer(SILENT_S, print, (words,), {"file": sys.stderr, "flush": True})
    timer.daemon = True
    timer.start()
    try:
        return get_verb(name)
    finally:
        timer.cancel()


def _parse(verb: Verb, args: list[str], prog: str) -> object:
    """The config that the arguments ask for."""
    from forestpilot.launch.config import parse_config

    if verb.parse is not None:
        return verb.parse(args, prog)
    config_class, flags = verb.asked(args)
    return parse_config(config_class, flags, prog, verb.presets if config_class is verb.Config else None)


def _for_the_user(error: BaseException | None) -> str | None:
    """Message for the user who can mend an error; None where it is a bug, which only a traceback tells of."""
    if isinstance(error, ForestPilotError):
        # A verb, or a part, that could not be imported: what is missing says more than where it was asked for.
        return _missing(error.__cause__) or str(error) or type(error).__name__
    if isinstance(error, OSError):
        from forestpilot.data_collection.episodes.disk_errors import in_words

        return in_words(error)
    return _missing(error)


def _exit_code(error: Exception) -> int:
    """2 where other arguments mend an error, 1 where the machine must be seen to."""
    if isinstance(error, OSError):
        from forestpilot.data_collection.episodes.disk_errors import PATH_ERRORS

        return EXIT_USAGE if error.errno in PATH_ERRORS or isinstance(error, PermissionError) else EXIT_FAILURE
    return int(getattr(error, "exit_code", EXIT_USAGE))


def _bug(name: str) -> int:
    """Show the traceback of the error under way and ask for a report."""
    traceback.print_exc()
    print(
        f"{PROG} {name}: this is a mistake of {PROG}'s, not yours; please report it with the lines above and what "
        f"`{PROG} doctor --json` prints: {ISSUES}",
        file=sys.stderr,
    )
    return EXIT_FAILURE


def _missing(error: BaseException | None) -> str | None:
    """Message about a missing library that an extra brings; None for any other error."""
    if not isinstance(error, ModuleNotFoundError):
        return None
    told = missing_extra(error)
    return str(told) if told else None


def _interrupted(name: str, args: list[str], resumes: bool) -> int:
    """Say in one line how to go on."""
    again = ""
    if resumes:
        again = f" What is finished is kept; go on with: {shlex.join([PROG, name, *args])}"
    print(f"\n{PROG} {name}: interrupted.{again}", file=sys.stderr)
    return EXIT_INTERRUPTED


def _unknown_verb(name: str) -> int:
    print(f"{PROG}: unknown verb {name!r}; {closest(name, _names())} `{PROG} --help` lists them.", file=sys.stderr)
    return EXIT_USAGE


def _names() -> list[str]:
    return [line.name for line in verb_lines()]


def _print_version() -> int:
    from importlib.metadata import version

    print(f"{PROG} {version(PROG)}")
    return 0


def _help() -> str:
    width = max(map(len, _names()))
    verbs = "\n".join(f"  {line.name:<{width}}  {line.summary}" for line in verb_lines())
    return (
        f"usage: {PROG} VERB [options]\n\n"
        "ForestPilot teaches robots to fly and drive through a dense forest from camera images alone.\n\n"
        f"verbs:\n{verbs}\n\n"
        f"`{PROG} help VERB` shows the options of a verb with their defaults and units.\n"
        "Results go to standard output, progress to standard error. FORESTPILOT_DEBUG=1 shows tracebacks."
    )


if __name__ == "__main__":
    raise SystemExit(main())
