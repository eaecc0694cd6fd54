"""Do offline figures say how well a policy flies (Codevilla et al. 2018, arXiv:1809.04843)?

Many policies, better and worse ones, are asked what they would do in demonstrations of validation worlds that none of
them has learned from (accuracy, precision, recall, F1, L2, error of the turn, likelihood; see `forestpilot evaluate
--offline`), and fly through the same test worlds. If an offline figure says anything, it puts the policies in the order
of their success:

    Spearman  correlation of the two orders (Spearman 1904)
    Kendall   share of the pairs of policies that both put in the same order, less the share of the others (tau b)

Both are 1 where the orders agree, 0 where they have nothing to do with one another; errors count as negative, so that
more is better everywhere. The policies are those of other studies' run folders (`--policies`, by default what lies in
runs/). Where there are none, a spread of its own is trained: five heads, for a short, a middling and a long time.

45 policies: about 8 minutes on two cores.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray

from forestpilot.data_collection.episodes.config_fields import not_the_result, of_this_machine
from forestpilot.data_collection.episodes.dataset import Dataset
from forestpilot.data_collection.episodes.names import safe_name
from forestpilot.data_collection.episodes.seals import read_sealed_json, write_sealed_json
from forestpilot.data_collection.rollouts.scenarios import ScenarioMix, task_spec_of
from forestpilot.launch.reading.study_results import Interval, Panel, Point, StudyResult
from forestpilot.launch.studies.cells import Cell
from forestpilot.launch.studies.demonstrations import demonstrate, hold_out
from forestpilot.launch.studies.forests import fly
from forestpilot.launch.studies.rank_correlation import CORRELATIONS
from forestpilot.launch.studies.statistics import BOTH_TAILS, RESAMPLES
from forestpilot.launch.studies.study import Arm, Bench, Place, Study, StudyConfig
from forestpilot.policies.evaluation.evaluate import EvaluateConfig
from forestpilot.policies.evaluation.offline_scores import MEANINGS, THRESHOLD
from forestpilot.policies.networks.config import PolicyConfig
from forestpilot.policies.networks.heads import HeadConfig
from forestpilot.policies.networks.heads.options import (
    CategoricalConfig,
    GaussianConfig,
    MixtureConfig,
    RegressionConfig,
    TurnCostsConfig,
)
from forestpilot.policies.networks.memories.options import NoMemoryConfig
from forestpilot.policies.training.train_config import TrainConfig
from forestpilot.sim.envs.task_spec import TaskSpec
from forestpilot.sim.errors import InvalidArgumentError
from forestpilot.sim.ranges import EPISODES, SPEEDS_MPS, STEPS, Range
from forestpilot.sim.tasks import TASKS
from forestpilot.sim.tasks.drone import DroneOptions

TASK = "drone"
LIST_FILE = "policies.json"
"""Which policies were found, so that a study that is gone on with has the same."""
LEAST_POLICIES = 4
"""An order of fewer says nothing."""
LABELS = {
    "accuracy": "accuracy",
    "precision": "precision",
    "recall": "recall",
    "f1": "F1",
    "l2": "L2",
    "turn_error_deg": "turn error",
    "log_likelihood": "log-likelihood",
}
ERRORS = ("l2", "turn_error_deg")
"""Figures of which less is better."""


@dataclass(frozen=True)
class PolicyArm(Arm):
    """A policy that is trained, or one that was found."""

    head: HeadConfig | None = None
    """Its head, where it is trained."""
    folder: str = ""
    """Where it lies, where it was found."""


SPREAD = (
    PolicyArm("regression", "squared error", RegressionConfig()),
    PolicyArm("gaussian", "a normal distribution", GaussianConfig()),
    PolicyArm("mixture", "several normal distributions", MixtureConfig()),
    PolicyArm("categorical", "bins of turn", CategoricalConfig()),
    PolicyArm("turn-costs", "costs of candidates", TurnCostsConfig()),
)
"""Policies of the study's own spread."""


