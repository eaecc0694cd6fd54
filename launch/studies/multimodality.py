"""What does cloning make of several right answers?

Rows of trunks stand across the way, with 2, 3 or 5 gaps, and the `undecided` demonstrator takes any of them: at the
same place it goes left in one flight and right in the next. Ten policies learn from the same flights, with the same
number of gradient steps; they differ in their heads:

    regression   the mean of all answers
    gaussian     a normal distribution; acts on its mean
    mixture-2    two normal distributions (Bishop 1994); acts on the likeliest
    mixture-5    five of them
    mixture-20   twenty of them
    categorical  a probability for each bin of turn
    cvae         a latent says which answer (Sohn et al. 2015; Zhao et al. 2023)
    diffusion    denoises the answer (Chi et al. 2023)
    flow         moves noise to the answer (Liu et al. 2023)
    turn-costs   the planner's cost of each turn, not its action

The three that draw their answers draw several, and act on the one that has most others near it (Pearce et al. 2023).

Theory: the answer with the least squared error is the mean of the demonstrations, and between two gaps that is a trunk.
A gaussian has the same mean. A mixture can hold as many answers as it has components, the others any number; costs
stay cheap on both sides of a trunk, and their mean is dear in the middle.

The measures: success on test forests, all in all and by number of gaps; of all flights, those that crashed into a trunk
that had stood straight ahead a second before; how many of the right answers a policy uses, from one (0 %) to all of
them equally often (100 %); the log-likelihood of held-out demonstrators' turns, the same way for all heads, under draws
from the policy of which each stands for a narrow normal distribution; and how long a step of one flight takes.

60 policies: about 25 minutes on two cores.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray

from forestpilot.data_collection.episodes.config_fields import not_the_result
from forestpilot.data_collection.episodes.dataset import Dataset
from forestpilot.data_collection.episodes.migration import episodes_folder
from forestpilot.data_collection.rollouts.results import result_path
from forestpilot.data_collection.rollouts.scenarios import ScenarioMix
from forestpilot.launch.reading.study_results import Interval, Panel, StudyResult
from forestpilot.launch.studies.answers import flown
from forestpilot.launch.studies.cells import LEAST_TO_LARGEST, Cell, cells_at, make_points, seed_range, stack
from forestpilot.launch.studies.demonstrations import demonstrate, parts_of
from forestpilot.launch.studies.forests import success_panel
from forestpilot.launch.studies.statistics import BOOTSTRAP_NOTE, mean_interval, statistic_interval
from forestpilot.launch.studies.study import Arm, Bench, Study, StudyConfig
from forestpilot.policies.evaluation.evaluate import EvaluateConfig
from forestpilot.policies.networks.config import PolicyConfig
from forestpilot.policies.networks.heads import HeadConfig
from forestpilot.policies.networks.heads.options import (
    CategoricalConfig,
    CVAEConfig,
    DiffusionConfig,
    FlowConfig,
    GaussianConfig,
    MixtureConfig,
    RegressionConfig,
    TurnCostsConfig,
)
from forestpilot.policies.networks.memories.options import NoMemoryConfig
from forestpilot.policies.training.train_config import TrainConfig
from forestpilot.sim.errors import InvalidArgumentError
from forestpilot.sim.experts.undecided import UndecidedConfig
from forestpilot.sim.ranges import EPISODES, SPEEDS_MPS, Range
from forestpilot.sim.tasks import TASKS
from forestpilot.sim.tasks.drone import DroneOptions

TASK = "drone"
MOST_GAPS = 6
SAMPLES = 16
"""Answers that a head which draws them draws at each step, to act on the likeliest, as a mixture does."""


@dataclass(frozen=True)
class HeadArm(Arm):
    """An arm that differs from the others in its head."""

    head: HeadConfig
    """The head."""


ARMS = (
    HeadArm("regression", "the mean of all answers", RegressionConfig()),
    HeadArm("gaussian", "a normal distribution; acts on its mean", GaussianConfig()),
    HeadArm("mixture-2", "two normal distributions; acts on the likeliest", MixtureConfig(components=2)),
    HeadArm("mixture-5", "five normal distributions; acts on the likeliest", MixtureConfig(components=5)),
    HeadArm("mixture-20", "twenty normal distributions; acts on the likeliest", MixtureConfig(components=20)),
    HeadArm("categorical", "a probability for each bin of turn", CategoricalConfig()),
    HeadArm("cvae", "latents, drawn for each flight, say which answer", CVAEConfig(samples=SAMPLES)),
    HeadArm("diffusion", "denoises answers out of noise drawn for each flight", DiffusionConfig(samples=SAMPLES)),
    HeadArm("flow", "moves noise drawn for each flight to answers", FlowConfig(samples=SAMPLES)),
    HeadArm("turn-costs", "the planner's cost of each turn, not its action", TurnCostsConfig()),
)
COMPARED_WITH = ("regression", "turn-costs")
"""Arms that all others are compared with."""


def _training(steps: int) -> TrainConfig:
    """Without memory: the steps before would tell which answer this flight is giving."""
    policy = PolicyConfig(memory=NoMemoryConfig(), window=1)
    return TrainConfig(policy=policy, steps=steps, batch_windows=64, learning_rate=2e-3, tensorboard=False)


@dataclass(frozen=True)
class Config(StudyConfig):
    """Heads on demonstrations with several right answers, by number of demonstrations and of answers."""

    out: str = not_the_result("runs/study-multimodality")
    """Run folder; the same command goes on where it was interrupted."""
    demonstrations: Annotated[tuple[int, ...], EPISODES] = (16, 64)
    """Numbers of demonstrated flights, ascending; a smaller number is part of a larger one."""
    gaps: Annotated[tuple[int, ...], Range(2, MOST_GAPS)] = (2, 3, 5)
    """Numbers of gaps in the rows of trunks; demonstrations take turns, and each has test forests of its own."""
    density: Annotated[float, Range(0, 0.25)] = 0.04
    """Trees per square metre beside the rows."""
    side_cameras: str = "random"
    """Where the side cameras of the demonstrations stand, whose labels show the way back to who has drifted off:
    `random`, `fixed`, ..., as in `--mix.options.side-cameras`."""
    speed: Annotated[float, SPEEDS_MPS] = 6.0
    """Speed set point in m/s."""
    test_worlds: Annotated[int, Range(2, 1_000_000)] = 20
    """Test forests for each number of gaps, that every policy flies through."""
    held_out: Annotated[int, EPISODES] = 12
    """Demonstrated flights for each number of gaps that no policy learns from."""
    train: TrainConfig = field(default_factory=lambda: _training(3000))
    """How each policy is trained; data, out, seed and policy.head are set by the study."""

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "demonstrations", tuple(self.demonstrations))
        object.__setattr__(self, "gaps", tuple(self.gaps))
        for name in ("demonstrations", "gaps"):
            values = getattr(self, name)
            if not values or list(values) != sorted(set(values)):
                raise InvalidArgumentError(f"{name} is {values}; give at least one number, ascending, none twice")
        if min(np.diff((0, *self.demonstrations))) < len(self.gaps):
            raise InvalidArgumentError(
                f"demonstrations is {self.demonstrations}; each must be {len(self.gaps)} or more above the one before, "
                "a flight for each number of gaps"
            )
        for gaps in self.gaps:
            self.mix(gaps).complete(TASKS.get(TASK))
        # The last seed's block of worlds is for held-out demonstrations.
        self.require_training_worlds(max(self.demonstrations[-1], self.held_out) * len(self.gaps))

    def mix(self, gaps: int) -> ScenarioMix:
        """The demonstrator's forests with so many gaps."""
        options = dataclasses.replace(self.options(gaps), side_cameras=self.side_cameras)
        return ScenarioMix(speeds=(self.speed, self.speed), options=options, expert=UndecidedConfig())

    def options(self, gaps: int) -> DroneOptions:
        """What forests with so many gaps have."""
        return DroneOptions(density=(self.density,), gaps=gaps)


