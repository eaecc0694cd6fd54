"""The verbs of the command, one module each, and the registry of them: another package can add its own.

    VERBS.register("survey", "forestpilot_rover.survey:VERB", "count the trees of an orchard")

Every algorithm that is registered is a verb by itself.

Importing this package imports nothing heavy, so that `forestpilot --help` answers at once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from forestpilot.policies.algorithms import ALGORITHMS
from forestpilot.sim.registry import Registered, Registry

if TYPE_CHECKING:
    from forestpilot.launch.config.options import Option


@dataclass(frozen=True)
class Verb:
    """One thing the command can do."""

    Config: type[Any] | None
    """Frozen dataclass that is read from flags and files; None where `parse` makes the config."""
    run: Callable[[Any], int | None]
    """Does it; returns the exit code, None for 0."""
    presets: Mapping[str, Any] | None = None
    """Named configs to start from, the ordinary one first."""
    resumes: bool = False
    """Whether the same command, run again, goes on where it was interrupted."""
    parse: Callable[[list[str], str], Any] | None = None
    """Makes the config of the arguments and the name of the command, where one dataclass is not enough."""
    options: Callable[[], tuple[Option, ...]] | None = None
    """All options for completion, where `parse` makes the config."""
    reorder: Callable[[list[str]], list[str]] | None = None
    """Puts arguments that may stand first by themselves behind their flag."""
    forms: Callable[[], Mapping[str, type[Any]]] | None = None
    """Configs of what else it does, by the argument that asks for it, which stands first."""

    def asked(self, args: list[str]) -> tuple[type[Any], list[str]]:
        """The config class that arguments are for, and the arguments with flags before what may stand first."""
        assert self.Config is not None
        forms = {} if self.forms is None else self.forms()
        if args and args[0] in forms:
            return forms[args[0]], [*args[1:], "--to", args[0]]
        return self.Config, self.reorder(args) if self.reorder else args


VERBS: Registry[Verb] = Registry("verb", "forestpilot.launch.verbs:VERBS")
for _name, _summary in {
    "demo": "everything in five minutes: demonstrations, cloning, DAgger, evaluation, videos",
    "collect": "fly or drive, the expert or you by keyboard, and record episodes into a dataset",
    "inspect": "look at datasets: what they cover, what they teach, which episodes are bad",
    "export": "write datasets, or a policy (onnx), as other projects' tools read them",
    "train": "train a policy on datasets by behavioural cloning",
    "imagine": "learn a model of the world from datasets, and measure how far it can be trusted",
    "dream": "learn a policy inside a model of the world: it never flies, and nothing is drawn",
    "embed": "learn an embedding of pictures from recordings by several cameras, and check it",
    "relabel": "watch a policy's recorded episodes and steer along: what you do becomes labels",
    "evaluate": "run policies through test worlds: outcomes.csv and a table with intervals",
    "grid": "fly over speeds and densities: the published table, and a picture of it",
    "study": "compare ways of learning: gates, keyboard, three-cameras and others",
    "tune": "search settings of an algorithm, trial by trial, judged on validation worlds",
    "replay": "simulate stored episodes again, check them step by step: videos, side by side, GIFs, reels",
    "report": "put what runs came to on one page: results, the worst episodes with video, comparisons, curves",
    "bench": "measure speed: render, env, expert, data, train or the whole demo",
    "completion": "print a script that completes this command in bash, zsh or fish",
    "doctor": "say what is installed and registered, what works here and what is missing",
}.items():
    VERBS.register(_name, f"forestpilot.launch.verbs.{_name}:VERB", _summary)
VERBS.register("import", "forestpilot.launch.verbs.importing:VERB", "read back a dataset that was exported")


def get_verb(name: str) -> Verb:
    """The verb of a name, or the one that runs the algorithm of that name.

    Raises:
        UnknownNameError: there is neither.
    """
    if name not in VERBS and name in ALGORITHMS:
        from forestpilot.launch.verbs.algorithm import verb_of

        return verb_of(name)
    return VERBS.get(name)


def verb_lines() -> tuple[Registered, ...]:
    """All verbs, those that run an algorithm last."""
    algorithms = [line for line in ALGORITHMS.lines() if line.name not in VERBS]
    return (*VERBS.lines(), *algorithms)
