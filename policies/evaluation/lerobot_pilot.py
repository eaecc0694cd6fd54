"""Pilots that LeRobot has trained: `--policy lerobot:FOLDER`.

A policy sees what it sees in `lerobot-eval --env.type=forestpilot --eval.batch_size=1`: the same pictures under the
same names, LeRobot's own normalisation and queue of actions, a batch of one, so that the same worlds end alike.
Episodes run side by side here and begin at their own times: each slot has a copy of what the policy remembers, and
shares its weights.
"""

from __future__ import annotations

import copy
import hashlib
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from forestpilot.data_collection.episodes.bounded import parse_json, read_json
from forestpilot.data_collection.rollouts.pilots import Decision, Observations, Pilot
from forestpilot.policies.evaluation.baselines import decided
from forestpilot.policies.evaluation.entrants import Entrant
from forestpilot.policies.evaluation.kinds import PolicyKind
from forestpilot.policies.networks.threads import torch_threads
from forestpilot.sim.cameras import CAMERA_NAMES
from forestpilot.sim.envs.task_spec import TaskSpec
from forestpilot.sim.errors import ForestPilotError
from forestpilot.sim.extras import MissingExtraError, require
from forestpilot.sim.tasks import TASKS

if TYPE_CHECKING:
    from forestpilot.sim.tasks import Task

PICTURES = "observation.images."
STATE = "observation.state"
GOAL = "observation.environment_state"
OF_A_TRAINING = Path("checkpoints", "last", "pretrained_model")
"""Where `lerobot-train` leaves what it has learned, in its output folder."""


class LerobotError(ForestPilotError):
    """A folder is no policy of LeRobot's, or one of another robot."""


def policy_folder(place: str) -> Path:
    """The folder with a policy's config.json: the one given, or the last checkpoint of a training's output.

    Raises:
        LerobotError: there is none.
    """
    folder = Path(place)
    for found in (folder, folder / OF_A_TRAINING):
        if (found / "config.json").is_file() and (found / "model.safetensors").is_file():
            return found.resolve()
    raise LerobotError(
        f"{place} is no policy of LeRobot's: no config.json and model.safetensors; name the output folder of "
        "lerobot-train, or a pretrained_model in it (of a policy on the hub: where it was downloaded to)"
    )


class LerobotPolicy:
    """A policy of LeRobot's with its processors, ready to be asked.

    Args:
        folder: with config.json, model.safetensors and the processors' files.

    Raises:
        LerobotError: LeRobot cannot load it, or it needs what no vehicle here has.
        MissingExtraError: LeRobot is not installed.
    """

    def __init__(self, folder: Path) -> None:
        factory = require("lerobot.policies.factory")
        require("lerobot.utils.import_utils").register_third_party_plugins()
        self._folder = folder
        self.named = require("lerobot.envs.utils").preprocess_observation
        try:
            self.config = require("lerobot.configs.policies").PreTrainedConfig.from_pretrained(folder)
            self.config.device = "cpu"
            if hasattr(self.config, "pretrained_backbone_weights"):
                self.config.pretrained_backbone_weights = None  # they lie in the file: nothing is downloaded
            policy_class = factory.get_policy_class(self.config.type)
            self.policy = policy_class.from_pretrained(folder, config=self.config).to("cpu").eval()
            self.processors = factory.make_pre_post_processors(
                self.config, str(folder), preprocessor_overrides={"device_processor": {"device": "cpu"}}
            )
        except MissingExtraError:
            raise
        except Exception as error:  # LeRobot's parsers, safetensors and torch have no error in common
            kind = read_json(folder / "config.json").get("type")
            line = str(error).strip().partition("\n")[0]
            raise LerobotError(f"LeRobot cannot load the policy {folder} of type {kind!r}: {line}") from error
        self._require_known_inputs()

    def _require_known_inputs(self) -> None:
        """Raise LerobotError where the policy needs what is not told here."""
        known = (STATE, GOAL, *(f"{PICTURES}{camera}" for camera in CAMERA_NAMES))
        if unknown := [name for name in self.config.input_features if name not in known]:
            raise LerobotError(f"{self._folder} needs {', '.join(unknown)}; what is seen here: {', '.join(known)}")
        action = self.config.output_features["action"].shape
        if tuple(action) != (2,):
            raise LerobotError(f"{self._folder} acts by {tuple(action)} numbers; an action here is turn and go")

    @property
    def cameras(self) -> tuple[str, ...]:
        """Cameras that it looks at."""
        return tuple(camera for camera in CAMERA_NAMES if f"{PICTURES}{camera}" in self.config.input_features)

    @property
    def picture_size(self) -> tuple[int, int]:
        """Width and height in pixels of the pictures that it has learned from; zeros where it sees none."""
        if not self.cameras:
            return 0, 0
        _, height, width = self.config.input_features[f"{PICTURES}{self.cameras[0]}"].shape
        return int(width), int(height)

    @property
    def spec(self) -> TaskSpec | None:
        """The task that it has learned, where its config tells: that of a policy from here does."""
        told = getattr(self.config, "task_spec", None)
        return TaskSpec.from_dict(parse_json(told)) if told else None

    def fingerprint(self) -> str:
        """12 hexadecimal digits of all that is loaded."""
        digest = hashlib.blake2b(digest_size=6)
        for path in sorted(self._folder.iterdir()):
            if path.suffix in (".json", ".safetensors") and path.name != "train_config.json":
                digest.update(path.name.encode())
                digest.update(path.read_bytes())
        return digest.hexdigest()


