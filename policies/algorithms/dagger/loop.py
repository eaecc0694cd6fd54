"""DAgger (Ross, Gordon & Bagnell 2011, arXiv:1011.0686): the learner acts, the expert says what it should have done.

Read from top to bottom: all rounds, one round, its policy on the validation worlds. Who drives and what is labelled is
told in `forestpilot.policies.algorithms.dagger.roll_in`. Everything a round makes is on disk before the next step begins, so a killed run goes on in
the middle of a round:

    RUN/dataset/               every episode of every round, with labels, and who drove each step
    RUN/rounds/round-03/       the policy after that round, its validation episodes and their score
    RUN/rounds/round-03/member-1/   further policies, where an ensemble says which states to ask about
    RUN/checkpoints/           the unfinished training, to resume from (of further policies: RUN/members/)
    RUN/rounds.csv             one row per round
    RUN/policy.safetensors     the round that did best on the validation worlds
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path

from forestpilot.data_collection.episodes.config_fields import travelling_values
from forestpilot.data_collection.episodes.dataset import Dataset
from forestpilot.data_collection.episodes.episode import EpisodeHeader
from forestpilot.data_collection.episodes.files import write_new_file
from forestpilot.data_collection.rollouts.pool import Job, RolloutPool, borrowed
from forestpilot.data_collection.rollouts.progress import Progress, SilentProgress
from forestpilot.data_collection.rollouts.scenarios import task_of, task_spec_of
from forestpilot.data_collection.windows.windows import WindowReader
from forestpilot.policies.algorithms.dagger.config import PRESETS, DaggerConfig
from forestpilot.policies.algorithms.dagger.demonstrations import keep_demonstrations, open_demonstrations
from forestpilot.policies.algorithms.dagger.roll_in import RollIn, roll_out_round
from forestpilot.policies.algorithms.dagger.rounds import (
    RoundResult,
    best_round,
    count_round,
    member_folder,
    round_folder,
    write_rounds,
)
from forestpilot.policies.evaluation.intervals import wilson_interval
from forestpilot.policies.evaluation.pilots import PolicyFactory
from forestpilot.policies.networks.checkpoint import load_policy, save_policy
from forestpilot.policies.networks.threads import torch_threads
from forestpilot.policies.networks.visuomotor import VisuomotorPolicy
from forestpilot.policies.training.loop import make_reader, require_costs, train
from forestpilot.policies.training.run import Run
from forestpilot.sim.seeds import seeds_of

__all__ = ["PRESETS", "DaggerConfig", "RoundResult", "best_round", "round_folder", "run_dagger"]


def run_dagger(
    config: DaggerConfig,
    progress: Progress | None = None,
    pool: RolloutPool | None = None,
    roll_in: RollIn | None = None,
    run: Run | None = None,
) -> list[RoundResult]:
    """Run all rounds, or those that an interrupted run has left; the best policy lies in `config.out` afterwards.

    Args:
        config: what to do.
        progress: who watches.
        pool: who runs episodes; by default one is made.
        roll_in: runs episodes with a human, for the gate `human`.
        run: the run that this is a part of, claimed already; by default `config.out` is claimed for this one.

    Returns:
        One result per round.

    Raises:
        ForestPilotError: the run folder belongs to another config.
        RollInStoppedError: the human stopped in the middle of a round.
        ValueError: the gate is `human` and there is nobody; or there is nothing that the policy's head could learn.
    """
    if (config.gate == "human") != (roll_in is not None):
        raise ValueError(
            "a human takes over with the gate `human` only, and it needs one: forestpilot dagger --gate human"
        )
    progress = progress or SilentProgress()
    # What cannot run is refused before it claims the folder, so that the mended command may have it.
    spec = task_spec_of(config.task, config.mix)
    policy = VisuomotorPolicy.seeded(config.train.policy, spec, config.seed)
    demonstrations = open_demonstrations(config, policy)
    if run is None:
        run = Run.claim(config.out, "dagger", config)
    folder = run.folder
    keep_demonstrations(folder, demonstrations)
    dataset = Dataset.create(folder / "dataset", spec, task_of(config.task).bare_env_id)
    results: list[RoundResult] = []
    with borrowed(pool, config.workers) as own:
        _run_rounds(config, policy, dataset, demonstrations, own, progress, roll_in, results)
    best = best_round(results)
    chosen = load_policy(round_folder(folder, best.round))
    extra = {"trained_by": "DAgger", "chosen": dataclasses.asdict(best), "config": travelling_values(config)}
    save_policy(folder, chosen, extra)
    run.record()
    progress.note(f"round {best.round} did best on the validation worlds; its policy is {folder}")
    return results


def _run_rounds(
    config: DaggerConfig,
    policy: VisuomotorPolicy,
    dataset: Dataset,
    demonstrations: Sequence[Dataset],
    pool: RolloutPool,
    progress: Progress,
    roll_in: RollIn | None,
    results: list[RoundResult],
) -> None:
    """Roll out, aggregate, train, validate; round after round."""
    run = Path(config.out)
    reader: WindowReader | None = None
    given = [header for source in demonstrations for header in source.episodes]
    for round_number in range(config.rounds + 1):
        roll_out_round(config, round_number, dataset, pool, progress, roll_in)
        missing = [m for m in range(config.members) if not _is_trained(run, round_number, m)]
        if missing:
            if reader is None:
                reader = make_reader(policy, [dataset, *demonstrations], config.train)
            reader.extend()
            require_costs(policy, reader)
            progress.note(reader.describe())
            for member in missing:
                _train_member(config, round_number, member, policy, reader, progress)
        results.append(_score_round(config, round_number, dataset.episodes, given, pool, progress))
        write_rounds(run, results)
    if reader is not None:
        reader.close()


def _is_trained(run: Path, round_number: int, member: int) -> bool:
    return (member_folder(run, round_number, member) / "policy.json").exists()


def _train_member(
    config: DaggerConfig, round_number: int, member: int, policy: VisuomotorPolicy, reader: WindowReader,
    progress: Progress,
) -> None:  # fmt: skip
    """Fit one policy to all labels so far, from the weights of the round before, and store it."""
    run = Path(config.out)
    if config.retrain or not round_number:
        start = VisuomotorPolicy.seeded(config.train.policy, policy.spec, config.seed_of(member))
    else:
        start = load_policy(member_folder(run, round_number - 1, member))
    policy.load_state_dict(start.state_dict())
    unfinished = run / "members" / str(member) if member else run
    with torch_threads(config.workers):
        result = train(policy, reader, config.round_training(round_number, member), unfinished, round_number, progress)
    save_policy(member_folder(run, round_number, member), policy, {"round": round_number, "figures": result.figures})


def _score_round(
    config: DaggerConfig,
    round_number: int,
    headers: Sequence[EpisodeHeader],
    given: Sequence[EpisodeHeader],
    pool: RolloutPool,
    progress: Progress,
) -> RoundResult:
    """The round's row: the episodes so far, and its policy on the validation worlds."""
    validation = _validate(config, round_number, round_folder(Path(config.out), round_number), pool, progress)
    successes, episodes, interventions = validation or (0, 0, 0)
    interval: Sequence[float | None] = wilson_interval(successes, episodes) if episodes else (None, None)
    return RoundResult(
        round=round_number,
        beta=config.beta_of(round_number),
        validation_success=successes / episodes if episodes else None,
        validation_episodes=episodes,
        low=interval[0],
        high=interval[1],
        validation_interventions=interventions,
        **count_round([h for h in headers if h.meta.dagger_round <= round_number], given, round_number),
    )


def _validate(
    config: DaggerConfig, round_number: int, folder: Path, pool: RolloutPool, progress: Progress
) -> tuple[int, int, int] | None:
    """(successes, episodes, interventions) of the round's policy on the validation worlds; None for rounds that are not
    validated."""
    if round_number not in (0, config.rounds) and round_number < config.validate_from:
        return None
    path = folder / "validation.json"
    if path.exists():
        stored = json.loads(path.read_text())
        return stored["successes"], stored["episodes"], stored["interventions"]
    mix = config.mix if config.task == "drone" else dataclasses.replace(config.mix, interventions="line")
    episodes = tuple(mix.scenario(seed, config.task) for seed in seeds_of("validation", config.validation_episodes))
    job = Job(config.task, episodes, PolicyFactory(str(folder), folder.name))
    finished = pool.run(job, progress, f"validate round {round_number}")
    successes = sum(f.succeeded for f in finished)
    rows = [f.row(folder.name) for f in finished]
    interventions = sum(f.interventions for f in finished)
    summary = {"successes": successes, "episodes": len(finished), "interventions": interventions, "rows": rows}
    write_new_file(path, [json.dumps(summary).encode()])
    return successes, len(finished), interventions
