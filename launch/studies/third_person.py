"""Can one learn to fly from films of somebody else, taken by a camera that one will never look through?

The expert is filmed, and nobody records what it does. A learner goes blindly to the goal, with random turns (with
`--rounds 1` then also by its own policy), and is filmed as well, while its own camera looks ahead. From that it infers
what was done in the films, and clones it:

    chase-multi    filmed from behind; policies see by an embedding in which both views of a moment are the same point,
                   learned from the learner's own flights (multi-view TCN, Sermanet et al. 2018)
    chase-pixels   filmed from behind; policies learn from these pictures as they are, and fly on their own camera's
    chase-tuned    begins with the embedding of chase-multi, and learns it on with the policy from the films' pictures
    first-person   the films are of the expert's own camera: nothing has to be carried over
    chase-single   as chase-multi, with an embedding learned from each view by itself (single-view TCN)
    tower-multi    filmed from a place that stands still, seen by a multi-view embedding
    tower-pixels   the same films as they are
    chase-reward   goes on from chase-multi by PPO (extra `forestpilot[rl]`): a step is rewarded by how much nearer it
                   comes, by the embedding, to where the nearest film went on to (Sermanet et al. 2018)

Theory: a policy is of use where what it reads is distributed as it was in training (covariate shift, here of the
camera). An embedding on which both cameras agree takes that shift away, as far as it is the same; whether it keeps what
flying needs is another question. A tower sees little of the way, and nothing of what the drone has ahead.

All inverse models read five pictures of the film in a row, and nothing else; policies read direction to the goal and
speed set point beside the picture, and no other state. Blind flight knows as much without the picture. Arms of the same
viewpoint have the same own flights, and so the same inverse model: it is learned once.

The measures: success on the same test forests; the time-alignment error of the embedding on the expert's flights in
validation forests, beside that of raw pixels; how much of the variance of the speed a linear probe reads there from
what the embedding's trunks read of the own view; how far the inferred turns are off on own flights that were not
learned from.

24 policies: about 30 minutes on two cores.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Annotated

import numpy as np

from forestpilot.data_collection.episodes.config_fields import not_the_result
from forestpilot.data_collection.episodes.dataset import Dataset
from forestpilot.data_collection.rollouts.pilots import ExpertPilot
from forestpilot.data_collection.rollouts.pool import Job
from forestpilot.data_collection.rollouts.scenarios import ScenarioMix, task_spec_of
from forestpilot.launch.reading.study_results import Curve, Panel, StudyResult
from forestpilot.launch.studies.cells import (
    LEAST_TO_LARGEST,
    Cell,
    figure_range,
    group_by_arm_and_x,
    make_points,
    stack,
)
from forestpilot.launch.studies.forests import TASK, crossing, fly, success_panel
from forestpilot.launch.studies.statistics import BOOTSTRAP_NOTE, difference_words, mean_interval
from forestpilot.launch.studies.study import WORLDS_PER_SEED, Bench, Study, StudyConfig
from forestpilot.launch.studies.third_person_arms import ARMS, PAIRS, ThirdPersonArm, copy_missing
from forestpilot.policies.algorithms.bco.config import InverseConfig
from forestpilot.policies.algorithms.third_person.config import TOLD, ThirdPersonConfig, of_films
from forestpilot.policies.embeddings.options import OWN_VIEW, MultiViewConfig
from forestpilot.policies.networks.config import PolicyConfig
from forestpilot.policies.networks.encoders.options import EmbeddingConfig, PatchConfig
from forestpilot.policies.networks.heads.options import MixtureConfig
from forestpilot.policies.reinforcement.adversaries.options import EmbeddingRewardConfig
from forestpilot.policies.reinforcement.options import PPOConfig
from forestpilot.policies.training.train_config import TrainConfig
from forestpilot.sim.ranges import EPISODES, ROUNDS, SPEEDS_MPS, STEPS, Range
from forestpilot.sim.seeds import seeds_of
from forestpilot.sim.tasks import TASKS
from forestpilot.sim.tasks.drone import DroneOptions
from forestpilot.sim.viewpoints.viewpoint import view_key

SPEED = "forward_mps"
"""What the linear probe is asked for."""
SHARED = ("dataset", "rounds/round-00/inverse")
"""What of a run is the same in all arms of a viewpoint, where nobody moves by a policy: own flights, inverse model."""
EMBEDDING = "rounds/round-00/embedding"
"""What is then also the same in arms with the same embedder."""


MEASURES = {
    "alignment": (
        "alignment error, % of the length",
        "How far apart in time moments of the own view and of the film are that are the nearest to one another, by "
        "points of the embedding; in arms without one by raw pixels.",
    ),
    "speed_r2": (
        "speed read by a linear probe, R$^2$",
        "Share of the variance of the speed that a linear probe reads from what the embedding's trunks read of the own "
        "view; in arms without embedding from raw pixels.",
    ),
    "turn_error_deg": (
        "inferred turn off by, degrees",
        "Mean distance of inferred turns from what was done, on every fifth own flight, which was not learned from.",
    ),
}
"""Figures of cells: label and meaning."""


def _training(steps: int) -> TrainConfig:
    policy = PolicyConfig(encoder=EmbeddingConfig(frozen=True), state_inputs=TOLD, head=MixtureConfig())
    return TrainConfig(policy=policy, steps=steps, side_labels="none", tensorboard=False)


@dataclass(frozen=True)
class Config(StudyConfig):
    """Third-person imitation: from where the expert is filmed, and how what is seen is carried over."""

    out: str = not_the_result("runs/study-third-person")
    """Run folder; the same command goes on where it was interrupted."""
    videos: Annotated[int, EPISODES] = 80
    """Films of the expert's flights."""
    own: Annotated[int, Range(2, 100_000)] = 80
    """Own flights, blind and at random, and in each later round by the policy so far."""
    rounds: Annotated[int, ROUNDS] = 0
    """Rounds after the first, in which the learner moves by its own policy."""
    inverse: InverseConfig = field(default_factory=lambda: dataclasses.replace(of_films(), steps=500))
    """The inverse model."""
    embedding_steps: Annotated[int, STEPS] = 500
    """Gradient steps of an embedding."""
    ppo: PPOConfig = PPOConfig(warm_up=4, learning_rate=3e-4)
    """How the arm learns that is rewarded."""
    reward_rounds: Annotated[int, Range(1, 1000)] = 2
    """Its rounds."""
    reward_steps: Annotated[int, STEPS] = 5_120
    """Its steps in the environment, in each of them."""
    density: Annotated[float, Range(0, 0.25)] = 0.04
    """Trees per square metre."""
    speeds: Annotated[tuple[float, float], SPEEDS_MPS] = (2.0, 6.0)
    """Least and largest speed set point of films and own flights in m/s."""
    speed: Annotated[float, SPEEDS_MPS] = 3.0
    """Speed set point on test forests in m/s."""
    held_out: Annotated[int, EPISODES] = 15
    """Flights of the expert's through validation forests, on which embeddings are checked."""
    validation_worlds: Annotated[int, EPISODES] = 15
    """Validation forests by which a round is chosen."""
    test_worlds: Annotated[int, Range(2, 1_000_000)] = 60
    """Test forests that every policy flies through."""
    first_steps: Annotated[int, STEPS] = 200
    """Gradient steps of a policy in round 0."""
    steps: Annotated[int, STEPS] = 800
    """Gradient steps in the last round, and in those between."""
    train: TrainConfig = field(default_factory=lambda: _training(800))
    """How each policy is trained; data, out, seed, steps and the encoder of arms without embedding are set by the
    study."""

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "speeds", tuple(self.speeds))
        self.mix().complete(TASKS.get(TASK))
        self.require_training_worlds(self.videos + (1 + self.rounds) * self.own)

    def mix(self) -> ScenarioMix:
        """The forests, and the speeds of films and own flights."""
        return ScenarioMix(speeds=self.speeds, options=DroneOptions(density=(self.density,)))


