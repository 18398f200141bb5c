"""Every operator, layer, network, loss, regulariser and objective that the tests go through.

Of an operator or layer that is not in a list here, the tests go through what the example of its docstring makes. A loss
or regulariser is added here; a test fails until it is.
"""

from __future__ import annotations

import importlib
import inspect
import math
import pkgutil
from doctest import DocTestParser

import numpy as np

from meganet import Objective, layers, linop, networks
from meganet.backend import get_backend, to_dtype, use_backend
from meganet.layers import (
    ActivationLayer,
    AffineLayer,
    BiasLayer,
    ConvolutionLayer,
    DenseLayer,
    FixedNormalisationLayer,
    GlobalPoolingLayer,
    Layer,
    LinearLayer,
    NormalisationLayer,
    PoolingLayer,
    ScalingLayer,
    SmoothReLU,
    TVNormalisationLayer,
    UpsamplingLayer,
    he_normal,
)
from meganet.linop import (
    AveragePooling,
    BlockDiagonal,
    Broadcast,
    CirculantConvolution,
    Dense,
    DepthwiseConvolution,
    Diagonal,
    Difference,
    Gradient,
    Identity,
    Kronecker,
    LinearOperator,
    Matrix,
    PixelMean,
    RemoveMean,
    Reshape,
    Sparse,
    Transposed,
)
from meganet.linop.base import Adjoint, Composition, Scaled, Sum
from meganet.losses import LeastSquares, LogisticLoss, MeanSquares, SoftmaxCrossEntropy
from meganet.multigrid import Poisson, Prolongation, Restriction, prolongation_penalty
from meganet.multigrid.theta import InDouble
from meganet.networks import (
    Chain,
    DoubleHamiltonian,
    DoubleLayer,
    Hamiltonian,
    Leapfrog,
    Reparametrised,
    ResidualNetwork,
    RungeKutta4,
    SingleLayer,
    SymmetricLayer,
    antisymmetric,
)
from meganet.networks.integrator import FrozenIntegrator
from meganet.objective import Hessian, ReducedHessian, VariableProjection
from meganet.regularizers import BlockRegularizer, RegularizerSum, SmoothedL1, Tikhonov


def numbers(backend, dtype, *shape):
    return backend.asarray(np.random.default_rng(math.prod(shape)).standard_normal(shape), dtype)