class Multimodality(Study[Config, HeadArm]):
    """Heads, by number of demonstrations."""

    name = "multimodality"
    question = "What does cloning make of several right answers?"
    minutes = 25
    full = Config()
    quick = Config(
        out="runs/study-multimodality-quick",
        seeds=1,
        demonstrations=(3,),
        gaps=(2, 3),
        test_worlds=2,
        held_out=1,
        train=_training(20),
    )

    def arms(self) -> Sequence[HeadArm]:
        """The heads."""
        return ARMS

    def xs(self) -> Sequence[float]:
        """Numbers of demonstrations."""
        return self.config.demonstrations

    def run_cell(self, arm: HeadArm, x: float, seed: int, bench: Bench) -> Cell:
        """Demonstrate (once for each seed), train, fly, and look at where the flights went."""
        from forestpilot.launch.studies.policy_figures import log_likelihood, step_ms  # imports torch

        config = self.config
        count = int(x)
        data = self._demonstrations(count, seed, bench)
        folder = bench.folder / "policies" / f"{arm.name}-{count}-seed-{seed}"
        training = dataclasses.replace(
            config.train,
            data=tuple(str(dataset.folder) for dataset in data),
            out=str(folder),
            seed=seed,
            policy=dataclasses.replace(config.train.policy, head=arm.head),
        )
        policy = bench.clone(training)
        rows: list[dict[str, Any]] = []
        for gaps in config.gaps:
            rows += self._fly(arm, gaps, folder, bench)
        figures = {
            "log_likelihood": log_likelihood(policy, self._held_out(bench), training),
            "step_ms": step_ms(policy),
        }
        return Cell(arm.name, count, seed, rows, sum(dataset.total_steps for dataset in data), figures)

    def _demonstrations(self, count: int, seed: int, bench: Bench) -> list[Dataset]:
        """The first `count` flights of a seed."""
        first = self.config.first_world(seed)
        kinds = self.config.gaps
        data: list[Dataset] = []
        for done, upto in parts_of(self.config.demonstrations, count):
            for number, gaps in enumerate(kinds):
                # They take turns, so that each number of gaps has as many flights as another, or one more.
                flights = len(range(done, upto)[number :: len(kinds)])
                start = first + number * self._block() + done
                data.append(self._record(f"seed-{seed}-gaps-{gaps}-from-{done}", gaps, start, flights, bench))
        return data

    def _held_out(self, bench: Bench) -> list[Dataset]:
        """Flights in worlds that are set aside for a seed that is never trained."""
        first = self.config.first_world(self.config.seeds)
        data = []
        for number, gaps in enumerate(self.config.gaps):
            start = first + number * self._block()
            data.append(self._record(f"held-out-gaps-{gaps}", gaps, start, self.config.held_out, bench))
        return data

    def _block(self) -> int:
        """Worlds set aside for one number of gaps."""
        return max(self.config.demonstrations[-1], self.config.held_out)

    def _record(self, name: str, gaps: int, first: int, flights: int, bench: Bench) -> Dataset:
        worlds = range(first, first + flights)
        return demonstrate(name, TASK, self.config.mix(gaps), worlds, self.config.workers, bench)

    def _fly(self, arm: HeadArm, gaps: int, folder: Path, bench: Bench) -> list[dict[str, Any]]:
        """One row for each test forest with so many gaps."""
        config = self.config
        out = folder / f"evaluation-{gaps}-gaps"
        evaluation = EvaluateConfig(
            policy=(f"{arm.name}={folder}",),
            out=str(out),
            task=TASK,
            episodes=config.test_worlds,
            speed=config.speed,
            options=config.options(gaps),
            workers=config.workers,
        )
        rows: list[dict[str, Any]] = []
        for row in bench.evaluate(evaluation):
            world = int(row["seed"])
            flight = flown(result_path(episodes_folder(out), arm.name, world))
            rows.append(
                {
                    "seed": world,
                    "gaps": gaps,
                    "success": int(row["success"]),
                    "crashed_ahead": int(flight.crashed_ahead),
                    "passed": flight.gaps + [0] * (MOST_GAPS - len(flight.gaps)),
                }
            )
        return rows

    def summarise(self, cells: Sequence[Cell]) -> StudyResult:
        """Success and the other figures of each head and number of demonstrations; the differences at the last."""
        config = self.config
        last = config.demonstrations[-1]
        return StudyResult(
            title=f"Rows of trunks with {', '.join(map(str, config.gaps))} gaps, {config.speed:g} m/s, cloning only",
            x_label="demonstrated flights",
            log_x=True,
            panels=tuple(_panels(cells, config)),
            notes=(
                BOOTSTRAP_NOTE.format(worlds="forests") + "; with few seeds they are too narrow. Log-likelihood and "
                "time: mean of the training seeds, from the least to the largest",
                *differences(cells_at(cells, last), last),
            ),
        )


