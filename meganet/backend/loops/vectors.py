"""The processor's vector registers, as numbers of a loop.

A `Vector` holds `lanes` numbers of one dtype: as many as a register, 16 of float32 with AVX-512, 8 with AVX2, 4 else.
``load`` and ``store`` move them from and to flat arrays, ``+``, ``-`` and ``*`` act on every lane, and a product with a
sum may be rounded once (fused multiply-add) where the processor can. Only ``total``, ``transpose`` and ``moved_up`` mix
lanes; of these ``total`` alone gives results that depend, by round-off, on how many there are.

Each function here stands for a few instructions of LLVM and can be called in compiled loops only. Indices count numbers
of the array from its start; nothing checks that they are inside.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

from llvmlite import binding, ir
from numba import config, types
from numba.core.typing.templates import AbstractTemplate, infer_global, signature
from numba.extending import intrinsic, lower_builtin, models, register_model

from meganet.backend.loops.compiler import part

CONTRACT = ("contract",)
INT = ir.IntType(32)


def _register_bytes() -> int:
    """Return the size of a register of the processor that numba compiles for, by its settings or else this one."""
    if config.CPU_FEATURES is not None:
        features = {name[1:] for name in config.CPU_FEATURES.split(",") if name.startswith("+")}
    elif config.CPU_NAME == "generic":
        features = set()
    else:
        try:
            features = {name for name, there in binding.get_host_cpu_features().items() if there}
        except RuntimeError:  # LLVM does not know this processor
            features = set()
    return 64 if "avx512f" in features else 32 if "avx2" in features else 16


REGISTER_BYTES = _register_bytes()


class Vector(types.Type):
    """The type of a register full of numbers of `dtype`."""

    def __init__(self, dtype: Any) -> None:
        self.dtype, self.lanes = dtype, 8 * REGISTER_BYTES // dtype.bitwidth
        super().__init__(name=f"Vector({dtype}, {self.lanes})")

    @property
    def of_lanes(self) -> ir.VectorType:
        """LLVM's type."""
        return ir.VectorType(ir.FloatType() if self.dtype == types.float32 else ir.DoubleType(), self.lanes)

    @property
    def zero(self) -> ir.Constant:
        """Zero in every lane."""
        return ir.Constant(self.of_lanes, None)


@register_model(Vector)
class _Model(models.PrimitiveModel):
    def __init__(self, manager: Any, vector: Vector) -> None:
        super().__init__(manager, vector, vector.of_lanes)


def _address(context: Any, builder: Any, kind: Any, array: Any, index: Any) -> Any:
    return builder.gep(context.make_array(kind)(context, builder, array).data, [index])


def _place(context: Any, builder: Any, kind: Any, array: Any, index: Any, element: Any, lanes: int) -> Any:
    """Return the address of `lanes` numbers of an array as that of a vector."""
    address = _address(context, builder, kind, array, index)
    return builder.bitcast(address, ir.VectorType(element, lanes).as_pointer())


def _spread(builder: Any, vector: Vector, number: Any) -> Any:
    undefined = ir.Constant(vector.of_lanes, ir.Undefined)
    first = builder.insert_element(undefined, number, ir.Constant(INT, 0))
    return builder.shuffle_vector(first, undefined, ir.Constant(ir.VectorType(INT, vector.lanes), None))


def _first_lanes(builder: Any, vector: Vector, count: Any) -> Any:
    """Return which lanes are among the first `count`."""
    lanes = ir.VectorType(ir.IntType(64), vector.lanes)
    every = builder.insert_element(ir.Constant(lanes, ir.Undefined), count, ir.Constant(INT, 0))
    every = builder.shuffle_vector(every, every, ir.Constant(ir.VectorType(INT, vector.lanes), None))
    return builder.icmp_signed("<", ir.Constant(lanes, list(range(vector.lanes))), every)


