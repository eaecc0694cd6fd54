"""DAgger (Ross, Gordon & Bagnell 2011, arXiv:1011.0686): the learner acts, the expert says what it should have done.

Read from top to bottom: the config and its presets, the schedule of beta, one round, the loop. Everything a round
makes is on disk before the next step begins, so a killed run goes on in the middle of a round:

    RUN/dataset/               every trip of every round, with the expert's labels at every visited state
    RUN/rounds/round-03/       the policy after that round, its validation trips and their score
    RUN/checkpoints/           the unfinished training, to resume from
    RUN/rounds.csv             one row per round
    RUN/policy.safetensors     the round that did best on the validation worlds
"""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import torch

from data_collection.dataset import Dataset
from data_collection.files import write_new_file
from data_collection.pilots import ExpertPilot, PilotFactory
from data_collection.progress import Progress, SilentProgress
from data_collection.rollout import Job, RolloutPool
from data_collection.trips import TripMix, task_of, task_spec_of
from data_collection.windows import WindowReader
from policies.behavioural_cloning import TrainConfig, make_reader, train
from policies.checkpoint import load_policy, save_policy
from policies.intervals import wilson_interval
from policies.pilots import PolicyFactory
from policies.run_folder import NOT_THE_RESULTS, claim_run_folder
from policies.visuomotor import PolicyConfig, VisuomotorPolicy
from sim.worlds.world import seeds_of

ROUND_FIELDS = (
    "round",
    "beta",
    "trips",
    "labels",
    "rollout_success",
    "validation_success",
    "validation_episodes",
    "low",
    "high",
    "validation_interventions",
)


@dataclass(frozen=True)
class DaggerConfig:
    """Demonstrate, clone, then improve in closed loop; the same command goes on where it stopped."""

    out: str = "runs/dagger"
    """Run folder."""
    task: str = "drone"
    """Task to learn: drone or drive."""
    seed: int = 0
    """Seed of the first weights and of sampling."""
    first_world: int = 0
    """First training world; each trip takes the next one."""
    rounds: int = 6
    """DAgger rounds after the first, which is behavioural cloning of the expert."""
    expert_episodes: int = 60
    """Trips of the expert in round 0."""
    trips: int = 60
    """Trips of each later round."""
    beta: Literal["indicator", "exponential", "linear"] = "indicator"
    """Probability that the expert acts: 1 in round 0 and 0 after (indicator), decay**round, or falling linearly."""
    beta_decay: float = 0.5
    """Base of the exponential schedule."""
    beta_linear_rounds: int = 5
    """Round in which the linear schedule reaches 0."""
    first_steps: int = 1200
    """Gradient steps in round 0."""
    steps: int = 900
    """Gradient steps in each later round."""
    last_steps: int = 1800
    """Gradient steps in the last round."""
    retrain: bool = False
    """Start each round from fresh weights instead of those of the round before."""
    validation_episodes: int = 40
    """Validation worlds run to choose the checkpoint."""
    validate_from: int = 0
    """First round whose policy is run on the validation worlds; round 0 and the last one always are."""
    mix: TripMix = TripMix()
    """Worlds and speeds of training and validation."""
    train: TrainConfig = field(default_factory=TrainConfig)
    """How each round is trained; its data, out, seed and steps are set by the run."""
    workers: int = field(default_factory=lambda: os.cpu_count() or 1)
    """Number of rollout processes, and of threads in training; by default one per core."""

    def __post_init__(self) -> None:
        if self.rounds < 0 or min(self.expert_episodes, self.trips, self.first_steps, self.steps, self.last_steps) < 1:
            raise ValueError("rounds must be 0 or more; trips and steps at least 1")
        if self.validation_episodes < 1:
            raise ValueError("validation_episodes must be at least 1: the checkpoint is chosen by them")
        if not 0.0 <= self.beta_decay <= 1.0 or self.beta_linear_rounds < 1:
            raise ValueError("beta_decay must lie in 0 to 1 and beta_linear_rounds must be at least 1")
        seeds_of("train", self.expert_episodes + self.rounds * self.trips, self.first_world)

    def beta_of(self, round_number: int) -> float:
        """Probability that the expert acts in the roll-in of a round."""
        if self.beta == "indicator":
            return float(round_number == 0)
        if self.beta == "exponential":
            return self.beta_decay**round_number
        return max(0.0, 1.0 - round_number / self.beta_linear_rounds)

    def seeds(self, round_number: int) -> list[int]:
        """Training worlds of a round; no world is used twice."""
        if round_number == 0:
            return seeds_of("train", self.expert_episodes, self.first_world)
        offset = self.first_world + self.expert_episodes + (round_number - 1) * self.trips
        return seeds_of("train", self.trips, offset)

    def round_training(self, round_number: int) -> TrainConfig:
        """The training of a round."""
        last = round_number == self.rounds
        steps = self.first_steps if round_number == 0 else self.last_steps if last else self.steps
        return dataclasses.replace(self.train, out=self.out, data=(), seed=self.seed, steps=steps)


