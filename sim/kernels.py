"""How Numba compiles the project's kernels: `kernel` marks what Python calls, `helper` what only kernels call.

A wrapper through which Python or C could call a helper takes as long to compile as the helper itself, and a copy of it
in a cache is never read: the kernels bring it along.
"""

from __future__ import annotations

from typing import Any

import numba

_njit: Any = numba.njit


def kernel(**options: Any) -> Any:
    """Decorator of a function that Python calls: compiled once on this machine, then read from a cache.

    Args:
        **options: what `numba.njit` takes besides.
    """
    return _njit(cache=True, no_cfunc_wrapper=True, **options)


def helper(**options: Any) -> Any:
    """Decorator of a function that only kernels call. Python can call it if it is inlined, so that it costs nothing.

    Args:
        **options: what `numba.njit` takes besides.
    """
    if options.get("inline") == "always":
        return _njit(**options)
    return _njit(no_cpython_wrapper=True, no_cfunc_wrapper=True, **options)
