"""Policies of LeRobot's fly here as there; a double stands in for LeRobot (`make interop` flies its own)."""

from __future__ import annotations

import json
from collections import deque
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from forestpilot.policies.evaluation import lerobot_pilot
from forestpilot.policies.evaluation.entrants import make_entrant, network_acted, policy_names
from forestpilot.policies.evaluation.evaluate import EvaluateConfig, evaluate
from forestpilot.policies.evaluation.lerobot_pilot import OF_A_TRAINING, LerobotError, LerobotPilot
from forestpilot.policies.evaluation.outcome_rows import read_outcomes
from forestpilot.sim.extras import MissingExtraError
from forestpilot.sim.tasks import TASKS
from tests.helpers.specs import small_spec

INPUTS = {
    "observation.images.center": (3, 24, 32),
    "observation.state": (10,),
    "observation.environment_state": (2,),
}


class QueuePolicy(torch.nn.Module):
    """Two actions at a time: from a picture, with some noise, then the same again."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.tensor([0.5, 9.0]))
        self.reset()

    @classmethod
    def from_pretrained(cls, folder: Path, config: Any) -> QueuePolicy:
        if (folder / "model.safetensors").read_bytes() == b"damaged":
            raise ValueError("HeaderTooLarge\nat some line")
        return cls()

    def reset(self) -> None:
        self.queue: deque[torch.Tensor] = deque()

    def select_action(self, batch: dict[str, Any]) -> torch.Tensor:
        assert batch["observation.images.center"].dtype == torch.float32
        assert batch["task"] == ["fly to the goal through the forest at 5 m/s"]
        if not self.queue:
            seen = batch["observation.images.center"].mean() + 0.1 * torch.rand(1)
            self.queue.extend(2 * [(seen * self.weight)[None]])
        return self.queue.popleft()


class Same:
    """A processor that changes nothing."""

    def __call__(self, value: Any) -> Any:
        return value

    def reset(self) -> None: ...


def preprocess_observation(seen: dict[str, Any]) -> dict[str, torch.Tensor]:
    named = {f"observation.images.{name}": torch.from_numpy(p) / 255 for name, p in seen["pixels"].items()}
    named["observation.state"] = torch.from_numpy(seen["agent_pos"])
    return named | {"observation.environment_state": torch.from_numpy(seen["environment_state"])}


@pytest.fixture
def lerobot(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """What is used of LeRobot."""
    config = SimpleNamespace(
        type="queue",
        pretrained_backbone_weights="ImageNet",
        input_features={name: SimpleNamespace(shape=shape) for name, shape in INPUTS.items()},
        output_features={"action": SimpleNamespace(shape=(2,))},
    )
    parts = SimpleNamespace(
        PreTrainedConfig=SimpleNamespace(from_pretrained=lambda folder: config),
        get_policy_class=lambda kind: QueuePolicy,
        make_pre_post_processors=lambda config, folder, preprocessor_overrides: (Same(), Same()),
        preprocess_observation=preprocess_observation,
        register_third_party_plugins=lambda: None,
        config=config,
    )
    monkeypatch.setattr(lerobot_pilot, "require", lambda module: parts)
    return parts


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The output of a training."""
    own = tmp_path / "act" / OF_A_TRAINING
    own.mkdir(parents=True)
    (own / "config.json").write_text(json.dumps({"type": "queue"}))
    (own / "model.safetensors").write_bytes(b"weights")
    return tmp_path / "act"


def observed(count: int, level: int) -> dict[str, np.ndarray]:
    pictures = np.full((count, 24, 32, 3), level, np.uint8)
    state = np.zeros((count, 10), np.float32)
    state[:, small_spec().index("speed_set_point_mps")] = 5.0
    return {"center": pictures, "state": state, "goal": np.zeros((count, 2), np.float32)}


