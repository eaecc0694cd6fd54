"""The random numbers of torch's generator on a CPU, without torch.

Version 0.1 drew the light of its training pictures from torch. The same numbers are drawn here, so that a training
comes to what it came to, and one that was interrupted goes on where it was.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_FLOAT_BITS = 24
"""Bits of a 32-bit draw that a float32 between 0 and 1 has room for."""
_BLOCK = 16
"""Normal numbers come from the Box-Muller transform of so many uniform ones at once: 8 radii, then 8 angles."""


class TorchStream:
    """What `torch.rand`, `torch.randn` and `torch.randint` draw one after the other with a generator of this seed.

    Uniform numbers and integers are the same bit for bit, normal ones to the last digits of a float32, since torch
    computes logarithm, sine and cosine in its own way on each kind of processor.

    Args:
        seed: as for `torch.Generator().manual_seed`; its low 32 bits count.
    """

    def __init__(self, seed: int) -> None:
        self._bits = np.random.RandomState(seed & 0xFFFFFFFF)  # the Mersenne Twister as torch seeds it

    def rand(self, *shape: int) -> NDArray[np.float32]:
        """Float32 numbers uniform in [0, 1)."""
        low_bits = self._draw(shape) & np.uint32(2**_FLOAT_BITS - 1)
        return low_bits.astype(np.float32) * np.float32(2.0**-_FLOAT_BITS)

    def randn(self, count: int) -> NDArray[np.float32]:
        """`count` standard normal numbers, float32; at least 16."""
        normal = np.empty(count, dtype=np.float32)
        whole = count - count % _BLOCK
        uniform = self.rand(count)
        normal[:whole] = _box_muller(uniform[:whole])
        if whole < count:  # torch draws the last block anew, over the end of the one before
            normal[-_BLOCK:] = _box_muller(self.rand(_BLOCK))
        return normal

    def randint(self, high: int, *shape: int) -> NDArray[np.int64]:
        """Integers from 0 to below `high`, at most 2^28."""
        return (self._draw(shape) % np.uint32(high)).astype(np.int64)

    def _draw(self, shape: tuple[int, ...]) -> NDArray[np.uint32]:
        return self._bits.randint(0, 2**32, size=shape, dtype=np.uint32)


def _box_muller(uniform: NDArray[np.float32]) -> NDArray[np.float32]:
    pairs = uniform.reshape(-1, 2, _BLOCK // 2)
    radius = np.sqrt(np.float32(-2.0) * np.log(np.float32(1.0) - pairs[:, 0]))
    angle = np.float32(2.0 * np.pi) * pairs[:, 1]
    return np.stack((radius * np.cos(angle), radius * np.sin(angle)), axis=1).reshape(-1)
