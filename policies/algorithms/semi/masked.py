"""Masked autoencoding: the policy's encoder learns from videos to draw what is hidden of a picture.

As He et al. 2022 (arXiv:2111.06377): patches of a picture are hidden, and a small decoder, which is thrown away
afterwards, draws them from what the encoder makes of the rest; the loss is that of the hidden patches alone, each in
units of its own spread. Unlike there the encoder is the policy's own, a convolutional one, which reads the whole view
with grey where patches are hidden, and the decoder sees nothing but the features that the policy will act on, so that
every registered encoder can be pretrained, all of it. No label is read, nor what was done.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from forestpilot.data_collection.episodes.dataset import Dataset
from forestpilot.data_collection.episodes.episode import load_episode
from forestpilot.data_collection.windows.augmentation import augment
from forestpilot.data_collection.windows.batch import Batch
from forestpilot.policies.algorithms.rounds import round_folder
from forestpilot.policies.algorithms.semi.config import MaskedConfig
from forestpilot.policies.algorithms.semi.method import Given, Method, Setting
from forestpilot.policies.networks.checkpoint import CheckpointError, load_state, load_tensors, save_state
from forestpilot.policies.networks.threads import torch_threads
from forestpilot.policies.networks.views import OUTSIDE_GREY
from forestpilot.policies.networks.visuomotor import VisuomotorPolicy
from forestpilot.sim.errors import InvalidArgumentError

FILE = "encoder.safetensors"
LEAST_SPREAD = 4.0
"""Grey levels by which a patch is taken to vary at least: the sky's noise is not blown up."""
WARMUP = 0.15
"""Share of the steps in which the learning rate rises."""
READ = ("encoder.", "goal_encoder.")
"""Parts of a policy that are pretrained."""


class Seen(NamedTuple):
    """N frames as the policy sees them."""

    views: NDArray[np.uint8]
    """(N, C, h, w, 3)."""
    state: NDArray[np.float32]
    """(N, S)."""
    goal: NDArray[np.float32]
    """(N, G)."""