# rectangular images, rectangular kernels, different channel counts: square ones hide mistakes
OPERATORS = {
    Identity: lambda b, t: Identity((2, 4, 3), t),
    Diagonal: lambda b, t: Diagonal(numbers(b, t, 2, 3)),
    BlockDiagonal: lambda b, t: BlockDiagonal([Dense(numbers(b, t, 3, 4)), Gradient((2, 3, 4), 0.5, t)]),
    Difference: lambda b, t: Difference((3, 4, 2), 1, 0.25, t),
    Gradient: lambda b, t: Gradient((2, 3, 4, 5), (0.5, 2.0), t),
    CirculantConvolution: lambda b, t: CirculantConvolution(numbers(b, t, 3, 2, 3, 5), (6, 7)),
    Dense: lambda b, t: Dense(numbers(b, t, 3, 2, 4, 5)),
    AveragePooling: lambda b, t: AveragePooling((2, 6, 4), (3, 2), t),
    PixelMean: lambda b, t: PixelMean((2, 6, 4), t),
    DepthwiseConvolution: lambda b, t: DepthwiseConvolution(numbers(b, t, 3, 3, 5), (5, 6)),
    Sparse: lambda b, t: Sparse(numbers(b, t, 5), [0, 1, 2, 2, 3], [0, 1, 1, 2, 2], (4, 3)),
    Transposed: lambda b, t: Transposed(CirculantConvolution(numbers(b, t, 3, 2, 3, 1), (6, 7), stride=(2, 3))),
    Matrix: lambda b, t: Matrix(np.arange(48.0).reshape(6, 8), (2, 4), (3, 2), t),
    Restriction: lambda b, t: Restriction((4, 6), dtype=t),
    Poisson: lambda b, t: Poisson((4, 6), h=(0.5, 2.0), dtype=t),
    Prolongation: lambda b, t: Prolongation((6, 8), boundary="dirichlet", dtype=t),
    Reshape: lambda b, t: Reshape((2, 3, 4), (4, 6), (2, 0, 1), t),
    Broadcast: lambda b, t: Broadcast((3, 4, 5), (0, 2), t),
    RemoveMean: lambda b, t: RemoveMean((3, 2, 3, 5), (-2, -1), t),
    Kronecker: lambda b, t: Kronecker(Dense(numbers(b, t, 3, 4)), Dense(numbers(b, t, 5, 2))),
    InDouble: lambda b, t: InDouble(np.linspace(-1, 1, 48).reshape(6, 8), (2, 4), (3, 2), t),
    Adjoint: lambda b, t: Gradient((2, 3, 4), 0.5, t).T,
    Composition: lambda b, t: AveragePooling((3, 6, 8), 2, t) @ CirculantConvolution(numbers(b, t, 3, 2, 3, 3), (6, 8)),
    Sum: lambda b, t: Identity((2, 6, 5), t) + CirculantConvolution(numbers(b, t, 2, 2, 1, 3), (6, 5)),
    Scaled: lambda b, t: -2.5 * Gradient((2, 3, 4), 1.0, t),
}
VIDEO_OPERATORS = {
    "in space": lambda b, t: CirculantConvolution(numbers(b, t, 3, 2, 1, 3, 5), (4, 5, 6)),
    "in time": lambda b, t: CirculantConvolution(numbers(b, t, 3, 2, 5, 1, 1), (6, 4, 3)),
    "in both": lambda b, t: CirculantConvolution(numbers(b, t, 3, 2, 3, 5, 1), (4, 6, 3)),
    "many channels": lambda b, t: CirculantConvolution(numbers(b, t, 9, 3, 3, 3, 3) / 16, (4, 6, 5)),
    "strided": lambda b, t: CirculantConvolution(numbers(b, t, 3, 2, 3, 1, 3), (5, 4, 6), stride=(2, 1, 3)),
    "explicit": lambda b, t: CirculantConvolution(numbers(b, t, 3, 2, 3, 1, 3), (4, 3, 5), "sparse"),
    "adjoint": lambda b, t: CirculantConvolution(numbers(b, t, 3, 2, 3, 1, 3), (4, 3, 5)).T,
    "pooled": lambda b, t: AveragePooling((2, 6, 4, 6), (3, 1, 2), t),
    "pooled in space": lambda b, t: AveragePooling((2, 3, 4, 6), (1, 2, 3), t),
    "dense": lambda b, t: Dense(numbers(b, t, 3, 2, 4, 5, 3) / 8),
}
"""Of operators on images that take videos too."""


def convolution(*shape):
    """An operator on images of 5x4 pixels, on the active backend."""
    return CirculantConvolution(get_backend().asarray(np.zeros(shape)), (5, 4))


def dense(outputs, inputs):
    return Dense(get_backend().asarray(np.zeros((outputs, inputs))))


def normalisation(channels):
    shape = (channels, 5, 4)
    return Chain([NormalisationLayer(shape, ("pixels",), eps=0.1), ScalingLayer(shape), BiasLayer(shape)])


def tanh_layer():
    return DenseLayer((4,), 4, activation="tanh")


IN_TIME = np.random.default_rng(5).standard_normal((2, 5))


def normalisation_over_examples():
    shape = (2, 3, 4)
    layers = [ConvolutionLayer(shape, 2, activation="tanh"), NormalisationLayer(shape, ("examples", "pixels"), eps=0.1)]
    return Chain(layers)


def frozen(network):
    rng, backend = np.random.default_rng(5), network.backend
    theta = backend.asarray(rng.standard_normal(network.parameters.size))
    return network.frozen_on(theta, backend.asarray(rng.standard_normal((4, *network.domain_shape))))


def video_network():
    """A network of several kinds of layers on videos of six frames of 6x4 pixels."""
    step = SymmetricLayer(CirculantConvolution(get_backend().asarray(np.zeros((2, 2, 3, 1, 3))), (3, 3, 4)))
    return Chain(
        [
            ConvolutionLayer((1, 6, 6, 4), 3, (1, 3, 3), activation="tanh", bias=True),
            NormalisationLayer((3, 6, 6, 4), ("pixels",), eps=0.1),
            ScalingLayer((3, 6, 6, 4)),
            ConvolutionLayer((3, 6, 6, 4), 2, (3, 1, 1), activation="tanh"),
            PoolingLayer((2, 6, 6, 4), (2, 2, 1)),
            ResidualNetwork(step, 2, 0.3),
            DenseLayer((2, 3, 3, 4), 3),
        ]
    )


