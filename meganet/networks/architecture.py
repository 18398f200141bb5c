"""Layers as data: what JSON can hold, and arrays. Nothing read back is trusted, imported or evaluated.

A layer, operator or activation is ``{"class": name, "arguments": {...}}`` with the arguments of its constructor but the
backend: its attributes of these names, or what its method `arguments` returns. An array is ``{"array": name}``, one of
zeros ``{"zeros": shape, "dtype": name}``, a sparse matrix ``{"sparse": name, "shape": [m, n]}`` with its three arrays.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from inspect import Parameter as Argument
from inspect import isabstract, signature
from typing import Any

import numpy as np
import scipy.sparse

from meganet import layers, linop, networks
from meganet.backend import Backend, get_backend, use_backend
from meganet.ground import validate
from meganet.layers import Activation, Layer, Parameter, Parameters, Statistics, activations
from meganet.linop import LinearOperator, ParametricOperator, base
from meganet.networks.integrator import FrozenIntegrator, Integrator

DEEPEST = 60
"""Layers within layers, and the lists that hold them."""
MOST_PARTS = 100_000
"""Named arrays and time steps."""
SPARE = 2**18
"""How many more numbers weights in a basis may have than the file."""
LARGEST_EXAMPLE = 2**30
"""Numbers of one example."""
ROLES = ("stencil", "matrix", "bias", "scale", "coefficients")


def _parameter(name: Any, shape: Any, role: Any, fan_in: Any) -> Parameter:
    validate.instance("name", name, str, "text")
    checked = validate.shape("shape", shape)
    return Parameter(name, checked, validate.choice("role", role, ROLES), validate.integer("fan_in", fan_in, 0))


def _parameters(items: Any) -> Parameters:
    parts = validate.items("items", items, Parameter, "parameters of different names")
    if len({part.name for part in parts}) != len(parts):
        validate.reject("items", "parameters of different names", ", ".join(part.name for part in parts))
    return Parameters(parts)


def _public(*modules: Any) -> dict[str, Any]:
    found = {name: getattr(module, name) for module in modules for name in module.__all__}
    kinds = (Layer, LinearOperator, Activation)
    classes = {name: kind for name, kind in found.items() if isinstance(kind, type) and issubclass(kind, kinds)}
    return {name: kind for name, kind in classes.items() if not isabstract(kind)}


CLASSES: dict[str, type] = _public(layers, linop, networks) | {
    "Adjoint": base.Adjoint,
    "Composition": base.Composition,
    "FrozenIntegrator": FrozenIntegrator,
    "IdentityActivation": activations.Identity,
    "Parameter": Parameter,
    "Parameters": Parameters,
    "ReLU": activations.ReLU,
    "Scaled": base.Scaled,
    "Statistics": Statistics,
    "Sum": base.Sum,
    "Tanh": activations.Tanh,
}
"""What can be described, besides layers and operators of a user's own, under its name."""
OLD_NAMES = {"ConnectorLayer": "LinearLayer"}
"""What classes are called in files of earlier versions."""
NAMES = {kind: name for name, kind in CLASSES.items()}
MAKERS: dict[type, Callable[..., Any]] = {Parameter: _parameter, Parameters: _parameters}
"""What makes an object where its class does not check its arguments."""


def described(layer: Layer) -> tuple[dict[str, Any], dict[str, np.ndarray[Any, Any]]]:
    """Return what a layer is made of, without its weights.

    Parameters
    ----------
    layer : Layer
        Or a network. Layers and operators of a user's own have an attribute for every argument of their constructor
        but `backend`, or a method ``arguments() -> dict``.

    Returns
    -------
    description : dict
        Of what JSON can hold.
    arrays : dict from str to ndarray
        The numbers that are no weights: a basis, statistics, the kernel of a fixed operator. On the host.

    Raises
    ------
    InputError
        With the part, for what cannot be described: functions, an activation of a user's own.

    Examples
    --------
    >>> from meganet import ConvolutionLayer
    >>> from meganet.networks.architecture import built, described
    >>> layer = ConvolutionLayer((1, 8, 8), 4)
    >>> description, arrays = described(layer)
    >>> description["class"], description["arguments"]["out_channels"], arrays
    ('ConvolutionLayer', 4, {})
    >>> built(description, arrays, weights=layer.parameters.size)
    ConvolutionLayer((1, 8, 8) -> (4, 8, 8), relu)
    """
    validate.instance("layer", layer, Layer, "a layer or network")
    arrays: dict[str, np.ndarray[Any, Any]] = {}
    return _described(layer, (), layer.backend, arrays), arrays


