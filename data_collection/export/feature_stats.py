"""Least, largest, mean, spread and quantiles of a feature, as LeRobot's meta/stats.json has them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

QUANTILES = (0.01, 0.1, 0.5, 0.9, 0.99)
LEVELS = 256
"""Of a pixel's colour."""


@dataclass(frozen=True)
class FeatureStats:
    """Figures of a feature over some steps; of two parts the figures of both follow, quantiles as a weighted mean."""

    least: NDArray[np.float64]
    """(...) as the feature's values, (3, 1, 1) of pictures, in shares of 255."""
    largest: NDArray[np.float64]
    mean: NDArray[np.float64]
    variance: NDArray[np.float64]
    quantiles: NDArray[np.float64]
    """(5, ...) in the order of `QUANTILES`."""
    count: int
    """Steps."""

    @classmethod
    def of(cls, values: NDArray[Any]) -> FeatureStats:
        """Of values (T, ...), or pictures (T, H, W, 3) uint8."""
        if values.ndim == 4:
            return cls._of_pictures(values)
        shape = values.shape[1:] or (1,)
        flat = values.reshape(len(values), -1).astype(np.float64)
        return cls(
            least=flat.min(0).reshape(shape),
            largest=flat.max(0).reshape(shape),
            mean=flat.mean(0).reshape(shape),
            variance=flat.var(0).reshape(shape),
            quantiles=np.quantile(flat, QUANTILES, axis=0).reshape(len(QUANTILES), *shape),
            count=len(values),
        )

    @classmethod
    def _of_pictures(cls, pictures: NDArray[np.uint8]) -> FeatureStats:
        """From how often each level occurs, a tenth of the time of sorting."""
        levels = np.arange(LEVELS) / (LEVELS - 1)
        figures = np.empty((4 + len(QUANTILES), 3, 1, 1))
        for channel in range(3):
            shares = np.bincount(pictures[..., channel].ravel(), minlength=LEVELS) / pictures[..., channel].size
            mean = shares @ levels
            present = levels[shares > 0]
            own = [present[0], present[-1], mean, shares @ (levels - mean) ** 2]
            below = np.cumsum(shares)
            own += [levels[np.searchsorted(below, share)] for share in QUANTILES]
            figures[:, channel, 0, 0] = own
        least, largest, mean, variance = figures[:4]
        return cls(least, largest, mean, variance, figures[4:], len(pictures))

    def __add__(self, other: FeatureStats) -> FeatureStats:
        """Of both together."""
        count = self.count + other.count
        share = other.count / count
        mean = self.mean + share * (other.mean - self.mean)
        spread = self.variance + share * (other.variance - self.variance)
        return FeatureStats(
            least=np.minimum(self.least, other.least),
            largest=np.maximum(self.largest, other.largest),
            mean=mean,
            variance=spread + share * (1 - share) * (other.mean - self.mean) ** 2,
            quantiles=self.quantiles + share * (other.quantiles - self.quantiles),
            count=count,
        )

    def to_plain(self) -> dict[str, Any]:
        """Plain as JSON, to the last bit."""
        told = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: value.tolist() if isinstance(value, np.ndarray) else value for name, value in told.items()}

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> FeatureStats:
        """What `to_plain` came from."""
        arrays = {name: np.array(value) for name, value in plain.items() if name != "count"}
        return cls(**arrays, count=plain["count"])

    def as_lists(self) -> dict[str, list[Any]]:
        """By LeRobot's names."""
        told = {
            "min": self.least.tolist(),
            "max": self.largest.tolist(),
            "mean": self.mean.tolist(),
            "std": np.sqrt(self.variance).tolist(),
            "count": [self.count],
        }
        for share, values in zip(QUANTILES, self.quantiles):
            told[f"q{round(100 * share):02d}"] = values.tolist()
        return told