LAYERS = {
    AffineLayer: [
        lambda: AffineLayer(Sparse(get_backend().asarray(np.zeros(5)), [0, 1, 2, 2, 3], [0, 1, 1, 2, 2], (4, 3))),
        lambda: AffineLayer(
            DepthwiseConvolution(get_backend().asarray(np.zeros((3, 3, 5))), (5, 6)), activation="tanh", bias=True
        ),
        lambda: AffineLayer(Transposed(convolution(3, 2, 3, 3)), activation=SmoothReLU(0.7), bias=True),
    ],
    ActivationLayer: [
        lambda: ActivationLayer((3, 4), "tanh"),
        lambda: ActivationLayer((3, 4), SmoothReLU(0.5)),
        lambda: ActivationLayer((3, 4), "identity"),
        lambda: ActivationLayer((3, 4), "relu"),
    ],
    BiasLayer: [lambda: BiasLayer((3, 4, 2)), lambda: BiasLayer((3,), Matrix([[1.0, 2.0], [0.0, 1.0], [-1.0, 0.5]]))],
    ScalingLayer: [lambda: ScalingLayer((3, 2, 4)), lambda: ScalingLayer((3, 2, 4), (1, 2))],
    LinearLayer: [
        lambda: LinearLayer(Reshape((2, 3), (6,), (1, 0))),
        lambda: LinearLayer(Matrix(np.arange(6.0).reshape(2, 3)), get_backend().asarray(np.array([1.0, 2.0]))),
    ],
    NormalisationLayer: [
        lambda: NormalisationLayer((3, 2, 4)),
        lambda: NormalisationLayer((3, 2, 4), ("examples",)),
        lambda: NormalisationLayer((3, 2, 4), ("examples", "pixels")),
    ],
    FixedNormalisationLayer: [lambda: frozen(NormalisationLayer((3, 2, 4), ("examples", "pixels"), eps=0.1))],
    TVNormalisationLayer: [lambda: TVNormalisationLayer((3, 2, 4))],
    Reparametrised: [
        lambda: antisymmetric(4),
        lambda: Reparametrised(
            ConvolutionLayer((2, 5, 4), 3, bias=True, activation="tanh"),
            Matrix(np.random.default_rng(1).standard_normal((57, 7))),
        ),
    ],
    SingleLayer: [
        lambda: SingleLayer(
            convolution(3, 2, 3, 3), bias_in=True, bias_out=True, normalisation=TVNormalisationLayer((3, 5, 4))
        ),
        lambda: SingleLayer(antisymmetric(4), bias_out=Matrix(np.ones((4, 2)))),
    ],
    DoubleLayer: [
        lambda: DoubleLayer(
            convolution(3, 2, 3, 3),
            convolution(2, 3, 3, 1),
            "tanh",
            "identity",
            bias1=True,
            bias2=True,
            bias_out=True,
            normalisation1=normalisation(3),
            normalisation2=normalisation(2),
        )
    ],
    SymmetricLayer: [
        lambda: SymmetricLayer(
            convolution(3, 2, 3, 3),
            bias_in=True,
            bias_out=True,
            normalisation1=normalisation(3),
            normalisation2=normalisation(2),
        ),
        lambda: SymmetricLayer(dense(5, 3), "relu", bias_in=Matrix(np.ones((5, 2)))),
    ],
    ResidualNetwork: [
        lambda: ResidualNetwork(SymmetricLayer(convolution(2, 2, 3, 3)), 3, 0.3),
        lambda: ResidualNetwork(tanh_layer(), 5, 0.3, coefficients=IN_TIME),
    ],
    FrozenIntegrator: [lambda: frozen(ResidualNetwork(normalisation_over_examples(), 2, 0.3))],
    Leapfrog: [
        lambda: Leapfrog(SymmetricLayer(dense(5, 3)), 1, 0.3),
        lambda: Leapfrog(SymmetricLayer(dense(5, 3)), 2, 0.3),
        lambda: Leapfrog(SymmetricLayer(convolution(3, 2, 3, 3)), 5, 0.3, coefficients=IN_TIME),
    ],
    RungeKutta4: [
        lambda: RungeKutta4(tanh_layer(), [0, 0.5, 0.8, 1.9]),
        lambda: RungeKutta4(tanh_layer(), [0, 0.5, 0.8], coefficients=IN_TIME),
    ],
    Hamiltonian: [
        lambda: Hamiltonian(convolution(2, 2, 3, 3), 3, 0.4, bias=True),
        lambda: Hamiltonian(dense(4, 4), 5, 0.4, activation="relu", coefficients=IN_TIME),
    ],
    DoubleHamiltonian: [
        lambda: DoubleHamiltonian(
            SingleLayer(convolution(2, 2, 3, 3), bias_in=True), SymmetricLayer(convolution(2, 2, 3, 3)), 2, 0.3
        ),
        lambda: DoubleHamiltonian(tanh_layer(), tanh_layer(), 5, 0.3, coefficients=IN_TIME),
    ],
    ConvolutionLayer: [
        lambda: ConvolutionLayer((2, 6, 5), 3, (3, 5), activation="tanh", bias=True),
        lambda: ConvolutionLayer((2, 6, 5), 3, activation="relu"),
        lambda: ConvolutionLayer((3, 5, 6), 2, activation="identity", bias=True, engine="sparse"),
        lambda: ConvolutionLayer((2, 6, 10), 3, (3, 5), activation="tanh", bias=True, dilation=2),
        lambda: ConvolutionLayer((2, 4, 6, 5), 3, (1, 3, 5), activation="relu", bias=True),
        lambda: ConvolutionLayer((2, 6, 3, 4), 3, (5, 1, 1), activation="tanh", bias=True),
        lambda: ConvolutionLayer((2, 4, 6, 5), 3, activation="relu"),
        lambda: ConvolutionLayer((2, 4, 6, 5), 3, (3, 3, 1), activation="identity", bias=True, stride=(1, 2, 2)),
    ],
    DenseLayer: [
        lambda: DenseLayer((2, 3, 4), 5),
        lambda: DenseLayer((6,), 4, activation="tanh", bias=False),
        lambda: DenseLayer((8, 3, 4, 2), 5),
    ],
    GlobalPoolingLayer: [lambda: GlobalPoolingLayer((2, 6, 4)), lambda: GlobalPoolingLayer((2, 3, 6, 4))],
    UpsamplingLayer: [lambda: UpsamplingLayer((2, 3, 2), (2, 3))],
    PoolingLayer: [lambda: PoolingLayer((2, 6, 4), (3, 2)), lambda: PoolingLayer((2, 4, 6, 3), (2, 3, 1))],
    Chain: [
        lambda: Chain(
            [
                ConvolutionLayer((1, 6, 4), 3, bias=True),
                PoolingLayer((3, 6, 4)),
                Chain([ConvolutionLayer((3, 3, 2), 2, (3, 1), activation="tanh")]),
                DenseLayer((2, 3, 2), 4),
            ]
        ),
        video_network,
    ],
}