def _panels(cells: Sequence[Cell], config: Config) -> list[Panel]:
    from forestpilot.launch.studies.policy_figures import DRAWS, KERNEL  # imports torch

    return [
        success_panel(cells),
        *(_success_with(cells, gaps) for gaps in config.gaps),
        Panel(
            "crashed_ahead",
            "crashed into what was ahead, %",
            make_points(cells, lambda group: mean_interval(100 * stack(group, "crashed_ahead"))),
            "Share of the flights that ended at a trunk that had stood straight ahead a second before.",
        ),
        Panel(
            "answers_used",
            "right answers used, %",
            make_points(cells, lambda group: _answers_used(group, config.gaps)),
            "0: always the same gap of a row; 100: each as often as another (exponential of the entropy).",
        ),
        Panel(
            "log_likelihood",
            "log-likelihood of held-out turns",
            make_points(cells, lambda group: seed_range(group, lambda cell: cell.figures["log_likelihood"])),
            f"Mean, per unit of turn; each of {DRAWS} draws from the policy stands for a normal distribution of "
            f"standard deviation {KERNEL:g}.",
            bars=LEAST_TO_LARGEST,
        ),
        Panel(
            "step_ms",
            "time of a step, ms",
            make_points(cells, lambda group: seed_range(group, lambda cell: cell.figures["step_ms"])),
            "Time of one core for one step of one flight.",
            bars=LEAST_TO_LARGEST,
        ),
    ]


