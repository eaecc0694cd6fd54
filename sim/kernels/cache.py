"""The machine code of kernels on disk, under a digest of everything that went into it.

Numba's own cache looks at the file that a kernel stands in alone: it goes on with old code when a helper or a constant
in another file changes, and fails where a class that it stored has moved. Here the name of a stored file holds a digest
of the kernel, its helpers and the constants of all of them, so what is out of date is never opened. Files lie where
Numba puts them: in NUMBA_CACHE_DIR, else beside the source, else, where that is read-only, in the user's cache folder.
"""

from __future__ import annotations

import functools
import hashlib
import inspect
import sys
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numba.core import types as numba_types
from numba.core.caching import FunctionCache, IndexDataCacheFile, NullCache
from numba.core.extending import _Intrinsic
from numba.core.runtime import rtsys

kinds: Any = numba_types
NumbaCache: Any = FunctionCache
NoNumbaCache: Any = NullCache
Intrinsic: Any = _Intrinsic
memory: Any = rtsys
PLAIN = (bool, int, float, complex, str, bytes, type(None), np.generic)
"""Types of values that Numba writes into machine code."""


class KernelCache:
    """What a dispatcher asks for machine code before it compiles; made anew for each kernel.

    Args:
        name: `package.module:function`.
        dispatcher: Numba's, of the kernel.
    """

    def __init__(self, name: str, dispatcher: Any) -> None:
        self.name = name
        self._dispatcher = dispatcher

    @functools.cached_property
    def files(self) -> Any:
        """The files; opened when a kernel is first called, since until then its helpers need not be defined."""
        try:
            return _Files(self.name, self._dispatcher)
        except RuntimeError:  # There is no folder that one could write to: compiled in every process anew.
            return _NoFiles()

    @property
    def cache_path(self) -> str | None:
        """Folder of the files; None if nothing can be stored."""
        path: str | None = self.files.cache_path
        return path

    def load_overload(self, arguments: Any, target: Any) -> Any:
        """Machine code for arguments of these types, or None.

        If it is one of the listed kernels, all of them that are missing are compiled first.
        """
        from forestpilot.sim.kernels.warm_up import compile_missing

        found = self.files.load_overload(arguments, target)
        if found is None and compile_missing(self.name, arguments):
            found = self.files.load_overload(arguments, target)
        return found

    def holds(self, arguments: Any) -> bool:
        """Tell if there is machine code for arguments of these types."""
        holds: bool = self.files.holds(arguments, self._dispatcher.targetctx)
        return holds

    def save_overload(self, arguments: Any, compiled: Any) -> None:
        """Store machine code."""
        self.files.save_overload(arguments, compiled)

    def enable(self) -> None:
        """Read and store from now on."""
        self.files.enable()

    def disable(self) -> None:
        """Neither read nor store from now on."""
        self.files.disable()

    def flush(self) -> None:
        """Forget what is stored."""
        self.files.flush()


class _Files(NumbaCache):
    """Numba's files, named by what went into them."""

    def __init__(self, name: str, dispatcher: Any) -> None:
        super().__init__(dispatcher.py_func)
        digest = digest_of(dispatcher)
        self._stem = f"{name.replace(':', '.')}.{sys.implementation.cache_tag}"
        self._kept = f"{self._stem}-{digest[:16]}"
        self._cache_file = IndexDataCacheFile(self.cache_path, self._kept, digest)

    def save_overload(self, sig: Any, data: Any) -> None:
        """Store machine code, and remove what was stored of earlier versions of the kernel."""
        for path in Path(self.cache_path).glob(f"{self._stem}-*.nb?"):
            if not path.name.startswith(self._kept):
                path.unlink(missing_ok=True)
        super().save_overload(sig, data)

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """Read machine code without Numba's own preparation: it imports what is needed for compiling alone."""
        memory.initialize(target_context)
        with self._guard_against_spurious_io_errors():
            return self._load_overload(sig, target_context)

    def holds(self, arguments: Any, target: Any) -> bool:
        """Tell if there is machine code for arguments of these types, without reading it."""
        return self._index_key(arguments, target.codegen()) in self._cache_file._load_index()

    def _index_key(self, sig: Any, codegen: Any) -> Any:
        return (*super()._index_key(sig, codegen), tuple(_field_names(sig)))


class _NoFiles(NoNumbaCache):
    """Nothing is stored anywhere."""

    def holds(self, arguments: Any, target: Any) -> bool:
        """No."""
        return False


def digest_of(dispatcher: Any) -> str:
    """Hexadecimal digest of a kernel, of all helpers that it calls, and of the constants that they read."""
    digest = hashlib.sha256()
    for part in _parts(dispatcher, set()):
        digest.update(repr(part).encode())
    return digest.hexdigest()


def _parts(dispatcher: Any, seen: set[int]) -> Iterator[Any]:
    """What goes into a function's machine code, as values with a stable `repr`."""
    if id(dispatcher) in seen:
        return
    seen.add(id(dispatcher))
    function = dispatcher.py_func
    yield function.__module__, function.__qualname__
    for option, value in sorted(dispatcher.targetoptions.items()):
        yield option, sorted(value) if isinstance(value, set) else value
    yield from _code(function.__code__, function.__doc__)
    for name in sorted(_names(function.__code__)):
        yield name
        yield from _value(function.__globals__.get(name), _names(function.__code__), seen)


def _value(value: Any, names: set[str], seen: set[int]) -> Iterator[Any]:
    """What a global value adds, being looked at by a function that says these names."""
    if hasattr(value, "py_func"):
        yield from _parts(value, seen)
    elif isinstance(value, Intrinsic):
        # It emits machine code by whatever stands in its module.
        yield inspect.getsource(sys.modules[value._defn.__module__])
    elif isinstance(value, PLAIN):
        yield type(value).__name__, value
    elif isinstance(value, tuple):
        for item in value:
            yield from _value(item, names, seen)
    elif isinstance(value, np.ndarray):
        yield value.dtype.str, value.shape, value.tobytes()
    elif isinstance(value, type):
        yield value.__qualname__, getattr(value, "_fields", ())
    elif isinstance(value, types.ModuleType) and value.__name__.partition(".")[0] == __name__.partition(".")[0]:
        for name in sorted(names & vars(value).keys()):
            yield from _value(vars(value)[name], names, seen)


def _names(code: types.CodeType) -> set[str]:
    """Names of globals and attributes that a function, and functions inside it, say."""
    names = set(code.co_names)
    for inner in code.co_consts:
        if isinstance(inner, types.CodeType):
            names |= _names(inner)
    return names


def _code(code: types.CodeType, docstring: str | None) -> Iterator[Any]:
    """A function's bytecode and constants, without its docstring and its place in the file."""
    yield code.co_code, code.co_names, code.co_varnames, code.co_freevars
    for value in code.co_consts:
        if isinstance(value, types.CodeType):
            yield from _code(value, None)
        elif value != docstring:
            yield value


def _field_names(arguments: Any) -> Iterator[tuple[str, ...]]:
    """Names of the fields of all named tuples among types of arguments: a kernel reads fields by their places."""
    for kind in arguments:
        if isinstance(kind, kinds.BaseNamedTuple):
            yield tuple(kind.fields)
        if isinstance(kind, kinds.BaseTuple):
            yield from _field_names(kind.types)