class Masked(Method[MaskedConfig]):
    """The encoder is pretrained on videos; the policy is then fitted to the labelled episodes alone."""

    Config = MaskedConfig
    learns_beside = False

    def __init__(self, config: MaskedConfig, setting: Setting) -> None:
        super().__init__(config, setting)
        self._encoder: dict[str, Tensor] = {}
        if setting.policy.goal_encoder.reads_picture:
            raise InvalidArgumentError(
                "the method masked pretrains on frames, and goals here are pictures of their own"
            )

    def learn(self, given: Given) -> dict[str, float]:
        """Learn the encoder, in the first round; a policy that begins anew in a later one begins with the same."""
        source = given.first_folder
        if self.config.encoder:
            source = round_folder(Path(self.config.encoder), 0) / source.name
        if given.round or self.config.encoder or (source / FILE).exists():
            try:
                self._encoder, figures = load_state(source / FILE)
                return {name: float(value) for name, value in figures.items()}
            except CheckpointError as error:
                if self.config.encoder:
                    raise
                self.setting.progress.note(f"warning: {error} It is learned again")
        seen = frames_of(given.beside, self.setting.policy, self.config.most_frames, self.setting.most_bytes)
        policy = VisuomotorPolicy.seeded(self.setting.policy.config, self.setting.policy.spec, self.setting.seed)
        figures = self._pretrain(policy, seen)
        self._encoder = {name: value for name, value in policy.state_dict().items() if name.startswith(READ)}
        source.mkdir(parents=True, exist_ok=True)
        save_state(source / FILE, self._encoder, figures)
        return figures

    def begin(self, policy: VisuomotorPolicy) -> None:
        """Give a new policy the encoder that was learned."""
        rest = {name: value for name, value in policy.state_dict().items() if not name.startswith(READ)}
        load_tensors(policy, rest | self._encoder, Path(FILE))

    def _pretrain(self, policy: VisuomotorPolicy, seen: Seen) -> dict[str, float]:
        """Fit encoder and decoder; returns the mean loss over the last tenth of the steps."""
        config = self.config
        rng = np.random.default_rng([self.setting.seed, config.steps])
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.setting.seed)
            pixels = int(np.prod(seen.views.shape[1:]))
            decoder = nn.Sequential(
                nn.Linear(policy.config.features, config.width), nn.ReLU(), nn.Linear(config.width, pixels)
            )
        parameters = [*policy.encoder.parameters(), *policy.goal_encoder.parameters(), *decoder.parameters()]
        optimiser = torch.optim.AdamW(parameters, config.learning_rate, weight_decay=1e-4)
        rates = torch.optim.lr_scheduler.OneCycleLR(optimiser, config.learning_rate, config.steps + 1, pct_start=WARMUP)
        losses = []
        with torch_threads(1), self.setting.progress.stage("pretrain the encoder", config.steps) as stage:
            for _ in range(config.steps):
                loss = self._loss(policy, decoder, seen, rng)
                optimiser.zero_grad()
                loss.backward()
                optimiser.step()
                rates.step()
                losses.append(float(loss.detach()))
                stage.advance(loss=losses[-1])
        last = losses[-max(1, config.steps // 10) :]
        return {"frames": float(len(seen.views)), "loss": float(np.mean(last))}

    def _loss(self, policy: VisuomotorPolicy, decoder: nn.Module, seen: Seen, rng: np.random.Generator) -> Tensor:
        """Squared error of what is hidden of some frames, mirrored or not and in another light."""
        rows = rng.integers(len(seen.views), size=self.config.batch)
        views, state, goal = (values[rows][:, None] for values in seen)
        actions = np.zeros((len(rows), 1, 2), np.float32)
        batch = Batch(views, state, goal, actions, None, np.ones((len(rows), 1), np.bool_))
        batch = augment(batch, policy.spec, rng, flip=True, jitter=True, fresh_noise=False)
        hidden = torch.from_numpy(hidden_pixels(batch.views[:, 0], self.config.patch, self.config.hidden, rng))
        true = torch.from_numpy(batch.views)
        shown = true.masked_fill(hidden[:, None, ..., None], OUTSIDE_GREY)
        features = policy.encode(shown, torch.from_numpy(batch.state), torch.from_numpy(batch.goal))
        drawn = decoder(features[:, 0]).view(true[:, 0].shape)
        off = (drawn - in_own_units(true[:, 0].float(), self.config.patch)).square().mean(-1)
        return (off * hidden).sum() / hidden.sum()


def frames_of(datasets: Sequence[Dataset], policy: VisuomotorPolicy, most: int, most_bytes: int) -> Seen:
    """Frames of all episodes, evenly spread: every one, or every second (third, ...) where there are more than `most`.

    Raises:
        InvalidArgumentError: they take more memory than they may.
    """
    headers = [header for dataset in datasets for header in dataset.episodes]
    every = -(-sum(header.num_steps + 1 for header in headers) // most)
    view = policy.config.view
    needed = min(most, sum(h.num_steps + 1 for h in headers)) * len(policy.camera_names) * view.height * view.width * 3
    if needed > most_bytes:
        raise InvalidArgumentError(
            f"the frames of {len(headers)} videos take {needed / 1e9:.1f} GB, and they may take {most_bytes / 1e9:g} "
            "(--train.cache-gb); give that more room, or a smaller --method.most-frames"
        )
    parts = []
    for header in headers:
        observations = load_episode(header.path, policy.observation_keys).observations
        some = {key: values[::every] for key, values in observations.items()}
        parts.append((policy.views_of(some), some["state"].astype(np.float32), some["goal"].astype(np.float32)))
    return Seen(*(np.concatenate(values) for values in zip(*parts)))


def hidden_pixels(views: NDArray[np.uint8], patch: int, share: float, rng: np.random.Generator) -> NDArray[np.bool_]:
    """(N, C, h, w) bool: which pixels of views (N, C, h, w, 3) are hidden, in whole patches."""
    *cameras, height, width, _ = views.shape
    rows, columns = -(-height // patch), -(-width // patch)
    patches = rng.random((*cameras, rows, columns)) < share
    return patches.repeat(patch, -2).repeat(patch, -1)[..., :height, :width]


def in_own_units(views: Tensor, patch: int) -> Tensor:
    """Views (N, C, h, w, 3) float32 less the mean of each patch, over its spread (He et al. 2022, section 3)."""
    images = views.flatten(0, 1).permute(0, 3, 1, 2)
    mean, square = (_patch_means(values, patch) for values in (images, images.square()))
    own = (images - mean) / (square - mean.square()).clamp_min(0).sqrt().clamp_min(LEAST_SPREAD)
    return own.permute(0, 2, 3, 1).view(views.shape)


def _patch_means(images: Tensor, patch: int) -> Tensor:
    """Mean of each patch of images (N, 3, h, w), at each of its pixels."""
    height, width = images.shape[-2:]
    means = nn.functional.avg_pool2d(images, patch, ceil_mode=True, count_include_pad=False)
    return means.repeat_interleave(patch, -2).repeat_interleave(patch, -1)[..., :height, :width]
