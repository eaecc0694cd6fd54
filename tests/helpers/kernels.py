"""Helpers of kernels, which Python cannot call, within reach of tests."""

from typing import Any

from numba import njit


def callable_kernel(helper: Any) -> Any:
    """A kernel that does nothing but call a helper."""

    @njit
    def call(*args):
        return helper(*args)

    return call
