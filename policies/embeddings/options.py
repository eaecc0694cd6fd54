"""Options of embeddings and of how they are learned: commands read them, and print their help, without torch."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, ClassVar, Literal

from forestpilot.data_collection.episodes.config_fields import not_the_result, of_this_machine
from forestpilot.policies.embeddings import EmbedderConfig
from forestpilot.policies.networks.encoders.options import EmbeddingShape
from forestpilot.sim.errors import InvalidArgumentError
from forestpilot.sim.ranges import SEEDS, STEPS, Range, require_ranges
from forestpilot.sim.registry import part_of

Loss = Literal["n-pairs", "triplet"]
"""How points attract and repel: against all others of the batch at once, or against one that is hard to tell."""
OWN_VIEW = "center"
"""The vehicle's own view."""


@dataclass(frozen=True)
class ContrastiveConfig(EmbedderConfig):
    """What time-contrastive networks have in common."""

    loss: Loss = "n-pairs"
    """`n-pairs`: among all points of the batch the right one is to be the nearest (Sohn 2016; InfoNCE, van den Oord et
    al. 2018). `triplet`: nearer, by a margin, than the nearest wrong one that is farther away (semi-hard, Schroff et
    al. 2015)."""
    temperature: Annotated[float, Range(0, 10, above=True)] = 0.1
    """With n-pairs: what similarities are divided by."""
    margin: Annotated[float, Range(0, 4, above=True)] = 0.2
    """With triplet: by how much nearer, of squared distances from 0 to 4."""
    episodes: Annotated[int, Range(1, 4096)] = 8
    """Episodes in a gradient step."""
    moments: Annotated[int, Range(2, 4096)] = 12
    """Moments of each of them."""
    flip: bool = True
    """Mirror half of the episodes left to right."""
    jitter: Annotated[float, Range(0, 3)] = 0.5
    """Each stack is seen in another light: its contrast is multiplied by up to e to this power, or divided by as much.
    Without that, speed passes for contrast."""

    def __post_init__(self) -> None:
        require_ranges(self)
        if self.loss not in ("n-pairs", "triplet"):
            raise InvalidArgumentError(f"loss is {self.loss!r}; allowed: n-pairs, triplet")


@dataclass(frozen=True)
class MultiViewConfig(ContrastiveConfig):
    """Multi-view TCN (Sermanet et al. 2018, arXiv:1704.06888, section III-A)."""

    part: ClassVar[str] = "multi-view"

    paces: Annotated[int, Range(1, 16)] = 4
    """Place alone tells moments apart, and nothing would keep speed. Therefore moments of an episode that are near in
    time are also shown with their pictures one step apart or more, up to so many, and how many times as fast one is as
    another is to be told (as in Benaim et al. 2020, arXiv:2004.06130): a loss of its own. 1 for none of that."""
    odometry: str = ""
    """Element of the state, for example forward_mps, that is to be told from the pictures of either view: the motion
    that one measures oneself while one is filmed. Empty for pictures alone, as in the paper."""
    clips: Annotated[int, Range(2, 4096)] = 64
    """Stacks in a gradient step from which paces or odometry are to be told."""


@dataclass(frozen=True)
class SingleViewConfig(ContrastiveConfig):
    """Single-view TCN (the same, section III-B): each view by itself; what is near in time attracts."""

    part: ClassVar[str] = "single-view"

    near: Annotated[int, Range(1, 1000)] = 2
    """Moments at most so many steps apart attract."""
    far: Annotated[int, Range(1, 1000)] = 6
    """Moments of the same episode that are fewer steps apart do not repel."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.far <= self.near:
            raise InvalidArgumentError(f"far is {self.far} and near is {self.near}; far must be above near")


@dataclass(frozen=True)
class EmbedConfig:
    """Learn an embedding of pictures from recordings by several cameras; killed or interrupted, the same command goes
    on where it stopped."""

    data: tuple[str, ...] = of_this_machine(())
    """Dataset folders, recorded with `--viewpoint`. Episodes of the same world that several of them hold are seen by
    all their cameras."""
    held_out: tuple[str, ...] = of_this_machine(())
    """Datasets of other worlds, on which it is checked; by default a part of `data` is kept back for that."""
    out: str = not_the_result("runs/embedding")
    """Run folder: weights, metrics.csv, checks.csv, alignment.png. The same command again goes on."""
    views: tuple[str, ...] = (OWN_VIEW,)
    """Cameras that are looked at; `center` alone stands for it and every third camera that the episodes have."""
    embedder: EmbedderConfig = field(
        default=MultiViewConfig(), metadata=part_of("forestpilot.policies.embeddings:EMBEDDERS")
    )
    """How it is learned: `multi-view` or `single-view`."""
    shape: EmbeddingShape = EmbeddingShape()
    """Its sizes."""
    seed: Annotated[int, SEEDS] = 0
    """Seed of the first weights and of sampling."""
    steps: Annotated[int, STEPS] = 1500
    """Gradient steps."""
    learning_rate: Annotated[float, Range(0, 10, above=True)] = 1e-3
    """Learning rate at the beginning; it falls along a cosine to a tenth."""
    keep_back: Annotated[float, Range(0, 1, above=True, below=True)] = 0.2
    """Without held_out: share of the worlds, the last ones, that it does not learn from."""
    checkpoint_every: Annotated[int, STEPS] = not_the_result(250)
    """Gradient steps between saved states."""
    log_every: Annotated[int, STEPS] = not_the_result(50)
    """Gradient steps between rows of metrics.csv."""

    def __post_init__(self) -> None:
        require_ranges(self)
        for name in ("data", "held_out", "views"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        if OWN_VIEW not in self.views or len(set(self.views)) < len(self.views):
            raise InvalidArgumentError(f"views is {self.views}; give {OWN_VIEW}, and each other one once")