def concrete_subclasses(base):
    """Return the classes of the package that are made from one, in whatever files of it."""
    for room in (layers, linop, networks):
        for module in pkgutil.walk_packages(room.__path__, f"{room.__name__}."):
            importlib.import_module(module.name)
    found, waiting = set(), [base]
    while waiting:
        children = waiting.pop().__subclasses__()
        waiting += children
        found |= {c for c in children if not inspect.isabstract(c) and c.__module__.startswith("meganet.")}
    return found


def documented(kind):
    """Return what the example in the docstring of a class makes of it."""
    known = vars(inspect.getmodule(kind))
    found = dict(known)  # as in any doctest
    with use_backend("numpy"):
        for example in DocTestParser().get_examples(kind.__doc__ or ""):
            exec(compile(example.source, f"<example of {kind.__name__}>", "single"), found)
    made = [value for name, value in found.items() if type(value) is kind and value is not known.get(name)]
    assert made, f"{kind.__name__}: the example in its docstring assigns none to a name, for the tests to try"
    return made


def unlisted(base, listed):
    """Return the classes that are in no list, in the order of their names."""
    return sorted(concrete_subclasses(base) - set(listed), key=lambda kind: kind.__name__)


LAYERS |= {kind: [lambda kind=kind: documented(kind)[0].to(get_backend())] for kind in unlisted(Layer, LAYERS)}
LAYER_CASES = [(kind, number) for kind, cases in LAYERS.items() for number in range(len(cases))]


def penalised_network():
    """A network with 24 weights, 18 of them in stencils."""
    return Chain([ConvolutionLayer((1, 4, 4), 2, bias=True), ScalingLayer((2, 4, 4)), BiasLayer((2, 4, 4))])


def classes(rng):
    return rng.integers(4, size=5)