def _described(value: Any, path: tuple[str, ...], home: Backend, arrays: dict[str, Any]) -> Any:
    if len(path) > DEEPEST:
        validate.reject("layer", f"at most {DEEPEST} layers within layers", "more")
    if value is None or isinstance(value, (bool, str)):
        return value
    if isinstance(value, (int, np.integer)):
        return int(value)
    if isinstance(value, (float, np.floating)):
        return validate.real(_place(path), float(value))
    if isinstance(value, np.dtype):
        return value.name
    if scipy.sparse.issparse(value):
        csr = scipy.sparse.csr_array(value)
        arrays.update({f"{'.'.join(path)}.{name}": getattr(csr, name).copy() for name in ("data", "indices", "indptr")})
        return {"sparse": ".".join(path), "shape": list(csr.shape)}
    if isinstance(value, np.ndarray) or home.owns(value):
        numbers = (value if isinstance(value, np.ndarray) else home.to_host(value)).copy()
        if not numbers.any():
            return {"zeros": list(numbers.shape), "dtype": numbers.dtype.name}
        arrays[".".join(path)] = numbers
        return {"array": ".".join(path)}
    known = NAMES.get(type(value))
    if known is None and isinstance(value, (tuple, list)):
        return [_described(item, (*path, str(k)), home, arrays) for k, item in enumerate(value)]
    if known is None and not isinstance(value, (Layer, LinearOperator)):
        validate.reject(_place(path), "what a file can hold, not code of your own", validate.shown(value))
    name = known or type(value).__name__
    if CLASSES.get(name, type(value)) is not type(value):
        validate.reject(_place(path), f"a class with another name than {name} of meganet", repr(type(value)))
    given = arguments_of(value, path).items()
    return {"class": name, "arguments": {key: _described(item, (*path, key), home, arrays) for key, item in given}}


def arguments_of(value: Any, path: tuple[str, ...] = ()) -> dict[str, Any]:
    """Return the arguments of a constructor, without the backend, that makes such an object.

    Examples
    --------
    >>> from meganet import PoolingLayer
    >>> from meganet.networks.architecture import arguments_of
    >>> arguments_of(PoolingLayer((4, 8, 8)))
    {'domain_shape': (4, 8, 8), 'factor': (2, 2)}
    """
    if isinstance(value, Parameters):
        return {"items": list(value)}
    if hasattr(value, "arguments"):
        return dict(value.arguments())
    names = [name for name in signature(type(value)).parameters if name != "backend"]
    for name in names:
        if not hasattr(value, name):
            expected = f"a class with an attribute {name!r}, as its constructor takes, or a method arguments()"
            validate.reject(_place(path), expected, type(value).__name__)
    return {name: getattr(value, name) for name in names}


