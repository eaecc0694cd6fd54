"""Pools: who runs episodes, by the name behind `--pool`: the processes of this machine, or a cluster.

A pool is a subclass of `forestpilot.data_collection.rollouts.pool.RolloutPool` and one line here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from forestpilot.data_collection.episodes.config_fields import not_the_result
from forestpilot.sim.ranges import Range, require_ranges
from forestpilot.sim.registry import PartConfig, Registry, part_of

if TYPE_CHECKING:
    from forestpilot.data_collection.rollouts.pool import RolloutPool

__all__ = ["LOCAL", "POOLS", "LocalConfig", "PoolConfig", "RayConfig", "pool_field"]


@dataclass(frozen=True)
class PoolConfig(PartConfig):
    """Options of a pool."""


@dataclass(frozen=True)
class LocalConfig(PoolConfig):
    """Processes of this machine."""

    part: ClassVar[str] = "local"


@dataclass(frozen=True)
class RayConfig(PoolConfig):
    """A Ray cluster: the one that RAY_ADDRESS names, or one that is started on this machine."""

    part: ClassVar[str] = "ray"
    address: str = ""
    """HOST:PORT of a running cluster, or `auto` for the one that this machine belongs to; by default what RAY_ADDRESS
    says, and where it says nothing a cluster of `workers` cores is started here for as long as the command runs."""
    tasks: Annotated[int, Range(0, 1_000_000)] = 0
    """Tasks at once, each on one core; 0 for as many as the cluster has cores."""
    shared_storage: bool = False
    """Every machine sees the folders of this command under the same names: workers then write episodes themselves, and
    read policies where they lie, as they always do in a cluster that is started here. By default this machine alone
    does both."""

    def __post_init__(self) -> None:
        require_ranges(self)


LOCAL = LocalConfig()

_HERE = "forestpilot.data_collection.rollouts"
POOLS: Registry[type[RolloutPool]] = Registry("pool", f"{_HERE}.pools:POOLS")
POOLS.register("local", f"{_HERE}.pool:RolloutPool", "processes of this machine")
POOLS.register("ray", f"{_HERE}.pools.ray_pool:RayPool", "the cores of a Ray cluster")


def pool_field() -> Any:
    """The field of a config that says who runs its episodes."""
    return not_the_result(LOCAL, metadata=part_of(f"{_HERE}.pools:POOLS"))
