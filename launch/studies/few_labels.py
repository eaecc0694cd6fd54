"""How many labels do videos replace, and what are demonstrations worth of which nobody knows how good they are?

Policies learn to steer from few labelled drives of the expert's, and from many of its drives without actions, always
with the same number of gradient steps:

    cloning          the labelled drives alone
    pseudo-labels    and the videos, with actions that an inverse model of the labelled drives infers
    consistency      and the videos, of which the policy learns its own answers where it is sure (FixMatch)
    masked           the labelled drives alone, with an encoder that has learned from the videos to draw what is hidden

Theory: to tell what was done from what came of it takes fewer labels than to know what to do (Torabi et al. 2018; Baker
et al. 2022), so that few labels and many videos should come near to many labels. Consistency (Sohn et al. 2020) adds no
answer that the policy does not have; it spreads those that it has over more worlds. A pretrained encoder (He et al.
2022) has seen the worlds, and not what to do in them.

Beside that, with one number of labelled drives which are known to be good, and a heap of others, some of them the
expert's and most of them of a demonstrator that reacts late:

    heap             cloning of all of them alike
    weighted         cloning of all of them, each step weighed by a discriminator (ISW-BC, Li et al. 2023)

The measures: roads that were driven without an intervention, interventions per km, and which share of the gap in these
between few and the most labelled drives is closed; how far inferred actions are from what was done, which the study has
kept apart; and what the discriminator makes of the heap (weights.png), of which it is not told who drove.

It is on the road, for there is a gap to close: in the forest a policy that clones actions crashes where its own
mistakes lead, whatever the number of flights (`forestpilot study noise` says what mends that).

The videos are the same for all arms and training seeds; labelled drives, heap and first weights are each seed's own.
An encoder is pretrained once for each seed, for no label has a part in it.

45 policies: about 15 minutes on two cores; 27 CPU minutes.
"""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Annotated

import numpy as np

from forestpilot.data_collection.episodes.config_fields import not_the_result
from forestpilot.data_collection.episodes.dataset import Dataset
from forestpilot.data_collection.episodes.seals import read_sealed_json, write_sealed_json
from forestpilot.data_collection.rollouts.scenarios import ScenarioMix
from forestpilot.launch.reading.study_results import Panel, StudyResult
from forestpilot.launch.studies.cells import LEAST_TO_LARGEST, Cell, make_points, seed_range
from forestpilot.launch.studies.demonstrations import demonstrate, demonstrate_first
from forestpilot.launch.studies.few_labels_tables import (
    WEIGHT,
    gaps_closed,
    plot_weights,
    roads_alone,
    weighing,
    weights_in,
)
from forestpilot.launch.studies.observation import filmed
from forestpilot.launch.studies.roads import (
    TASK,
    RoadStudyConfig,
    drive_test_roads,
    interventions_per_km,
    study_training,
)
from forestpilot.launch.studies.statistics import BOOTSTRAP_NOTE
from forestpilot.launch.studies.study import WORLDS_PER_SEED, Arm, Bench, Place, Study
from forestpilot.policies.algorithms.bco.config import InverseConfig
from forestpilot.policies.algorithms.semi import MethodConfig
from forestpilot.policies.algorithms.semi.config import (
    ConsistencyConfig,
    MaskedConfig,
    PseudoLabelsConfig,
    SemiConfig,
    WeightedConfig,
)
from forestpilot.policies.training.train_config import TrainConfig
from forestpilot.sim.errors import InvalidArgumentError
from forestpilot.sim.experts.config import ExpertConfig
from forestpilot.sim.experts.late import LateConfig
from forestpilot.sim.ranges import EPISODES, SHARE, STEPS, Range
from forestpilot.sim.registry import part_of

NOTE = BOOTSTRAP_NOTE.format(worlds="roads") + ", or Poisson's where that is wider; differences are paired by both"
VIDEOS_FROM = WORLDS_PER_SEED // 2
"""Among the worlds of the first training seed, where the videos begin; a seed's heap lies as far behind its labels."""