def _training() -> TrainConfig:
    policy = PolicyConfig(memory=NoMemoryConfig(), window=2)
    return TrainConfig(policy=policy, batch_windows=48, side_labels="asked", tensorboard=False, learning_rate=2e-3)


@dataclass(frozen=True)
class Config(StudyConfig):
    """Accuracy, F1, L2 and likelihood on held-out demonstrations against success in flight: rank correlation."""

    out: str = not_the_result("runs/study-offline-online")
    """Run folder; the same command goes on where it was interrupted."""
    policies: tuple[str, ...] = of_this_machine(("runs",))
    """Folders in which the drone's policies are looked for, for example other studies' run folders; those of quick
    studies are left out. Where none is found, the study trains its own.
    """
    most: Annotated[int, Range(LEAST_POLICIES, 1000)] = 60
    """Of more policies than this every second, third, ... is taken."""
    flights: Annotated[int, EPISODES] = 40
    """The study's own policies: flights of the expert that they learn from."""
    steps: Annotated[tuple[int, ...], STEPS] = (60, 250, 1000)
    """The study's own policies: gradient steps."""
    held_out: Annotated[int, Range(2, 100_000)] = 32
    """Demonstrations of the expert in validation worlds."""
    threshold: Annotated[float, Range(0, 1, below=True)] = THRESHOLD
    """Turn, as a share of the largest, beyond which it counts as left or right instead of straight."""
    test_worlds: Annotated[int, Range(2, 1_000_000)] = 40
    """Test forests that every policy flies through."""
    density: Annotated[float, Range(0, 0.25)] = 0.04
    """Trees per square metre."""
    speed: Annotated[float, SPEEDS_MPS] = 5.0
    """Speed set point in m/s."""
    train: TrainConfig = field(default_factory=_training)
    """How the study's own policies are trained; data, out, seed, steps and head are set by the study."""

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "policies", tuple(self.policies))
        object.__setattr__(self, "steps", tuple(self.steps))
        if not self.steps or list(self.steps) != sorted(set(self.steps)):
            raise InvalidArgumentError(f"steps is {self.steps}; give each number once, ascending")
        self.require_training_worlds(self.flights)

    def mix(self) -> ScenarioMix:
        """The forests."""
        return ScenarioMix(speeds=(self.speed, self.speed), options=DroneOptions((self.density,)))


