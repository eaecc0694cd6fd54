"""What does a memory give where demonstrators have moods, and where pictures do not arrive?

Five policies learn from the same flights of the `moody` demonstrator, with the same number of gradient steps:

    none         the present picture only
    stacked      the features of the last frames side by side
    lstm         a recurrent state, as long as the episode
    transformer  attention over the last steps
    tcn          dilated causal convolutions over the last steps

The demonstrator flies each episode in a style of its own - the side on which it passes trunks, the distance it keeps,
its speed near them - that no single picture shows. Three rows of trunks stand across its way, each with two gaps, of
which it takes the one on its side: what it did at one row tells what it will do at the next. Theory: to who sees one
picture only, it is no function of what is seen; the best answer that such a policy can learn is the mean of all
styles, while the steps before tell the style (non-Markovian behaviour). And where a picture is missing, the steps
before are all there is.

The x axis is the share of steps whose pictures are black, in training (drawn anew for every window) as in the test
worlds and the held-out demonstrations. The measures: success on test forests; the mean difference between the policy's
turn and the demonstrator's along demonstrations in validation worlds; and the imitation gap, what the demonstrator's
flights return above the policy's through the same test worlds.

30 policies: about 30 minutes on two cores.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import numpy as np
from numpy.typing import NDArray

from forestpilot.data_collection.episodes.config_fields import not_the_result
from forestpilot.data_collection.episodes.dataset import Dataset
from forestpilot.data_collection.rollouts.scenarios import ScenarioMix
from forestpilot.launch.reading.study_results import Interval, Panel, StudyResult
from forestpilot.launch.studies.cells import Cell, cells_at, make_points, stack
from forestpilot.launch.studies.demonstrations import demonstrate, hold_out
from forestpilot.launch.studies.forests import success_panel
from forestpilot.launch.studies.gap import GAP_LABEL, GAP_MEANING, expert_returns, gap_in, gap_interval
from forestpilot.launch.studies.statistics import (
    BOOTSTRAP_NOTE,
    difference_words,
    mean_interval,
    paired_difference,
    t_interval,
)
from forestpilot.launch.studies.study import Arm, Bench, Study, StudyConfig
from forestpilot.policies.evaluation.evaluate import EvaluateConfig
from forestpilot.policies.networks.config import PolicyConfig
from forestpilot.policies.networks.heads.options import RegressionConfig
from forestpilot.policies.networks.memories import MemoryConfig
from forestpilot.policies.networks.memories.options import (
    LSTMConfig,
    NoMemoryConfig,
    StackedConfig,
    TCNConfig,
    TransformerConfig,
)
from forestpilot.policies.training.train_config import TrainConfig
from forestpilot.sim.errors import InvalidArgumentError
from forestpilot.sim.experts.config import ExpertConfig
from forestpilot.sim.experts.moody import MoodyConfig
from forestpilot.sim.ranges import EPISODES, SPEEDS_MPS, Range
from forestpilot.sim.registry import part_of
from forestpilot.sim.tasks import TASKS
from forestpilot.sim.tasks.drone import DroneOptions
from forestpilot.sim.worlds.rows import ASIDE_M

TASK = "drone"
WINDOW = 24
"""Steps of a training window; at five a second, and five metres a second, these are 24 metres of forest."""


@dataclass(frozen=True)
class MemoryArm(Arm):
    """A memory."""

    memory: MemoryConfig
    """`PolicyConfig.memory`."""


NONE = MemoryArm("none", "the present picture only", NoMemoryConfig())
ARMS = (
    NONE,
    MemoryArm("stacked", "eight frames, three steps apart, side by side", StackedConfig(frames=8, spacing=3)),
    MemoryArm("lstm", "a recurrent state, as long as the episode", LSTMConfig()),
    MemoryArm("transformer", "attention over the last 24 steps", TransformerConfig()),
    MemoryArm("tcn", "dilated causal convolutions over the last 22 steps", TCNConfig(layers=3, kernel=4)),
)


def _training(steps: int) -> TrainConfig:
    policy = PolicyConfig(window=WINDOW, head=RegressionConfig())
    return TrainConfig(policy=policy, steps=steps, batch_windows=8, learning_rate=2e-3, tensorboard=False)


@dataclass(frozen=True)
class Config(StudyConfig):
    """Memories where the demonstrator has moods, and where pictures do not arrive."""

    out: str = not_the_result("runs/study-memory")
    """Run folder; the same command goes on where it was interrupted."""
    demonstrator: ExpertConfig = field(default=MoodyConfig(), metadata=part_of("forestpilot.sim.experts:EXPERTS"))
    """Who demonstrates, and whose flights the imitation gap is counted from."""
    demonstrations: Annotated[int, EPISODES] = 128
    """Demonstrated flights of each training seed."""
    held_out: Annotated[int, EPISODES] = 24
    """Demonstrated flights in validation worlds along which the policies' turns are compared with the
    demonstrator's."""
    dropped: Annotated[tuple[float, ...], Range(0, 1)] = (0.0, 0.5)
    """Shares of the steps whose pictures are black, ascending."""
    density: Annotated[float, Range(0, 0.25)] = 0.04
    """Trees per square metre."""
    gaps: Annotated[int, Range(0, 6)] = 2
    """Gaps of each of the rows of trunks across the way; 0 for forests without rows."""
    gaps_aside: Annotated[float, Range(0, 5)] = ASIDE_M
    """The middle of a row's gaps lies this far beside the straight way at most, in metres."""
    side_cameras: str = "random-path"
    """Where the side cameras of the demonstrations stand, as in `--mix.options.side-cameras`."""
    speed: Annotated[float, SPEEDS_MPS] = 5.0
    """Speed set point in m/s."""
    control_hz: Annotated[int, Range(1, 240)] = 5
    """Actions per second; few, so that a window reaches back to the last trunk."""
    test_worlds: Annotated[int, Range(2, 1_000_000)] = 50
    """Test forests that every policy flies through."""
    train: TrainConfig = field(default_factory=lambda: _training(4500))
    """How each policy is trained; data, out, seed, dropped_pictures and policy.memory are set by the study."""

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "dropped", tuple(self.dropped))
        if not self.dropped or list(self.dropped) != sorted(set(self.dropped)):
            raise InvalidArgumentError(f"dropped is {self.dropped}; give shares, each once, ascending")
        self.mix().complete(TASKS.get(TASK))
        self.require_training_worlds(self.demonstrations)

    def options(self) -> DroneOptions:
        """The forests."""
        return DroneOptions(density=(self.density,), gaps=self.gaps, gaps_aside=self.gaps_aside)

    def mix(self, dropped: float = 0.0) -> ScenarioMix:
        """The demonstrator's flights."""
        return ScenarioMix(
            speeds=(self.speed, self.speed),
            options=dataclasses.replace(self.options(), side_cameras=self.side_cameras),
            expert=self.demonstrator,
            control_hz=self.control_hz,
            dropped_pictures=dropped,
        )