@dataclass(frozen=True)
class FewLabelsArm(Arm):
    """What is learned from besides the labelled drives."""

    method: str = ""
    """Which method makes something of what has no labels; empty for cloning."""
    heap: bool = False
    """Whether that is the heap; else it is the videos."""


ARMS = (
    FewLabelsArm("cloning", "the labelled drives alone"),
    FewLabelsArm("pseudo-labels", "and videos, with actions that are inferred", "pseudo-labels"),
    FewLabelsArm("consistency", "and videos, with the policy's own answers where it is sure", "consistency"),
    FewLabelsArm("masked", "with an encoder that was pretrained on the videos", "masked"),
    FewLabelsArm("heap", "and a heap of drives of unknown quality, all alike", heap=True),
    FewLabelsArm("weighted", "and the same heap, weighed by a discriminator", "weighted", heap=True),
)


def _training(steps: int) -> TrainConfig:
    usual = study_training(steps)
    policy = dataclasses.replace(usual.policy, window=1)
    return dataclasses.replace(usual, policy=policy, learning_rate=2e-3)


@dataclass(frozen=True)
class Config(RoadStudyConfig):
    """Cloning of few labelled drives, alone and beside videos or a heap of unknown quality, by number of drives."""

    out: str = not_the_result("runs/study-few-labels")
    """Run folder; the same command goes on where it was interrupted."""
    length: Annotated[float, Range(40, 3000)] = 100.0
    """Length of each training road in metres."""
    labels: Annotated[tuple[int, ...], EPISODES] = (4, 8, 16, 64)
    """Numbers of labelled drives; with the largest one there is cloning alone."""
    videos: Annotated[int, EPISODES] = 256
    """Drives without actions."""
    good: Annotated[int, Range(2, 1_000_000)] = 8
    """Labelled drives beside the heap; one of `labels`."""
    heap: Annotated[int, Range(2, 1_000_000)] = 96
    """Drives in the heap."""
    heap_good: Annotated[float, SHARE] = 0.25
    """Share of them that the expert drove."""
    others: ExpertConfig = field(default=LateConfig(delay_s=0.4), metadata=part_of("forestpilot.sim.experts:EXPERTS"))
    """Who drove the others."""
    pseudo_labels: PseudoLabelsConfig = field(
        default_factory=lambda: PseudoLabelsConfig(InverseConfig(steps=600, held_out=0.1))
    )
    """How actions are inferred."""
    consistency: ConsistencyConfig = ConsistencyConfig()
    """How sure the policy must be, and how views are spoilt."""
    masked: MaskedConfig = MaskedConfig()
    """How the encoder is pretrained."""
    weighted: WeightedConfig = WeightedConfig()
    """How the heap is weighed."""
    share: Annotated[float, Range(0, 1, above=True, below=True)] = 0.75
    """Share of each batch that comes from what has no labels."""
    steps: Annotated[int, STEPS] = 800
    """Gradient steps of each policy."""
    train: TrainConfig = field(default_factory=lambda: _training(800))
    """How each policy is trained; data, out, seed and steps are set by the study."""

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "labels", tuple(self.labels))
        if len(self.labels) < 2 or list(self.labels) != sorted(set(self.labels)):
            raise InvalidArgumentError(f"labels is {self.labels}; give two numbers at least, each once, ascending")
        if self.good not in self.labels[:-1]:
            raise InvalidArgumentError(f"good is {self.good}; give one of labels but the last, {self.labels[:-1]}")
        self.require_training_worlds(VIDEOS_FROM + self.videos + self.heap)
        if self.labels[-1] > VIDEOS_FROM:
            raise InvalidArgumentError(f"labels has {self.labels[-1]}; at most {VIDEOS_FROM}")

    def demonstrator(self, expert: ExpertConfig | None = None) -> ScenarioMix:
        """The training roads, and who drives there: by default the task's expert."""
        return self.mix() if expert is None else dataclasses.replace(self.mix(), expert=expert)

    def method(self, arm: FewLabelsArm) -> MethodConfig:
        """Options of an arm's method."""
        chosen: MethodConfig = getattr(self, arm.method.replace("-", "_"))
        return chosen


