"""A stand-in for a GPU: arrays that refuse every implicit way to the host, as a strict device would.

`GUARD` is a backend whose arrays wrap NumPy arrays and hide them. NumPy functions, mixed operands,
``float(x)``, ``if x``, iteration and the like raise; only `Backend.asarray` and `Backend.to_host` cross
over. Its namespaces hold just the functions that CuPy has too, so code that passes here uses nothing else.
"""

from __future__ import annotations

import operator
from functools import cached_property
from types import SimpleNamespace

import numpy as np
import scipy.fft
import scipy.sparse
from cuda_emulation import COMPILER, RawModule
from graph_emulation import CUDA, call, change, no_capture

from meganet._cuda import Kernels
from meganet._cuda.graph import iterate
from meganet.backend import Backend


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


def on_device(function):
    """Let a NumPy function run on hidden arrays only."""

    def wrapped(*args, **kwargs):
        return _outer(call(function, _inner(args), {k: _inner(v) for k, v in kwargs.items()}))

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
    T = property(lambda self: GuardArray(self._hidden.T))
    strides = property(lambda self: self._hidden.strides)
    flags = property(lambda self: self._hidden.flags)

    def __len__(self):
        return len(self._hidden)

    def __repr__(self):
        return f"GuardArray(shape={self.shape}, dtype={self.dtype})"

    def __getitem__(self, key):
        return GuardArray(call(operator.getitem, (self._hidden, _inner(key))))

    def __setitem__(self, key, value):
        change(self._hidden, operator.setitem, _inner(key), _inner(value))


METHODS = ["reshape", "transpose", "swapaxes", "astype", "copy", "sum", "max", "min", "argmax", "all", "any", "ravel"]
"""What the engine may call of an array."""

for _name in METHODS:
    setattr(GuardArray, _name, on_device(getattr(np.ndarray, _name)))
for _name in ("add", "sub", "mul", "truediv", "matmul", "mod", "pow", "and_", "or_"):
    _function, _dunder = getattr(operator, _name), _name.rstrip("_")
    setattr(GuardArray, f"__{_dunder}__", on_device(_function))
    setattr(GuardArray, f"__r{_dunder}__", on_device(lambda a, b, f=_function: f(b, a)))


def _in_place(function):
    def method(self, other):
        change(self._hidden, function, _inner(other))
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
    "concatenate",
    "conj",
    "empty",
    "empty_like",
    "eye",
    "exp",
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


class _GuardBackend(Backend):
    """With the hand-written kernels where there is a compiler to run them on the host."""

    @cached_property
    def kernels(self):
        return Kernels(self.xp) if COMPILER else None

    def to_host(self, x):
        no_capture("a transfer to the host")
        return x._hidden.copy()

    def synchronize(self):
        self.xp.cuda.get_current_stream().synchronize()

    def iterate(self, step, state, inputs, advance):
        return iterate(self.xp, step, state, inputs, advance)

    def csr_to_host(self, matrix):
        return matrix._hidden


def _asarray(x, dtype=None):
    """The one way in: an explicit upload."""
    if not isinstance(x, GuardArray):
        no_capture("an upload")
    return GuardArray(np.array(x._hidden if isinstance(x, GuardArray) else x, dtype=dtype))


GUARD = _GuardBackend(
    "guard",
    SimpleNamespace(
        **{name: on_device(getattr(np, name)) for name in FUNCTIONS},
        asarray=_asarray,
        cuda=CUDA,
        RawModule=lambda code, options: RawModule(code, options, _inner),
        linalg=SimpleNamespace(solve=on_device(np.linalg.solve)),
    ),
    SimpleNamespace(csr_array=_csr_array, block_diag=_block_diag),
    None,
    SimpleNamespace(**{name: on_device(getattr(scipy.fft, name)) for name in ("fft2", "dctn", "idctn")}),
    GuardArray,
)
