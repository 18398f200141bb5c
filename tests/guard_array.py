"""A stand-in for a GPU: arrays that refuse every implicit way to the host, as a strict device would.

`GUARD` is a backend whose arrays wrap NumPy arrays and hide them. NumPy functions, mixed operands,
``float(x)``, ``if x``, iteration and the like raise; only `Backend.asarray` and `Backend.to_host` cross
over. Its namespaces hold just the functions that CuPy has too, so code that passes here uses nothing else.

Memory order is CuPy's too: every function writes C order but for the few of `KEEPING`. `LAYOUT` notes what that costs:
conversions, copies of an array in another order of axes, and strided passes, elementwise work whose neighbouring
threads do not read neighbouring numbers.
"""

from __future__ import annotations

import operator
from functools import cached_property
from types import SimpleNamespace

import numpy as np
import scipy.fft
import scipy.sparse
from cuda_emulation import COMPILER, RawModule
from graph_emulation import CUDA, USUAL, allocated, call, change, no_capture

from meganet.backend import Backend
from meganet.backend.cuda import Kernels
from meganet.backend.device import CupyBackend
from meganet.backend.products import Products


class HostCallError(TypeError):
    """A device array was about to be converted on the host."""


def _refuse(name):
    def method(self, *args, **kwargs):
        raise HostCallError(f"{name} on a device array is an implicit host transfer")

    return method


def _inner(x):
    if isinstance(x, GuardArray):
        return x._hidden
    if isinstance(x, (tuple, list)):
        return type(x)(_inner(v) for v in x)
    if isinstance(x, (np.ndarray, np.generic)):
        raise HostCallError(f"a host {type(x).__name__} mixed with device arrays")
    return x


def _outer(x):
    return GuardArray(np.asarray(x)) if isinstance(x, (np.ndarray, np.generic)) else x


KEEPING = {np.empty_like, np.zeros_like, np.ones_like, np.roll, np.ndarray.astype}
"""What keeps the order of memory in CuPy: its own function makes the rest C order."""
COPYING = {np.ascontiguousarray, np.ndarray.copy, np.ndarray.reshape, np.ndarray.ravel}
"""What only copies, so that it may convert; everything else works on its entries."""
LAYOUT: list[tuple[str, str, tuple[int, ...]]] = []
"""What was noted: ("conversion" or "strided", function, shape)."""


def _order(array):
    return sorted((a for a in range(array.ndim) if array.shape[a] > 1), key=lambda a: -array.strides[a])


def _note_copy(name, source, result):
    """Note a copy into another order; `result` is C order, in another shape where axes were joined."""
    if not np.shares_memory(source, result) and _order(source) != sorted(_order(source)):
        LAYOUT.append(("conversion", name, source.shape))


def _note_pass(name, *arrays):
    """Note elementwise work in which an array of full size is not read along its last axis."""
    arrays = [a for a in arrays if isinstance(a, np.ndarray) and a.ndim >= 3]
    full = max((a.size for a in arrays), default=0)
    for array in arrays:
        axes = [a for a in range(array.ndim) if array.shape[a] > 1]
        if axes and array.size == full and array.strides[axes[-1]] != array.itemsize:
            if array.strides[axes[-1]] == min(abs(array.strides[a]) for a in axes):
                continue  # a gap, but in order
            LAYOUT.append(("strided", name, array.shape))
            return


def on_device(function):
    """Let a NumPy function run on hidden arrays only, with results in CuPy's order."""

    def wrapped(*args, **kwargs):
        args, kwargs = _inner(args), {k: _inner(v) for k, v in kwargs.items()}
        result = call(function, args, kwargs, c_order=function not in KEEPING)
        if isinstance(result, np.ndarray):
            if function in COPYING:
                _note_copy(function.__name__, args[0], result)
            elif isinstance(function, np.ufunc) or function in ELEMENTWISE:
                _note_pass(function.__name__, *args, result)
        return _outer(result)

    return wrapped


class GuardArray:
    """A NumPy array that only device functions can see."""

    __hash__ = None

    def __init__(self, hidden):
        self._hidden = hidden

    shape = property(lambda self: self._hidden.shape)
    dtype = property(lambda self: self._hidden.dtype)
    ndim = property(lambda self: self._hidden.ndim)
    size = property(lambda self: self._hidden.size)
    nbytes = property(lambda self: self._hidden.nbytes)
    T = property(lambda self: GuardArray(self._hidden.T))
    strides = property(lambda self: self._hidden.strides)
    flags = property(lambda self: self._hidden.flags)

    def __len__(self):
        return len(self._hidden)

    def __repr__(self):
        return f"GuardArray(shape={self.shape}, dtype={self.dtype})"

    def __getitem__(self, key):
        return GuardArray(call(operator.getitem, (self._hidden, _inner(key)), c_order=True))

    def __setitem__(self, key, value):
        key, value = _inner(key), _inner(value)
        if isinstance(value, np.ndarray):
            _note_pass("setitem", self._hidden[key], value)
        change(self._hidden, operator.setitem, key, value)