class OfflineOnline(Study[Config, Arm]):
    """Offline figures, and what they say of success."""

    name = "offline-online"
    question = "Which offline figure says how well a policy flies?"
    minutes = 8
    full = Config()
    quick = Config(
        out="runs/study-offline-online-quick",
        seeds=1,
        policies=(),
        flights=3,
        steps=(5, 30),
        held_out=3,
        test_worlds=3,
    )

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self._cells: Sequence[Cell] = ()

    def arms(self) -> Sequence[Arm]:
        """The two rank correlations."""
        return (
            Arm("Spearman", "correlation of the two orders"),
            Arm("Kendall", "pairs in the same order, less the others"),
        )

    def xs(self) -> Sequence[float]:
        """Gradient steps of the study's own policies."""
        return self.config.steps

    def plan(self) -> list[Place[Arm]]:
        """Policies that were found; where there are none, those of the spread."""
        found = self._listed()
        if found:
            return [Place(policy, 0.0, 0) for policy in found]
        places: list[Place[Arm]] = []
        for seed in range(self.config.seeds):
            for arm in SPREAD:
                places += [Place(arm, float(steps), seed) for steps in self.config.steps]
        return places

    def _listed(self) -> list[PolicyArm]:
        """Policies that were found when the study began, or are found now."""
        path = Path(self.config.out) / LIST_FILE
        if not path.exists():
            return find_policies(self.config.policies, self.config.most)
        return [PolicyArm(name, "found", None, folder) for name, folder in read_sealed_json(path)["policies"]]

    def _run_cells(self, bench: Bench) -> list[Cell]:
        found = self._listed()
        write_sealed_json(bench.folder / LIST_FILE, {"policies": [[arm.name, arm.folder] for arm in found]})
        return super()._run_cells(bench)

    def run_cell(self, arm: Arm, x: float, seed: int, bench: Bench) -> Cell:
        """Train the policy if need be, ask it about the demonstrations, and let it fly."""
        from forestpilot.policies.evaluation.offline import score_offline
        from forestpilot.policies.networks.checkpoint import load_policy

        assert isinstance(arm, PolicyArm)
        config = self.config
        folder = Path(arm.folder) if arm.folder else self._train(arm, int(x), seed, bench)
        policy = load_policy(folder)
        held_out = self._held_out(policy.spec.control_hz, bench)
        score = score_offline(policy, [held_out], arm.name, config.threshold)
        evaluation = EvaluateConfig(
            policy=(f"{safe_name(arm.name)}={folder}",),
            out=str(bench.folder / "evaluations" / f"{arm.name}-{x:g}-seed-{seed}"),
            task=TASK,
            episodes=config.test_worlds,
            speed=config.speed,
            options=DroneOptions((config.density,)),
            workers=config.workers,
        )
        figures = {name: figure.value for name, figure in score.figures.items()}
        return Cell(arm.name, x, seed, fly(evaluation, bench), 0, figures)

    def _train(self, arm: PolicyArm, steps: int, seed: int, bench: Bench) -> Path:
        """A policy of the spread."""
        config = self.config
        assert arm.head is not None
        first = config.first_world(seed)
        worlds = range(first, first + config.flights)
        data = demonstrate(f"seed-{seed}", TASK, config.mix(), worlds, config.workers, bench)
        out = bench.folder / "policies" / f"{arm.name}-{steps}-seed-{seed}"
        policy = dataclasses.replace(config.train.policy, head=arm.head)
        folders = (str(data.folder),)
        bench.clone(
            dataclasses.replace(config.train, data=folders, out=str(out), seed=seed, steps=steps, policy=policy)
        )
        return out

    def _held_out(self, control_hz: int, bench: Bench) -> Dataset:
        """Demonstrations of the expert in validation worlds, at the rate at which a policy acts."""
        mix = dataclasses.replace(self.config.mix(), control_hz=control_hz)
        return hold_out(f"held-out-{control_hz}-hz", TASK, mix, self.config.held_out, bench)

    def summarise(self, cells: Sequence[Cell]) -> StudyResult:
        """The rank correlations of each offline figure with success."""
        self._cells = cells
        names = [name for name in MEANINGS if len(_having(cells, name)) >= LEAST_POLICIES]
        points = []
        for arm in self.arms():
            for place, name in enumerate(names):
                value = rank_interval(_having(cells, name), name, CORRELATIONS[arm.name])
                points.append(Point(arm.name, float(place), self.config.seeds, len(cells[0].rows), value))
        meaning = "Rank correlation with success; 1 where the figure puts the policies in the order of their success."
        labels = tuple(LABELS[name] for name in names)
        panel = Panel("rank_correlation", "rank correlation with success", points, meaning, places=labels)
        return StudyResult(
            title=f"{len(cells)} policies, {self.config.held_out} demonstrations, {len(cells[0].rows)} test forests",
            x_label="place",
            log_x=False,
            panels=(panel,),
            notes=(
                f"Places 0, 1, ...: {', '.join(labels)}. Errors count as negative",
                f"95 % intervals: bootstrap over policies and test forests, drawn apart ({RESAMPLES:,} resamples)",
                *(f"{LABELS[name]}: only {len(own)} of the policies have it" for name, own in _partial(cells, names)),
            ),
        )

    def draw(self, result: StudyResult, folder: Path) -> list[Path]:
        """A diagram for each offline figure: each policy's figure and its success."""
        from forestpilot.launch.studies.rank_correlation import Scatter, plot_scatters

        scatters = []
        (panel,) = result.panels
        for place, label in enumerate(panel.places):
            name = next(name for name, told in LABELS.items() if told == label)
            cells = _having(self._cells, name)
            told = {point.arm: point.value for point in panel.points if point.x == place}
            x = [cell.figures[name] for cell in cells]
            y = [100 * float(cell.column("success").mean()) for cell in cells]
            scatters.append(Scatter(label, x, y, [cell.arm for cell in cells], told))
        return [plot_scatters(scatters, result.title, folder / "figure.png")]


