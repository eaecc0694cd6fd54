"""Entrants: what a `--policy` stands for, and how the pilot behind it is made.

A `--policy` is a baseline of the task by name, `pretrained`, the folder of a checkpoint, a policy of another kind such
as `onnx:FILE` or `lerobot:FOLDER` (see `forestpilot.policies.evaluation.kinds`), or `package.module:factory`, which
names something that makes a pilot without arguments, such as its class; what a pilot is, is told in
`forestpilot.data_collection.rollouts.pilots.Pilot`. `NAME=` before it says what its episodes are filed under. A name
has no path separator, so that an `=` in a path stays where it is: `runs/lr=0.1` is a folder, and of `best=runs/lr=0.1`
the name is `best`. Names become names of files and cells of tables, see `forestpilot.data_collection.episodes.names`.
"""

from __future__ import annotations

import inspect
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from forestpilot.data_collection.episodes.names import problem_of_name, safe_name
from forestpilot.policies.evaluation.kinds import POLICY_KINDS, kind_of_folder, split_kind
from forestpilot.policies.networks.device import DeviceName
from forestpilot.sim.errors import ForestPilotError, InvalidArgumentError
from forestpilot.sim.registry import closest, import_attribute
from forestpilot.sim.tasks import TASKS, Task

if TYPE_CHECKING:
    from forestpilot.data_collection.rollouts.pilots import Pilot, PilotFactory
    from forestpilot.sim.envs.task_spec import TaskSpec

PRETRAINED = "pretrained"
"""Name for the weights that come with a task."""


class PolicyArgument(NamedTuple):
    """A `--policy`, taken apart."""

    name: str
    """What its episodes are filed under; empty where nobody said."""
    target: str
    """What acts: a baseline, `pretrained`, a folder, `KIND:PLACE` or `package.module:factory`."""

    @property
    def short_name(self) -> str:
        """The name given, or the target's own: a baseline's, the checkpoint's folder or file, or the factory's."""
        if self.name:
            return self.name
        if of_kind := split_kind(self.target):
            return safe_name(Path(of_kind[1]).resolve().stem)
        if is_reference(self.target):
            _, _, attribute = self.target.partition(":")
            return safe_name(attribute)
        return safe_name(Path(self.target).resolve().name)


@dataclass(frozen=True)
class Entrant:
    """A pilot that takes part in an evaluation."""

    name: str
    """What its episodes are filed under."""
    target: str
    """Name of the baseline, folder of the checkpoint, `KIND:PLACE` or `package.module:factory`; stored with each
    episode."""
    factory: PilotFactory
    """Makes the pilot inside a worker process."""
    fingerprint: str
    """Which weights, or which code, act."""
    spec: TaskSpec | None = None
    """The task as a policy has learned it; None for others, which take it as it comes."""
    width: int = 0
    """Of the pictures that it has learned from, pixels, where no spec tells; 0 for the evaluation's own."""
    height: int = 0
    """Likewise."""


@dataclass(frozen=True)
class NamedFactory:
    """Makes the pilot that `package.module:factory` names, filed under another name; picklable."""

    reference: str
    """Where the factory is found."""
    name: str
    """What its episodes are filed under."""

    def __call__(self) -> Pilot:
        """The pilot."""
        pilot: Pilot = import_attribute(self.reference, "pilot")()
        pilot.name = self.name
        return pilot


def parse_policy(policy: str) -> PolicyArgument:
    """A `--policy` taken apart; see the module."""
    name, separator, target = policy.partition("=")
    if not separator or "/" in name or "\\" in name:
        return PolicyArgument("", policy)
    return PolicyArgument(name, target)


def is_reference(target: str) -> bool:
    """True for `package.module:factory`."""
    if split_kind(target):
        return False
    module, separator, attribute = target.partition(":")
    return bool(separator) and attribute.isidentifier() and all(part.isidentifier() for part in module.split("."))


def network_acted(policy_path: str) -> bool:
    """True where a stored episode names a checkpoint as what acted, or nothing."""
    return policy_path not in baseline_names() and not is_reference(policy_path) and not split_kind(policy_path)


def baseline_names() -> tuple[str, ...]:
    """Names of the baselines of all tasks, each once."""
    names: dict[str, None] = {}
    for task in TASKS:
        names |= dict.fromkeys(TASKS.get(task).baselines)
    return tuple(names)