class _Slot:
    """What a policy remembers of one episode: its queue of actions, its history, and its noise.

    Args:
        policy: whose weights act.
    """

    def __init__(self, policy: LerobotPolicy) -> None:
        weights = {id(tensor): tensor for tensor in chain(policy.policy.parameters(), policy.policy.buffers())}
        self._policy = copy.deepcopy(policy.policy, weights)
        self._before, self._after = copy.deepcopy(policy.processors)
        self._noise = torch.get_rng_state()

    def restart(self, seed: int) -> None:
        """An episode begins; what is drawn in it depends on its world only."""
        self._policy.reset()
        self._before.reset()
        self._after.reset()
        self._noise = torch.Generator().manual_seed(seed).get_state()

    def act(self, seen: dict[str, Any]) -> np.ndarray:
        """(2,) from one observation by LeRobot's names, a batch of one."""
        with torch.random.fork_rng(devices=[]), torch.inference_mode():
            torch.set_rng_state(self._noise)
            action = self._after(self._policy.select_action(self._before(seen)))
            self._noise = torch.get_rng_state()
        acted: np.ndarray = action.to("cpu").numpy()[0]
        return acted


class LerobotPilot:
    """A policy of LeRobot's, what it remembers kept apart for each episode.

    Args:
        folder: of the policy.
        name: what its episodes are filed under.
    """

    needs_expert = False

    def __init__(self, folder: str, name: str) -> None:
        self.policy = LerobotPolicy(Path(folder))
        self.cameras = self.policy.cameras
        self.name = name

    def begin(self, slots: int) -> None:
        """Nothing is remembered yet."""
        self._slots = [_Slot(self.policy) for _ in range(slots)]

    def restart(self, slot: int, seed: int) -> None:
        """Forget the slot's last episode."""
        self._slots[slot].restart(seed)

    def act(self, observations: Observations, infos: list[dict[str, Any]], slots: np.ndarray) -> Decision:
        """One step of the policy for each of the episodes in `slots`.

        Raises:
            LerobotError: state or goal are not of the size that it has learned from.
        """
        spec: TaskSpec = infos[0]["task_spec"]
        self._require_sizes(observations)
        actions = np.empty((len(slots), 2), np.float32)
        with torch_threads(1):
            for row, slot in enumerate(slots):
                own = slice(row, row + 1)
                seen = self.policy.named(
                    {
                        "pixels": {camera: observations[camera][own] for camera in self.cameras},
                        "agent_pos": observations["state"][own],
                        "environment_state": observations["goal"][own],
                    }
                )
                seen["task"] = [_sentence(spec, observations["state"][row])]
                actions[row] = self._slots[slot].act(seen)
        return decided(np.clip(actions, -1.0, 1.0))

    def _require_sizes(self, observations: Observations) -> None:
        for name, key in ((STATE, "state"), (GOAL, "goal")):
            feature = self.policy.config.input_features.get(name)
            if feature is not None and tuple(feature.shape) != observations[key].shape[1:]:
                raise LerobotError(
                    f"the policy {self.name} has learned from {name} of {feature.shape[0]} numbers, and here are "
                    f"{observations[key].shape[1]}: it is of another task, or of other --options"
                )


def _sentence(spec: TaskSpec, state: np.ndarray) -> str:
    """The task in words, as an export tells it."""
    return TASKS.get(spec.task).sentence({"speed": float(state[spec.index("speed_set_point_mps")])})


@dataclass(frozen=True)
class LerobotFactory:
    """Makes a `LerobotPilot`; picklable."""

    folder: str
    """Of the policy."""
    name: str
    """What its episodes are filed under."""

    def __call__(self) -> Pilot:
        """The pilot."""
        return LerobotPilot(self.folder, self.name)


class LerobotKind(PolicyKind):
    """Folders that `lerobot-train` wrote."""

    def entrant(self, target: str, place: str, task: Task, name: str) -> Entrant:
        """The folder's pilot, with pictures of the size that it has learned from."""
        folder = policy_folder(place)
        policy = LerobotPolicy(folder)  # what is damaged is told before the first episode, and not by a worker
        spec = policy.spec
        if spec is not None and spec.task != task.name:
            raise LerobotError(
                f"{place} was trained for the task {spec.task!r}, not for {task.name!r}; "
                f"forestpilot evaluate --task {spec.task} runs it"
            )
        width, height = policy.picture_size
        factory = LerobotFactory(str(folder), name)
        return Entrant(name, target, factory, policy.fingerprint(), spec, width, height)


LEROBOT = LerobotKind()