FULL_MIX = TripMix(
    presets=("default", "loquercio", "loquercio"), densities=(1 / 36, 1 / 25, 1 / 15, 1 / 12), speeds=(3.0, 12.0)
)
DRIVE_MIX = TripMix(
    presets=("winding", "winding", "junctions", "junctions", "obstacles"), speeds=(8.0, 12.0), length=300.0,
    side_cameras="random-speed", interventions="road",
)  # fmt: skip
DRIVE_POLICY = PolicyConfig(
    # Where the wheels point already is left out: who sees it learns to keep them there. So is memory, which could tell.
    memory="none", head="regression", window=1, state_inputs=("forward_mps", "speed_set_point_mps"),
    horizon_offset_px=6.0,
)  # fmt: skip
PRESETS: dict[str, DaggerConfig] = {
    "demo": DaggerConfig(),
    "full": DaggerConfig(
        rounds=64,
        first_steps=1500,
        last_steps=14000,
        validation_episodes=240,
        validate_from=61,
        mix=FULL_MIX,
        train=TrainConfig(cache_gb=6.0),
    ),
    "drive": DaggerConfig(
        task="drive",
        rounds=12,
        expert_episodes=320,
        trips=50,
        first_steps=6000,
        steps=1000,
        last_steps=8000,
        validation_episodes=40,
        validate_from=9,
        mix=DRIVE_MIX,
        train=TrainConfig(policy=DRIVE_POLICY, batch_windows=192, cache_gb=8.0),
    ),
}
"""Named starting points: `demo` takes minutes, `full` most of an hour on two cores; `drive` learns the road."""


@dataclass(frozen=True)
class RoundResult:
    """What a round came to; one row of rounds.csv."""

    round: int
    """Number of the round; 0 is behavioural cloning."""
    beta: float
    """Probability that the expert acted in its trips."""
    trips: int
    """Trips recorded so far, all rounds together."""
    labels: int
    """Labelled states so far."""
    rollout_success: float
    """Share of the round's training trips that reached the goal."""
    validation_success: float | None
    """Share of the validation worlds in which the policy after this round reached the goal; None if it was not
    run."""
    validation_episodes: int
    """Number of validation worlds run."""
    low: float | None
    """Lower end of the 95 % Wilson interval of `validation_success`."""
    high: float | None
    """Upper end."""
    validation_interventions: int = 0
    """How often a car was put back on the validation roads, by PilotNet's measure."""


def run_dagger(
    config: DaggerConfig, progress: Progress | None = None, pool: RolloutPool | None = None
) -> list[RoundResult]:
    """Run all rounds, or those that an interrupted run has left; the best policy lies in `config.out` afterwards.

    Returns:
        One result per round.

    Raises:
        ForestPilotError: the run folder belongs to another config.
    """
    progress = progress or SilentProgress()
    run = Path(config.out)
    # What cannot run is refused before it claims the folder, so that the mended command may have it.
    spec = task_spec_of(config.task, config.mix)
    policy = VisuomotorPolicy.seeded(config.train.policy, spec, config.seed)
    claim_run_folder(run, "dagger.json", config, NOT_THE_RESULTS)
    dataset = Dataset.create(run / "dataset", spec, task_of(config.task).bare_env_id)
    results: list[RoundResult] = []
    if pool is not None:
        _run_rounds(config, policy, dataset, pool, progress, results)
    else:
        with RolloutPool(config.workers) as own:
            _run_rounds(config, policy, dataset, own, progress, results)
    best = best_round(results)
    chosen = load_policy(round_folder(run, best.round))
    # Where it ran says nothing about the policy, and would travel with it.
    ran = {key: value for key, value in dataclasses.asdict(config).items() if key not in ("out", "workers")}
    save_policy(run, chosen, {"trained_by": "DAgger", "chosen": dataclasses.asdict(best), "config": ran})
    progress.note(f"round {best.round} did best on the validation worlds; its policy is {run}")
    return results


def _run_rounds(
    config: DaggerConfig,
    policy: VisuomotorPolicy,
    dataset: Dataset,
    pool: RolloutPool,
    progress: Progress,
    results: list[RoundResult],
) -> None:
    """Roll out, aggregate, train, validate; round after round."""
    run = Path(config.out)
    reader: WindowReader | None = None
    for round_number in range(config.rounds + 1):
        folder = round_folder(run, round_number)
        _roll_out_round(config, round_number, dataset, pool, progress)
        if not (folder / "policy.json").exists():
            if reader is None:
                reader = make_reader(policy, [dataset], config.train)
            reader.extend()
            progress.note(reader.describe())
            if config.retrain:
                policy = VisuomotorPolicy.seeded(config.train.policy, policy.spec, config.seed)
            elif round_number:
                policy.load_state_dict(load_policy(round_folder(run, round_number - 1)).state_dict())
            _train_round(config, round_number, policy, reader, progress)
        results.append(_score_round(config, round_number, dataset, pool, progress))
        _write_rounds(run, results)
    if reader is not None:
        reader.close()


