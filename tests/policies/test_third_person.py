"""Third-person imitation: of the videos nothing is read but what the other camera saw, and the policy sees by the
embedding of both views."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from forestpilot.data_collection.episodes.dataset import Dataset, DatasetError
from forestpilot.data_collection.episodes.episode import load_episode
from forestpilot.data_collection.rollouts.collect import CollectConfig, collect
from forestpilot.policies.algorithms.bco.config import InverseConfig
from forestpilot.policies.algorithms.third_person.config import TOLD, ThirdPersonConfig
from forestpilot.policies.algorithms.third_person.loop import ThirdPerson
from forestpilot.policies.embeddings.options import MultiViewConfig
from forestpilot.policies.embeddings.stored import load_embedding
from forestpilot.policies.networks.checkpoint import load_policy
from forestpilot.policies.networks.encoders.options import EmbeddingConfig, EmbeddingShape
from forestpilot.policies.networks.heads.options import MixtureConfig
from forestpilot.sim.errors import InvalidArgumentError
from forestpilot.sim.viewpoints.chase import ChaseConfig
from forestpilot.sim.viewpoints.side import SideConfig
from forestpilot.sim.viewpoints.viewpoint import VehicleViewConfig
from tests.policies.test_dagger import TINY_MIX, TINY_POLICY, TINY_TRAIN

ENCODER = EmbeddingConfig(frozen=True, shape=EmbeddingShape((4, 8, 8), features=16, size=8, frames=2))
TRAIN = dataclasses.replace(
    TINY_TRAIN,
    side_labels="none",
    policy=dataclasses.replace(TINY_POLICY, encoder=ENCODER, state_inputs=TOLD, head=MixtureConfig()),
)


def tiny(out: Path, **changes: object) -> ThirdPersonConfig:
    values = {
        "rounds": 1, "expert_episodes": 0, "episodes": 2, "alpha": 0.5, "first_steps": 4, "last_steps": 4,
        "validation_episodes": 1, "workers": 1, "mix": TINY_MIX, "train": TRAIN, "embedding_steps": 2,
        "inverse": InverseConfig("pictures", steps=4, batch=16), "first_world": 100,
        "embedder": MultiViewConfig(episodes=2, moments=4),
    }  # fmt: skip
    return ThirdPersonConfig(out=str(out), **{**values, **changes})


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """Two flights, filmed from behind; with actions, which are not to be read."""
    out = str(tmp_path_factory.mktemp("filmed") / "data")
    return collect(CollectConfig(out, episodes=2, workers=1, mix=TINY_MIX, viewpoint=ChaseConfig()))


@pytest.fixture(scope="module")
def run(videos: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run."""
    out = tmp_path_factory.mktemp("third-person") / "run"
    ThirdPerson(tiny(out, demonstrations=(str(videos.folder),))).run()
    return out


def test_nothing_of_a_video_is_read_but_what_the_other_camera_saw(run: Path, videos: Dataset, tmp_path: Path) -> None:
    scrambled = Dataset.create(tmp_path / "scrambled", videos.task_spec, videos.env_id)
    spec = videos.task_spec
    for header in videos.episodes:
        episode = load_episode(header.path)
        seen = dict(episode.observations)
        for camera in ("left", "center", "right"):
            seen[camera] = np.random.default_rng(0).integers(0, 255, seen[camera].shape, np.uint8)
        seen["state"] = seen["state"] + np.where(np.isin(spec.state_names, TOLD), 0, 1).astype(np.float32)
        scrambled.add(dataclasses.replace(episode, observations=seen, actions=-episode.actions))
    ThirdPerson(tiny(tmp_path / "run", demonstrations=(str(scrambled.folder),))).run()
    ours, theirs = (load_policy(folder).state_dict() for folder in (run, tmp_path / "run"))
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_what_is_learned_from_is_the_other_cameras_picture_and_what_is_told(run: Path, videos: Dataset) -> None:
    spec = videos.task_spec
    for header, filmed in zip(Dataset.open(run / "inferred" / "round-01").episodes, videos.episodes, strict=True):
        learned, true = load_episode(header.path), load_episode(filmed.path)
        assert set(learned.observations) == {"center", "state", "goal"}
        np.testing.assert_array_equal(learned.observations["center"], true.observations["view_chase"])
        told = spec.index(TOLD[0])
        np.testing.assert_array_equal(learned.observations["state"][:, told], true.observations["state"][:, told])
        assert not np.delete(learned.observations["state"], told, axis=1).any()
        assert not np.array_equal(learned.actions, true.actions) and learned.labelled_steps.all()


def test_the_policy_sees_by_the_embedding_of_its_round(run: Path) -> None:
    for number in (0, 1):
        folder = run / "rounds" / f"round-{number:02d}"
        embedding = load_embedding(folder / "embedding")[0].frame.state_dict()
        policy = load_policy(folder).encoder.embedding.state_dict()
        assert all(torch.equal(embedding[name], policy[name]) for name in embedding)
    own = load_episode(Dataset.open(run / "dataset").episodes[0].path)
    assert {"center", "view_chase"} <= set(own.observations)


def test_pixels_and_the_own_view_go_without_an_embedding(videos: Dataset, tmp_path: Path) -> None:
    pixels = dataclasses.replace(TRAIN, policy=dataclasses.replace(TRAIN.policy, encoder=TINY_POLICY.encoder))
    config = tiny(
        tmp_path / "run", train=pixels, viewpoint=VehicleViewConfig(), alpha=0.0, demonstrations=(str(videos.folder),)
    )
    ThirdPerson(config).run()
    assert not list((tmp_path / "run").glob("rounds/*/embedding"))
    learned = load_episode(Dataset.open(tmp_path / "run" / "inferred" / "round-00").episodes[0].path)
    true = load_episode(videos.episodes[0].path)
    np.testing.assert_array_equal(learned.observations["center"], true.observations["center"])


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"inverse": InverseConfig("all")}, "nothing but pictures can be read"),
        ({"train": dataclasses.replace(TRAIN, policy=dataclasses.replace(TRAIN.policy, state_inputs=()))}, "is told"),
        ({"train": dataclasses.replace(TRAIN, side_labels="geometric")}, "are of one camera"),
        ({"retrain": False}, "retrain is off"),
        ({"motion": "slow"}, "motion is 'slow'"),
    ],
)
def test_what_cannot_be_is_refused(tmp_path: Path, changes: dict[str, object], told: str) -> None:
    with pytest.raises(InvalidArgumentError, match=told):
        tiny(tmp_path, demonstrations=("x",), **changes)


def test_videos_from_elsewhere_are_refused(videos: Dataset, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="was not filmed from the viewpoint side; it has view_chase"):
        ThirdPerson(tiny(tmp_path / "run", viewpoint=SideConfig(), demonstrations=(str(videos.folder),)))
