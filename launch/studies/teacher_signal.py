"""What should a teacher tell: its action, how it would choose among all turns, what each costs, or several of these?

Policies learn from the same episodes, with the same number of gradient steps, in the forest and on the road:

    action  regression of the expert's action
    class   the action as one of the 21 candidate turns, by cross-entropy
    soft    the expert's choice among them, softmax(-cost / T), by cross-entropy (Hinton et al. 2015; Roach: Zhang et
            al. 2021)
    costs   the expert's cost of each candidate, of which the cheapest is taken (AggreVaTe, Ross & Bagnell 2014)
    both    costs and action together: the regressed turn where it agrees with the cheapest

All learn in one weather, from flights and drives of the expert and from as many in which it acts now and then only, so
that what lies off its way is seen too; the expert labels every state. The measure: success in worlds like training's
and in others, in that weather and in any (the table of Roach: training's, new weather, new worlds, both).

Why one signal wins here and another there is asked of states that nobody has learned from. A state has two ways where
two turns cost about the same and what lies between them costs more. Shown are the expert's cost of the turn that a
policy takes, above its cheapest (what averaging left and right costs), and the difference of the two turns (how fine a
signal is where there is one way).

30 policies: about 15 minutes on two cores.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray

from forestpilot.data_collection.episodes.config_fields import not_the_result
from forestpilot.data_collection.episodes.dataset import Dataset
from forestpilot.data_collection.episodes.episode import Episode, load_episode
from forestpilot.data_collection.rollouts.pilots import ExpertPilot, PilotFactory
from forestpilot.data_collection.rollouts.pool import Job
from forestpilot.data_collection.rollouts.scenarios import ScenarioMix, task_spec_of
from forestpilot.launch.reading.study_results import Interval, Panel, Point, StudyResult
from forestpilot.launch.studies.cells import Cell, group_by_arm_and_x, stack
from forestpilot.launch.studies.grounds import Ground, WanderingFactory, forest, road
from forestpilot.launch.studies.statistics import (
    BOOTSTRAP_NOTE,
    mean_interval,
    paired_difference,
    statistic_interval,
)
from forestpilot.launch.studies.study import Arm, Bench, Study, StudyConfig
from forestpilot.policies.networks.config import PolicyConfig
from forestpilot.policies.networks.heads import HeadConfig
from forestpilot.policies.networks.heads.options import CategoricalConfig, RegressionConfig, TurnCostsConfig
from forestpilot.policies.networks.heads.signal_options import CostsAndActionConfig, SoftTurnsConfig
from forestpilot.policies.networks.memories.options import NoMemoryConfig
from forestpilot.policies.training.train_config import TrainConfig
from forestpilot.sim.outcomes import episode_return
from forestpilot.sim.ranges import EPISODES, SPEEDS_MPS, Range
from forestpilot.sim.seeds import seeds_of
from forestpilot.sim.tasks import TASKS

SETTINGS = ("training's", "new weather", "new worlds", "both new")
"""Places of the first two diagrams: worlds and weather like training's and not."""
STATES = ("forest, one way", "forest, two ways", "road, one way", "road, two ways")
"""Places of the last two."""
WAYS = ("one", "two")
CANDIDATES = 21
WORST_COST = 30.0
"""Cost above the cheapest beyond which all is equally bad, as the turn-costs head has it."""
ALIKE_COST = 0.5
"""Two turns are alike that cost no more than this apart, in the expert's units."""
BETWEEN_COST = 0.5
"""They are two ways where some turn between them costs this much more than the dearer one."""


@dataclass(frozen=True)
class SignalArm(Arm):
    """What the teacher tells."""

    head: HeadConfig
    """The head that learns it."""


def _training(steps: int) -> TrainConfig:
    policy = PolicyConfig(memory=NoMemoryConfig(), window=2)
    return TrainConfig(
        policy=policy, steps=steps, batch_windows=64, side_labels="asked", tensorboard=False, learning_rate=2e-3
    )