def _roll_out_round(
    config: DaggerConfig, round_number: int, dataset: Dataset, pool: RolloutPool, progress: Progress
) -> None:
    """Record those of the round's trips that are not on disk yet."""
    trips = tuple(
        config.mix.trip(seed, config.task) for seed in config.seeds(round_number) if not dataset.has(round_number, seed)
    )
    if not trips:
        return
    beta = config.beta_of(round_number)
    pilot: PilotFactory = ExpertPilot
    if round_number:
        previous = round_folder(Path(config.out), round_number - 1)
        pilot = PolicyFactory(str(previous), f"round-{round_number - 1:02d}", beta)
    job = Job(config.task, trips, pilot, dataset=str(dataset.folder), dagger_round=round_number)
    pool.run(job, progress, f"roll out round {round_number}")
    dataset.refresh()


def _train_round(
    config: DaggerConfig, round_number: int, policy: VisuomotorPolicy, reader: WindowReader, progress: Progress
) -> None:
    """Fit the policy to all labels so far and store it."""
    torch.set_num_threads(config.workers)
    result = train(policy, reader, config.round_training(round_number), config.out, round_number, progress)
    save_policy(
        round_folder(Path(config.out), round_number), policy, {"round": round_number, "figures": result.figures}
    )


def _score_round(
    config: DaggerConfig, round_number: int, dataset: Dataset, pool: RolloutPool, progress: Progress
) -> RoundResult:
    """The round's row: its training trips, and its policy on the validation worlds."""
    folder = round_folder(Path(config.out), round_number)
    headers = [h for h in dataset.episodes if h.meta.dagger_round <= round_number]
    own = [h for h in headers if h.meta.dagger_round == round_number]
    validation = _validate(config, round_number, folder, pool, progress)
    successes, trips, interventions = validation or (0, 0, 0)
    interval: Sequence[float | None] = wilson_interval(successes, trips) if trips else (None, None)
    return RoundResult(
        round=round_number,
        beta=config.beta_of(round_number),
        trips=len(headers),
        labels=sum(h.num_steps for h in headers),
        rollout_success=sum(h.meta.outcome == "success" for h in own) / max(len(own), 1),
        validation_success=successes / trips if trips else None,
        validation_episodes=trips,
        low=interval[0],
        high=interval[1],
        validation_interventions=interventions,
    )


def _validate(
    config: DaggerConfig, round_number: int, folder: Path, pool: RolloutPool, progress: Progress
) -> tuple[int, int, int] | None:
    """(successes, trips, interventions) of the round's policy on the validation worlds; None for rounds that are not
    validated."""
    if round_number not in (0, config.rounds) and round_number < config.validate_from:
        return None
    path = folder / "validation.json"
    if path.exists():
        stored = json.loads(path.read_text())
        return stored["successes"], stored["trips"], stored["interventions"]
    mix = config.mix if config.task == "drone" else dataclasses.replace(config.mix, interventions="line")
    trips = tuple(mix.trip(seed, config.task) for seed in seeds_of("validation", config.validation_episodes))
    job = Job(config.task, trips, PolicyFactory(str(folder), folder.name))
    finished = pool.run(job, progress, f"validate round {round_number}")
    successes = sum(f.succeeded for f in finished)
    rows = [f.row(folder.name) for f in finished]
    interventions = sum(f.interventions for f in finished)
    summary = {"successes": successes, "trips": len(finished), "interventions": interventions, "rows": rows}
    write_new_file(path, [json.dumps(summary).encode()])
    return successes, len(finished), interventions


def best_round(results: Sequence[RoundResult]) -> RoundResult:
    """The round that did best on the validation worlds: the fewest interventions, then the most successes; of equals
    the later one, which has seen more."""
    validated = [r for r in results if r.validation_success is not None]
    return max(validated, key=lambda r: (-r.validation_interventions, r.validation_success, r.round))


def round_folder(run: Path, round_number: int) -> Path:
    """Where the policy of a round lies."""
    return run / "rounds" / f"round-{round_number:02d}"


def _write_rounds(run: Path, results: Sequence[RoundResult]) -> None:
    text = io.StringIO()
    writer = csv.DictWriter(text, ROUND_FIELDS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(dataclasses.asdict(r) for r in results)
    write_new_file(run / "rounds.csv", [text.getvalue().encode()])