class Memories(Study[Config, MemoryArm]):
    """Memories, by the share of pictures that do not arrive."""

    name = "memory"
    question = "What does a memory give where demonstrators have moods, and where pictures do not arrive?"
    minutes = 30
    full = Config()
    quick = Config(
        out="runs/study-memory-quick",
        seeds=2,
        demonstrations=3,
        held_out=2,
        dropped=(0.0, 0.5),
        test_worlds=4,
        train=_training(15),
    )

    def arms(self) -> Sequence[MemoryArm]:
        """The memories."""
        return ARMS

    def xs(self) -> Sequence[float]:
        """Shares of the steps whose pictures are black, percent."""
        return tuple(100 * share for share in self.config.dropped)

    def run_cell(self, arm: MemoryArm, x: float, seed: int, bench: Bench) -> Cell:
        """Demonstrate (once for each seed), train, compare with held-out demonstrations, fly."""
        dropped = x / 100
        data = self._demonstrations(seed, bench)
        policy = bench.folder / "policies" / f"{arm.name}-{x:g}-seed-{seed}"
        train = self.config.train
        training = dataclasses.replace(
            train,
            data=(str(data.folder),),
            out=str(policy),
            seed=seed,
            dropped_pictures=dropped,
            policy=dataclasses.replace(train.policy, memory=arm.memory),
        )
        bench.clone(training)
        from forestpilot.policies.evaluation.offline import score_offline
        from forestpilot.policies.networks.checkpoint import load_policy

        score = score_offline(load_policy(policy), [self._held_out(dropped, bench)], arm.name)
        figures = {"turn_error_deg": score.figures["turn_error_deg"].value}
        return Cell(arm.name, x, seed, self._fly(arm, policy, dropped, bench), data.total_steps, figures)

    def _demonstrations(self, seed: int, bench: Bench) -> Dataset:
        """The flights that the policies of a seed learn from, recorded if need be."""
        config = self.config
        first = config.first_world(seed)
        worlds = range(first, first + config.demonstrations)
        return demonstrate(f"seed-{seed}", TASK, config.mix(), worlds, config.workers, bench)

    def _held_out(self, dropped: float, bench: Bench) -> Dataset:
        """Demonstrations in validation worlds, with so many pictures dropped, recorded if need be."""
        name = f"held-out/dropped-{100 * dropped:g}"
        return hold_out(name, TASK, self.config.mix(dropped), self.config.held_out, bench)

    def _fly(self, arm: MemoryArm, policy: Path, dropped: float, bench: Bench) -> list[dict[str, float]]:
        """Send a policy through the test forests; one row for each."""
        config = self.config
        evaluation = EvaluateConfig(
            policy=(f"{arm.name}={policy}",),
            out=str(policy / "evaluation"),
            task=TASK,
            episodes=config.test_worlds,
            speed=config.speed,
            options=config.options(),
            expert=config.demonstrator,
            control_hz=config.control_hz,
            dropped_pictures=dropped,
            workers=config.workers,
        )
        expert = expert_returns(dataclasses.replace(evaluation, dropped_pictures=0.0), bench)
        rows = []
        for row in bench.evaluate(evaluation):
            rows.append({"seed": int(row["seed"]), "success": int(row["success"]), "gap": gap_in(row, expert)})
        return rows

    def summarise(self, cells: Sequence[Cell]) -> StudyResult:
        """Success, difference of the turns and imitation gap; what each memory gives against none."""
        config = self.config
        return StudyResult(
            title=f"Memories, {config.demonstrations} flights of the {config.demonstrator.part} demonstrator",
            x_label="pictures dropped, %",
            log_x=False,
            panels=(
                success_panel(cells),
                Panel(
                    "turn_error_deg",
                    "difference of the turns, degrees",
                    make_points(cells, _turn_error),
                    "Mean difference from the demonstrator's turn along demonstrations in validation worlds.",
                    bars=SEEDS_NOTE,
                ),
                Panel("imitation_gap", GAP_LABEL, make_points(cells, gap_interval), GAP_MEANING),
            ),
            notes=(
                BOOTSTRAP_NOTE.format(worlds="forests") + "; differences of success are paired by seed and forest, of "
                "turns by seed (t)",
                *_differences(cells, self.xs()),
            ),
        )


