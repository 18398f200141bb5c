"""The single, double and symmetric layers of Meganet: chains of operator, normalisation, bias and activation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import scipy.sparse

from meganet.ground import validate
from meganet.layers.activations import Activation
from meganet.layers.affine import AffineLayer
from meganet.layers.base import Layer
from meganet.layers.elementwise import ActivationLayer, BiasLayer
from meganet.layers.parameters import Parameters
from meganet.linop import Broadcast, LinearOperator, Matrix, ParametricOperator, Transposed
from meganet.networks.chain import Chain
from meganet.networks.reparametrised import Reparametrised

Parts = Sequence[tuple[str, Layer | None]]


class _Stage(NamedTuple):
    """What the parts of ``sigma(N(K x) + B b)`` are called in the names of the weights."""

    kernel: str
    normalisation: str
    bias: str
    activation: str


SINGLE = _Stage("K", "N", "B_in", "activation")
SYMMETRIC = _Stage("K", "N1", "B_in", "activation")
FIRST, SECOND = (_Stage(f"K{k}", f"N{k}", f"B{k}", f"activation{k}") for k in (1, 2))
Kernel = ParametricOperator | Layer
"""The linear map with weights: an operator, or a linear layer such as a `Reparametrised` one."""


class SingleLayer(Chain):
    """``y = sigma(N(K x) + B_in b) + B_out c``, equation (2.6) of the thesis with ``K2 = I``.

    Derivatives by the chain rule, see `Chain`. The flat vector holds the weights of K, b, c and N, in this order.

    Parameters
    ----------
    kernel : ParametricOperator or Layer
        K.
    activation : str or Activation
    bias_in, bias_out : LinearOperator or True, optional
        B_in and B_out, from weights to one example; True is one weight for each channel.
    normalisation : Layer, optional
        N, on the range of K.

    Notes
    -----
    ``singleLayer`` of Meganet. Without normalisation ``sigma(K x + B_in b)`` is one `AffineLayer`, whose weights are
    called ``K.kernel`` and ``K.bias``.

    Examples
    --------
    >>> import numpy as np
    >>> from meganet.linop import CirculantConvolution
    >>> from meganet.networks import SingleLayer
    >>> layer = SingleLayer(CirculantConvolution(np.zeros((4, 1, 3, 3)), (8, 8)), "tanh", bias_in=True)
    >>> layer.domain_shape, layer.range_shape, layer.parameters.size
    ((1, 8, 8), (4, 8, 8), 40)
    >>> layer(np.zeros(40), np.ones((5, 1, 8, 8))).shape
    (5, 4, 8, 8)
    """

    def __init__(
        self,
        kernel: Kernel,
        activation: str | Activation = "tanh",
        *,
        bias_in: LinearOperator | bool = False,
        bias_out: LinearOperator | bool = False,
        normalisation: Layer | None = None,
    ) -> None:
        k = _linear(kernel)
        first = _stage(SINGLE, k, normalisation, bias_in, activation)
        parts = [*first, ("B_out", _bias(k, bias_out))]
        super().__init__(*_chained(parts, ["K", "B_in", "B_out", "N"]))

    def arguments(self) -> dict[str, Any]:
        """Return what the layer is made of, see `networks.architecture`."""
        part = _by_name(self)
        kernel, normalisation, bias, activation = _given(SINGLE, part)
        return {
            "kernel": kernel,
            "activation": activation,
            "bias_in": bias,
            "bias_out": _operator(part.get("B_out")),
            "normalisation": normalisation,
        }


class DoubleLayer(Chain):
    """``y = sigma_2(N_2(K_2 sigma_1(N_1(K_1 x) + B_1 b)) + B_2 c) + B_out d``, equation (2.6) of the thesis.

    Derivatives by the chain rule, see `Chain`. The flat vector holds the weights of K1, K2, b, c, d, N1 and N2.

    Parameters
    ----------
    kernel1, kernel2 : ParametricOperator or Layer
        K_1 and K_2.
    activation1, activation2 : str or Activation
    bias1, bias2, bias_out : LinearOperator or True, optional
        As in `SingleLayer`.
    normalisation1, normalisation2 : Layer, optional
        N_1 and N_2, on the ranges of K_1 and K_2.

    Notes
    -----
    ``doubleLayer`` of Meganet. The thesis' (2.6) has the identity as second activation.

    Examples
    --------
    >>> import numpy as np
    >>> from meganet.linop import Dense
    >>> from meganet.networks import DoubleLayer
    >>> layer = DoubleLayer(Dense(np.zeros((16, 2))), Dense(np.zeros((2, 16))), "tanh", "identity", bias1=True)
    >>> [view.shape for view in layer.parameters.view(np.zeros(80)).values()]
    [(16, 2), (2, 16), (16,)]
    >>> layer(np.zeros(80), np.ones((5, 2))).shape
    (5, 2)
    """

    def __init__(
        self,
        kernel1: Kernel,
        kernel2: Kernel,
        activation1: str | Activation = "tanh",
        activation2: str | Activation = "tanh",
        *,
        bias1: LinearOperator | bool = False,
        bias2: LinearOperator | bool = False,
        bias_out: LinearOperator | bool = False,
        normalisation1: Layer | None = None,
        normalisation2: Layer | None = None,
    ) -> None:
        k1, k2 = _linear(kernel1), _linear(kernel2)
        # the biases are stored behind both operators, so none is fused with its own
        parts = [
            *_stage(FIRST, k1, normalisation1, bias1, activation1, fuse_bias=False),
            *_stage(SECOND, k2, normalisation2, bias2, activation2, fuse_bias=False),
            ("B_out", _bias(k2, bias_out)),
        ]
        super().__init__(*_chained(parts, ["K1", "K2", "B1", "B2", "B_out", "N1", "N2"]))

    def arguments(self) -> dict[str, Any]:
        """Return what the layer is made of, see `networks.architecture`."""
        part = _by_name(self)
        (kernel1, normalisation1, bias1, activation1) = _given(FIRST, part)
        (kernel2, normalisation2, bias2, activation2) = _given(SECOND, part)
        return {
            "kernel1": kernel1,
            "kernel2": kernel2,
            "activation1": activation1,
            "activation2": activation2,
            "bias1": bias1,
            "bias2": bias2,
            "bias_out": _operator(part.get("B_out")),
            "normalisation1": normalisation1,
            "normalisation2": normalisation2,
        }


class SymmetricLayer(Reparametrised):
    """``y = N_2(-K' sigma(N_1(K x) + B_in b)) + B_out c``: the Jacobian without N_2 is negative semidefinite.

    It is a chain in which both operators have the same weights, the second with the opposite sign: with the weights
    ``theta = [K, b, c, N_1, N_2]`` those of the chain are ``[theta, -K]``, and everything else follows from
    `Reparametrised`.

    Parameters
    ----------
    kernel : ParametricOperator
        K.
    activation : str or Activation
    bias_in, bias_out : LinearOperator or True, optional
        B_in and B_out, on the range and on the domain of K.
    normalisation1, normalisation2 : Layer, optional
        N_1 and N_2, likewise.

    Notes
    -----
    ``doubleSymLayer`` of Meganet; Ruthotto and Haber, *Deep neural networks motivated by partial differential
    equations* (2020).

    Examples
    --------
    >>> import numpy as np
    >>> from meganet.linop import Dense
    >>> from meganet.networks import SymmetricLayer
    >>> layer = SymmetricLayer(Dense(np.zeros((16, 2))), "tanh", bias_in=True)
    >>> layer.parameters.size
    48
    >>> rng = np.random.default_rng(0)
    >>> y, tape = layer.forward(rng.standard_normal(48), rng.standard_normal((5, 2)))
    >>> dx = rng.standard_normal((5, 2))
    >>> y.shape, bool((dx * layer.jvp(np.zeros(48), dx, tape)).sum() <= 0)
    ((5, 2), True)
    """

    def __init__(
        self,
        kernel: ParametricOperator,
        activation: str | Activation = "tanh",
        *,
        bias_in: LinearOperator | bool = False,
        bias_out: LinearOperator | bool = False,
        normalisation1: Layer | None = None,
        normalisation2: Layer | None = None,
    ) -> None:
        k, back = _linear(kernel), _linear(Transposed(kernel))
        parts = [
            *_stage(SYMMETRIC, k, normalisation1, bias_in, activation),
            ("K_back", back),
            ("N2", normalisation2),
            ("B_out", _bias(back, bias_out)),
        ]
        chain = Chain(*_chained(parts, ["K", "B_in", "B_out", "N1", "N2", "K_back"]))
        shared, n = k.parameters.size, chain.parameters.size - back.parameters.size
        tied = -scipy.sparse.eye_array(shared, n)
        basis = Matrix(scipy.sparse.vstack([scipy.sparse.eye_array(n), tied]), backend=k.backend)
        names = Parameters(p for p in chain.parameters if not p.name.startswith("K_back."))
        super().__init__(chain, basis, parameters=names)

    def arguments(self) -> dict[str, Any]:
        """Return what the layer is made of, see `networks.architecture`."""
        part = _by_name(self.layer)
        _, normalisation, bias, activation = _given(SYMMETRIC, part)
        return {
            "kernel": part["K"].arguments()["operator"],
            "activation": activation,
            "bias_in": bias,
            "bias_out": _operator(part.get("B_out")),
            "normalisation1": normalisation,
            "normalisation2": part.get("N2"),
        }


def _by_name(chain: Any) -> dict[str, Any]:
    return dict(zip(chain.names, chain.layers, strict=True))


def _operator(bias: Any) -> LinearOperator | None:
    return None if bias is None else bias.operator


def _linear(kernel: Kernel) -> Layer:
    if isinstance(kernel, ParametricOperator):
        return AffineLayer(kernel)
    if not isinstance(kernel, Layer):
        validate.reject("kernel", "a ParametricOperator or a linear layer", repr(kernel))
    return kernel


def _bias(kernel: Layer, bias: LinearOperator | bool | None) -> Layer | None:
    if bias is None or bias is False:
        return None
    return BiasLayer(kernel.range_shape, None if bias is True else bias, backend=kernel.backend)


def _stage(
    names: _Stage,
    kernel: Layer,
    normalisation: Layer | None,
    bias: LinearOperator | bool | None,
    activation: str | Activation,
    *,
    fuse_bias: bool = True,
) -> Parts:
    """Return the parts of ``sigma(N(K x) + B b)``: one `AffineLayer`, called K, where it does the same."""
    of_channels = _of_channels(kernel, bias)
    if type(kernel) is AffineLayer and normalisation is None and (not of_channels or fuse_bias):
        given = kernel.arguments()
        if of_channels is not None and given["activation"] == "identity" and not given["bias"]:
            return [(names.kernel, AffineLayer(given["operator"], activation=activation, bias=of_channels))]
    return [
        (names.kernel, kernel),
        (names.normalisation, normalisation),
        (names.bias, _bias(kernel, bias)),
        (names.activation, _activation(kernel, activation)),
    ]


def _of_channels(kernel: Layer, bias: LinearOperator | bool | None) -> bool | None:
    """Return whether there is a bias, one weight for each channel; None for another one."""
    if bias is None or isinstance(bias, bool):
        return bool(bias)
    known = isinstance(bias, Broadcast) and bias.axes == (0,) and bias.backend is kernel.backend
    return True if known and bias.range_shape == kernel.range_shape else None


def _given(names: _Stage, part: dict[str, Any]) -> tuple[Any, Layer | None, Any, str | Activation]:
    """Return kernel, normalisation, bias and activation that `_stage` made the parts of."""
    kernel = part[names.kernel]
    if names.activation in part:
        activation = part[names.activation].activation
        return kernel, part.get(names.normalisation), _operator(part.get(names.bias)), activation
    given = kernel.arguments()
    return given["operator"], None, given["bias"], given["activation"]


def _activation(kernel: Layer, activation: str | Activation) -> Layer:
    return ActivationLayer(kernel.range_shape, activation, backend=kernel.backend)


def _chained(parts: Parts, order: list[str]) -> tuple[list[Layer], list[str], list[int]]:
    """Return the layers that there are, their names, and their numbers in the order of storage."""
    there = [(name, layer) for name, layer in parts if layer is not None]
    names = [name for name, _ in there]
    stored = [name for name in order if name in names]
    stored += [name for name in names if name not in order]
    return [layer for _, layer in there], names, [names.index(name) for name in stored]