def built(
    description: Any,
    arrays: Mapping[str, Any],
    backend: str | Backend | None = None,
    *,
    weights: int,
    classes: Iterable[type] = (),
) -> Layer:
    """Return the layer of a description, of which nothing is trusted.

    Parameters
    ----------
    description : dict
    arrays : mapping from str to ndarray
        As `described` gives them; all of them are used.
    backend : str or Backend, optional
        Where the layer lives; the active backend if not given.
    weights : int
        How many weights it must have. Sizes that do not fit these and the arrays are refused before they take memory.
    classes : iterable of type, optional
        The user's own layers and operators that the description may name.

    Raises
    ------
    InputError
        With the part, for whatever is wrong.

    Examples
    --------
    >>> import json
    >>> import meganet as mn
    >>> from meganet.networks.architecture import built, described
    >>> network = mn.Chain([mn.ConvolutionLayer((1, 8, 8), 4), mn.PoolingLayer(..., 2)])
    >>> description, arrays = described(network)
    >>> built(json.loads(json.dumps(description)), arrays, weights=36).range_shape
    (4, 4, 4)
    """
    home = get_backend(backend)
    builder = _Builder(home, arrays, validate.integer("weights", weights, minimum=0), classes)
    with use_backend(home):
        layer = builder.value(description, ())
    validate.instance("description", layer, Layer, "a layer or network")
    if layer.parameters.size != weights:
        validate.reject("description", f"a layer with {weights:,} weights", f"one with {layer.parameters.size:,}")
    unused = sorted(map(repr, set(arrays) - builder.used))
    if unused:
        validate.reject("arrays", "those of the description", ", ".join(unused) + " too")
    return layer