def _success_with(cells: Sequence[Cell], gaps: int) -> Panel:
    """Success in the forests with so many gaps alone."""
    return Panel(
        f"success_{gaps}_gaps",
        f"success with {gaps} gaps, %",
        make_points(cells, lambda group: mean_interval(100 * _with_gaps(group, "success", gaps))),
        f"Share of the test forests with {gaps} gaps in each row that were crossed.",
    )


def _with_gaps(cells: Sequence[Cell], name: str, gaps: int) -> NDArray[np.float64]:
    """A figure of the worlds with so many gaps, (seeds, worlds) or (seeds, worlds, n)."""
    chosen = []
    for cell in cells:
        chosen.append([row[name] for row in cell.rows if row["gaps"] == gaps])
    return np.array(chosen, np.float64)


def _answers_used(cells: Sequence[Cell], kinds: Sequence[int]) -> Interval:
    """How evenly the gaps of rows are used, in percent; mean of the numbers of gaps."""
    each = np.stack([_with_gaps(cells, "passed", gaps) for gaps in kinds], axis=2)

    def evenness(means: NDArray[np.float64]) -> NDArray[np.float64]:
        """(R,) for mean counts (R, kinds * MOST_GAPS)."""
        shares = means.reshape(len(means), len(kinds), MOST_GAPS)
        shares = shares / np.maximum(shares.sum(axis=2, keepdims=True), 1e-9)
        effective = np.exp(-(shares * np.log(np.maximum(shares, 1e-9))).sum(axis=2))
        return np.asarray((100 * (effective - 1).clip(0) / (np.array(kinds) - 1)).mean(axis=1))

    return statistic_interval(each.reshape(*each.shape[:2], -1), evenness)


def differences(cells: Sequence[Cell], demonstrations: int) -> list[str]:
    """Sentences on the differences in success, paired by training seed and world.

    Args:
        cells: of one number of demonstrations.
        demonstrations: the number.
    """
    groups: dict[str, list[Cell]] = {}
    for cell in cells:
        groups.setdefault(cell.arm, []).append(cell)
    sentences = []
    for first in COMPARED_WITH:
        for arm in ARMS:
            if arm.name == first or not {first, arm.name} <= groups.keys():
                continue
            change = 100 * (stack(groups[arm.name], "success") - stack(groups[first], "success"))
            mean, low, high = mean_interval(change)
            sentences.append(
                f"{arm.name} against {first}, {demonstrations} demonstrations: {mean:+.1f} points of success "
                f"({low:+.1f} to {high:+.1f}; paired by seed and forest)"
            )
    return sentences
