"""Eight pixels at once: numbers with eight lanes for Numba kernels.

A kernel that works on `FLOATS` instead of float32 is compiled to vector instructions as it stands; nothing depends on
what a compiler makes of a loop. Lanes mix with scalars, which count for every lane. Comparisons give `MASK`, to be
combined by `&` and `|` and used in `where`. In ordinary Python these functions do not exist: they are kernels' words.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Sequence
from typing import Any

from llvmlite import ir
from llvmlite.ir.instructions import Instruction
from numba.core import cgutils, types
from numba.core.typing import signature
from numba.core.typing.templates import AbstractTemplate, infer_global
from numba.extending import intrinsic as _intrinsic
from numba.extending import lower_builtin, models, register_model

from forestpilot.sim.kernels.operators import FIRST

intrinsic: Any = _intrinsic
"""As Numba's: the type checker is not to think that kernels' words take a typing context."""

LANES = 8
"""Pixels that a kernel works on at once: the floats of one AVX register."""


class Lanes(types.Type):
    """Numba's type of eight numbers of one kind."""

    def __init__(self, element: str) -> None:
        super().__init__(f"lanes({element})")
        self.element = element


FLOATS = Lanes("float32")
INTS = Lanes("int32")
MASK = Lanes("bool")
_ELEMENTS = {"float32": ir.FloatType(), "int32": ir.IntType(32), "bool": ir.IntType(1)}


def _vector(kind: Lanes) -> ir.VectorType:
    return ir.VectorType(_ELEMENTS[kind.element], LANES)


@register_model(Lanes)
class _LanesModel(models.PrimitiveModel):
    """Lanes are one LLVM vector."""

    def __init__(self, manager: Any, kind: Lanes) -> None:
        super().__init__(manager, kind, _vector(kind))


def _spread(builder: Any, value: Any, given: Any, kind: Lanes) -> Any:
    """A value as lanes: a scalar counts for every one of them."""
    if isinstance(given, Lanes):
        return value
    element = _ELEMENTS[kind.element]
    if isinstance(element, ir.IntType) and value.type != element:
        value = builder.trunc(value, element) if value.type.width > element.width else builder.sext(value, element)
    vector = builder.insert_element(ir.Constant(_vector(kind), ir.Undefined), value, ir.IntType(32)(0))
    return builder.shuffle_vector(vector, vector, ir.Constant(ir.VectorType(ir.IntType(32), LANES), [0] * LANES))


def _scalars(kind: Lanes) -> Sequence[Any]:
    """Numba's types of scalars that mix with lanes."""
    if kind is FLOATS:
        return (types.float32,)
    return (types.Integer,) if kind is INTS else ()


def _fits(kind: Lanes, given: Any) -> bool:
    return any(given == scalar or (isinstance(scalar, type) and isinstance(given, scalar)) for scalar in _scalars(kind))


def _operator(function: Any, kind: Lanes, result: Lanes, emit: Callable[[Any, Any, Any], Any]) -> None:
    """Teach Numba a function of two numbers, of which at least one has lanes."""

    class Template(AbstractTemplate):
        metadata = FIRST

        def generic(self, args: Any, kws: Any) -> Any:
            wanted = len(args) == 2 and kind in args and all(a == kind or _fits(kind, a) for a in args)
            return signature(result, *args) if wanted else None

    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        one, two = (_spread(builder, value, given, kind) for value, given in zip(args, sig.args, strict=True))
        return emit(builder, one, two)

    infer_global(function)(Template)
    for scalar in _scalars(kind):
        lower_builtin(function, kind, scalar)(lower)
        lower_builtin(function, scalar, kind)(lower)
    lower_builtin(function, kind, kind)(lower)


def _compared(symbol: str, function: Any) -> None:
    _operator(function, FLOATS, MASK, lambda builder, one, two: builder.fcmp_ordered(symbol, one, two))
    _operator(function, INTS, MASK, lambda builder, one, two: builder.icmp_signed(symbol, one, two))


def _chosen(symbol: str) -> Callable[[Any, Any, Any], Any]:
    """Emits Numba's own least or greatest: the second where it is beyond the first."""
    return lambda builder, one, two: builder.select(builder.fcmp_ordered(symbol, two, one), two, one)