def find_policies(folders: Sequence[str], most: int) -> list[PolicyArm]:
    """Policies of the task somewhere in these folders, evenly chosen where there are more than `most`; those that see
    or steer otherwise than the study's demonstrations were recorded with are left out.

    Raises:
        InvalidArgumentError: fewer than `LEAST_POLICIES` are there, but some.
    """
    from forestpilot.policies.networks.checkpoint import DESCRIPTION_FILE, CheckpointError, describe_policy

    wanted = task_spec_of(TASKS.get(TASK), ScenarioMix())
    found: dict[str, Path] = {}
    for folder in folders:
        for path in sorted(Path(folder).rglob(DESCRIPTION_FILE)):
            if any(part.endswith("-quick") or part.startswith("study-offline-online") for part in path.parts):
                continue
            try:
                about = describe_policy(path.parent)
            except CheckpointError:
                continue
            # The best round's policy lies in its run's folder as well.
            if _fits(about["task_spec"], wanted):
                found.setdefault(about["policy_id"], path.parent)
    if 0 < len(found) < LEAST_POLICIES:
        raise InvalidArgumentError(
            f"policies: only {len(found)} of the task {TASK} in {', '.join(folders)}; an order needs {LEAST_POLICIES}. "
            "Give further folders, or --policies without any to train a spread"
        )
    chosen = list(found.values())[:: -(-len(found) // most) or 1]
    return [_found(number, folder) for number, folder in enumerate(chosen)]


def _fits(told: dict[str, Any], wanted: TaskSpec) -> bool:
    """Whether a policy with this task spec, as it is stored, can be asked about the study's demonstrations; those that
    act at another rate than usual have demonstrations of their own."""
    try:
        found = TaskSpec.from_dict(told)
    except ValueError:
        return False
    return found.differences(dataclasses.replace(wanted, control_hz=found.control_hz)) == []


def _found(number: int, folder: Path) -> PolicyArm:
    return PolicyArm(f"{number:03d}-{safe_name('_'.join(folder.parts[-3:]))}"[:80], str(folder), None, str(folder))


def _having(cells: Sequence[Cell], name: str) -> list[Cell]:
    """The policies that have an offline figure."""
    return [cell for cell in cells if name in cell.figures]


def _partial(cells: Sequence[Cell], names: Sequence[str]) -> list[tuple[str, list[Cell]]]:
    return [(name, _having(cells, name)) for name in names if len(_having(cells, name)) < len(cells)]


def rank_interval(
    cells: Sequence[Cell], name: str, correlation: Callable[[NDArray[np.float64], NDArray[np.float64]], float]
) -> Interval:
    """Rank correlation of an offline figure with success, with its bootstrap interval over policies and worlds. Where
    all policies have the same figure, or the same success, there is no order: 0, and anything is possible.

    Args:
        cells: of policies that have the figure.
        name: of the figure.
        correlation: takes two rows of figures (P,) to a number from -1 to 1.
    """
    figures = np.array([cell.figures[name] for cell in cells])
    if name in ERRORS:
        figures = -figures
    success = np.stack([cell.column("success") for cell in cells])
    if np.ptp(figures) == 0 or np.ptp(success.mean(1)) == 0:
        return Interval(0.0, -1.0, 1.0)
    rng = np.random.default_rng(0)
    count, worlds = success.shape
    samples = []
    for _ in range(RESAMPLES):
        policies = rng.integers(count, size=count)
        drawn = rng.multinomial(worlds, np.full(worlds, 1 / worlds)) / worlds
        samples.append(correlation(figures[policies], success[policies] @ drawn))
    value = correlation(figures, success.mean(1))
    low, high = np.quantile(samples, BOTH_TAILS)
    return Interval(value, min(value, float(low)), max(value, float(high)))