def test_episodes_side_by_side_have_their_own_queues_and_noise(lerobot: SimpleNamespace, folder: Path) -> None:
    infos = [{"task_spec": small_spec()}]

    def flown(slots: int, slot: int, others_first: bool) -> list[np.ndarray]:
        pilot = LerobotPilot(str(lerobot_pilot.policy_folder(str(folder))), "act")
        pilot.begin(slots)
        if others_first:
            pilot.restart(0, 7)
            pilot.act(observed(1, 200), infos, np.array([0]))
        pilot.restart(slot, 2_000_000)
        both = np.arange(slots)
        return [pilot.act(observed(slots, 30 + step), infos, both).actions[slot] for step in range(4)]

    alone = flown(1, 0, False)
    beside = flown(2, 1, True)
    np.testing.assert_array_equal(alone, beside)
    assert (alone[0] == alone[1]).all() and (alone[1] != alone[2]).any()
    assert alone[0][1] == 1.0  # beyond its range, as LeRobot's environment cuts it


def test_it_is_evaluated_like_any_policy(lerobot: SimpleNamespace, folder: Path, tmp_path: Path) -> None:
    target = f"lerobot:{folder}"
    entrant = make_entrant(target, TASKS.get("drone"))
    assert (entrant.name, entrant.width, entrant.height) == ("act", 32, 24)
    assert policy_names((target,)) == ["act"] and not network_acted(target)
    evaluate(EvaluateConfig((target,), str(tmp_path / "out"), episodes=2, workers=1))
    assert len(read_outcomes(tmp_path / "out" / "outcomes.csv")) == 2
    assert lerobot.config.pretrained_backbone_weights is None


def test_other_weights_are_another_policy(lerobot: SimpleNamespace, folder: Path) -> None:
    before = make_entrant(f"lerobot:{folder}", TASKS.get("drone")).fingerprint
    (folder / OF_A_TRAINING / "model.safetensors").write_bytes(b"others")
    assert make_entrant(f"lerobot:{folder}", TASKS.get("drone")).fingerprint != before


def test_a_policy_of_ours_brings_its_task(lerobot: SimpleNamespace, folder: Path) -> None:
    lerobot.config.task_spec = json.dumps(small_spec().to_dict())
    assert make_entrant(f"lerobot:{folder}", TASKS.get("drone")).spec == small_spec()
    with pytest.raises(LerobotError, match=r"trained for the task 'drone', not for 'drive'"):
        make_entrant(f"lerobot:{folder}", TASKS.get("drive"))


def test_what_cannot_fly_here_is_refused(lerobot: SimpleNamespace, folder: Path, tmp_path: Path) -> None:
    drone = TASKS.get("drone")
    with pytest.raises(LerobotError, match=r"no config\.json and model\.safetensors; name the output folder"):
        make_entrant(f"lerobot:{tmp_path}", drone)
    (folder / OF_A_TRAINING / "model.safetensors").write_bytes(b"damaged")
    with pytest.raises(LerobotError, match=r"cannot load the policy .* of type 'queue': HeaderTooLarge$"):
        make_entrant(f"lerobot:{folder}", drone)
    (folder / OF_A_TRAINING / "model.safetensors").write_bytes(b"weights")
    lerobot.config.output_features["action"].shape = (7,)
    with pytest.raises(LerobotError, match=r"acts by \(7,\) numbers"):
        make_entrant(f"lerobot:{folder}", drone)
    lerobot.config.input_features["observation.images.wrist"] = SimpleNamespace(shape=(3, 24, 32))
    with pytest.raises(LerobotError, match=r"needs observation\.images\.wrist; what is seen here: "):
        make_entrant(f"lerobot:{folder}", drone)


def test_a_state_of_another_size_is_told(lerobot: SimpleNamespace, folder: Path) -> None:
    lerobot.config.input_features["observation.state"].shape = (9,)
    pilot = LerobotPilot(str(lerobot_pilot.policy_folder(str(folder))), "act")
    pilot.begin(1)
    with pytest.raises(LerobotError, match=r"learned from observation\.state of 9 numbers, and here are 10"):
        pilot.act(observed(1, 0), [{"task_spec": small_spec()}], np.array([0]))


def test_without_lerobot_it_is_told_what_to_install(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "lerobot", None)
    with pytest.raises(MissingExtraError, match=r'lerobot is not installed.*pip install "forestpilot\[lerobot\]"'):
        make_entrant(f"lerobot:{folder}", TASKS.get("drone"))