class FewLabels(Study[Config, FewLabelsArm]):
    """Few labelled drives, alone and beside others."""

    name = "few-labels"
    question = "How many labels do videos replace, and what are demonstrations of unknown quality worth?"
    minutes = 15
    full = Config()
    quick = Config(
        out="runs/study-few-labels-quick",
        seeds=2,
        labels=(2, 3),
        videos=3,
        good=2,
        heap=4,
        heap_good=0.5,
        pseudo_labels=PseudoLabelsConfig(InverseConfig(steps=10, batch=16)),
        masked=MaskedConfig(steps=5, batch=16),
        weighted=WeightedConfig(steps=3, batch=16),
        length=40.0,
        test_length=40.0,
        test_roads=2,
        steps=10,
        train=dataclasses.replace(_training(10), batch_windows=16),
    )

    def arms(self) -> Sequence[FewLabelsArm]:
        """What is learned from besides the labelled drives."""
        return ARMS

    def xs(self) -> Sequence[float]:
        """Numbers of labelled drives."""
        return self.config.labels

    def plan(self) -> list[Place[FewLabelsArm]]:
        """Every arm where it is asked: the heap beside one number of labelled drives, videos beside all but the
        largest."""
        config = self.config
        return [
            place
            for place in super().plan()
            if (place.x == config.good if place.arm.heap else not place.arm.method or place.x < config.labels[-1])
        ]

    def run_cell(self, arm: FewLabelsArm, x: float, seed: int, bench: Bench) -> Cell:
        """Demonstrate (once for each seed) and film (once), learn, drive."""
        config = self.config
        worlds = range(config.first_world(seed), config.first_world(seed) + int(x))
        labelled = demonstrate_first(f"seed-{seed}", TASK, config.mix(), worlds, config.labels, config.workers, bench)
        beside = self._heap(seed, bench) if arm.heap else []
        if arm.method and not arm.heap:
            beside = [filmed(self._watched(bench), bench.folder / "videos")]
        policy = self._policy(arm, x, seed, bench)
        figures: dict[str, float] = {}
        if arm.method:
            from forestpilot.policies.algorithms.semi.loop import Semi

            Semi(self.semi(arm, x, seed, labelled, beside, bench), bench.progress).run(
                bench.pool, shard_pool=bench.shards
            )
            figures = self._figures(arm, policy, bench)
        else:
            data = tuple(str(each.folder) for each in (*labelled, *beside))
            bench.clone(dataclasses.replace(config.train, data=data, out=str(policy), seed=seed, steps=config.steps))
        labels = sum(each.total_steps for each in labelled)
        evaluation = config.evaluation(policy, arm.name, policy / "evaluation", "line")
        return Cell(arm.name, x, seed, drive_test_roads(evaluation, bench), labels, figures)

    @staticmethod
    def _policy(arm: FewLabelsArm, x: float, seed: int, bench: Bench) -> Path:
        return bench.folder / "policies" / f"{arm.name}-{int(x)}-seed-{seed}"

    def _watched(self, bench: Bench) -> Dataset:
        """The drives that the videos are of, with what was done."""
        config = self.config
        worlds = range(VIDEOS_FROM, VIDEOS_FROM + config.videos)
        return demonstrate("videos", TASK, config.mix(), worlds, config.workers, bench)

    def _heap(self, seed: int, bench: Bench) -> list[Dataset]:
        """Drives of a seed of which nobody knows how good they are: the expert's, and the others'."""
        config = self.config
        first = config.first_world(seed) + VIDEOS_FROM + config.videos
        good = max(1, min(config.heap - 1, round(config.heap_good * config.heap)))
        parts = {"expert": (config.mix(), range(first, first + good))}
        parts[config.others.part] = (config.demonstrator(config.others), range(first + good, first + config.heap))
        return [
            demonstrate(f"heap-seed-{seed}-{name}", TASK, mix, worlds, config.workers, bench)
            for name, (mix, worlds) in parts.items()
        ]

    def semi(
        self,
        arm: FewLabelsArm,
        x: float,
        seed: int,
        labelled: Sequence[Dataset],
        beside: Sequence[Dataset],
        bench: Bench,
    ) -> SemiConfig:
        """How an arm learns from both."""
        config = self.config
        method = config.method(arm)
        if isinstance(method, MaskedConfig) and x > config.labels[0]:
            method = dataclasses.replace(method, encoder=str(self._policy(arm, config.labels[0], seed, bench)))
        return SemiConfig(
            out=str(self._policy(arm, x, seed, bench)),
            task=TASK,
            seed=seed,
            expert_episodes=0,
            demonstrations=tuple(str(each.folder) for each in labelled),
            unlabelled=tuple(str(each.folder) for each in beside),
            method=method,
            share=config.share,
            first_steps=config.steps,
            validation_episodes=1,
            mix=config.mix(),
            train=config.train,
            workers=config.workers,
        )

    def _figures(self, arm: FewLabelsArm, policy: Path, bench: Bench) -> dict[str, float]:
        """What was counted while an arm learned; the copies of the videos that it learned from then go."""
        told = policy / "figures.json"
        if not told.exists():
            figures = {}
            if arm.name == "pseudo-labels":
                figures = self._errors(policy, bench)
            elif arm.heap:
                figures = {f"{WEIGHT}{who}": float(np.mean(weights)) for who, weights in weights_in(policy).items()}
            write_sealed_json(told, figures)
        shutil.rmtree(policy / "beside", ignore_errors=True)
        return {name: float(value) for name, value in read_sealed_json(told).items()}

    def _errors(self, policy: Path, bench: Bench) -> dict[str, float]:
        """How far the inferred actions of the videos are from what was done."""
        from forestpilot.policies.algorithms.bco.inverse import errors_of
        from forestpilot.policies.algorithms.bco.loop import inferred_against

        watched = self._watched(bench)
        inferred, true = inferred_against(Dataset.open(policy / "beside" / "round-00"), [watched])
        errors = errors_of(inferred, true, watched.task_spec)
        return {"turn_error_deg": errors.turn_error_deg, "go_error": errors.go_error}

    def summarise(self, cells: Sequence[Cell]) -> StudyResult:
        """Success, errors of inferred actions, and how much of the gap each method closes."""
        config = self.config
        inferred = [cell for cell in cells if "turn_error_deg" in cell.figures]
        meaning = "Mean distance of the turns that were inferred for the videos from what the expert did."
        error = partial(seed_range, figure=lambda cell: cell.figures["turn_error_deg"])
        panels = (
            Panel(
                "success",
                "roads without an intervention, %",
                make_points(cells, roads_alone),
                "Share of the test roads that were driven to their end without an intervention.",
            ),
            Panel(
                "interventions_per_km",
                "interventions per km",
                make_points(cells, interventions_per_km),
                "How often the car was put back.",
            ),
            Panel(
                "turn_error_deg",
                "inferred turn off by, degrees",
                make_points(inferred, error),
                meaning,
                bars=LEAST_TO_LARGEST,
                x_label="labelled drives behind the inverse model",
            ),
        )
        return StudyResult(
            title=f"Few labels, {config.roads} roads at {config.speed:g} m/s",
            x_label="labelled drives",
            log_x=True,
            panels=panels,
            notes=(NOTE, *gaps_closed(cells, config.labels[-1]), *weighing(cells, config.good)),
        )

    def draw(self, result: StudyResult, folder: Path) -> list[Path]:
        """Draw the figure, and the weights of the heap."""
        drawn = super().draw(result, folder)
        runs = sorted((folder / "policies").glob("weighted-*"))
        return [*drawn, plot_weights([weights_in(run) for run in runs], folder / "weights.png")] if runs else drawn
