"""How a policy is trained: what every algorithm that fits a policy to labels is told."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Annotated

from forestpilot.data_collection.episodes.config_fields import not_the_result, of_this_machine
from forestpilot.data_collection.windows.hindsight import Relabel, require_relabel
from forestpilot.data_collection.windows.side_labels import SideLabels, require_side_labels
from forestpilot.policies.networks.config import PolicyConfig
from forestpilot.policies.networks.device import DeviceName, Precision
from forestpilot.policies.training.input_noise import InputNoiseConfig, NoInputNoiseConfig
from forestpilot.sim.errors import InvalidArgumentError
from forestpilot.sim.ranges import SEEDS, STEPS, Range, require_ranges
from forestpilot.sim.registry import name_of, part_of


@dataclass(frozen=True)
class TrainConfig:
    """Settings of a training."""

    data: tuple[str, ...] = of_this_machine(())
    """Dataset folders, or addresses of datasets that lie elsewhere (s3://..., file://..., whatever fsspec reads)."""
    out: str = not_the_result("runs/train")
    """Run folder: config, checkpoints, metrics. The same command again goes on where it was interrupted."""
    policy: PolicyConfig = dataclasses.field(default_factory=PolicyConfig)
    """The policy's shape."""
    seed: Annotated[int, SEEDS] = 0
    """Seed of the first weights, of sampling and of augmentation."""
    steps: Annotated[int, STEPS] = 3000
    """Gradient steps (of this round)."""
    batch_windows: Annotated[int, Range(1, 65_536)] = 12
    """Windows per gradient step; times policy.window this is the frames per step."""
    shards: Annotated[int, Range(1, 1024)] = 2
    """Parts of a batch that are drawn and computed each by itself, on one thread, and side by side where there are
    processes for them; how many there are does not change the result.
    """
    device: DeviceName = "cpu"
    """What computes gradients: the CPU, with as many processes as there are shards and cores; a GPU (cuda, mps), where
    the shards of a step are computed one after the other while the next step's are drawn; or the first GPU that is
    there, else the CPU (auto). The last digits differ.
    """
    precision: Precision = "float32"
    """Numbers that the network computes with while it learns; weights, losses and the optimizer stay float32. The
    others are faster on GPUs that have units for them. With fp16, steps whose gradient is too large for it are left
    out.
    """
    learning_rate: Annotated[float, Range(0, 10, above=True)] = 7e-4
    """Peak of the one-cycle learning rate."""
    warmup_fraction: Annotated[float, Range(0, 1, below=True)] = 0.15
    """Share of the steps in which the learning rate rises."""
    weight_decay: Annotated[float, Range(0, 100)] = 1e-4
    """AdamW's decoupled weight decay, on matrices and kernels, not on biases."""
    grad_clip: Annotated[float, Range(0, 1e9)] = 1.0
    """Bound of the gradient's norm; 0 for none."""
    ema_decay: Annotated[float, Range(0, 1, below=True)] = 0.0
    """Polyak averaging: share of the old average kept at each step, for example 0.999; the average is what acts. 0
    for none.
    """
    burn_in: Annotated[int, Range(0, 1024)] = 0
    """First steps of each window that only warm the memory up and are not learned from."""
    side_labels: SideLabels = "asked"
    """What is learned from the side cameras' pictures (center-camera policies only): the expert's answer at their pose
    (asked), the center's label corrected for the pose (geometric) or by one number per camera (constant), or nothing
    (none).
    """
    relabel: Relabel = "none"
    """Goals in hindsight, for data whose goals are vectors or pictures: the state that was reached becomes the goal,
    the episode's last one (final) or any after the window (future), and what was done, by whoever, is learned as the
    way there, with the costs that the expert told where it flew; none leaves goals and labels as they were told. For
    goals that are orders, told or demonstrated (orders): windows of a batch exchange them, and learn what the expert
    would have done then, so that no world can be known by the one order that it was flown by.
    """
    relabel_within: Annotated[float, Range(0, 3600)] = 0.0
    """Of relabel future: how long after the window its goal lies at most, in seconds; 0 for any time. The sooner, the
    more of what was done was done on the way there.
    """
    human_delay: Annotated[float, Range(0, 2)] = 0.0
    """How late the human drove who demonstrated or took over, in seconds: what was done so much later is learned from
    each step. `forestpilot inspect` estimates it. Labels of the expert's, and relabelled ones, stay where they are.
    """
    keyframe_weight: Annotated[float, Range(1, 1000)] = 1.0
    """How many times as often as others keyframes are drawn: steps whose label differs most from the one a step before,
    where who copies the last action is wrong (Wen et al. 2021).
    """
    keyframe_share: Annotated[float, Range(0, 1, above=True)] = 0.1
    """Share of the labelled steps that are keyframes; of no effect while keyframe_weight is 1."""
    flip: bool = True
    """Mirror half of the windows."""
    jitter: bool = True
    """Light photometric jitter of each window."""
    dropped_pictures: Annotated[float, Range(0, 1)] = 0.0
    """Share of the steps whose pictures are made black, drawn anew for every window, so that the memory learns to do
    without them; besides those that were dropped when the episodes were recorded.
    """
    noise: InputNoiseConfig = dataclasses.field(
        default=NoInputNoiseConfig(), metadata=part_of("forestpilot.policies.training.input_noise:INPUT_NOISES")
    )
    """Noise on the inputs, drawn anew in training: `none`, or `state` on the elements of the state."""
    keep_optimizer: bool = False
    """DAgger: go on with the optimizer's moments of the round before instead of fresh ones."""
    cache_gb: Annotated[float, Range(0, 100_000)] = not_the_result(1.0)
    """Bound of the window cache in memory, GB."""
    remote_gb: Annotated[float, Range(0, 1_000_000, above=True)] = 20.0
    """Bound of the copies, in the run folder, of episodes of datasets that are named by an address, GB. What is larger
    is read part by part, which changes what is drawn when."""
    disk_cache_gb: Annotated[float, Range(0, 1_000_000)] = not_the_result(20.0)
    """Bound of the decoded pictures that lie in the folder decoded/ beside each dataset while it is trained on, GB; 0
    for none. Pictures beyond it are unpacked again for each window once cache_gb are full.
    """
    keep_disk_cache: bool = not_the_result(False)
    """Leave the decoded pictures there for the next training, instead of removing them at the end."""
    checkpoint_every: Annotated[int, STEPS] = not_the_result(500)
    """Gradient steps between saved states."""
    log_every: Annotated[int, STEPS] = not_the_result(50)
    """Gradient steps between rows of metrics.csv."""
    log: str = not_the_result("tensorboard", metadata=name_of("forestpilot.policies.training.trackers:TRACKERS"))
    """Where figures are told besides metrics.csv."""
    tensorboard: bool = not_the_result(True)
    """With log tensorboard: write its events; no leaves metrics.csv alone."""

    def __post_init__(self) -> None:
        require_ranges(self)
        object.__setattr__(self, "data", tuple(self.data))
        if self.shards > self.batch_windows:
            raise InvalidArgumentError(
                f"shards is {self.shards}; allowed: 1 to batch_windows = {self.batch_windows}, for each has a window"
            )
        if self.burn_in >= self.policy.window:
            raise InvalidArgumentError(
                f"burn_in must be less than policy.window = {self.policy.window}, got {self.burn_in}"
            )
        if self.policy.chunk > self.policy.window:
            raise InvalidArgumentError(
                f"policy.chunk is {self.policy.chunk}; allowed: 1 to policy.window = {self.policy.window}, a training "
                "window's steps"
            )
        require_side_labels(self.side_labels)
        require_relabel(self.relabel)
        if self.relabel_within and self.relabel != "future":
            raise InvalidArgumentError(f"relabel_within has no effect where relabel is {self.relabel}; give future")
        by_rule = self.side_labels in ("geometric", "constant") and self.policy.cameras == "center"
        if by_rule and self.policy.needs_costs:
            raise InvalidArgumentError(
                f"side_labels is {self.side_labels}, which gives side cameras a label but no costs, and the "
                f"{self.policy.head.part} head learns from costs; choose another policy.head, for example regression, "
                "or side_labels asked"
            )

    @property
    def tracker(self) -> str:
        """Name of the tracker that is told figures; empty for none."""
        return "" if self.log == "tensorboard" and not self.tensorboard else self.log

    def windows_of(self, shard: int) -> int:
        """Windows of one part of a batch; where they do not come out even, the first parts have one more."""
        even, left = divmod(self.batch_windows, self.shards)
        return even + (shard < left)

    def is_logged(self, steps: int) -> bool:
        """True where metrics.csv gets a row after so many gradient steps of the round."""
        return steps % self.log_every == 0 or steps == self.steps

    def learning_rate_at(self, step: int) -> float:
        """One-cycle schedule (Smith & Topin 2018): a cosine up from 4 % of the peak, a cosine down to 0.1 % of it."""
        position = (step + 0.5) / self.steps
        if position < self.warmup_fraction:
            share = position / self.warmup_fraction
            return self.learning_rate * (0.04 + 0.96 * (1 - math.cos(math.pi * share)) / 2)
        share = (position - self.warmup_fraction) / (1 - self.warmup_fraction)
        return self.learning_rate * (0.001 + 0.999 * (1 + math.cos(math.pi * share)) / 2)