def _instruction(name: str) -> Callable[[Any, Any, Any], Any]:
    """Emits one instruction by its name."""
    return lambda builder, one, two: getattr(builder, name)(one, two)


for _name in ("add", "sub", "mul"):
    _operator(getattr(operator, _name), FLOATS, FLOATS, _instruction("f" + _name))
    _operator(getattr(operator, _name), INTS, INTS, _instruction(_name))
_operator(operator.truediv, FLOATS, FLOATS, _instruction("fdiv"))
_operator(operator.rshift, INTS, INTS, _instruction("ashr"))
_operator(operator.lshift, INTS, INTS, _instruction("shl"))
_operator(min, FLOATS, FLOATS, _chosen("<"))
_operator(max, FLOATS, FLOATS, _chosen(">"))
for _kind in (INTS, MASK):
    _operator(operator.and_, _kind, _kind, _instruction("and_"))
    _operator(operator.or_, _kind, _kind, _instruction("or_"))
for _symbol, _function in (
    ("<", operator.lt),
    ("<=", operator.le),
    (">", operator.gt),
    (">=", operator.ge),
    ("==", operator.eq),
    ("!=", operator.ne),
):
    _compared(_symbol, _function)


def _call(builder: Any, name: str, values: Sequence[Any], loose: Sequence[str] = ()) -> Any:
    """Call LLVM's own function of floats, with lanes or without."""
    given = values[0].type
    suffix = f"v{LANES}f32" if isinstance(given, ir.VectorType) else "f32"
    kind = ir.FunctionType(given, [given] * len(values))
    return builder.call(
        cgutils.get_or_insert_function(builder.module, kind, f"llvm.{name}.{suffix}"), values, fastmath=loose
    )


def _unary(function: Any, emit: Callable[[Any, Any], Any]) -> None:
    """Teach Numba a function of one number with lanes."""

    class Template(AbstractTemplate):
        metadata = FIRST

        def generic(self, args: Any, kws: Any) -> Any:
            return signature(FLOATS, FLOATS) if tuple(args) == (FLOATS,) else None

    infer_global(function)(Template)
    lower_builtin(function, FLOATS)(lambda context, builder, sig, args: emit(builder, args[0]))


_unary(math.sqrt, lambda builder, value: _call(builder, "sqrt", [value]))
_unary(abs, lambda builder, value: _call(builder, "fabs", [value]))
_unary(operator.neg, lambda builder, value: builder.fneg(value))


@intrinsic
def inverse_root(typingctx: Any, value: Any) -> Any:
    """1 / sqrt(value), by the processor's own estimate and a step of Newton's method where it has one."""
    loose = ("reassoc", "nsz", "arcp", "contract", "afn")

    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        root = _call(builder, "sqrt", args, loose)
        return builder.fdiv(_spread(builder, ir.FloatType()(1.0), types.float32, FLOATS), root, flags=loose)

    return signature(FLOATS, FLOATS), emit


@intrinsic
def fused(typingctx: Any, factor: Any, other: Any, addend: Any) -> Any:
    """factor * other + addend, rounded once where the processor can: said here, it does not depend on the compiler."""
    kind = FLOATS if FLOATS in (factor, other, addend) else types.float32

    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        if kind is FLOATS:
            args = [_spread(builder, value, given, FLOATS) for value, given in zip(args, sig.args, strict=True)]
        return _call(builder, "fmuladd", args)

    return signature(kind, factor, other, addend), emit


@intrinsic
def where(typingctx: Any, mask: Any, one: Any, two: Any) -> Any:
    """The first value in the lanes of the mask, the second in the others."""
    kind = FLOATS if {one, two} & {FLOATS, types.float32} else INTS

    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        values = [_spread(builder, value, given, kind) for value, given in zip(args[1:], sig.args[1:], strict=True)]
        return builder.select(args[0], *values)

    return signature(kind, mask, one, two), emit


