"""The list of all kernels with the types of their arguments, `listed.json`; a test holds it against what is called.

`make kernels` writes it anew.
"""

from __future__ import annotations

import functools
import importlib
import json
import re
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numba.core import types as numba_types
from numba.np.numpy_support import as_dtype, from_dtype

from forestpilot.sim.kernels.decorators import KERNELS

types: Any = numba_types
PATH = Path(__file__).with_name("listed.json")
_ARRAY = re.compile(r"(\w+) (\d)d (\w)( read-only)?")


class Listed(NamedTuple):
    """A kernel and types of arguments that Python calls it with."""

    name: str
    """`package.module:function`."""
    seconds: float
    """How long it took to compile, on one core of the machine that wrote the list."""
    arguments: tuple[Any, ...]
    """As JSON; see `plain_of`."""

    @property
    def module(self) -> str:
        """Module that it stands in."""
        return self.name.partition(":")[0]

    def dispatcher(self) -> Any:
        """Numba's dispatcher of the kernel; its module is imported."""
        importlib.import_module(self.module)
        return KERNELS[self.name]

    def types(self) -> tuple[Any, ...]:
        """Numba's types of the arguments."""
        return tuple(type_of(argument) for argument in self.arguments)


@functools.cache
def listed_kernels() -> tuple[Listed, ...]:
    """All of them, as they stand in the list: what is called first, first."""
    return tuple(
        Listed(line["kernel"], line["seconds"], tuple(line["arguments"]))
        for line in json.loads(PATH.read_text(encoding="utf-8"))
    )


def write_list(kernels: list[Listed]) -> None:
    """Write the list anew, in this order."""
    lines = [
        json.dumps({"kernel": kernel.name, "seconds": kernel.seconds, "arguments": kernel.arguments})
        for kernel in kernels
    ]
    PATH.write_text("[\n" + ",\n".join(lines) + "\n]\n", encoding="utf-8")


def plain_of(kind: Any) -> Any:
    """One of Numba's types as JSON: `float64`, `float32 2d C`, `{"tuple": [...]}`, and so on.

    Raises:
        TypeError: kernels were never called with such a type.
    """
    if isinstance(kind, types.BaseNamedTuple):
        owner = kind.instance_class
        return {f"{owner.__module__}:{owner.__qualname__}": [plain_of(part) for part in kind.types]}
    if isinstance(kind, types.BaseTuple):
        return {"tuple": [plain_of(part) for part in kind.types]}
    if isinstance(kind, types.Array) and isinstance(kind.dtype, types.Record):
        fields = [[name, as_dtype(kind.dtype.typeof(name)).name] for name in kind.dtype.fields]
        return {"record": fields, "aligned": kind.dtype.aligned, "array": _layout(kind)}
    if isinstance(kind, types.Array):
        return f"{kind.dtype} {_layout(kind)}"
    if isinstance(kind, (types.Number, types.Boolean)):
        return str(kind)
    raise TypeError(f"no way to write down the type {kind} of a kernel's argument")


def type_of(plain: Any) -> Any:
    """Numba's type that `plain_of` wrote as JSON."""
    if isinstance(plain, str):
        return _array(plain) or getattr(types, plain)
    if "tuple" in plain:
        return types.BaseTuple.from_types([type_of(part) for part in plain["tuple"]])
    if "record" in plain:
        dtype = np.dtype([tuple(field) for field in plain["record"]], align=plain["aligned"])
        return _array(f"record {plain['array']}", from_dtype(dtype))
    [(home, parts)] = plain.items()
    module, _, name = home.partition(":")
    owner = getattr(importlib.import_module(module), name)
    return types.BaseTuple.from_types([type_of(part) for part in parts], owner)


def _layout(kind: Any) -> str:
    return f"{kind.ndim}d {kind.layout}" + ("" if kind.mutable else " read-only")


def _array(plain: str, dtype: Any = None) -> Any:
    """The type of an array; None if it is another type."""
    match = _ARRAY.fullmatch(plain)
    if match is None:
        return None
    name, dimensions, layout, read_only = match.groups()
    element = getattr(types, name) if dtype is None else dtype
    return types.Array(element, int(dimensions), layout, readonly=bool(read_only))
