"""Named numbers for kernels: a record is one array, which a kernel takes faster than a tuple of so many numbers."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


def record_of(*values: NamedTuple) -> np.ndarray:
    """(1,) record array with the fields of some named tuples of numbers; a kernel reads `record[0].name`.

    Raises:
        ValueError: two of them have a field of the same name.
    """
    names: list[str] = []
    numbers: list[float] = []
    for value in values:
        names += value._fields
        numbers += [float(number) for number in value]
    if len(set(names)) < len(names):
        raise ValueError(f"the fields {', '.join(names)} are not all different")
    return np.array([tuple(numbers)], [(name, np.float64) for name in names])
