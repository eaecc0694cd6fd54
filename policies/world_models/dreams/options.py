"""Options of `forestpilot dream`: the command reads them, and prints its help, without torch."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, ClassVar

from forestpilot.data_collection.episodes.config_fields import not_the_result, of_this_machine
from forestpilot.policies.world_models.dreams import DreamerConfig
from forestpilot.policies.world_models.options import PlanConfig
from forestpilot.sim.ranges import SEEDS, STEPS, Range, require_ranges
from forestpilot.sim.registry import part_of


@dataclass(frozen=True)
class ImaginedDaggerConfig(DreamerConfig):
    """DAgger without a simulator: the policy flies in imagination, and a planner in the same model labels."""

    part: ClassVar[str] = "dagger"
    states: Annotated[int, Range(1, 1_000_000)] = 200
    """States that are labelled in each round."""
    flights: Annotated[int, Range(1, 1_000_000)] = 400
    """Imagined flights of each round, among whose moments those are chosen: at the goal with closed eyes in the first
    round, then as the policy flies. They cost little; a label costs what 62 flights do."""
    length: Annotated[int, Range(1, 1000)] = 12
    """Steps of each of these flights, which begin at a moment of a recorded one."""
    soon: Annotated[int, Range(0, 1000)] = 6
    """Half of the moments are chosen among those at which there is danger within so many steps of the flight; at most
    others it hardly matters what one does."""
    veer: Annotated[int, Range(0, 100)] = 4
    """Steps for which it is turned away at random before that, at most, so that it sees what it is to avoid."""
    temperature: Annotated[float, Range(0, 100, above=True)] = 0.15
    """Of the labels: a turn that is worth so much less than the best one, in steps of full progress, is a label 1/e as
    strong."""
    steps: Annotated[int, STEPS] = 300
    """Gradient steps in each round, on the labels of all rounds so far."""
    batch: Annotated[int, Range(1, 65_536)] = 64
    """States per gradient step."""
    learning_rate: Annotated[float, Range(0, 10, above=True)] = 1e-3
    """Learning rate."""
    plan: PlanConfig = PlanConfig()
    """How the planner imagines and compares."""

    def __post_init__(self) -> None:
        require_ranges(self)


@dataclass(frozen=True)
class DreamConfig:
    """Learn a policy inside a model of the world; killed or interrupted, the same command goes on where it stopped."""

    world: str = of_this_machine("")
    """Run folder of `forestpilot imagine`: the model."""
    data: tuple[str, ...] = of_this_machine(())
    """Datasets from whose moments imagination begins; by default those that the model was learned from."""
    out: str = not_the_result("runs/dream")
    """Run folder: the policy with its model, metrics.csv. The same command again goes on."""
    dreamer: DreamerConfig = field(
        default=ImaginedDaggerConfig(), metadata=part_of("forestpilot.policies.world_models.dreams:DREAMERS")
    )
    """How it is learned."""
    features: Annotated[int, Range(4, 4096)] = 128
    """Width of the policy's layers."""
    rounds: Annotated[int, Range(1, 10_000)] = 5
    """Rounds, the first one included."""
    seed: Annotated[int, SEEDS] = 0
    """Seed of the first weights and of all that is drawn."""

    def __post_init__(self) -> None:
        require_ranges(self)
        object.__setattr__(self, "data", tuple(self.data))
