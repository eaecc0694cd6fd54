"""Kinds of policies that other programs made, by the word before the colon of a `--policy`: `onnx:FILE`.

A kind is one file and one line here; a plug-in registers its own (see `forestpilot.sim.registry`).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from forestpilot.sim.registry import Registry

if TYPE_CHECKING:
    from forestpilot.policies.evaluation.entrants import Entrant
    from forestpilot.sim.tasks import Task


class PolicyKind(ABC):
    """A kind of policies."""

    file: ClassVar[str] = ""
    """File by which a folder is known to hold one, so that it can be named without its kind; empty where none is."""

    @abstractmethod
    def entrant(self, target: str, place: str, task: Task, name: str) -> Entrant:
        """The pilot behind a `--policy` of this kind.

        Args:
            target: the whole, for example `onnx:policy.onnx`; stored with each episode.
            place: what stands behind the colon.
            task: what it is to do.
            name: what its episodes are filed under.

        Raises:
            ForestPilotError: there is none, or it is of another task.
        """


_HERE = "forestpilot.policies.evaluation"
POLICY_KINDS: Registry[PolicyKind] = Registry("kind of policy", f"{_HERE}.kinds:POLICY_KINDS")
POLICY_KINDS.register("onnx", f"{_HERE}.onnx_pilot:ONNX", "a file that `forestpilot export onnx` wrote: onnx:FILE")
POLICY_KINDS.register(
    "lerobot", f"{_HERE}.lerobot_pilot:LEROBOT", "a policy that LeRobot has trained: lerobot:FOLDER of lerobot-train"
)
POLICY_KINDS.register(
    "imagined",
    "forestpilot.policies.algorithms.imagined_pilot:IMAGINED",
    "planning inside a world model: imagined:FOLDER of `forestpilot imagine`",
)
POLICY_KINDS.register(
    "dreamed",
    "forestpilot.policies.algorithms.imagined_pilot:DREAMED",
    "what was learned inside a world model: FOLDER, or dreamed:FOLDER, of `forestpilot dream`",
)


def split_kind(target: str) -> tuple[str, str] | None:
    """Kind and place of a target such as `onnx:FILE`; None where it has no kind that is registered."""
    kind, colon, place = target.partition(":")
    if not colon or kind not in POLICY_KINDS:
        return None
    return kind, place


def kind_of_folder(folder: Path) -> str:
    """The kind of policy that a folder holds by its files; empty where it is none that is registered."""
    for kind in POLICY_KINDS:
        file = POLICY_KINDS.get(kind).file
        if file and (folder / file).is_file():
            return kind
    return ""