class _Builder:
    """What is left of the numbers and parts that a description may ask for."""

    def __init__(self, home: Backend, arrays: Mapping[str, Any], weights: int, classes: Iterable[type]) -> None:
        self.home, self.arrays, self.used = home, arrays, set[str]()
        self.most = weights + sum(int(np.size(array)) for array in arrays.values()) + SPARE
        self.zeros, self.parts = self.most, MOST_PARTS
        self.classes = dict(CLASSES)
        for kind in classes:
            if not isinstance(kind, type) or not issubclass(kind, (Layer, LinearOperator)):
                validate.reject("classes", "classes of layers or operators", validate.shown(kind))
            if self.classes.setdefault(kind.__name__, kind) is not kind:
                validate.reject("classes", "classes with names of their own", kind.__name__)

    def value(self, node: Any, path: tuple[str, ...]) -> Any:
        """Return what a part of the description says."""
        place = _place(path)
        if len(path) > DEEPEST:
            validate.reject("description", f"at most {DEEPEST} layers within layers", "more")
        if node is None or isinstance(node, (bool, str)):
            return node
        if isinstance(node, int):
            return validate.integer(place, node, minimum=-validate.LARGEST_SIZE)
        if isinstance(node, float):
            return validate.real(place, node)
        if isinstance(node, list):
            return tuple(self.value(item, (*path, str(k))) for k, item in enumerate(node))
        keys = set(node) if isinstance(node, dict) else set()
        if keys == {"array"}:
            return self.home.asarray(self._array(place, node["array"], "biuf"))
        if keys == {"zeros", "dtype"}:
            return self._zeros(place, node)
        if keys == {"sparse", "shape"}:
            return self._sparse(place, node)
        if keys != {"class", "arguments"}:
            validate.reject(place, "a value, array, or class with arguments", validate.shown(node))
        name, given = node["class"], node["arguments"]
        if isinstance(name, str) and name not in self.classes:
            name = OLD_NAMES.get(name, name)
        if not isinstance(name, str) or name not in self.classes:
            validate.reject(
                place, "a class of meganet, or one handed over, as by load(path, layers=[...])", validate.shown(name)
            )
        kind = self.classes[name]
        if not isinstance(given, dict) or not all(isinstance(key, str) for key in given):
            validate.reject(place, f"the arguments of {name} by their names", validate.shown(given))
        return self._made(kind, {key: self.value(item, (*path, key)) for key, item in given.items()}, place)

    def _array(self, place: str, name: Any, kinds: str) -> np.ndarray[Any, Any]:
        """Return a copy of an array."""
        if not isinstance(name, str) or name not in self.arrays:
            validate.reject(place, "the name of an array that is there", validate.shown(name))
        self.used.add(name)
        return np.array(validate.numbers(f"array {name!r}", self.arrays[name], kinds=kinds))

    def _zeros(self, place: str, node: dict[str, Any]) -> Any:
        shape = self.value(node["zeros"], ())
        dtype = validate.choice(place, node["dtype"], ("float32", "float64", "int32", "int64"))
        checked = validate.shape(place, shape) if shape else ()
        self.zeros -= math.prod(checked)
        if self.zeros < 0:
            self._too_large(place, f"zeros of shape {checked}")
        return self.home.xp.zeros(checked, dtype=dtype)

    def _sparse(self, place: str, node: dict[str, Any]) -> Any:
        parts = [
            self._array(place, f"{node['sparse']}.{name}", kinds)
            for name, kinds in (("data", "f"), ("indices", "i"), ("indptr", "i"))
        ]
        shape = validate.shape(place, self.value(node["shape"], ()), ndim=2)
        try:
            matrix = scipy.sparse.csr_array(tuple(parts), shape=shape)
            matrix.check_format(full_check=True)
        except (ValueError, TypeError) as error:
            validate.reject(place, "a sparse matrix", str(error))
        return matrix

    def _made(self, kind: type, arguments: dict[str, Any], place: str) -> Any:
        make = MAKERS.get(kind, kind)
        known = signature(make).parameters
        if "backend" in arguments:
            validate.reject(place, f"the arguments of {kind.__name__}, without backend", ", ".join(arguments))
        if issubclass(kind, (networks.Chain, networks.Reparametrised, Integrator)):
            self._check_parts(place, arguments)
        if "backend" in known and known["backend"].kind != Argument.VAR_KEYWORD:
            arguments = {**arguments, "backend": self.home}
        try:
            with validate.within(place):
                made = make(**arguments)
        except validate.InputError:
            raise
        except Exception as error:
            # what a constructor does not check itself; a description may come from anywhere
            validate.reject(place, f"arguments that {kind.__name__} takes", f"{type(error).__name__}: {error}")
        self._check_sizes(place, made)
        return made

    def _check_parts(self, place: str, arguments: Mapping[str, Any]) -> None:
        """Check how large a network will be, before it is made of its parts."""
        inner = [part for value in arguments.values() for part in (value if isinstance(value, tuple) else (value,))]
        if sum(map(_weights, inner)) > self.most:
            self._too_large(place, "more weights")
        steps, coefficients = arguments.get("steps", 1), arguments.get("coefficients")
        steps = steps if isinstance(steps, int) else 1
        if isinstance(times := arguments.get("times"), tuple):
            steps = 2 * len(times)
        if coefficients is not None and (getattr(coefficients, "ndim", 0) != 2 or coefficients.shape[1] < steps - 1):
            validate.reject(
                f"{place}.coefficients", f"a column for each of {steps} times", validate.shown(coefficients)
            )
        names = sum(len(part.parameters) if isinstance(part, Layer) else 1 for part in inner)
        self.parts -= max(steps, 1) * (names + 1)
        if self.parts < 0:
            validate.reject(place, f"at most {MOST_PARTS:,} time steps and arrays of weights", "more")

    def _check_sizes(self, place: str, made: Any) -> None:
        if isinstance(made, (Layer, LinearOperator)):
            if made.backend is not self.home:
                validate.reject(place, f"a layer on {self.home.name}", made.backend.name)
            if max(math.prod(made.domain_shape), math.prod(made.range_shape)) > LARGEST_EXAMPLE:
                validate.reject(place, f"examples of at most {LARGEST_EXAMPLE:,} numbers", repr(made))
        if isinstance(made, Layer) and made.parameters.size > self.most:
            self._too_large(place, f"{made.parameters.size:,} weights")

    def _too_large(self, place: str, got: str) -> None:
        validate.reject(place, f"sizes that fit the numbers there are, at most {self.most:,} weights", got)


def _weights(part: Any) -> int:
    """Return how many weights a part may bring into a network."""
    if isinstance(part, Layer):
        return part.parameters.size
    if isinstance(part, ParametricOperator):
        return math.prod(part.kernel_shape)
    return math.prod(part.domain_shape) if isinstance(part, LinearOperator) else 0


def _place(path: tuple[str, ...]) -> str:
    return "layer" + "".join(f"[{part}]" if part.isdigit() else f".{part}" for part in path)