def _place(context: Any, builder: Any, array_type: Any, array: Any, index: Any) -> Any:
    """Pointer to eight elements of a one-dimensional array."""
    data = context.make_array(array_type)(context, builder, array).data
    vector = ir.VectorType(context.get_data_type(array_type.dtype), LANES)
    return builder.bitcast(builder.gep(data, [index]), vector.as_pointer())


@intrinsic
def load(typingctx: Any, array: Any, index: Any) -> Any:
    """Eight elements of a contiguous array from an index on."""
    kind = FLOATS if array.dtype == types.float32 else INTS

    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return builder.load(_place(context, builder, sig.args[0], args[0], args[1]), align=4)

    return signature(kind, array, types.intp), emit


@intrinsic
def store(typingctx: Any, array: Any, index: Any, value: Any) -> Any:
    """Write lanes into a contiguous array from an index on."""

    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        builder.store(args[2], _place(context, builder, sig.args[0], args[0], args[1]), align=4)
        return context.get_dummy_value()

    return signature(types.none, array, types.intp, value), emit


@intrinsic
def store_colors(typingctx: Any, rgb: Any, index: Any, colors: Any) -> Any:
    """Write the lowest three bytes of eight integers one after the other, from a place in memory on."""

    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        data = context.make_array(sig.args[0])(context, builder, args[0]).data
        split = builder.bitcast(args[2], ir.VectorType(ir.IntType(8), 4 * LANES))
        kept = [byte for byte in range(4 * LANES) if byte % 4 != 3]
        packed = builder.shuffle_vector(split, split, _numbers(kept))
        place = builder.bitcast(builder.gep(data, [args[1]]), packed.type.as_pointer())
        builder.store(packed, place, align=1)
        return context.get_dummy_value()

    return signature(types.none, rgb, types.intp, colors), emit


def _numbers(values: Sequence[int]) -> Any:
    """A constant vector of integers, as shuffles take it."""
    return ir.Constant(ir.VectorType(ir.IntType(32), len(values)), list(values))


@intrinsic
def transposed(typingctx: Any, columns: Any) -> Any:
    """Eight lanes of eight: the first elements of all, the second ones, and so on."""

    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        rows = [builder.extract_value(args[0], place) for place in range(LANES)]
        for reach in (4, 2, 1):  # Off-diagonal quarters change places, those of each quarter, and theirs.
            low = _numbers([k + LANES - reach if k & reach else k for k in range(LANES)])
            high = _numbers([k + LANES if k & reach else k + reach for k in range(LANES)])
            for place in (place for place in range(LANES) if not place & reach):
                one, two = rows[place], rows[place + reach]
                rows[place] = builder.shuffle_vector(one, two, low)
                rows[place + reach] = builder.shuffle_vector(one, two, high)
        return context.make_tuple(builder, sig.return_type, rows)

    return signature(columns, columns), emit


def _converter(given: Lanes, result: Lanes, name: str, emit: Callable[[Any, Any], Any], text: str) -> Any:
    """A kernel's word for a function from lanes of one kind to lanes of another."""

    def word(typingctx: Any, value: Any) -> Any:
        return signature(result, given), lambda context, builder, sig, args: emit(builder, args[0])

    word.__name__ = name
    word.__doc__ = text
    return intrinsic(word)


_INTS = _vector(INTS)
_FLOATS = _vector(FLOATS)
floor = _converter(
    FLOATS, FLOATS, "floor", lambda builder, value: _call(builder, "floor", [value]), "Largest whole number not above."
)
to_ints = _converter(
    FLOATS, INTS, "to_ints", lambda builder, value: builder.fptosi(value, _INTS), "Integers, cut towards zero."
)
to_floats = _converter(INTS, FLOATS, "to_floats", lambda builder, value: builder.sitofp(value, _FLOATS), "Floats.")
bits_of = _converter(
    FLOATS, INTS, "bits_of", lambda builder, value: builder.bitcast(value, _INTS), "The bits of floats as integers."
)
of_bits = _converter(
    INTS, FLOATS, "of_bits", lambda builder, value: builder.bitcast(value, _FLOATS), "The floats of these bits."
)