LOSSES = {
    SoftmaxCrossEntropy: [(lambda b, t: SoftmaxCrossEntropy(), classes)],
    LogisticLoss: [(lambda b, t: LogisticLoss(), lambda rng: rng.integers(2, size=(5, 4)).astype(float))],
    LeastSquares: [
        (lambda b, t: LeastSquares(), lambda rng: rng.standard_normal((5, 4))),
        (lambda b, t: LeastSquares(Dense(numbers(b, t, 2, 4))), lambda rng: rng.standard_normal((5, 4))),
    ],
    MeanSquares: [(lambda b, t: MeanSquares(), lambda rng: rng.standard_normal((5, 4)))],
}
"""With each loss a function that draws targets for five examples with four outputs."""
REGULARIZERS = {
    Tikhonov: [
        lambda b, t: Tikhonov(Gradient((2, 3, 4), 0.5, t), 0.3),
        lambda b, t: Tikhonov(Identity((24,), t), 0.3, numbers(b, t, 24)),
        lambda b, t: prolongation_penalty(penalised_network(), 0.3, interpolation="constant"),
    ],
    SmoothedL1: [
        lambda b, t: SmoothedL1(Gradient((2, 3, 4), 0.5, t), 0.3, 0.1),
        lambda b, t: SmoothedL1(Identity((24,), t), 0.3, 0.5, numbers(b, t, 24)),
    ],
    RegularizerSum: [
        lambda b, t: Tikhonov(Identity((24,), t), 0.2) + SmoothedL1(Difference((24,), 0, 0.5, t), 0.3, 0.2)
    ],
    BlockRegularizer: [
        lambda b, t: BlockRegularizer(
            [Tikhonov(Gradient((2, 3), 0.5, t), 0.3), SmoothedL1(Identity((3, 6), t), 0.3, 0.5)]
        )
    ],
}


def small_network():
    """A network of several kinds of layers on images of 6x4 pixels."""
    return Chain(
        [
            ConvolutionLayer((1, 6, 4), 2, activation="tanh"),
            PoolingLayer((2, 6, 4)),
            ResidualNetwork(
                SymmetricLayer(CirculantConvolution(numbers(get_backend(), "float64", 2, 2, 1, 1), (3, 2))), 2, 0.4
            ),
        ]
    )


def small_objective(backend, dtype, loss=None, targets=None, network=None):
    """Return an objective with both regularisers over seven images, and a point."""
    rng = np.random.default_rng(11)
    network = small_network() if network is None else network
    classifier = DenseLayer(network.range_shape, 3)
    objective = Objective(
        network,
        classifier,
        backend.asarray(rng.standard_normal((7, 1, 6, 4)), dtype),
        np.array([0, 1, 2, 2, 1, 0, 1]) if targets is None else targets,
        loss=loss,
        theta_regularizer=Tikhonov(Identity(network.parameters.size, dtype), 0.1),
        W_regularizer=Tikhonov(Gradient((3, *network.range_shape), 0.5, dtype), 0.2),
    )
    x = backend.xp.concatenate([he_normal(layer, rng, dtype) for layer in (network, classifier)])
    return objective, x


def coupled_network():
    return Chain([small_network(), NormalisationLayer((2, 3, 2), ("examples", "pixels"), eps=0.1)])


def hessian(backend, dtype):
    objective, x = small_objective(backend, dtype)
    return objective.hessian(x)


def reduced_hessian(backend, dtype):
    objective, x = small_objective(backend, dtype)
    objective.W_regularizer = Tikhonov(Identity((objective.classifier.parameters.size,), dtype), 0.1)
    return VariableProjection(objective).hessian(objective.split(x)[0])


OPERATORS |= {Hessian: hessian, ReducedHessian: reduced_hessian}
OPERATORS |= {
    kind: lambda b, t, kind=kind: to_dtype(documented(kind)[0], t).to(b) for kind in unlisted(LinearOperator, OPERATORS)
}
OPERATOR_CASES = {kind.__name__: make for kind, make in OPERATORS.items()} | VIDEO_OPERATORS
OBJECTIVES = {
    "softmax": lambda b: small_objective(b, "float64"),
    "logistic": lambda b: small_objective(b, "float64", LogisticLoss(), np.eye(7)[:, :3]),
    "least squares": lambda b: small_objective(b, "float64", LeastSquares(), np.arange(21.0).reshape(7, 3) / 10),
    "coupled examples": lambda b: small_objective(b, "float64", network=coupled_network()),
}
