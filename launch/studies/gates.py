"""Which states are worth a label? Five ways to spend the same number of labels on a drone that learns to fly.

All arms begin with the same demonstrations, and then get the same number of labels in every round:

    plain         the learner flies, every state is labelled (DAgger: Ross et al. 2011)
    beta          the same, but the expert flies a share 0.5^i of the steps of round i
    expert        the expert takes over when its costs say so, a stand-in for a human; only what it flew is labelled
                  (HG-DAgger: Kelly et al. 2019)
    uncertainty   the learner flies, states at which an ensemble disagrees are labelled (active DAgger)
    budget        the expert takes over where the ensemble disagrees most; only what it flew is labelled
                  (the idea of ThriftyDAgger: Hoque et al. 2021)

In the last two the ensemble is of three policies, so three times the gradient steps; the first of them flies. A label
weighs the same wherever it stands. The measure: success on test forests. What a label costs differs: a whole flight
under the expert's eyes, or a few seconds at the sticks. So the study also counts the states visited, the steps that the
expert flew, the changes of pilot, and the crashes.

15 runs of 5 rounds: about 35 minutes on two cores.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from forestpilot.data_collection.episodes.config_fields import not_the_result
from forestpilot.data_collection.rollouts.gates.budget import BudgetGateConfig
from forestpilot.data_collection.rollouts.gates.expert import ExpertGateConfig
from forestpilot.data_collection.rollouts.gates.uncertainty import UncertaintyGateConfig
from forestpilot.data_collection.rollouts.scenarios import ScenarioMix
from forestpilot.launch.reading.study_results import Panel, StudyResult
from forestpilot.launch.studies.cells import LEAST_TO_LARGEST, Cell, cells_at, make_points, seed_range
from forestpilot.launch.studies.forests import fly, success_panel
from forestpilot.launch.studies.rounds import RoundsArm, RoundsStudy
from forestpilot.launch.studies.statistics import BOOTSTRAP_NOTE, paired_difference
from forestpilot.launch.studies.study import Bench, StudyConfig
from forestpilot.policies.algorithms.dagger.config import DaggerConfig
from forestpilot.policies.algorithms.rounds import round_folder
from forestpilot.policies.evaluation.evaluate import EvaluateConfig
from forestpilot.policies.training.train_config import TrainConfig
from forestpilot.sim.ranges import EPISODES, SPEEDS_MPS, STEPS, Range
from forestpilot.sim.tasks.drone import DroneOptions

TASK = "drone"
PLAIN = RoundsArm("plain", "the learner flies, every state is labelled")
FIGURES = ("visited", "intervention_steps", "takeovers", "mean_takeover_s", "context_switches", "crashes")
"""What is kept of `RoundResult` for every cell."""


@dataclass(frozen=True)
class Config(StudyConfig):
    """Success by number of labels: every state labelled, or those at which somebody takes over, or is unsure."""

    out: str = not_the_result("runs/study-gates")
    """Run folder; the same command goes on where it was interrupted."""
    rounds: Annotated[int, Range(1, 10_000)] = 4
    """Rounds after the first, which every arm begins with: cloning of the expert."""
    demonstrations: Annotated[int, EPISODES] = 20
    """Flights of the expert in round 0."""
    labels: Annotated[int, Range(1, 1_000_000_000)] = 800
    """Labels in each later round."""
    episodes: Annotated[int, EPISODES] = 120
    """Flights over which the arm `budget` means to spend a round's labels; every arm flies on until they are spent."""
    most_episodes: Annotated[int, EPISODES] = 160
    """Flights after which a round ends even if its labels are not spent."""
    density: Annotated[float, Range(0, 0.25)] = 0.04
    """Trees per square metre."""
    speed: Annotated[float, SPEEDS_MPS] = 5.0
    """Speed set point in m/s."""
    test_worlds: Annotated[int, Range(2, 1_000_000)] = 60
    """Test forests that every policy flies through."""
    first_steps: Annotated[int, STEPS] = 800
    """Gradient steps in round 0; later rounds have train.steps."""
    expert: ExpertGateConfig = ExpertGateConfig()
    """The gate of the arm `expert`."""
    uncertainty: UncertaintyGateConfig = UncertaintyGateConfig()
    """The gate of the arm `uncertainty`."""
    budget: BudgetGateConfig = BudgetGateConfig()
    """The gate of the arm `budget`."""
    train: TrainConfig = field(default_factory=lambda: TrainConfig(steps=400, tensorboard=False))
    """How each round is trained; data, out and seed are set by the study."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.require_training_worlds(self.demonstrations + self.rounds * self.most_episodes)

    def mix(self) -> ScenarioMix:
        """The training forests."""
        return ScenarioMix(speeds=(self.speed, self.speed), options=DroneOptions(density=(self.density,)))


class Gates(RoundsStudy[Config]):
    """Gates, by round: success, and what it cost."""

    name = "gates"
    question = "Which states are worth a label?"
    minutes = 35
    full = Config()
    quick = Config(
        out="runs/study-gates-quick",
        seeds=2,
        rounds=1,
        demonstrations=2,
        labels=60,
        episodes=2,
        most_episodes=8,
        test_worlds=4,
        first_steps=40,
        train=TrainConfig(steps=20, batch_windows=8, tensorboard=False),
    )

    def arms(self) -> Sequence[RoundsArm]:
        """Plain DAgger, and four other ways to spend labels."""
        config = self.config
        return (
            PLAIN,
            RoundsArm("beta", "the expert flies 0.5^i of round i", {"beta": "exponential", "beta_decay": 0.5}),
            RoundsArm("expert", "the expert takes over when its costs say so", {"gate": config.expert}),
            RoundsArm(
                "uncertainty", "states at which an ensemble disagrees are labelled", {"gate": config.uncertainty}
            ),
            RoundsArm("budget", "the expert takes over where the ensemble disagrees most", {"gate": config.budget}),
        )

    def xs(self) -> Sequence[float]:
        """Numbers of the rounds."""
        return range(self.config.rounds + 1)

    def dagger(self, folder: Path, arm: RoundsArm, seed: int) -> DaggerConfig:
        """The run of one arm and seed: demonstrations, labels and gradient steps are the same in every arm."""
        config = self.config
        steps = config.train.steps
        return DaggerConfig(
            out=str(folder),
            task=TASK,
            seed=seed,
            first_world=config.first_world(seed),
            rounds=config.rounds,
            expert_episodes=config.demonstrations,
            episodes=config.episodes,
            label_budget=config.labels * config.rounds,
            most_episodes=config.most_episodes,
            first_steps=config.first_steps,
            steps=steps,
            last_steps=steps,
            validation_episodes=1,
            validate_from=config.rounds,
            train=config.train,
            mix=config.mix(),
            workers=config.workers,
            **arm.settings,
        )

    def run_cell(self, arm: RoundsArm, x: float, seed: int, bench: Bench) -> Cell:
        """Run the loop (once for an arm and seed), and fly the policy of one round through the test forests."""
        number = int(x)
        result = self.rounds(arm, seed, bench)[number]
        run = self.run_folder(arm, seed, bench)
        evaluation = EvaluateConfig(
            policy=(f"{arm.name}={round_folder(run, number)}",),
            out=str(run / "evaluations" / f"round-{number:02d}"),
            task=TASK,
            episodes=self.config.test_worlds,
            speed=self.config.speed,
            options=DroneOptions(density=(self.config.density,)),
            workers=self.config.workers,
        )
        figures = {name: float(getattr(result, name)) for name in FIGURES}
        return Cell(arm.name, number, seed, fly(evaluation, bench), result.labels, figures)

    def summarise(self, cells: Sequence[Cell]) -> StudyResult:
        """Success of each arm and round, and what it cost; the differences after the last round."""
        config = self.config
        last = cells_at(cells, config.rounds)
        return StudyResult(
            title=f"{config.labels} labels a round after {config.demonstrations} demonstrations, {config.speed:g} m/s",
            x_label="DAgger round",
            log_x=False,
            panels=(success_panel(cells), *(counted.panel(cells) for counted in COUNTED)),
            notes=(
                BOOTSTRAP_NOTE.format(worlds="forests").replace("intervals", "intervals of success", 1)
                + "; with few seeds they are too narrow. Counts: mean of the training seeds, from the least to the "
                "largest; flights are flown eight at a time and counted whole",
                *_short_of_labels(config, last),
                *_differences(last, self.arms()),
            ),
        )


@dataclass(frozen=True)
class Counted:
    """A figure that was counted while the policies were trained."""

    name: str
    """Name of the figure."""
    label: str
    """Text of the y axis."""
    meaning: str
    """A sentence on what is counted."""
    count: Callable[[Cell], float]
    """Takes a cell to the figure."""

    def panel(self, cells: Sequence[Cell]) -> Panel:
        """Its diagram."""
        points = make_points(cells, lambda group: seed_range(group, self.count))
        return Panel(self.name, self.label, points, self.meaning, bars=LEAST_TO_LARGEST)


COUNTED = (
    Counted(
        "labels",
        "labels so far",
        "States that the expert was asked about.",
        lambda cell: float(cell.labels),
    ),
    Counted(
        "visited",
        "states visited, thousands",
        "States seen in training, labelled or not.",
        lambda cell: cell.figures["visited"] / 1000,
    ),
    Counted(
        "intervention_steps",
        "steps flown by the expert",
        "Steps that the expert flew itself.",
        lambda cell: cell.figures["intervention_steps"],
    ),
    Counted(
        "context_switches",
        "changes of pilot",
        "How often the pilot changed in mid-episode.",
        lambda cell: cell.figures["context_switches"],
    ),
    Counted(
        "crashes",
        "crashes while training",
        "Training episodes that ended in a crash.",
        lambda cell: cell.figures["crashes"],
    ),
)
"""Figures beside success, in the order of the diagrams."""


def _short_of_labels(config: Config, last: Sequence[Cell]) -> list[str]:
    """A sentence on the runs that did not come to all their labels; none if all did."""
    plain = {cell.seed: cell.labels for cell in last if cell.arm == PLAIN.name}
    short = []
    for cell in last:
        missing = plain.get(cell.seed, 0) - cell.labels
        if missing > 0:
            short.append(f"{cell.arm} (seed {cell.seed}: {missing} fewer)")
    if not short:
        return []
    return [f"fewer labels than plain within {config.most_episodes} flights a round: {', '.join(short)}"]


def _differences(last: Sequence[Cell], arms: Sequence[RoundsArm]) -> list[str]:
    """Sentences on the differences in success to plain DAgger after the last round; none for a single seed."""
    sentences = []
    for arm in arms:
        if arm == PLAIN:
            continue
        paired = paired_difference(last, PLAIN.name, arm.name, lambda cell: 100 * float(cell.column("success").mean()))
        if paired is None:
            continue
        (mean, low, high), seeds = paired
        sentences.append(
            f"{arm.name} against {PLAIN.name}: {mean:+.1f} points of success ({low:+.1f} to {high:+.1f}; paired t "
            f"interval over {seeds} training seeds on these forests), after the last round"
        )
    return sentences