@intrinsic
def spread(typingctx: Any, value: Any) -> Any:
    """A scalar in every lane."""
    kind = FLOATS if value == types.float32 else INTS
    return signature(kind, value), lambda context, builder, sig, args: _spread(builder, args[0], sig.args[0], kind)


def _doubled(first: int, name: str, text: str) -> Any:
    """A kernel's word for four of eight integers, each twice."""
    chosen = [first + lane // 2 for lane in range(LANES)]
    return _converter(
        INTS, INTS, name, lambda builder, value: builder.shuffle_vector(value, value, _numbers(chosen)), text
    )


first_half_twice = _doubled(0, "first_half_twice", "The first four integers, each twice.")
second_half_twice = _doubled(LANES // 2, "second_half_twice", "The last four integers, each twice.")


@intrinsic
def any_of(typingctx: Any, mask: Any) -> Any:
    """Whether any lane is in the mask."""

    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        bits = builder.bitcast(args[0], ir.IntType(LANES))
        return builder.icmp_unsigned("!=", bits, bits.type(0))

    return signature(types.boolean, MASK), emit


class _Places(Instruction):
    """Pointers to elements of an array, one for each lane."""

    def __init__(self, block: Any, data: Any, indices: Any) -> None:
        super().__init__(block, ir.VectorType(data.type, LANES), "getelementptr", [data, indices])

    def descr(self, buf: list[str]) -> None:
        """Write the instruction as LLVM reads it."""
        data, indices = self.operands
        places = f"{data.type} {data.get_reference()}, {indices.type} {indices.get_reference()}"
        buf.append(f"getelementptr {data.type.pointee}, {places}\n")


def _gathered(builder: Any, data: Any, indices: Any, align: int) -> Any:
    """Elements of four bytes at `data[indices]`, by one instruction where the processor is quick at it."""
    places = _Places(builder.block, data, indices)
    builder._insert(places)
    element = data.type.pointee
    vector = ir.VectorType(element, LANES)
    mask = ir.VectorType(ir.IntType(1), LANES)
    kind = ir.FunctionType(vector, [places.type, ir.IntType(32), mask, vector])
    name = f"llvm.masked.gather.v{LANES}{'f32' if element == ir.FloatType() else 'i32'}.v{LANES}p0"
    function = cgutils.get_or_insert_function(builder.module, kind, name)
    every = ir.Constant(mask, [1] * LANES)
    return builder.call(function, [places, ir.IntType(32)(align), every, ir.Constant(vector, ir.Undefined)])


@intrinsic
def gather(typingctx: Any, array: Any, indices: Any) -> Any:
    """Elements of a contiguous array, of any number of dimensions, by their places in memory; bytes become integers."""
    kind = FLOATS if array.dtype == types.float32 else INTS

    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        data = context.make_array(sig.args[0])(context, builder, args[0]).data
        element = context.get_data_type(sig.args[0].dtype)
        if element != ir.IntType(8):
            return _gathered(builder, data, args[1], align=4)
        found = ir.Constant(ir.VectorType(element, LANES), ir.Undefined)
        for lane in range(LANES):
            index = builder.sext(builder.extract_element(args[1], ir.IntType(32)(lane)), ir.IntType(64))
            found = builder.insert_element(found, builder.load(builder.gep(data, [index])), ir.IntType(32)(lane))
        return builder.zext(found, _INTS)

    return signature(kind, array, INTS), emit


@intrinsic
def gather_words(typingctx: Any, array: Any, indices: Any) -> Any:
    """Four bytes each of a contiguous array of bytes, from these places in memory on, as integers: the first is the
    lowest."""

    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        data = context.make_array(sig.args[0])(context, builder, args[0]).data
        words = builder.bitcast(data, ir.IntType(32).as_pointer())
        found = ir.Constant(_INTS, ir.Undefined)
        for lane in range(LANES):
            index = builder.sext(builder.extract_element(args[1], ir.IntType(32)(lane)), ir.IntType(64))
            place = builder.bitcast(builder.gep(data, [index]), words.type)
            found = builder.insert_element(found, builder.load(place, align=1), ir.IntType(32)(lane))
        return found

    return signature(INTS, array, INTS), emit