@dataclass(frozen=True)
class Config(StudyConfig):
    """The expert's action, its soft choice, its costs, or both: forest and road, old and new worlds and weather."""

    out: str = not_the_result("runs/study-teacher-signal")
    """Run folder; the same command goes on where it was interrupted."""
    flights: Annotated[int, EPISODES] = 48
    """Flights that each policy of the forest learns from; the expert flies half of them alone."""
    drives: Annotated[int, EPISODES] = 32
    """Drives that each policy of the road learns from, likewise."""
    beta: Annotated[float, Range(0, 1)] = 0.7
    """Probability that the expert acts at a step of the other half; otherwise whoever goes straight on does."""
    temperature: Annotated[float, Range(0, 1e6, above=True)] = 0.1
    """T of the soft choice, in the expert's units."""
    density: Annotated[float, Range(0, 0.25)] = 0.04
    """Trees per square metre."""
    new_density: Annotated[float, Range(0, 0.25)] = 1 / 15
    """Trees per square metre of the new forests, whose trunks are those of the preset loquercio."""
    flight_speed: Annotated[float, SPEEDS_MPS] = 5.0
    """Speed set point of the drone in m/s."""
    length: Annotated[float, Range(40, 3000)] = 150.0
    """Length of each road in metres; training's are easy, the new ones winding."""
    drive_speed: Annotated[float, SPEEDS_MPS] = 8.0
    """Speed set point of the car in m/s."""
    test_worlds: Annotated[int, Range(2, 100_000)] = 40
    """Test worlds of each kind for every policy, and episodes in validation worlds that it is asked about."""
    train: TrainConfig = field(default_factory=lambda: _training(1000))
    """How each policy is trained; data, out, seed and head are set by the study."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.require_training_worlds(max(self.flights, self.drives))
        for ground in self.grounds():
            for mix in ground.settings:
                mix.complete(TASKS.get(ground.task))

    def grounds(self) -> tuple[Ground, Ground]:
        """The forest and the road."""
        return (
            forest(self.flights, self.flight_speed, self.density, self.new_density),
            road(self.drives, self.drive_speed, self.length),
        )


class TeacherSignal(Study[Config, SignalArm]):
    """What the teacher tells, in the forest and on the road."""

    name = "teacher-signal"
    question = "What should a teacher tell: its action, how it would choose, what each turn costs, or both?"
    minutes = 15
    full = Config()
    quick = Config(
        out="runs/study-teacher-signal-quick",
        seeds=1,
        flights=4,
        drives=4,
        length=60.0,
        test_worlds=2,
        train=_training(15),
    )

    def arms(self) -> Sequence[SignalArm]:
        """The signals."""
        return (
            SignalArm("action", "regression of the expert's action", RegressionConfig()),
            SignalArm("class", "the action as one of the candidates", CategoricalConfig(bins=CANDIDATES)),
            SignalArm("soft", "the soft choice among the candidates", SoftTurnsConfig(self.config.temperature)),
            SignalArm("costs", "the cost of each candidate", TurnCostsConfig()),
            SignalArm("both", "costs and action together", CostsAndActionConfig()),
        )

    def xs(self) -> Sequence[float]:
        """Numbers of the grounds: 0 the forest, 1 the road."""
        return range(len(self.config.grounds()))

    def run_cell(self, arm: SignalArm, x: float, seed: int, bench: Bench) -> Cell:
        """Demonstrate (once for a ground and seed), train, ask in validation worlds, and run through test worlds."""
        config = self.config
        ground = config.grounds()[int(x)]
        first = config.first_world(seed)
        folder = bench.folder / "demonstrations" / f"{ground.name}-seed-{seed}"
        data = self.demonstrate(folder, ground, list(range(first, first + ground.episodes)), bench)
        asked_in = seeds_of("validation", config.test_worlds)
        held_out = self.demonstrate(bench.folder / "held-out" / ground.name, ground, asked_in, bench)
        policy = bench.folder / "policies" / f"{arm.name}-{ground.name}-seed-{seed}"
        shape = dataclasses.replace(config.train.policy, head=arm.head, state_inputs=ground.state_inputs)
        training = dataclasses.replace(config.train, data=(str(folder),), out=str(policy), seed=seed, policy=shape)
        bench.clone(training)
        rows = ask(policy, held_out)
        for number, mix in enumerate(ground.settings):
            for row, told in zip(rows, self.run_worlds(policy, ground, mix, bench), strict=True):
                row |= {f"{name} {number}": value for name, value in told.items()}
        return Cell(arm.name, int(x), seed, rows, data.total_steps)

    def demonstrate(self, folder: Path, ground: Ground, worlds: Sequence[int], bench: Bench) -> Dataset:
        """Episodes in these worlds, every other one of the expert alone; recorded where they are not there yet."""
        task = TASKS.get(ground.task)
        mix = ground.demonstrations
        dataset = Dataset.create(folder, task_spec_of(task, mix), task.bare_env_id)
        pilots: tuple[PilotFactory, ...] = (ExpertPilot, WanderingFactory(ground.straight_on, self.config.beta))
        for number, pilot in enumerate(pilots):
            own = [mix.scenario(world, task) for world in worlds[number :: len(pilots)]]
            missing = tuple(scenario for scenario in own if not dataset.has(0, scenario.seed))
            if missing:
                bench.pool.run(Job(ground.task, missing, pilot, dataset=str(folder)), bench.progress, "demonstrate")
        dataset.refresh()
        return dataset

    def run_worlds(self, policy: Path, ground: Ground, mix: ScenarioMix, bench: Bench) -> list[dict[str, float]]:
        """Success and return of a policy in each test world."""
        from forestpilot.policies.evaluation.pilots import PolicyFactory

        task = TASKS.get(ground.task)
        scenarios = tuple(mix.scenario(world, task) for world in seeds_of("test", self.config.test_worlds))
        rows = []
        for result in bench.pool.run(
            Job(ground.task, scenarios, PolicyFactory(str(policy), policy.name)), bench.progress
        ):
            gained = episode_return(result.outcome, result.progress_m, result.interventions)
            rows.append({"success": float(result.succeeded), "return": gained})
        return rows

    def summarise(self, cells: Sequence[Cell]) -> StudyResult:
        """Success by setting, and by kind of state what the turns that are taken cost and how far they are off."""
        arms = [arm.name for arm in self.arms()]
        panels = []
        for number, ground in enumerate(self.config.grounds()):
            panels.append(_success_panel(ground.name, [cell for cell in cells if cell.x == number], arms))
        panels.append(
            _state_panel("regret", cells, arms, 1, "expert's cost of the turn taken", "Cost above the cheapest turn's.")
        )
        panels.append(
            _state_panel("turn_error_deg", cells, arms, 2, "turn error, degrees", "Difference to the expert's turn.")
        )
        return StudyResult(
            title=f"What the teacher tells, {self.config.test_worlds} test worlds of each kind",
            x_label="place",
            log_x=False,
            panels=tuple(panels),
            notes=(
                f"Places 0 to 3: {', '.join(SETTINGS)}; of the states: {', '.join(STATES)}",
                BOOTSTRAP_NOTE.format(worlds="worlds")
                + "; with few seeds they are too narrow, the differences are not",
                *_shares(cells),
                *_differences(cells, self.config.grounds()),
            ),
        )


def ask(policy: Path, held_out: Dataset) -> list[dict[str, Any]]:
    """What a policy would do in demonstrations that it has not learned from, a row for each.

    Returns:
        `one` and `two`: states with one way and with two, the sum of the costs of the turns it takes above the
        cheapest, and the sum of the differences of the turns in degrees.
    """
    from forestpilot.policies.evaluation.offline import BATCH, follow
    from forestpilot.policies.networks.checkpoint import load_policy

    network = load_policy(policy)
    spec = network.spec
    candidates = np.array(spec.candidate_turns_rad) / spec.max_turn_rad
    rows = []
    paths = [header.path for header in held_out.episodes]
    for first in range(0, len(paths), BATCH):
        episodes = [
            load_episode(path, (*network.camera_names, "state", "goal")) for path in paths[first : first + BATCH]
        ]
        wanted = np.zeros((BATCH, max(episode.num_steps for episode in episodes), 2), np.float32)
        said, _ = follow(network, episodes, wanted)
        for episode, turns in zip(episodes, said[..., 0]):
            rows.append(_row(episode, turns[: episode.num_steps], candidates, np.degrees(spec.max_turn_rad)))
    return rows


def _row(
    episode: Episode, turns: NDArray[np.float32], candidates: NDArray[np.float64], max_turn_deg: float
) -> dict[str, Any]:
    assert episode.expert_costs is not None and episode.expert_actions is not None
    center = 1
    costs = episode.expert_costs[:, center].astype(np.float64)
    above = np.minimum(costs - costs.min(1, keepdims=True), WORST_COST)
    regret = np.array([np.interp(turn, candidates, row) for turn, row in zip(turns, above)])
    error = np.abs(turns - episode.expert_actions[:, center, 0]) * max_turn_deg
    two = has_two_ways(above)
    row: dict[str, Any] = {"seed": episode.meta.seed}
    for name, where in zip(WAYS, (~two, two)):
        row[name] = [float(where.sum()), float(regret[where].sum()), float(error[where].sum())]
    return row


def has_two_ways(above: NDArray[np.float64]) -> NDArray[np.bool_]:
    """At which states two turns cost about the same and what lies between them costs more, (T,).

    Args:
        above: (T, C) cost of each candidate above the cheapest.
    """
    cheapest = above.argmin(1)
    two = np.zeros(len(above), bool)
    for other in range(above.shape[1]):
        for state in np.flatnonzero((above[:, other] <= ALIKE_COST) & ~two):
            low, high = sorted((int(cheapest[state]), other))
            two[state] = above[state, low : high + 1].max() >= above[state, other] + BETWEEN_COST
    return two


def _groups(cells: Sequence[Cell], arms: Sequence[str]) -> dict[tuple[str, float], list[Cell]]:
    """Cells of all seeds, by arm and ground."""
    return {(group[0].arm, group[0].x): group for group in group_by_arm_and_x(cells) if group[0].arm in arms}


def _points(
    arms: Sequence[str],
    count: int,
    group_at: Callable[[str, int], list[Cell]],
    value: Callable[[list[Cell], int], Interval],
) -> list[Point]:
    """A point for each arm and place."""
    points = []
    for arm in arms:
        for place in range(count):
            group = group_at(arm, place)
            points.append(Point(arm, float(place), len(group), len(group[0].rows), value(group, place)))
    return points


def _success_panel(ground: str, cells: Sequence[Cell], arms: Sequence[str]) -> Panel:
    groups = {group[0].arm: group for group in group_by_arm_and_x(cells)}
    points = _points(
        arms,
        len(SETTINGS),
        lambda arm, place: groups[arm],
        lambda group, place: mean_interval(100 * stack(group, f"success {place}")),
    )
    meaning = f"Share of the test worlds that were crossed without help: {ground}."
    return Panel(f"success_{ground}", f"success, {ground}, %", points, meaning, places=SETTINGS)


def _state_panel(name: str, cells: Sequence[Cell], arms: Sequence[str], column: int, label: str, meaning: str) -> Panel:
    """A figure of states with one way and with two, forest and road."""
    groups = _groups(cells, arms)
    points = _points(
        arms,
        len(STATES),
        lambda arm, place: groups[arm, place // len(WAYS)],
        lambda group, place: _per_state(group, WAYS[place % len(WAYS)], column),
    )
    return Panel(name, label, points, f"{meaning} States that nobody has learned from.", places=STATES)


def _per_state(group: Sequence[Cell], way: str, column: int) -> Interval:
    """Mean over the states with so many ways, with its interval over seeds and episodes; 0 where there are none."""

    def mean(sums: NDArray[np.float64]) -> NDArray[np.float64]:
        return sums[:, column] / np.maximum(sums[:, 0], 1e-9)

    return statistic_interval(stack(group, way), mean)


def _shares(cells: Sequence[Cell]) -> list[str]:
    """A sentence on how common two ways are."""
    told = []
    for x, name in ((0, "forest"), (1, "road")):
        one, two = (sum(row[way][0] for cell in cells if cell.x == x for row in cell.rows) for way in WAYS)
        told.append(f"{100 * two / max(1.0, one + two):.1f} % of the states in the {name}")
    return [
        f"Two ways: {' and '.join(told)}; two turns at most {ALIKE_COST:g} apart with {BETWEEN_COST:g} more between"
    ]


def _differences(cells: Sequence[Cell], grounds: Sequence[Ground]) -> list[str]:
    """Sentences on the differences in success to `action`, over all settings; none for a single seed."""
    sentences = []
    for number, ground in enumerate(grounds):
        own = [cell for cell in cells if cell.x == number]
        for arm in dict.fromkeys(cell.arm for cell in own):
            paired = paired_difference(own, "action", arm, _whole_success) if arm != "action" else None
            if paired is not None:
                (mean, low, high), seeds = paired
                sentences.append(
                    f"{arm} against action, {ground.name}: {mean:+.1f} points of success ({low:+.1f} to {high:+.1f}; "
                    f"paired t interval over {seeds} training seeds), mean of the four kinds of worlds"
                )
    return sentences


def _whole_success(cell: Cell) -> float:
    return 100 * float(np.mean([cell.column(f"success {number}").mean() for number in range(len(SETTINGS))]))
