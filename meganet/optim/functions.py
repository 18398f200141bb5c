"""The functions that a caller hands in: that they are functions, and that they return what was agreed."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable, Iterable, Mapping
from numbers import Integral, Real
from typing import Any

import numpy as np

from meganet.backend import Array, Backend, backend_of
from meganet.ground import validate


def required(argument: str, function: Any, expected: str = "a function") -> None:
    """Refuse what cannot be called.

    Examples
    --------
    >>> from meganet.optim.functions import required
    >>> required("fun", print)
    >>> required("fun", 3)
    Traceback (most recent call last):
    ...
    meganet.ground.validate.InputError: fun: expected a function, got 3
    """
    if not callable(function):
        validate.reject(argument, expected, validate.shown(function))


def stacked(observe: Any) -> Any:
    """Return how an observer serves several runs at once, its attribute ``stacked``; None if it does not say.

    The attribute was called ``together``, which works and warns.

    Examples
    --------
    >>> from meganet.optim.functions import stacked
    >>> stacked(print) is None
    True
    """
    old = getattr(observe, "together", None)
    if old is None or hasattr(observe, "stacked"):
        return getattr(observe, "stacked", None)
    warnings.warn(f"{type(observe).__qualname__}.together is now called stacked", DeprecationWarning, stacklevel=2)
    return old


def optional(argument: str, function: Any) -> None:
    """Refuse what is neither None nor can be called.

    Examples
    --------
    >>> from meganet.optim.functions import optional
    >>> optional("callback", None)
    >>> optional("callback", "no")
    Traceback (most recent call last):
    ...
    meganet.ground.validate.InputError: callback: expected a function or None, got 'no'
    """
    if function is not None:
        required(argument, function, "a function or None")


def arguments(function: Any) -> Mapping[str, inspect.Parameter]:
    """Return a function's arguments by name, none of what is no function or does not tell them.

    Examples
    --------
    >>> from functools import partial
    >>> from meganet.optim.functions import arguments
    >>> list(arguments(partial(sorted, key=abs)))
    ['iterable', 'key', 'reverse']
    """
    if not callable(function) or isinstance(function, type):
        return {}
    try:
        return inspect.signature(function).parameters
    except ValueError:
        return {}


def flat(argument: str, x: Any) -> Backend:
    """Return the backend of a flat vector of float32 or float64; refuse anything else.

    Examples
    --------
    >>> import numpy as np
    >>> from meganet.optim.functions import flat
    >>> flat("x0", np.ones(3)).name
    'numpy'
    >>> flat("x0", np.ones((2, 3)))
    Traceback (most recent call last):
    ...
    meganet.ground.validate.InputError: x0: expected an array of shape (n,), got shape (2, 3)
    """
    backend = backend_of(x)
    backend.require(argument, x)
    validate.array_shape(argument, x, ("n",))
    validate.float_dtype(f"dtype of {argument}", x.dtype)
    return backend


def pair(backend: Backend, result: Any, like: Array) -> tuple[Any, Array]:
    """Return value and gradient as ``fun(x)`` gave them, for one x or a stack `like` it; nothing is read back.

    Examples
    --------
    >>> import numpy as np
    >>> from meganet.backend import get_backend
    >>> from meganet.optim.functions import pair
    >>> pair(get_backend("numpy"), [3.0, np.ones(2)], np.zeros(2))
    (3.0, array([1., 1.]))
    """
    if not isinstance(result, (tuple, list)) or len(result) != 2:
        validate.reject("fun", "a pair of value and gradient from it", described(result))
    value, gradient = result
    _real("value", backend, value, tuple(like.shape[:-1]))
    vector("gradient", backend, gradient, like)
    return value, gradient


def vector(argument: str, backend: Backend, result: Any, like: Array, owner: str = "x0") -> Array:
    """Return what a function of vectors gave, an array of the shape and dtype of `like`, the `owner`.

    Examples
    --------
    >>> import numpy as np
    >>> from meganet.backend import get_backend
    >>> from meganet.optim.functions import vector
    >>> vector("direction", get_backend("numpy"), np.ones(2, "float32"), np.zeros(2))
    Traceback (most recent call last):
    ...
    meganet.ground.validate.InputError: direction: expected float64, the dtype of x0, got float32
    """
    backend.require(argument, result)
    validate.array_shape(argument, result, tuple(like.shape))
    validate.same_dtype(argument, result, like.dtype, owner)
    return result


def inner(backend: Backend) -> Callable[[Array, Array], float]:
    """Return the inner product of vectors, a number on the host.

    Examples
    --------
    >>> import numpy as np
    >>> from meganet.backend import get_backend
    >>> from meganet.optim.functions import inner
    >>> inner(get_backend("numpy"))(np.ones(3), np.arange(3.0))
    3.0
    """
    return lambda a, b: float(backend.to_host(backend.dot(a, b)))


def owned(argument: str, function: Callable[[Array], Array], owner: str = "x0") -> Callable[[Array], Array]:
    """Return a map of vectors that shares no memory with the caller's function.

    That may change its argument in place, and return the same array each time.

    Examples
    --------
    >>> import numpy as np
    >>> from meganet.optim.functions import owned
    >>> def doubled(v):
    ...     v *= 2
    ...     return v
    >>> x = np.ones(2)
    >>> owned("product", doubled)(x), x
    (array([2., 2.]), array([1., 1.]))
    """
    required(argument, function)

    def owning(v: Array) -> Array:
        return vector(argument, backend_of(v), function(v.copy()), v, owner).copy()

    return owning


def stops(result: Any) -> bool:
    """Return what a callback gave: whether the run shall stop.

    Examples
    --------
    >>> from meganet.optim.functions import stops
    >>> stops(None), stops(True)
    (False, True)
    """
    if result is not None and not isinstance(result, (bool, np.bool_)):
        validate.reject("callback", "True, False or None from it", described(result))
    return bool(result)


def number(argument: str, backend: Backend, value: Any) -> float:
    """Return a real number, or an array of shape () on the backend or the host, as a ``float``; it may be infinite.

    Examples
    --------
    >>> import numpy as np
    >>> from meganet.backend import get_backend
    >>> from meganet.optim.functions import number
    >>> number("penalty", get_backend("numpy"), np.float32(0.5))
    0.5
    """
    _real(argument, backend, value, ())
    return validate.as_float(backend.to_host(value) if backend.owns(value) else value)


def columns(argument: str, backend: Backend, row: Any, own: Iterable[str]) -> dict[str, float]:
    """Return the columns that a function gave, numbers by name, none of which is one of the optimiser's `own`.

    Examples
    --------
    >>> import numpy as np
    >>> from meganet.backend import get_backend
    >>> from meganet.optim.functions import columns
    >>> columns("observe", get_backend("numpy"), {"norm": np.array(2.0), "count": 3}, own=("step",))
    {'norm': 2.0, 'count': 3}
    """
    if not isinstance(row, Mapping) or not all(isinstance(name, str) for name in row):
        validate.reject(argument, "a dict from names to numbers from it", described(row))
    for name in row:
        if name in own:
            validate.reject(argument, f"other names than {', '.join(own)}, the optimiser's own columns", repr(name))
    return {
        name: int(value) if isinstance(value, Integral) else number(f"{argument}, column {name}", backend, value)
        for name, value in row.items()
    }


def _real(argument: str, backend: Backend, value: Any, shape: tuple[int, ...]) -> None:
    """Refuse what is no real number, or no array of them of the given shape."""
    validate.plain(argument, value)
    expected = "a real number" if not shape else f"real numbers, an array of shape {shape}"
    if backend.owns(value) or isinstance(value, (np.ndarray, np.generic)):
        if tuple(value.shape) != shape or value.dtype.kind not in "fiub":
            validate.reject(argument, expected, described(value))
    elif shape or not isinstance(value, Real):
        validate.reject(argument, expected, described(value))


def described(value: Any) -> str:
    """Return what came in a few words: arrays by shape and dtype.

    Examples
    --------
    >>> import numpy as np
    >>> from meganet.optim.functions import described
    >>> described(np.ones((2, 3))), described([1, 2]), described(None)
    ('an array of shape (2, 3), float64', 'a list of 2', 'None')
    """
    if hasattr(value, "shape") and hasattr(value, "dtype"):
        return f"an array of shape {tuple(value.shape)}, {value.dtype}"
    if isinstance(value, (tuple, list)):
        return f"a {type(value).__name__} of {len(value)}"
    if value is None or isinstance(value, (str, complex)):
        return repr(value)
    name = type(value).__name__
    return f"{'an' if name[0] in 'aeiouAEIOU' else 'a'} {name}"
