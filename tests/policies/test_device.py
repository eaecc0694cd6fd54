"""What computes, and in which numbers. No GPU is at hand here: what only one can show is not shown."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch

from forestpilot.policies.algorithms.behavioural_cloning import clone
from forestpilot.policies.evaluation.evaluate import EvaluateConfig, evaluate
from forestpilot.policies.networks.device import DeviceError, device_of
from forestpilot.policies.networks.encoders import ENCODERS
from forestpilot.policies.networks.heads import HEADS
from forestpilot.policies.networks.memories import MEMORIES
from forestpilot.policies.networks.visuomotor import VisuomotorPolicy
from forestpilot.policies.training.batches import Objective, Place, draw
from forestpilot.policies.training.loop import train
from forestpilot.policies.training.ranks import Ranks
from forestpilot.policies.training.shard_pool import ShardPool, Shards, taught_on
from forestpilot.policies.training.shards import Lesson
from forestpilot.policies.training.state import DivergedError
from forestpilot.policies.training.train_config import TrainConfig
from tests.helpers.made_up import MadeUpReader, make_policy_config
from tests.helpers.specs import make_spec

NO_CUDA = pytest.mark.skipif(torch.cuda.is_available(), reason="a GPU is there")
CPU = torch.device("cpu")
META = torch.device("meta")
SETTINGS: dict[str, Any] = {"steps": 6, "batch_windows": 4, "log_every": 3, "tensorboard": False}


def trained(folder: Path, pool: ShardPool | None = None, **values: Any) -> VisuomotorPolicy:
    objective = values.pop("objective", None)
    config = TrainConfig(policy=make_policy_config(**values.pop("policy", {})), **(SETTINGS | values))
    policy = VisuomotorPolicy.seeded(config.policy, make_spec(), 0)
    train(policy, MadeUpReader(), config, folder, objective=objective, pool=pool)
    return policy


def same(first: VisuomotorPolicy, second: VisuomotorPolicy) -> bool:
    return all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))


@NO_CUDA
def test_a_device_that_is_not_there_is_told_before_anything_is_written(tmp_path: Path) -> None:
    out = tmp_path / "out"
    with pytest.raises(DeviceError, match=r"device is cuda, and torch .*; give auto, or cpu"):
        clone(TrainConfig(data=(str(tmp_path),), out=str(out), device="cuda"))
    with pytest.raises(DeviceError, match="device is mps"):
        clone(TrainConfig(data=(str(tmp_path),), out=str(out), device="mps"))
    with pytest.raises(DeviceError, match="device is cuda"):
        evaluate(EvaluateConfig(out=str(out), episodes=1, device="cuda"))
    assert not out.exists()
    assert device_of("auto") == device_of("cpu") == CPU


def test_there_must_be_a_gpu_for_every_rank(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    for name, value in {"RANK": "3", "LOCAL_RANK": "1", "WORLD_SIZE": "5"}.items():
        monkeypatch.setenv(name, value)
    assert Ranks("cuda").device == torch.device("cuda", 1), "the number on its machine, not among all"
    monkeypatch.setenv("LOCAL_RANK", "2")
    with pytest.raises(DeviceError, match="would take GPU 2 of 2"):
        Ranks("auto")


class OnDevice(ShardPool):
    """A pool that does with the CPU what it does with a GPU."""

    @contextmanager
    def teach(self, lesson: Lesson) -> Iterator[Shards]:
        with taught_on(CPU, lesson, self.threads) as shards:
            yield shards


def test_a_batch_drawn_ahead_is_the_one_that_would_have_been_drawn(tmp_path: Path) -> None:
    """The way that a GPU takes, with the CPU in its place: the same to the bit, resumed as well."""
    usual = trained(tmp_path / "usual", policy={"head": "cvae"})
    assert same(trained(tmp_path / "ahead", OnDevice(), policy={"head": "cvae"}), usual)

    class Stopped(Exception):
        pass

    def stop(steps: int) -> None:
        config = TrainConfig(policy=make_policy_config(head="cvae"), **SETTINGS, checkpoint_every=2)
        policy = VisuomotorPolicy.seeded(config.policy, make_spec(), 0)

        class Stopping(Objective):
            left = 2 * steps

            def losses(self, *args: Any) -> torch.Tensor:
                self.left -= 1
                if self.left < 0:
                    raise Stopped
                return super().losses(*args)

        with pytest.raises(Stopped):
            train(policy, MadeUpReader(), config, tmp_path / "killed", objective=Stopping(), pool=OnDevice())

    stop(3)
    assert same(trained(tmp_path / "killed", OnDevice(), policy={"head": "cvae"}, checkpoint_every=2), usual)


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_fewer_digits_learn_nearly_the_same_and_weights_keep_all(tmp_path: Path, precision: str) -> None:
    whole = trained(tmp_path / "whole")
    fewer = trained(tmp_path / "fewer", precision=precision)
    assert not same(whole, fewer)
    for first, second in zip(whole.parameters(), fewer.parameters(), strict=True):
        assert second.dtype == torch.float32
        assert torch.nn.functional.cosine_similarity(first.flatten(), second.flatten(), dim=0) > 0.99


class TooLarge(Objective):
    """Losses that fp16 cannot hold at some steps, of two shards each."""

    def __init__(self, steps: int) -> None:
        self.left = 2 * steps

    def losses(self, *args: Any) -> torch.Tensor:
        self.left -= 1
        return super().losses(*args) * (float("inf") if self.left >= 0 else 1.0)


def test_a_step_that_fp16_cannot_hold_is_left_out_and_to_learn_nothing_is_told(tmp_path: Path) -> None:
    usual = trained(tmp_path / "usual", precision="fp16")
    after = trained(tmp_path / "some", precision="fp16", objective=TooLarge(steps=1))
    assert not same(usual, after) and all(parameter.isfinite().all() for parameter in after.parameters())
    with pytest.raises(DivergedError, match="the loss is nan at step 3"):
        trained(tmp_path / "none", precision="fp16", objective=TooLarge(steps=3))


@pytest.mark.parametrize(
    "parts",
    [
        *({"head": name} for name in HEADS.names()),
        *({"memory": name} for name in MEMORIES.names()),
        *({"encoder": {"part": name}} for name in ENCODERS.names()),
    ],
    ids=str,
)
def test_nothing_stays_with_the_cpu(parts: dict[str, Any]) -> None:
    """On a device without numbers: whatever meets a tensor of the CPU there fails."""
    config = TrainConfig(policy=make_policy_config(**parts), steps=3, batch_windows=4)
    policy = VisuomotorPolicy.seeded(config.policy, make_spec(), 0)
    batch = draw(policy, MadeUpReader(), config, Place(0, 0, 0)).to(META)
    policy.to(META)
    prediction, memory = policy(batch.views, batch.state, batch.goal, shown=batch.shown)
    loss = policy.head.loss(prediction, batch.target, batch.generator)
    loss.sum().backward()
    acted = policy.head.act(prediction[:, 0], generator=batch.generator)
    for found in (loss, acted, *memory, *policy.begin(2).memory):
        assert found.device == META