class ThirdPersonStudy(Study[Config, ThirdPersonArm]):
    """Imitation from somebody else's camera."""

    name = "third-person"
    question = "Can one learn to fly from films of somebody else, taken by a camera that one will never look through?"
    minutes = 30
    full = Config()
    quick = Config(
        out="runs/study-third-person-quick",
        seeds=1,
        videos=2,
        own=2,
        inverse=dataclasses.replace(of_films(), steps=4, batch=16),
        embedding_steps=2,
        ppo=PPOConfig(environments=4, rollout=16, batch=32),
        reward_rounds=1,
        reward_steps=64,
        held_out=2,
        validation_worlds=1,
        test_worlds=2,
        first_steps=2,
        steps=4,
        train=dataclasses.replace(_training(4), batch_windows=8),
    )

    def arms(self) -> Sequence[ThirdPersonArm]:
        """From where the expert is filmed, and how policies see."""
        return ARMS

    def xs(self) -> Sequence[float]:
        """The number of films."""
        return (self.config.videos,)

    def run_cell(self, arm: ThirdPersonArm, x: float, seed: int, bench: Bench) -> Cell:
        """Film, move, learn, check the embedding along validation flights, fly in test forests."""
        from forestpilot.policies.algorithms.third_person.loop import ThirdPerson
        from forestpilot.policies.networks.checkpoint import describe_policy

        run = self._run_of(arm, seed, bench)
        films = self._filmed(f"films-{arm.viewpoint.part}-seed-{seed}", self._worlds(seed), arm, bench)
        told: dict[str, float] = {}
        if arm.goes_on_from:
            self._reward(arm, seed, films, run, bench)
        else:
            self._take_shared(arm, seed, bench)
            algorithm = ThirdPerson(self.learning(arm, seed, (str(films.folder),), run), bench.progress)
            last = algorithm.run(bench.pool, shard_pool=bench.shards)[-1].round
            figures = describe_policy(algorithm.member_folder(last))["extra"]["figures"]
            told = {"turn_error_deg": figures["inverse_turn_error_deg"], "turn_r2": figures["inverse_turn_r2"]}
            if arm.viewpoint.third_person:
                told |= self._checked(arm, algorithm.embedding_folder(last) if arm.embedder else None, run, bench)
        blind = fly(crossing(self.config, "blind", bench.folder / "blind"), bench)
        rows = fly(crossing(self.config, f"policy={run}", run / "evaluation"), bench)
        rows = [{**own, "blind": other["success"]} for own, other in zip(rows, blind, strict=True)]
        return Cell(arm.name, x, seed, rows, films.total_steps, told)

    def learning(self, arm: ThirdPersonArm, seed: int, films: tuple[str, ...], out: Path) -> ThirdPersonConfig:
        """How an arm learns from films."""
        config = self.config
        train = config.train
        encoder = PatchConfig() if arm.embedder is None else train.policy.encoder
        if not arm.frozen:
            encoder = dataclasses.replace(encoder, frozen=False)  # type: ignore[call-arg]
        train = dataclasses.replace(train, policy=dataclasses.replace(train.policy, encoder=encoder))
        return ThirdPersonConfig(
            out=str(out),
            task=TASK,
            seed=seed,
            first_world=config.first_world(seed) + WORLDS_PER_SEED // 2,
            rounds=config.rounds,
            viewpoint=arm.viewpoint,
            embedder=arm.embedder or MultiViewConfig(),
            embedding_steps=config.embedding_steps,
            expert_episodes=0,
            demonstrations=films,
            episodes=config.own,
            alpha=1.0 if config.rounds else 0.0,
            first_steps=config.first_steps if config.rounds else config.steps,
            steps=config.steps,
            last_steps=config.steps,
            validation_episodes=config.validation_worlds,
            mix=config.mix(),
            train=train,
            inverse=config.inverse,
            workers=config.workers,
        )

    def _run_of(self, arm: ThirdPersonArm, seed: int, bench: Bench) -> Path:
        """Run folder of an arm's policy."""
        return bench.folder / "policies" / f"{arm.name}-seed-{seed}"

    def _take_shared(self, arm: ThirdPersonArm, seed: int, bench: Bench) -> None:
        """Copy what a finished arm of the same viewpoint has come to and this one would come to as well."""
        from forestpilot.policies.networks.checkpoint import is_whole

        if self.config.rounds:
            return
        run = self._run_of(arm, seed, bench)
        for other in ARMS:
            source = self._run_of(other, seed, bench)
            if other.viewpoint != arm.viewpoint or other.goes_on_from or other == arm or not is_whole(source):
                continue
            copy_missing(source, run, (*SHARED, EMBEDDING) if other.embedder == arm.embedder else SHARED)

    def _reward(self, arm: ThirdPersonArm, seed: int, films: Dataset, run: Path, bench: Bench) -> None:
        """Go on from the policy of the arm before by the reward of the embedding's distance to the films."""
        from forestpilot.policies.algorithms.adversarial.config import AdversarialConfig
        from forestpilot.policies.algorithms.adversarial.loop import Adversarial

        config = self.config
        start = self._run_of(next(other for other in ARMS if other.name == arm.goes_on_from), seed, bench)
        rounds = sorted((start / "rounds").glob("round-*/embedding"))
        view = view_key(arm.viewpoint.part)
        learning = AdversarialConfig(
            out=str(run),
            task=TASK,
            seed=seed,
            first_world=config.first_world(seed) + WORLDS_PER_SEED // 2 + (1 + config.rounds) * config.own,
            start=str(start),
            adversary=EmbeddingRewardConfig(films=(str(films.folder),), view=view, run=str(rounds[-1])),
            method=config.ppo,
            rounds=config.reward_rounds,
            steps=config.reward_steps,
            validation_episodes=config.validation_worlds,
            mix=config.mix(),
            workers=config.workers,
        )
        Adversarial(learning, bench.progress).run(bench.pool, shard_pool=bench.shards)

    def _worlds(self, seed: int) -> list[int]:
        """Training worlds of the films."""
        return seeds_of("train", self.config.videos, self.config.first_world(seed))

    def _filmed(self, name: str, worlds: Sequence[int], arm: ThirdPersonArm, bench: Bench) -> Dataset:
        """The expert's flights through some worlds, filmed from an arm's viewpoint; recorded where they are not yet."""
        task = TASKS.get(TASK)
        mix = self.config.mix()
        folder = bench.folder / "films" / name
        dataset = Dataset.create(folder, task_spec_of(task, mix), task.bare_env_id)
        missing = [world for world in worlds if not dataset.has(0, world)]
        if missing:
            scenarios = tuple(mix.scenario(world, task) for world in missing)
            job = Job(TASK, scenarios, ExpertPilot, str(folder), actions=False, viewpoint=arm.viewpoint)
            bench.pool.run(job, bench.progress, "film the expert")
            dataset.refresh()
        return dataset

    def _checked(self, arm: ThirdPersonArm, folder: Path | None, run: Path, bench: Bench) -> dict[str, float]:
        """Alignment error and probe of an arm's embedding, or of raw pixels, on the expert's flights in validation
        forests; the probe is fitted to own flights."""
        from forestpilot.policies.embeddings.checks import (
            MOST_ROWS,
            Targets,
            alignment_error,
            embedded,
            features_of,
            probe,
            raw_pixels,
        )
        from forestpilot.policies.embeddings.recordings import read_recordings
        from forestpilot.policies.embeddings.stored import load_embedding
        from forestpilot.policies.networks.views import ViewPreparer

        name = f"held-out-{arm.viewpoint.part}"
        held_out = self._filmed(name, seeds_of("validation", self.config.held_out), arm, bench)
        own = Dataset.open(run / "dataset")
        prepare = ViewPreparer(own.task_spec, self.config.train.policy.view)
        views = (OWN_VIEW, view_key(arm.viewpoint.part))
        learned, seen = (read_recordings([data], views, prepare) for data in (own, held_out))
        frames = EmbeddingConfig().shape.frames
        most: int | None = MOST_ROWS
        points = read_by = raw_pixels(frames)
        if folder is not None:
            embedding = load_embedding(folder)[0]
            points, read_by = embedded(embedding), features_of(embedding)
            frames, most = embedding.shape.frames, None
        read = probe(read_by, learned, seen, Targets(own.task_spec, frames, most))
        alignment = float(np.mean([alignment_error(each, points) for each in seen]))
        return {"alignment": 100 * alignment, "speed_r2": read.get(SPEED, 0.0)}

    def summarise(self, cells: Sequence[Cell]) -> StudyResult:
        """Success beside blind flight, what embeddings came to, and the differences between arms."""
        config = self.config
        share = 100 * float(stack([cell for cell in cells if cell.arm == ARMS[0].name], "blind").mean())
        across = (-0.4, len(ARMS) - 0.6)
        success = dataclasses.replace(success_panel(cells), curves=(Curve("blind flight", across, (share, share)),))
        panels = [success]
        for key, (label, meaning) in MEASURES.items():
            points = make_points([cell for cell in cells if key in cell.figures], partial(figure_range, key))
            panels.append(Panel(key, label, points, meaning, bars=LEAST_TO_LARGEST))
        return StudyResult(
            title=f"Third-person imitation, {config.videos} films, 1 tree per {1 / config.density:g} m2, "
            f"{config.speed:g} m/s",
            x_label="films of the expert's flights",
            log_x=False,
            panels=tuple(panels),
            notes=(
                BOOTSTRAP_NOTE.format(worlds="forests") + "; differences are paired by seed and forest",
                *differences(cells),
            ),
        )


def differences(cells: Sequence[Cell]) -> list[str]:
    """Sentences on success against blind flight, and between arms; paired by seed and forest."""
    by_arm = {group[0].arm: group for group in group_by_arm_and_x(cells)}
    sentences = []
    for arm, group in by_arm.items():
        gain = stack(group, "success") - stack(group, "blind")
        sentences.append(f"{arm} against blind flight: {difference_words(mean_interval(100 * gain))} points of success")
    for first, second in PAIRS:
        gain = stack(by_arm[second], "success") - stack(by_arm[first], "success")
        sentences.append(f"{second} against {first}: {difference_words(mean_interval(100 * gain))} points of success")
    return sentences
