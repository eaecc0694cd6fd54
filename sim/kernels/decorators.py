"""`kernel` marks what Python calls, `helper` what only kernels call.

A wrapper through which Python or C could call a helper takes as long to compile as the helper itself, and a copy of it
in a cache is never read: the kernels bring it along.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba
from numba.core.registry import CPUDispatcher

from forestpilot.sim.kernels import operators as _operators  # noqa: F401  Numba is taught before it compiles.
from forestpilot.sim.kernels.cache import KernelCache
from forestpilot.sim.kernels.inlined import HelperCompiler

KERNELS: dict[str, Any] = {}
"""Numba's dispatchers of all kernels whose modules are imported, by `package.module:function`."""
_njit: Any = numba.njit
_Dispatcher: Any = CPUDispatcher


def kernel(**options: Any) -> Callable[[Callable[..., Any]], Any]:
    """Decorator of a function that Python calls: compiled once on this machine, then read from a cache.

    Args:
        **options: what `numba.njit` takes besides.
    """

    def decorate(function: Callable[..., Any]) -> Any:
        """The dispatcher of a function; the function itself where NUMBA_DISABLE_JIT is set."""
        name = f"{function.__module__}:{function.__qualname__}"
        dispatcher = _njit(no_cfunc_wrapper=True, **options)(function)
        if dispatcher is not function:
            dispatcher._cache = KernelCache(name, dispatcher)
            KERNELS[name] = dispatcher
        return dispatcher

    return decorate


def helper(**options: Any) -> Callable[[Callable[..., Any]], Any]:
    """Decorator of a function that only kernels call. Python can call it if it is inlined, so that it costs nothing.

    Args:
        **options: what `numba.njit` takes besides.
    """

    def decorate(function: Callable[..., Any]) -> Any:
        """The dispatcher of a function; the function itself where NUMBA_DISABLE_JIT is set."""
        if options.get("inline") == "always":
            return _njit(**options)(function)
        dispatcher = _njit(no_cpython_wrapper=True, no_cfunc_wrapper=True, pipeline_class=HelperCompiler, **options)(
            function
        )
        if dispatcher is not function:
            dispatcher.__class__ = _HelperDispatcher
        return dispatcher

    return decorate


class _HelperDispatcher(_Dispatcher):
    """Numba's dispatcher for kernels that refuses Python, which would jump to where no code is."""

    def add_overload(self, cres: Any) -> None:
        """Know intermediate code, and offer nothing to Python."""
        inlined = cres._replace(entry_point=object())  # by which kernels find it
        self.targetctx.insert_user_function(inlined.entry_point, cres.fndesc, [cres.library])
        self.overloads[tuple(cres.signature.args)] = inlined

    def _compile_for_args(self, *args: Any, **kwargs: Any) -> None:
        name = self.py_func.__name__
        raise TypeError(f"{name} is a helper of kernels, which Python cannot call; make it a kernel to call it")