def _masked(builder: Any, vector: Vector, name: str, arguments: list[Any], result: Any) -> Any:
    element = "f32" if vector.dtype == types.float32 else "f64"
    kinds = [argument.type for argument in arguments]
    function = builder.module.declare_intrinsic(
        f"llvm.masked.{name}.v{vector.lanes}{element}.p0", (), ir.FunctionType(result, kinds)
    )
    return builder.call(function, arguments)


@intrinsic
def lanes(context: Any, array: Any) -> Any:
    """``lanes(array)``: how many of its numbers a register holds."""
    count = Vector(array.dtype).lanes
    return types.intp(array), lambda context, builder, sig, args: context.get_constant(types.intp, count)


@intrinsic
def zeros(context: Any, array: Any) -> Any:
    """``zeros(array)``: zero in every lane."""
    vector = Vector(array.dtype)
    return vector(array), lambda context, builder, sig, args: vector.zero


@intrinsic
def load(context: Any, array: Any, index: Any) -> Any:
    """``load(array, index)``: the numbers from `index` on."""
    vector = Vector(array.dtype)

    def build(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        place = _place(context, builder, sig.args[0], args[0], args[1], vector.of_lanes.element, vector.lanes)
        return builder.load(place, align=vector.dtype.bitwidth // 8)

    return vector(array, types.intp), build


@intrinsic
def store(context: Any, array: Any, index: Any, vector: Any) -> Any:
    """``store(array, index, vector)``: write all lanes."""

    def build(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        place = _place(context, builder, sig.args[0], args[0], args[1], vector.of_lanes.element, vector.lanes)
        builder.store(args[2], place, align=vector.dtype.bitwidth // 8)
        return context.get_dummy_value()

    return types.void(array, types.intp, vector), build


@intrinsic
def load_first(context: Any, array: Any, index: Any, count: Any) -> Any:
    """``load_first(array, index, count)``: at most `count` numbers, and zeros; others are not touched."""
    vector = Vector(array.dtype)

    def build(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        place = _place(context, builder, sig.args[0], args[0], args[1], vector.of_lanes.element, vector.lanes)
        align, mask = ir.Constant(INT, vector.dtype.bitwidth // 8), _first_lanes(builder, vector, args[2])
        return _masked(builder, vector, "load", [place, align, mask, vector.zero], vector.of_lanes)

    return vector(array, types.intp, types.int64), build


@intrinsic
def store_first(context: Any, array: Any, index: Any, count: Any, vector: Any) -> Any:
    """``store_first(array, index, count, vector)``: write at most `count` lanes."""

    def build(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        place = _place(context, builder, sig.args[0], args[0], args[1], vector.of_lanes.element, vector.lanes)
        align, mask = ir.Constant(INT, vector.dtype.bitwidth // 8), _first_lanes(builder, vector, args[2])
        _masked(builder, vector, "store", [args[3], place, align, mask], ir.VoidType())
        return context.get_dummy_value()

    return types.void(array, types.intp, types.int64, vector), build


@intrinsic
def spread(context: Any, array: Any, index: Any) -> Any:
    """``spread(array, index)``: one number in every lane."""
    vector = Vector(array.dtype)

    def build(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return _spread(builder, vector, builder.load(_address(context, builder, sig.args[0], args[0], args[1])))

    return vector(array, types.intp), build


@intrinsic
def fma(context: Any, a: Any, b: Any, c: Any) -> Any:
    """``fma(a, b, c)``: ``a b + c``."""

    def build(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return builder.fadd(builder.fmul(*args[:2], flags=CONTRACT), args[2], flags=CONTRACT)

    return a(a, b, c), build


@intrinsic
def load_slopes(context: Any, slopes: Any, index: Any, count: Any, like: Any) -> Any:
    """``load_slopes(slopes, index, count, like)``: `count` Booleans as 0 and 1 in the lanes of a vector `like`."""
    byte = ir.IntType(8)

    def build(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        signs = ir.VectorType(byte, like.lanes)
        full = builder.icmp_signed(">=", args[2], ir.Constant(args[2].type, like.lanes))
        with builder.if_else(full) as (whole, rest):
            with whole:
                place = _place(context, builder, sig.args[0], args[0], args[1], byte, like.lanes)
                all_lanes = builder.load(place, align=1)
                whole_block = builder.block
            with rest:
                address = _address(context, builder, sig.args[0], args[0], args[1])
                some, zero = ir.Constant(signs, None), ir.Constant(byte, 0)
                for lane in range(like.lanes):
                    here = builder.icmp_signed("<", ir.Constant(args[2].type, lane), args[2])
                    # beyond the count the first one again, which is there
                    number = builder.select(here, ir.Constant(INT, lane), ir.Constant(INT, 0))
                    sign = builder.select(here, builder.load(builder.gep(address, [number])), zero)
                    some = builder.insert_element(some, sign, ir.Constant(INT, lane))
                rest_block = builder.block
        chosen = builder.phi(signs)
        chosen.add_incoming(all_lanes, whole_block)
        chosen.add_incoming(some, rest_block)
        return builder.uitofp(chosen, like.of_lanes)

    return like(slopes, types.intp, types.int64, like), build


@intrinsic
def positive(context: Any, vector: Any) -> Any:
    """``positive(vector)``: ``max(v, 0)``; what is not a number stays."""

    def build(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return builder.select(builder.fcmp_ordered("<", args[0], vector.zero), vector.zero, args[0])

    return vector(vector), build


@intrinsic
def store_slopes(context: Any, slopes: Any, index: Any, count: Any, vector: Any) -> Any:
    """``store_slopes(slopes, index, count, vector)``: write ``v >= 0`` of `count` lanes into Booleans."""
    byte = ir.IntType(8)

    def build(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        signs = builder.zext(builder.fcmp_ordered(">=", args[3], vector.zero), ir.VectorType(byte, vector.lanes))
        full = builder.icmp_signed(">=", args[2], ir.Constant(args[2].type, vector.lanes))
        with builder.if_else(full) as (whole, rest):
            with whole:
                place = _place(context, builder, sig.args[0], args[0], args[1], byte, vector.lanes)
                builder.store(signs, place, align=1)
            with rest:
                address = _address(context, builder, sig.args[0], args[0], args[1])
                for lane in range(vector.lanes):
                    with builder.if_then(builder.icmp_signed("<", ir.Constant(args[2].type, lane), args[2])):
                        sign = builder.extract_element(signs, ir.Constant(INT, lane))
                        builder.store(sign, builder.gep(address, [ir.Constant(INT, lane)]))
        return context.get_dummy_value()

    return types.void(slopes, types.intp, types.int64, vector), build


@part
def load_some(array: Any, index: int, count: int) -> Any:
    """Return what `load_first` does, by a plain `load` where a register is full: masks take time on some processors."""
    return load(array, index) if count >= lanes(array) else load_first(array, index, count)


@part
def store_some(array: Any, index: int, count: int, vector: Any) -> None:
    """Do what `store_first` does, by a plain `store` where a register is full."""
    if count >= lanes(array):
        store(array, index, vector)
    else:
        store_first(array, index, count, vector)


@intrinsic
def transpose(context: Any, a: Any, at: Any, a_step: Any, b: Any, to: Any, b_step: Any) -> Any:
    """``transpose(a, at, a_step, b, to, b_step)``: ``b[to + j b_step + i] = a[at + i a_step + j]`` for all lanes i, j.

    In every stage the blocks of `size` x `size` numbers beside the diagonal change places.
    """
    vector = Vector(a.dtype)

    def build(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        lanes, element = vector.lanes, vector.of_lanes.element
        align = vector.dtype.bitwidth // 8

        def places(kind: Any, array: Any, start: Any, step: Any) -> list[Any]:
            starts = [start]
            for _ in range(lanes - 1):
                starts.append(builder.add(starts[-1], step))
            return [_place(context, builder, kind, array, index, element, lanes) for index in starts]

        rows = [builder.load(place, align=align) for place in places(sig.args[0], *args[:3])]
        size = 1
        while size < lanes:
            # lanes of the first row, and those of the second, which count on
            upper = [lane if not lane & size else lane - size + lanes for lane in range(lanes)]
            lower = [lane + size if not lane & size else lane + lanes for lane in range(lanes)]
            masks = [ir.Constant(ir.VectorType(INT, lanes), mask) for mask in (upper, lower)]
            for row in range(lanes):
                if not row & size:
                    pair = rows[row], rows[row + size]
                    rows[row], rows[row + size] = (builder.shuffle_vector(*pair, mask) for mask in masks)
            size *= 2
        for row, place in zip(rows, places(sig.args[3], *args[3:]), strict=True):
            builder.store(row, place, align=align)
        return context.get_dummy_value()

    return types.void(a, types.intp, types.intp, b, types.intp, types.intp), build


@intrinsic
def larger(context: Any, a: Any, b: Any) -> Any:
    """``larger(a, b)``: the larger number, lane by lane; `a` where one is not a number."""

    def build(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return builder.select(builder.fcmp_ordered(">", args[1], args[0]), args[1], args[0])

    return a(a, b), build


@intrinsic
def moved_up(context: Any, vector: Any) -> Any:
    """``moved_up(vector)``: each number in the next lane, zero in the first."""

    def build(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        lanes = [vector.lanes, *range(vector.lanes - 1)]
        return builder.shuffle_vector(args[0], vector.zero, ir.Constant(ir.VectorType(INT, vector.lanes), lanes))

    return vector(vector), build


@intrinsic
def prefetch(context: Any, array: Any, index: Any) -> Any:
    """``prefetch(array, index)``: begin to bring a number's cache line into the second cache; it need not be there."""

    def build(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        address = _address(context, builder, sig.args[0], args[0], args[1])
        place = builder.bitcast(address, ir.IntType(8).as_pointer())
        kind = ir.FunctionType(ir.VoidType(), [place.type, INT, INT, INT])
        function = builder.module.declare_intrinsic("llvm.prefetch.p0", (), kind)
        # to be read, into all caches but the first, data
        builder.call(function, [place, ir.Constant(INT, 0), ir.Constant(INT, 2), ir.Constant(INT, 1)])
        return context.get_dummy_value()

    return types.void(array, types.intp), build


@intrinsic
def total(context: Any, vector: Any) -> Any:
    """``total(vector)``: the sum of all lanes, of both halves again and again."""

    def build(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        (sums,), count = args, vector.lanes
        while count > 1:
            count //= 2
            halves = [ir.Constant(ir.VectorType(INT, count), [*range(k, k + count)]) for k in (0, count)]
            sums = builder.fadd(*(builder.shuffle_vector(sums, sums, half) for half in halves))
        return builder.extract_element(sums, ir.Constant(INT, 0))

    return vector.dtype(vector), build


def _arithmetic(function: Callable[..., Any], instruction: str) -> None:
    """Let an operator of Python act on vectors, or on a vector and a number."""

    @infer_global(function)
    class _Template(AbstractTemplate):
        def generic(self, args: Any, kwargs: Any) -> Any:
            vectors = [kind for kind in args if isinstance(kind, Vector)]
            if vectors and all(isinstance(kind, (Vector, types.Number)) for kind in args):
                return signature(vectors[0], *[kind if kind in vectors else vectors[0].dtype for kind in args])
            return None

    def build(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        vector = sig.return_type
        kinds = zip(sig.args, args, strict=True)
        operands = [value if kind == vector else _spread(builder, vector, value) for kind, value in kinds]
        return getattr(builder, instruction)(*operands, flags=CONTRACT)

    for kinds in ((Vector, Vector), (Vector, types.Float), (types.Float, Vector)):
        lower_builtin(function, *kinds)(build)


for _function, _instruction in ((operator.add, "fadd"), (operator.sub, "fsub"), (operator.mul, "fmul")):
    _arithmetic(_function, _instruction)