SEEDS_NOTE = "95 % t interval over training seeds"


def _turn_error(cells: Sequence[Cell]) -> Interval:
    """Mean over the training seeds, in degrees."""
    errors = [cell.figures["turn_error_deg"] for cell in cells]
    if len(errors) < 2:
        return Interval(errors[0], errors[0], errors[0])
    return t_interval(errors)


def _differences(cells: Sequence[Cell], xs: Sequence[float]) -> list[str]:
    """Sentences on what each memory gives against none; none for a single seed."""
    sentences = []
    for x in xs:
        here = cells_at(cells, x)
        for arm in ARMS:
            error = paired_difference(here, NONE.name, arm.name, lambda cell: cell.figures["turn_error_deg"])
            if arm is NONE or error is None:
                continue
            gain = difference_words(mean_interval(100 * (_successes(here, arm) - _successes(here, NONE))))
            nearer = difference_words(error[0])
            sentences.append(
                f"{arm.name} against none, {x:g} % dropped: {gain} points of success, {nearer} degrees of difference "
                "from the demonstrator's turn"
            )
    return sentences


def _successes(cells: Sequence[Cell], arm: MemoryArm) -> NDArray[np.float64]:
    """(seeds, worlds) 1 where a policy of an arm crossed the forest."""
    return stack([cell for cell in cells if cell.arm == arm.name], "success")
