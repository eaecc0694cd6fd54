"""`forestpilot grid`: a policy over speeds and densities, as the literature reports it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from forestpilot.data_collection.episodes.config_fields import not_the_result
from forestpilot.data_collection.episodes.locks import written_by_one
from forestpilot.data_collection.episodes.run import Run
from forestpilot.data_collection.rollouts.pool import make_pool, require_pool
from forestpilot.data_collection.rollouts.pools import PoolConfig, pool_field
from forestpilot.launch.pictures.plots import plot_success_grid
from forestpilot.launch.terminal.progress import make_progress
from forestpilot.launch.terminal.tables import format_density, print_table
from forestpilot.launch.verbs import Verb
from forestpilot.policies.evaluation.evaluate import EvaluateConfig, evaluate
from forestpilot.policies.evaluation.scores import Score
from forestpilot.sim.cores import usable_cores
from forestpilot.sim.errors import InvalidArgumentError
from forestpilot.sim.ranges import EPISODES, PROCESSES, SPEEDS_MPS, Range, require_ranges
from forestpilot.sim.tasks.drone import DRONE, DroneOptions

TASK = DRONE.name
"""The published table is of flights."""


@dataclass(frozen=True)
class GridConfig:
    """Fly one policy through the same test worlds at every speed and density; resumes where it was interrupted."""

    policy: str = "pretrained"
    """Folder of a checkpoint, or pretrained, blind, reactive or expert."""
    out: str = not_the_result("runs/grid")
    """Folder with one evaluation for each cell, and the picture."""
    preset: str = "loquercio"
    """Forest preset: loquercio (trunks 0.6 m, the published one) or default (0.24-0.70 m)."""
    speeds: Annotated[tuple[float, ...], SPEEDS_MPS] = (3.0, 5.0, 7.0, 10.0, 12.0)
    """Speed set points in m/s."""
    densities: Annotated[tuple[float, ...], Range(0, 0.25)] = (1 / 49, 1 / 36, 1 / 25, 1 / 15, 1 / 10)
    """Trees per square metre; published: 1/49, 1/36, 1/25."""
    episodes: Annotated[int, EPISODES] = 100
    """Test worlds for each cell."""
    dropped_pictures: Annotated[float, Range(0, 1)] = 0.0
    """Share of the steps at which all three cameras are black; see `forestpilot evaluate`."""
    workers: Annotated[int, PROCESSES] = not_the_result(default_factory=usable_cores)
    """Number of processes; by default one per core that it may use."""
    pool: PoolConfig = pool_field()
    """Who runs the episodes: processes of this machine (`local`), or the cores of a Ray cluster (`ray`)."""

    def __post_init__(self) -> None:
        require_ranges(self)
        if not self.speeds or not self.densities:
            raise InvalidArgumentError("speeds and densities need at least one entry each")


def run(config: GridConfig) -> None:
    """Evaluate every cell, print the table with intervals, and draw it."""
    progress = make_progress()
    require_pool(None, config.pool)
    scores: dict[tuple[float, float], Score] = {}
    run = Run(Path(config.out), "grid", config)
    with written_by_one(config.out, progress), run.recording(), make_pool(config.pool, config.workers) as pool:
        for density in config.densities:
            for speed in config.speeds:
                (scores[density, speed],) = evaluate(_cell(config, density, speed), progress, pool)
    header = ("trees/m2", *(f"{speed:g} m/s" for speed in config.speeds))
    table = [header]
    for density in config.densities:
        cells = (_text(scores[density, speed]) for speed in config.speeds)
        table.append((format_density(density), *cells))
    name = next(iter(scores.values())).policy
    print_table(table, title=f"{name}: successes in {config.episodes} test worlds, 95 % interval, mean speed")
    counts = {cell: (score.successes, score.episodes) for cell, score in scores.items()}
    print(plot_success_grid(counts, Path(config.out) / "success_grid.png", f"{name}: episodes to the goal"))


def _cell(config: GridConfig, density: float, speed: float) -> EvaluateConfig:
    folder = Path(config.out) / f"density-{density:.4f}-speed-{speed:g}"
    return EvaluateConfig(
        policy=(config.policy,),
        out=str(folder),
        task=TASK,
        episodes=config.episodes,
        speed=speed,
        preset=config.preset,
        options=DroneOptions(density=(density,)),
        dropped_pictures=config.dropped_pictures,
        workers=config.workers,
        pool=config.pool,
    )


def _text(score: Score) -> str:
    return f"{score.successes} ({100 * score.low:.0f}-{100 * score.high:.0f}) {score.mean_speed_mps:.1f}"


VERB = Verb(GridConfig, run, resumes=True)
