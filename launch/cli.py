"""The command `forestpilot`: finds the verb, reads its config, runs it, and turns errors into one clear line.

Nothing heavy is imported before the verb is known, so that `forestpilot --help` answers at once.
"""

from __future__ import annotations

import importlib
import os
import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass

PROG = "forestpilot"
EXIT_FAILURE, EXIT_USAGE, EXIT_INTERRUPTED = 1, 2, 130


@dataclass(frozen=True)
class Verb:
    """One thing the command can do.

    Its module has a function `run(config)` and either a dataclass `Config`, maybe with `PRESETS`, or a function
    `parse(args, prog)` that returns the config.
    """

    summary: str
    """One line for the list of verbs."""
    resumes: bool = False
    """Whether the same command, run again, goes on where it was interrupted."""

    @staticmethod
    def module(name: str) -> str:
        """Name of the module behind the verb."""
        return f"forestpilot.launch.verbs.{name}"


VERBS: dict[str, Verb] = {
    "demo": Verb("everything in five minutes: demonstrations, cloning, DAgger, evaluation, videos", resumes=True),
    "collect": Verb("fly or drive, the expert or you by keyboard, and record episodes into a dataset", resumes=True),
    "inspect": Verb("look at datasets: what they cover, what they teach, which episodes are bad"),
    "train": Verb("train a policy on datasets by behavioural cloning", resumes=True),
    "dagger": Verb("improve a policy in closed loop: the expert labels what it visits, or you take over", resumes=True),
    "relabel": Verb("watch a policy's recorded episodes and steer along: what you do becomes labels", resumes=True),
    "evaluate": Verb("run policies through test worlds: outcomes.csv and a table with intervals", resumes=True),
    "grid": Verb("fly over speeds and densities: the published table, and a picture of it", resumes=True),
    "study": Verb("compare ways of learning: gates, keyboard, three-cameras and others", resumes=True),
    "replay": Verb("simulate stored episodes again, check them step by step: videos, side by side, GIFs, reels"),
    "report": Verb("put what runs came to on one page: results, the worst episodes with video, comparisons, curves"),
    "bench": Verb("measure speed: render, env, expert, data or train"),
    "doctor": Verb("say what is installed, what works here and what is missing"),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command.

    Args:
        argv: arguments without the program's name; those of the process by default.

    Returns:
        Exit code: 0 done, 1 failed, 2 wrong usage, 130 interrupted.
    """
    args = list(sys.argv[1:] if argv is None else argv)
    if not args or args[0] in ("-h", "--help", "help"):
        print(_help())
        return 0 if args else EXIT_USAGE
    if args[0] in ("-V", "--version"):
        return _print_version()
    if args[0] not in VERBS:
        return _unknown_verb(args[0])
    return _run_verb(args[0], args[1:])


def _run_verb(name: str, args: list[str]) -> int:
    """Import the verb's module, parse its config, run it; errors that the user can mend become one line."""
    try:
        module = importlib.import_module(Verb.module(name))
        from forestpilot.launch.config import parse_config

        if hasattr(module, "parse"):
            config = module.parse(args, f"{PROG} {name}")
        else:
            config = parse_config(module.Config, args, f"{PROG} {name}", getattr(module, "PRESETS", None))
        result = module.run(config)
        sys.stdout.flush()
        return int(result or 0)
    except KeyboardInterrupt:
        return _interrupted(name, args)
    except BrokenPipeError:
        # The reader (head, less) has closed the pipe; the interpreter must not complain when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_FAILURE
    except Exception as error:
        if os.environ.get("FORESTPILOT_DEBUG") or not _is_users(error):
            raise
        return _report(name, error)


def _is_users(error: Exception) -> bool:
    """Whether the error is one that the user can mend, whose message says how, rather than a bug."""
    from forestpilot.sim.errors import ForestPilotError

    return isinstance(error, (ForestPilotError, ValueError, FileNotFoundError, PermissionError, ModuleNotFoundError))


def _report(name: str, error: Exception) -> int:
    """One line on standard error; the exit code is the error's own `exit_code` or that of wrong usage."""
    from forestpilot.sim.errors import ForestPilotError

    message = " ".join(str(error).split()) or type(error).__name__
    hint = "" if isinstance(error, ForestPilotError) else " (FORESTPILOT_DEBUG=1 shows where)"
    print(f"{PROG} {name}: {message}{hint}", file=sys.stderr)
    return int(getattr(error, "exit_code", EXIT_USAGE))


def _interrupted(name: str, args: list[str]) -> int:
    """One line that says how to go on."""
    again = f" What is finished is kept; go on with: {shlex.join([PROG, name, *args])}" if VERBS[name].resumes else ""
    print(f"\n{PROG} {name}: interrupted.{again}", file=sys.stderr)
    return EXIT_INTERRUPTED


def _unknown_verb(name: str) -> int:
    from forestpilot.sim.registry import closest

    print(f"{PROG}: unknown verb {name!r}; {closest(name, list(VERBS))} `{PROG} --help` lists them.", file=sys.stderr)
    return EXIT_USAGE


def _print_version() -> int:
    from importlib.metadata import version

    print(f"{PROG} {version(PROG)}")
    return 0


def _help() -> str:
    width = max(map(len, VERBS))
    verbs = "\n".join(f"  {name:<{width}}  {verb.summary}" for name, verb in VERBS.items())
    return (
        f"usage: {PROG} VERB [options]\n\n"
        "ForestPilot teaches robots to fly and drive through a dense forest from camera images alone.\n\n"
        f"verbs:\n{verbs}\n\n"
        f"`{PROG} VERB --help` shows the options of a verb with their defaults and units.\n"
        "Results go to standard output, progress to standard error. FORESTPILOT_DEBUG=1 shows tracebacks."
    )


if __name__ == "__main__":
    raise SystemExit(main())
