"""The training loop: it fits a policy to labels; every algorithm that learns from labels calls it.

Read on where a batch comes from (`batches`), what is computed of it (`shards`) and by which processes (`shard_pool`),
and what a step makes of that (`state`).

Exact resume: windows, flips and jitter of a shard follow from (seed, round, step, shard) alone, never from what was
drawn before. So weights, the optimizer's moments and the step number are all there is to keep, and a run that was
killed ends at the same numbers, bit for bit, as one that was not (same machine, however many processes).
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from forestpilot.data_collection.episodes.dataset import Dataset
from forestpilot.data_collection.episodes.plain import to_plain
from forestpilot.data_collection.episodes.progress import Progress, SilentProgress
from forestpilot.data_collection.episodes.seals import set_aside_if_damaged, write_sealed
from forestpilot.data_collection.windows.decoding import Submit
from forestpilot.data_collection.windows.keyframes import Keyframes
from forestpilot.data_collection.windows.windows import WindowReader
from forestpilot.policies.networks.checkpoint import CheckpointError, load_state
from forestpilot.policies.networks.visuomotor import CAMERAS, VisuomotorPolicy
from forestpilot.policies.training.batches import Objective, Reader
from forestpilot.policies.training.looks import Looks
from forestpilot.policies.training.metrics import METRICS_FILE, MetricsLog
from forestpilot.policies.training.shard_pool import ShardPool, ShardProcessError
from forestpilot.policies.training.shards import Lesson
from forestpilot.policies.training.state import TrainingState
from forestpilot.policies.training.trackers import TRACKERS, Tracker
from forestpilot.policies.training.train_config import TrainConfig
from forestpilot.sim.errors import InvalidArgumentError

STATE_FILE = "checkpoints/training.safetensors"
"""Where in the run folder an unfinished training stands."""


@dataclass(frozen=True)
class TrainResult:
    """Result of a round of training."""

    steps: int
    """Gradient steps done in this call."""
    frames_per_s: float
    """Frames (window steps, padding included) learned from per second in this call, data and augmentation included."""
    figures: dict[str, float]
    """The last row of metrics, without the speed."""


def train(
    policy: VisuomotorPolicy,
    reader: Reader,
    config: TrainConfig,
    run_folder: str | Path,
    round_number: int = 0,
    progress: Progress | None = None,
    objective: Objective | None = None,
    pool: ShardPool | None = None,
    data: Mapping[str, Any] | None = None,
    looks: Looks | None = None,
) -> TrainResult:
    """Train a policy in place, from the weights it has.

    Called again with the same arguments after a crash, it goes on from the last saved state of this round; called for
    a round that is finished, it loads the result. A new round starts a new learning-rate cycle.

    Args:
        policy: changed in place; in evaluation mode afterwards.
        reader: draws windows of `config.policy.window` steps made with `policy.prepare`. What it draws for a
            generator must not have changed since the state was saved.
        config: how.
        run_folder: where states and metrics go.
        round_number: DAgger round; its draws differ from those of other rounds.
        progress: who watches.
        objective: what is learned; by default labels, by the head's own loss.
        pool: processes that compute side by side; by default this process computes all, on one thread. Readers and
            objectives that cannot be sent to another process stay in this one.
        data: fingerprint of the episodes that the reader draws from; a state of other episodes is refused.
        looks: who looks at the policy in the middle of it; they do not change what comes out.

    Returns:
        Speed and last figures.

    Raises:
        CheckpointError: the run folder holds a damaged state, or one of another config or of other episodes.
        DivergedError: the loss is no longer a number.
        ShardProcessError: a process of the pool died; the state has been saved.
    """
    run_folder = Path(run_folder)
    progress = progress or SilentProgress()
    lesson = Lesson(policy.train(), reader, config, round_number, objective or Objective())
    state_file = run_folder / STATE_FILE
    started = time.perf_counter()
    with (pool or ShardPool()).teach(lesson) as shards:
        training = TrainingState(lesson, shards.layout, shards.weights, shards.gradients[0], state_file, data)
        first_step = training.step
        log = MetricsLog(run_folder, (round_number, first_step), tracker_of(config, run_folder), training.metrics)
        if log.note:
            progress.note(log.note)
        with (
            closing(log),
            progress.stage(f"train round {round_number}", config.steps) as stage,
            training.saved_when_left_by(ShardProcessError),
        ):
            training.metrics = log.text
            stage.advance(first_step)
            while training.step < config.steps:
                if looks is not None:
                    looks.see(training)
                is_logged = config.is_logged(training.step + 1)
                result = shards.compute(training.step, measured=is_logged)
                training.update(result.loss)
                if is_logged:
                    training.figures = result.figures | training.summary()
                    training.figures["frames_per_s"] = _rate(training.step - first_step, config, started)
                    log.write(round_number, training.step, training.total_steps, training.figures)
                    training.metrics = log.text
                    stage.advance(0, **{name: training.figures[name] for name in ("loss", "turn_error_deg")})
                if training.step % config.checkpoint_every == 0 and training.step < config.steps:
                    training.save()
                stage.advance(1)
        if training.step > first_step:
            training.finish()
    policy.eval()
    # Policies keep these figures, and the same training makes the same file, however fast it was.
    figures = {name: value for name, value in training.figures.items() if name != "frames_per_s"}
    return TrainResult(training.step - first_step, _rate(training.step - first_step, config, started), figures)


def tracker_of(config: TrainConfig, folder: Path) -> Tracker | None:
    """The tracker that is asked for; none with `--no-tensorboard`."""
    if not config.tracker:
        return None
    return TRACKERS.get(config.tracker)(folder, to_plain(config))


def mend_metrics(run_folder: Path, progress: Progress) -> None:
    """Set metrics.csv aside where it was cut or altered; write it anew as the training state knows it."""
    path = run_folder / METRICS_FILE
    aside = set_aside_if_damaged(path)
    if aside is not None:
        progress.note(f"warning: {path} was cut or altered; it is now {aside}")
    elif path.exists():
        return
    try:
        known = str(load_state(run_folder / STATE_FILE)[1].get("metrics", ""))
    except CheckpointError:
        return
    if known:
        write_sealed(path, known.encode())
        progress.note(f"{path} was written anew from {run_folder / STATE_FILE}")


def _rate(steps: int, config: TrainConfig, started: float) -> float:
    """Frames per second since the start."""
    return steps * config.batch_windows * config.policy.window / max(time.perf_counter() - started, 1e-9)


def make_reader(
    policy: VisuomotorPolicy,
    datasets: Sequence[Dataset],
    config: TrainConfig,
    workers: int = 1,
    progress: Progress | None = None,
    submit: Submit | None = None,
) -> WindowReader:
    """The reader that gives this policy the windows it trains on.

    Args:
        policy: shapes the windows.
        datasets: where they come from.
        config: how they are labelled and kept at hand.
        workers: processes that decode episodes side by side where there are many.
        progress: who watches that.
        submit: reaches processes that run already and decode then.
    """
    cameras = CAMERAS[policy.config.cameras]
    return WindowReader(
        datasets,
        policy.config.window,
        cameras,
        config.side_labels if cameras == ("center",) else "none",
        int(config.cache_gb * 1e9),
        policy.prepare,
        human_delay_s=config.human_delay,
        ahead=policy.config.chunk - 1,
        disk_cache_bytes=int(config.disk_cache_gb * 1e9),
        keep_disk_cache=config.keep_disk_cache,
        workers=workers,
        progress=progress,
        submit=submit,
        relabel=config.relabel,
        relabel_within_s=config.relabel_within,
        keyframes=Keyframes(config.keyframe_weight, config.keyframe_share),
    )


def require_costs(policy: VisuomotorPolicy, reader: WindowReader) -> None:
    """Raise ValueError where the policy's head learns from costs, and there are none."""
    if policy.head.needs_costs and not reader.has_costs:
        raise InvalidArgumentError(
            f"the {policy.config.head.part} head learns from the expert's costs, which some of these episodes lack; "
            "collect with the expert's labels, or choose another head, for example --policy.head mixture"
        )