def policy_names(policies: tuple[str, ...]) -> list[str]:
    """Short, distinct names for some policies: the one given, a baseline's own, or a checkpoint's folder; numbered
    where two agree.
    """
    names: list[str] = []
    for policy in policies:
        name = parse_policy(policy).short_name
        same = sum(other == name or other.startswith(f"{name}-") for other in names)
        numbered = name
        while numbered in names or (same and numbered == name):
            same += 1
            numbered = f"{name}-{same}"
        names.append(numbered)
    return names


def require_pilot(policy: str, task: Task) -> None:
    """Raise ValueError where a `--policy` has a name that no file can have, or is one that only another task has."""
    name, target = parse_policy(policy)
    if name and (problem := problem_of_name(name)):
        raise InvalidArgumentError(
            f"policy {policy!r} is to be called {name!r}, and {problem}; the name is that of files and rows: "
            f"{safe_name(name)}={target} would do"
        )
    if target == PRETRAINED and task.pretrained is None:
        raise InvalidArgumentError(f"no weights come with the task {task.name}; train some, or choose a baseline")
    if target in baseline_names() and target not in task.baselines:
        known = ", ".join(task.baselines) or "none"
        raise InvalidArgumentError(
            f"the baseline {target!r} cannot {task.words.verb}; for this task there are {known}, and checkpoints"
        )


def make_entrant(policy: str, task: Task, name: str = "", device: DeviceName = "cpu") -> Entrant:
    """The pilot behind a `--policy`.

    Args:
        policy: see the module.
        task: what it is to do.
        name: what its episodes are filed under; by default its short name.
        device: what it computes with, where it is a checkpoint.

    Raises:
        ForestPilotError: there is no such pilot or checkpoint, or it is of another task.
        ValueError: the baseline is another task's.
    """
    require_pilot(policy, task)
    argument = parse_policy(policy)
    name = name or argument.short_name
    target = argument.target
    if target in task.baselines:
        return Entrant(name, target, NamedFactory(task.baselines[target], name), target)
    if of_kind := split_kind(target):
        kind, place = of_kind
        return POLICY_KINDS.get(kind).entrant(target, place, task, name)
    if is_reference(target):
        return Entrant(name, target, NamedFactory(target, name), _code_fingerprint(target))
    folder = Path(target)
    if target == PRETRAINED and task.pretrained is not None:
        folder = task.pretrained
    if not folder.is_dir():
        names = [PRETRAINED, *task.baselines]
        kinds = "".join(f", {kind}:..." for kind in POLICY_KINDS)
        raise ForestPilotError(
            f"policy {target!r} is neither a folder nor a baseline; {closest(target, names)} "
            f"A run folder can be named{kinds}, or package.module:factory"
        )
    if kind := kind_of_folder(folder):
        return POLICY_KINDS.get(kind).entrant(f"{kind}:{target}", target, task, name)
    return _checkpoint(folder, task, name, device)


def _checkpoint(folder: Path, task: Task, name: str, device: DeviceName) -> Entrant:
    from forestpilot.policies.evaluation.pilots import PolicyFactory
    from forestpilot.policies.networks.checkpoint import describe_policy, load_policy
    from forestpilot.sim.envs.task_spec import TaskSpec

    description = describe_policy(folder)
    spec = TaskSpec.from_dict(description["task_spec"])
    if spec.task != task.name:
        raise ForestPilotError(
            f"{folder} was trained for the task {spec.task!r}, not for {task.name!r}; "
            f"forestpilot evaluate --task {spec.task} runs it"
        )
    load_policy(folder)  # what is damaged is told before the first episode, and not by a worker
    factory = PolicyFactory(str(folder), name, device=device)
    return Entrant(name, str(folder.resolve()), factory, description["policy_id"], spec)


def _code_fingerprint(reference: str) -> str:
    """The reference, and a checksum of the file that it lies in: a pilot that was edited is another one.

    Raises:
        UnknownNameError: nothing can be imported from there.
        ForestPilotError: what is there makes nothing.
    """
    factory: Any = import_attribute(reference, "pilot")
    if not callable(factory):
        raise ForestPilotError(f"{reference} is {factory!r}; name something that makes a pilot, such as its class")
    try:
        source = Path(inspect.getfile(inspect.unwrap(factory))).read_bytes()
    except (OSError, TypeError):
        return reference
    return f"{reference}@{zlib.crc32(source):08x}"