ELEMENTWISE = {
    getattr(operator, name)
    for name in dir(operator)
    if name in {"add", "sub", "mul", "truediv", "mod", "pow", "and_", "or_", "neg", "abs", "iadd", "isub", "imul"}
    or name in {"eq", "ne", "lt", "le", "gt", "ge"}
} | {np.where}
METHODS = ["reshape", "transpose", "swapaxes", "astype", "copy", "sum", "max", "min", "argmax", "all", "any", "ravel"]
"""What the engine may call of an array."""


def _reversed(function):
    return lambda a, b: function(b, a)


for _name in METHODS:
    setattr(GuardArray, _name, on_device(getattr(np.ndarray, _name)))
for _name in ("add", "sub", "mul", "truediv", "matmul", "mod", "pow", "and_", "or_"):
    _function, _dunder = getattr(operator, _name), _name.rstrip("_")
    setattr(GuardArray, f"__{_dunder}__", on_device(_function))
    setattr(GuardArray, f"__r{_dunder}__", _reversed(on_device(_function)))


def _in_place(function):
    def method(self, other):
        other = _inner(other)
        _note_pass(function.__name__, self._hidden, other)
        change(self._hidden, function, other)
        return self

    return method


for _name in ("iadd", "isub", "imul"):
    setattr(GuardArray, f"__{_name}__", _in_place(getattr(operator, _name)))
for _name in ("neg", "eq", "ne", "lt", "le", "gt", "ge", "abs"):
    setattr(GuardArray, f"__{_name}__", on_device(getattr(operator, _name)))
for _name in [
    "__array__",
    "__array_ufunc__",
    "__array_function__",
    "__float__",
    "__int__",
    "__bool__",
    "__index__",
    "__complex__",
    "__iter__",
    "__contains__",
    "tolist",
    "item",
]:
    setattr(GuardArray, _name, _refuse(_name))

FUNCTIONS = [
    "arange",
    "ascontiguousarray",
    "bincount",
    "broadcast_to",
    "concatenate",
    "conj",
    "empty",
    "empty_like",
    "exp",
    "eye",
    "isfinite",
    "log",
    "log1p",
    "matmul",
    "maximum",
    "minimum",
    "ones_like",
    "roll",
    "sqrt",
    "stack",
    "subtract",
    "take",
    "tanh",
    "vdot",
    "where",
    "zeros",
    "zeros_like",
]
"""What the engine may call on arrays; a test holds these names against CuPy where it is installed."""


class GuardSparse:
    """A hidden CSR matrix."""

    def __init__(self, hidden):
        self._hidden = hidden.tocsr()

    shape = property(lambda self: self._hidden.shape)
    dtype = property(lambda self: self._hidden.dtype)
    T = property(lambda self: GuardSparse(self._hidden.T))

    def tocsr(self):
        return self

    def __matmul__(self, other):
        if isinstance(other, GuardSparse):
            return GuardSparse(self._hidden @ other._hidden)
        if not isinstance(other, GuardArray):
            raise HostCallError(f"a device matrix times a host {type(other).__name__}")
        return GuardArray(call(operator.matmul, (self._hidden, other._hidden)))

    def __add__(self, other):
        return GuardSparse(self._hidden + other._hidden)

    def __mul__(self, factor):
        return GuardSparse(self._hidden * factor)


def _csr_array(parts, shape):
    return GuardSparse(scipy.sparse.csr_array(tuple(_inner(p) for p in parts), shape=shape))


def _block_diag(blocks, format):
    return GuardSparse(scipy.sparse.block_diag([b._hidden for b in blocks], format=format))


class _GuardBackend(CupyBackend):
    """With the hand-written kernels where there is a compiler to run them on the host, else with expressions."""

    if COMPILER is None:
        vars().update({name: value for name, value in vars(Products).items() if not name.startswith("_")})
        rows_matrix, rows_product = Backend.rows_matrix, Backend.rows_product

    @cached_property
    def kernels(self):
        return Kernels(self.xp) if COMPILER else None

    def to_host(self, x):
        no_capture("a transfer to the host")
        return x._hidden.copy()

    def csr_to_host(self, matrix):
        return matrix._hidden


def _asarray(x, dtype=None):
    """The one way in: an explicit upload."""
    if not isinstance(x, GuardArray):
        no_capture("an upload")
    return GuardArray(allocated(np.array(x._hidden if isinstance(x, GuardArray) else x, dtype=dtype)))


GUARD = _GuardBackend(
    "guard",
    SimpleNamespace(
        **{name: on_device(getattr(np, name)) for name in FUNCTIONS},
        asarray=_asarray,
        cuda=CUDA,
        get_default_memory_pool=lambda: USUAL,
        RawModule=lambda code, options: RawModule(code, options, _inner),
        linalg=SimpleNamespace(solve=on_device(np.linalg.solve)),
    ),
    SimpleNamespace(csr_array=_csr_array, block_diag=_block_diag),
    None,
    SimpleNamespace(**{name: on_device(getattr(scipy.fft, name)) for name in ("fft2", "dctn", "idctn")}),
    GuardArray,
)
