"""One list of operators, one of layers, one of functions: every class of the package is in one of them, once."""

from __future__ import annotations

import inspect
import math

import numpy as np
import pytest

import meganet
from meganet import (
    Chain,
    ConvolutionLayer,
    DenseLayer,
    PoolingLayer,
    SoftmaxCrossEntropy,
    Tikhonov,
    losses,
    regularizers,
)
from meganet._validate import InputError
from meganet.backend import get_backend
from meganet.checks import check_adjoint, check_derivative, check_layer
from meganet.layers import (
    ActivationLayer,
    AffineLayer,
    BiasLayer,
    ConnectorLayer,
    Layer,
    NormalisationLayer,
    ScalingLayer,
    SmoothReLU,
    TVNormalisationLayer,
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
    RemoveMean,
    Reshape,
    Sparse,
    Transposed,
)
from meganet.linop.base import Adjoint, Composition, Scaled, Sum
from meganet.networks import (
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
    DepthwiseConvolution: lambda b, t: DepthwiseConvolution(numbers(b, t, 3, 3, 5), (5, 6)),
    Sparse: lambda b, t: Sparse(numbers(b, t, 5), [0, 1, 2, 2, 3], [0, 1, 1, 2, 2], (4, 3)),
    Transposed: lambda b, t: Transposed(CirculantConvolution(numbers(b, t, 3, 2, 3, 1), (6, 7), stride=(2, 3))),
    Matrix: lambda b, t: Matrix(np.arange(48.0).reshape(6, 8), (2, 4), (3, 2), t),
    Reshape: lambda b, t: Reshape((2, 3, 4), (4, 6), (2, 0, 1), t),
    Broadcast: lambda b, t: Broadcast((3, 4, 5), (0, 2), t),
    RemoveMean: lambda b, t: RemoveMean((3, 2, 3, 5), (-2, -1), t),
    Kronecker: lambda b, t: Kronecker(Dense(numbers(b, t, 3, 4)), Dense(numbers(b, t, 5, 2))),
    Adjoint: lambda b, t: Dense(numbers(b, t, 3, 4)).T,
    Composition: lambda b, t: AveragePooling((3, 6, 8), 2, t) @ CirculantConvolution(numbers(b, t, 3, 2, 3, 3), (6, 8)),
    Sum: lambda b, t: Identity((2, 6, 5), t) + CirculantConvolution(numbers(b, t, 2, 2, 1, 3), (6, 5)),
    Scaled: lambda b, t: -2.5 * Gradient((2, 3, 4), 1.0, t),
}


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
    ConnectorLayer: [
        lambda: ConnectorLayer(Reshape((2, 3), (6,), (1, 0))),
        lambda: ConnectorLayer(Matrix(np.arange(6.0).reshape(2, 3)), get_backend().asarray(np.array([1.0, 2.0]))),
    ],
    NormalisationLayer: [
        lambda: NormalisationLayer((3, 2, 4)),
        lambda: NormalisationLayer((3, 2, 4), ("examples",)),
        lambda: NormalisationLayer((3, 2, 4), ("examples", "pixels")),
    ],
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
    ],
    DenseLayer: [
        lambda: DenseLayer((2, 3, 4), 5),
        lambda: DenseLayer((6,), 4, activation="tanh", bias=False),
    ],
    PoolingLayer: [lambda: PoolingLayer((2, 6, 4), (3, 2))],
    Chain: [
        lambda: Chain(
            [
                ConvolutionLayer((1, 6, 4), 3, bias=True),
                PoolingLayer((3, 6, 4)),
                Chain([ConvolutionLayer((3, 3, 2), 2, (3, 1), activation="tanh")]),
                DenseLayer((2, 3, 2), 4),
            ]
        )
    ],
}
LOSSES = {SoftmaxCrossEntropy: SoftmaxCrossEntropy}
REGULARIZERS = {
    Tikhonov: [
        lambda b, t: Tikhonov(Gradient((2, 3, 4), 0.5, t), 0.3),
        lambda b, t: Tikhonov(Identity((24,), t), 0.3, numbers(b, t, 24)),
    ]
}
LAYER_CASES = [(kind, number) for kind, cases in LAYERS.items() for number in range(len(cases))]


def concrete_subclasses(base):
    found = set()
    for child in base.__subclasses__():
        found |= concrete_subclasses(child)
        if not inspect.isabstract(child) and child.__module__.startswith("meganet."):
            found.add(child)
    return found


def test_every_operator_layer_loss_and_regulariser_is_listed():
    assert concrete_subclasses(LinearOperator) == set(OPERATORS)
    assert concrete_subclasses(Layer) == set(LAYERS)
    for module, listed in ((losses, LOSSES), (regularizers, REGULARIZERS)):
        classes = {c for _, c in inspect.getmembers(module, inspect.isclass) if c.__module__ == module.__name__}
        assert classes == set(listed)


@pytest.fixture(params=OPERATORS, ids=lambda kind: kind.__name__)
def operator(request, backend, dtype):
    return OPERATORS[request.param](backend, dtype)


class TestOperators:
    def test_adjoint(self, operator):
        check_adjoint(operator)

    def test_explicit_matrix(self, operator, backend, dtype):
        matrix = operator.tosparse()
        assert matrix.shape == operator.shape and matrix.dtype == operator.dtype == dtype
        for one, product in ((operator, matrix), (operator.T, matrix.T)):
            x = numbers(backend, dtype, 3, *one.domain_shape)
            expected = backend.to_host((product @ x.reshape(3, -1).T).T.reshape(3, *one.range_shape))
            np.testing.assert_allclose(backend.to_host(one @ x), expected, rtol=0, atol=100 * np.finfo(dtype).eps)

    def test_batch_of_one_single_example_dtype_and_unmodified_input(self, operator, backend, dtype):
        for one in (operator, operator.T):
            x = numbers(backend, dtype, 1, *one.domain_shape)
            before = backend.to_host(x).copy()
            batch, single = one @ x, one @ x[0]
            assert batch.dtype == single.dtype == dtype
            assert batch.shape == (1, *one.range_shape) and single.shape == one.range_shape
            np.testing.assert_array_equal(backend.to_host(batch[0]), backend.to_host(single))
            np.testing.assert_array_equal(backend.to_host(x), before)

    def test_normal_product(self, operator, backend, dtype):
        x = numbers(backend, dtype, 2, *operator.domain_shape)
        result, expected = backend.to_host(operator.normal(x)), backend.to_host(operator.T @ (operator @ x))
        assert result.dtype == dtype
        np.testing.assert_allclose(result, expected, rtol=0, atol=200 * np.finfo(dtype).eps * abs(expected).max())

    def test_no_examples_is_an_error(self, operator, backend, dtype):
        with pytest.raises(InputError, match="x: expected at least one example, got none"):
            operator @ backend.asarray(np.zeros((0, *operator.domain_shape)), dtype)

    def test_does_not_add_to_other_things(self, operator):
        for wrong in (lambda: operator + 3, lambda: operator - 3, lambda: 3 + operator):
            with pytest.raises(TypeError):
                wrong()

    def test_wrong_shape_is_an_error(self, operator, backend, dtype):
        with pytest.raises(InputError, match=r"x: expected shape \(.*got shape \(7, 1, 1, 9, 1\)"):
            operator @ numbers(backend, dtype, 7, 1, 1, 9, 1)

    def test_foreign_array_is_an_error(self, operator, backend):
        foreign = [[1.0]] if backend.name == "numpy" else np.zeros(operator.domain_shape)
        with pytest.raises(InputError, match=f"x: expected an array of the {backend.name} backend, got"):
            operator @ foreign

    def test_moves_to_another_backend(self, operator, backend, dtype):
        x = numbers(backend, dtype, 2, *operator.domain_shape)
        moved = operator.to("numpy")
        assert moved.backend is get_backend("numpy") and operator.backend is backend
        expected = backend.to_host(operator @ x)
        np.testing.assert_allclose(moved @ backend.to_host(x), expected, rtol=0, atol=100 * np.finfo(dtype).eps)


@pytest.mark.parametrize("kind", OPERATORS, ids=lambda kind: kind.__name__)
def test_scipy_adapter(kind):
    operator = OPERATORS[kind](get_backend("numpy"), np.dtype("float64"))
    adapter = operator.aslinearoperator()
    x = np.random.default_rng(1).standard_normal(operator.shape[1])
    y = np.random.default_rng(2).standard_normal(operator.shape[0])
    matrix = operator.tosparse()
    np.testing.assert_allclose(adapter @ x, matrix @ x, atol=1e-13)
    np.testing.assert_allclose(adapter.T @ y, matrix.T @ y, atol=1e-13)


@pytest.fixture(params=LAYER_CASES, ids=lambda case: f"{case[0].__name__}-{case[1]}")
def layer(request, backend):
    kind, number = request.param
    return LAYERS[kind][number]()


def draws(layer, dtype, examples=3):
    rng = np.random.default_rng(5)
    theta = layer.backend.asarray(rng.standard_normal(layer.parameters.size), dtype)
    return theta, layer.backend.asarray(rng.standard_normal((examples, *layer.domain_shape)), dtype)


class TestLayers:
    def test_derivatives(self, layer):
        check_layer(layer)
        check_layer(layer, examples=1, seed=1)

    def test_dtype_is_kept_and_float32_agrees(self, layer, dtype):
        theta, x = draws(layer, dtype)
        y, tape = layer.forward(theta, x)
        slopes = layer.vjp(y, tape)
        assert {a.dtype for a in (y, layer.jvp(theta, x, tape), *slopes)} == {dtype}
        wide = layer.forward(*draws(layer, np.dtype("float64")))[0]
        host = layer.backend.to_host
        np.testing.assert_allclose(host(y), host(wide), rtol=0, atol=1e-4)

    def test_examples_are_independent(self, layer):
        theta, x = draws(layer, np.dtype("float64"))
        host = layer.backend.to_host
        batch = host(layer.forward(theta, x)[0])
        if layer.couples_examples:
            alone = host(layer.forward(theta, x[:1])[0])[0]
            assert not np.allclose(alone, batch[0])
            return
        for n in range(len(x)):
            np.testing.assert_allclose(host(layer.forward(theta, x[n : n + 1])[0])[0], batch[n], atol=1e-13)

    def test_a_stack_is_every_network_on_its_own_batch(self, layer):
        host, backend = layer.backend.to_host, layer.backend
        rng = np.random.default_rng(6)
        one = [rng.standard_normal((4, *shape)) for shape in ((layer.parameters.size,), (3, *layer.domain_shape))]
        theta, x, dtheta, dx = (backend.asarray(a) for part in (one, [0.1 * a for a in one]) for a in part)
        dy = backend.asarray(rng.standard_normal((4, 3, *layer.range_shape)))
        y, tape = layer.forward(theta, x)
        results = [y, layer(theta, x), layer.jvp(dtheta, dx, tape), *layer.vjp(dy, tape), layer.vjp_theta(dy, tape)]
        for t in range(4):
            y, tape = layer.forward(theta[t].copy(), x[t])
            single = [y, layer(theta[t].copy(), x[t]), layer.jvp(dtheta[t].copy(), dx[t], tape)]
            single += [*layer.vjp(dy[t], tape), layer.vjp_theta(dy[t], tape)]
            for together, alone in zip(results, single, strict=True):
                np.testing.assert_allclose(host(together[t]), host(alone), rtol=1e-12, atol=1e-12)
        with pytest.raises(InputError, match=r"x: expected an array of shape \(4, N, "):
            layer.forward(theta, x[:3])
        with pytest.raises(InputError, match="x: expected at least one example, got none"):
            layer.forward(theta, x[:, :0])
        with pytest.raises(InputError, match=r"dy: expected an array of shape \(3, "):
            layer.vjp(dy, tape)

    def test_names_share_memory_with_the_flat_vector(self, layer):
        theta, _ = draws(layer, np.dtype("float64"))
        views = layer.parameters.view(theta)
        assert tuple(views) == layer.parameters.names
        for view in views.values():
            view[...] = 7.0
        assert np.all(layer.backend.to_host(theta) == 7)

    def test_errors(self, layer):
        theta, x = draws(layer, np.dtype("float64"))
        with pytest.raises(InputError, match=r"x: expected an array of shape \(N, "):
            layer.forward(theta, x[0])
        with pytest.raises(InputError, match=r"theta: expected an array of shape"):
            layer.forward(layer.backend.asarray(np.zeros(layer.parameters.size + 1)), x)
        with pytest.raises(InputError, match="theta: expected float64, the dtype of x, got float32"):
            layer.forward(theta.astype(np.float32), x)
        y, tape = layer.forward(theta, x)
        with pytest.raises(InputError, match=r"dy: expected an array of shape \(3, "):
            layer.vjp(y[:1], tape)
        with pytest.raises(InputError, match=r"dx: expected an array of shape \(3, "):
            layer.jvp(theta, x[:2], tape)
        with pytest.raises(InputError, match="dy: expected float64, the dtype of the forward pass, got float32"):
            layer.vjp_theta(y.astype(np.float32), tape)
        with pytest.raises(InputError, match="x: expected at least one example, got none"):
            layer.forward(theta, x[:0])
        with pytest.raises(InputError, match="dy: expected"):
            layer.vjp(layer.forward(theta, x)[0][..., None], tape)

    def test_moves_to_another_backend(self, layer):
        theta, x = draws(layer, np.dtype("float64"))
        host = layer.backend.to_host
        moved = layer.to("numpy").forward(host(theta), host(x))[0]
        np.testing.assert_allclose(moved, host(layer.forward(theta, x)[0]), atol=1e-13)

    def test_resized(self, layer):
        shape = tuple(2 * n if k else n for k, n in enumerate(layer.domain_shape))
        if isinstance(layer, ConnectorLayer):
            with pytest.raises(InputError, match="domain_shape: expected .* for which the operator is made"):
                layer.resized((*shape, 2))
            assert layer.resized(layer.domain_shape) is layer
            return
        assert layer.resized(shape).domain_shape == shape


@pytest.fixture(params=LOSSES.values(), ids=lambda make: make.__name__)
def loss(request):
    return request.param()


def logits_and_labels(backend, dtype):
    labels = backend.asarray(np.array([0, 3, 1, 1, 2]))
    v = backend.asarray(np.random.default_rng(8).standard_normal((5, 4)), dtype)
    return numbers(backend, dtype, 5, 4), labels, v


class TestLosses:
    def test_gradient_and_hessian(self, loss, backend):
        logits, labels, v = logits_and_labels(backend, "float64")
        gradient = loss.value_and_gradient(logits, labels)[1]
        check_derivative(lambda z: loss.value(z, labels), lambda d: (gradient * d).sum(), logits, v)

        def hessian(d):
            return loss.hessian_product(logits, labels, d)

        check_derivative(lambda z: loss.value_and_gradient(z, labels)[1], hessian, logits, v)
        check_adjoint(hessian, hessian, v=v, w=numbers(backend, "float64", 5, 4))

    def test_dtype_and_agreement_with_float64(self, loss, backend, dtype):
        results = []
        for logits, labels, v in (logits_and_labels(backend, dtype), logits_and_labels(backend, "float64")):
            value, gradient = loss.value_and_gradient(logits, labels)
            results.append([value, loss.value(logits, labels), gradient, loss.hessian_product(logits, labels, v)])
        for narrow, exact in zip(*results, strict=True):
            assert narrow.dtype == dtype
            np.testing.assert_allclose(backend.to_host(narrow), backend.to_host(exact), atol=1e-5)

    def test_errors(self, loss, backend):
        logits, labels, _ = logits_and_labels(backend, "float64")
        with pytest.raises(InputError, match="labels: expected classes 0 to 3, got 4 at position 1"):
            loss.value(logits, backend.asarray(np.array([0, 4, 0, 0, 0])))
        with pytest.raises(InputError, match="labels: expected classes 0 to 3, got -1 at position 4"):
            loss.value(logits, backend.asarray(np.array([0, 0, 0, 0, -1])))
        with pytest.raises(InputError, match="labels: expected a vector of integers"):
            loss.value(logits, labels.astype(np.float64))
        with pytest.raises(InputError, match="labels: expected one class for each of 5 examples"):
            loss.value(logits, labels[:2])
        with pytest.raises(InputError, match="logits: expected at least one example, got none"):
            loss.value(logits[:0], labels[:0])


class TestSoftmax:
    def test_value_and_predictions(self, backend):
        loss, (logits, labels, _) = SoftmaxCrossEntropy(), logits_and_labels(backend, "float64")
        z = backend.to_host(logits)
        p = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
        expected = -np.log(p[np.arange(5), backend.to_host(labels)]).mean()
        assert float(backend.to_host(loss.value(logits, labels))) == pytest.approx(expected, rel=1e-12)
        tied = backend.asarray(np.array([[1.0, 2.0, 2.0]]))
        assert backend.to_host(loss.predictions(tied)).tolist() == [1]

    def test_infinite_logits_and_any_integers_for_labels(self, backend):
        loss, logits = SoftmaxCrossEntropy(), backend.asarray(np.array([[0.0, -np.inf], [3.0, 3.0]]))
        for kind in ("int64", "int32", "uint8"):
            labels = backend.asarray(np.array([0, 1], dtype=kind))
            value, gradient = loss.value_and_gradient(logits, labels)
            assert float(backend.to_host(value)) == pytest.approx(np.log(2) / 2)
            np.testing.assert_allclose(backend.to_host(gradient), [[0, 0], [0.25, -0.25]])

    def test_large_logits(self, backend, dtype):
        loss = SoftmaxCrossEntropy()
        logits = backend.asarray(np.array([[1e4, -1e4, 0.0], [1e4, -1e4, 0.0]]), dtype)
        value, gradient = loss.value_and_gradient(logits, backend.asarray(np.array([0, 1])))
        assert float(backend.to_host(value)) == pytest.approx(1e4)
        np.testing.assert_allclose(backend.to_host(gradient), [[0, 0, 0], [0.5, -0.5, 0]])


REGULARIZER_CASES = [(kind, number) for kind, cases in REGULARIZERS.items() for number in range(len(cases))]


@pytest.fixture(params=REGULARIZER_CASES, ids=lambda case: f"{case[0].__name__}-{case[1]}")
def regularizer(request, backend):
    kind, number = request.param
    return lambda dtype: REGULARIZERS[kind][number](backend, np.dtype(dtype))


class TestRegularizers:
    def test_derivatives(self, regularizer, backend):
        penalty = regularizer("float64")
        x, v = (backend.asarray(a) for a in np.random.default_rng(3).standard_normal((2, 24)))
        gradient = penalty.value_and_gradient(x)[1]
        check_derivative(penalty.value, lambda d: (gradient * d).sum(), x, v)
        check_derivative(lambda z: penalty.value_and_gradient(z)[1], penalty.hessian_product, x, v)
        check_adjoint(penalty.hessian_product, penalty.hessian_product, v=x, w=v)

    def test_dtype_and_agreement_with_float64(self, regularizer, backend, dtype):
        results = []
        for t in (dtype, "float64"):
            penalty, x = regularizer(t), numbers(backend, t, 24)
            results.append([penalty.value(x), *penalty.value_and_gradient(x), penalty.hessian_product(x)])
        for narrow, wide in zip(*results, strict=True):
            np.testing.assert_allclose(backend.to_host(narrow), backend.to_host(wide), rtol=1e-4, atol=1e-5)
        assert {a.dtype for a in results[0]} == {dtype}


def test_one_tensor_is_no_stack(backend, dtype):
    penalty = Tikhonov(Identity((1, 5), dtype), 1.0)
    x = numbers(backend, dtype, 1, 5)
    assert penalty.value(x).shape == penalty.value_and_gradient(x)[0].shape == ()
    both = Tikhonov(Gradient((2, 3, 4), 0.5, dtype), 0.3)
    stack = numbers(backend, dtype, 5, 24)
    values = (backend.to_host(v) for v in (both.value(stack), both.value_and_gradient(stack)[0]))
    np.testing.assert_allclose(*values, rtol=1e-5)


def test_tikhonov_errors(backend):
    with pytest.raises(InputError, match="alpha: expected a finite number of at least 0"):
        Tikhonov(Identity(3), -1.0)
    with pytest.raises(InputError, match="x: expected 3 weights"):
        Tikhonov(Identity(3), 1.0).value(numbers(backend, "float64", 4))
    with pytest.raises(InputError, match="reference: expected 3 weights"):
        Tikhonov(Identity(3), 1.0, numbers(backend, "float64", 1))
    with pytest.raises(InputError, match="x: expected float64, the dtype of the reference, got float32"):
        Tikhonov(Identity(3), 1.0, numbers(backend, "float64", 3)).value(numbers(backend, "float32", 3))


def small_objective(backend, dtype):
    rng = np.random.default_rng(11)
    network = Chain([ConvolutionLayer((1, 6, 4), 2, activation="tanh"), PoolingLayer((2, 6, 4))])
    classifier = DenseLayer(network.range_shape, 3)
    objective = meganet.Objective(
        network,
        classifier,
        backend.asarray(rng.standard_normal((7, 1, 6, 4)), dtype),
        np.array([0, 1, 2, 2, 1, 0, 1]),
        theta_regularizer=Tikhonov(Identity(network.parameters.size), 0.1),
        W_regularizer=Tikhonov(Gradient((3, *network.range_shape), 0.5), 0.2),
    )
    x = backend.xp.concatenate([he_normal(layer, rng, dtype) for layer in (network, classifier)])
    return objective, x


@pytest.mark.parametrize("engine", ["auto", "direct", "sparse"])
def test_a_stack_of_kernels(backend, dtype, engine):
    kernels = numbers(backend, dtype, 4, 9, 8, 3, 3)
    operator = CirculantConvolution(kernels[0], (6, 7), engine).with_kernel(kernels)
    x, y = numbers(backend, dtype, 4, 2, 8, 6, 7), numbers(backend, dtype, 4, 2, 9, 6, 7)
    together = [operator @ x, operator.T @ y, operator.kernel_adjoint(x, y)]
    for t in range(4):
        one = operator.with_kernel(kernels[t])
        alone = [one @ x[t], one.T @ y[t], one.kernel_adjoint(x[t], y[t])]
        for a, b in zip(together, alone, strict=True):
            a, b = backend.to_host(a[t]), backend.to_host(b)
            assert a.dtype == b.dtype == dtype
            np.testing.assert_allclose(a, b, rtol=0, atol=100 * np.finfo(dtype).eps * abs(b).max())
    with pytest.raises(InputError, match="kernel: expected one kernel, which has a matrix, got a stack of 4"):
        operator.tosparse()
    with pytest.raises(InputError, match="A @ B: expected single operators, got a stack of them"):
        Identity((9, 6, 7), dtype) @ operator
    with pytest.raises(InputError, match=r"a \* A: expected single operators, got a stack of them"):
        2.0 * operator
    with pytest.raises(InputError, match="operators: expected single operators, got a stack of them"):
        BlockDiagonal([operator])
    with pytest.raises(InputError, match="kernel: expected one kernel, which has a matrix, got a stack of 4"):
        operator.symbol()
    with pytest.raises(InputError, match=r"x: expected an array of shape \(4, N, 8, 6, 7\)"):
        operator @ x[0]
    with pytest.raises(InputError, match=r"kernel: expected an array of shape \(9, 8, 3, 3\)"):
        operator.with_kernel(numbers(backend, dtype, 9, 8, 3, 5))
    with pytest.raises(InputError, match="y: expected 2 examples, as in x, got 1"):
        operator.kernel_adjoint(x, y[:, :1])


def test_a_stack_of_regularisers_and_losses(backend, dtype):
    penalty = Tikhonov(Gradient((2, 3, 4), 0.5, dtype), 0.3, numbers(backend, dtype, 24))
    x = numbers(backend, dtype, 5, 24)
    logits, labels = numbers(backend, dtype, 5, 6, 3), backend.asarray(np.arange(30).reshape(5, 6) % 3)
    loss = SoftmaxCrossEntropy()
    for function, arguments in ((penalty.value_and_gradient, (x,)), (loss._value_and_gradient, (logits, labels))):
        values, gradients = function(*arguments)
        assert values.shape == (5,) and values.dtype == gradients.dtype == dtype
        for t in range(5):
            value, gradient = function(*(a[t] for a in arguments))
            for together, alone in ((values[t], value), (gradients[t], gradient)):
                np.testing.assert_allclose(backend.to_host(together), backend.to_host(alone), rtol=1e-5)


class TestObjective:
    def test_a_stack_of_objectives(self, backend, dtype):
        objectives = [small_objective(backend, dtype)[0] for _ in range(2)]
        objectives[1].images = objectives[1].images * 2
        objectives = [objectives[1], objectives[0], objectives[1]]
        x0 = small_objective(backend, dtype)[1]
        x = backend.xp.stack([x0, 2 * x0, 3 * x0])
        indices = backend.asarray(np.array([[0, 5], [2, 1], [6, 3]]))
        values, gradients = meganet.StackedObjective(objectives)(x, indices)
        assert values.shape == (3,) and values.dtype == gradients.dtype == dtype
        for t, objective in enumerate(objectives):
            value, gradient = objective(x[t].copy(), indices[t])
            for together, alone in ((values[t], value), (gradients[t], gradient)):
                together, alone = backend.to_host(together), backend.to_host(alone)
                if backend.name == "numpy":
                    np.testing.assert_array_equal(together, alone)
                np.testing.assert_allclose(together, alone, rtol=0, atol=20 * np.finfo(dtype).eps * abs(alone).max())
        with pytest.raises(InputError, match=r"x: expected an array of shape \(3, "):
            meganet.StackedObjective(objectives)(x[:2], indices)
        with pytest.raises(InputError, match="objectives: expected at least one, got none"):
            meganet.StackedObjective([])
        for change in ({"theta_regularizer": None}, {"W_regularizer": Tikhonov(Gradient((3, 2, 3, 2), 0.5), 0.3)}):
            usual = {name: getattr(objectives[0], name) for name in ("theta_regularizer", "W_regularizer")}
            parts = objectives[0].network, objectives[0].classifier, objectives[0].images, np.zeros(7, int)
            other = meganet.Objective(*parts, **{**usual, **change})
            with pytest.raises(InputError, match=rf"objectives\[1\]: expected the {next(iter(change))} of the first"):
                meganet.StackedObjective([objectives[0], other])
        parts = objectives[0].network, objectives[0].classifier, objectives[0].images[:3], [0, 1, 2]
        other = meganet.Objective(*parts, **usual)
        with pytest.raises(InputError, match=r"objectives\[1\]: expected images \(7, 1, 6, 4\), as the first, got"):
            meganet.StackedObjective([objectives[0], other])

    def test_gradient(self, backend):
        objective, x = small_objective(backend, "float64")
        direction = backend.asarray(np.random.default_rng(4).standard_normal(x.shape))
        for indices in (None, backend.asarray(np.array([5, 1]))):
            gradient = objective(x, indices)[1]
            check_derivative(lambda z, i=indices: objective(z, i)[0], lambda d, g=gradient: (g * d).sum(), x, direction)

    def test_evaluate_agrees_in_any_batches(self, backend, dtype):
        objective, x = small_objective(backend, dtype)
        value, gradient = objective(x)
        assert value.dtype == gradient.dtype == dtype
        for batch_size in (1, 3, 100):
            metrics = objective.evaluate(x, batch_size)
            assert metrics.objective == pytest.approx(float(backend.to_host(value)), rel=1e-5)
        assert objective.parameters.names == ("theta.0.kernel", "W.kernel", "W.bias")

    def test_errors(self, backend):
        objective, x = small_objective(backend, "float64")
        network, classifier, images = objective.network, objective.classifier, objective.images
        labels = backend.to_host(objective.labels)
        bad = backend.to_host(images).copy()
        bad[2, 0, 1, 1] = np.nan
        for arguments, message in (
            ((network, classifier, backend.asarray(bad), labels), "images: expected finite pixels"),
            ((network, classifier, images, labels + 1), "labels: expected classes 0 to 2, got 3 at position 2"),
            ((network, classifier, images[:0], labels[:0]), "images: expected at least one image, got none"),
            ((network, classifier, images, labels[:3]), "labels: expected one label for each of 7 images, got 3"),
            ((network, DenseLayer((2, 9, 2), 3), images, labels), "classifier: expected a layer from"),
        ):
            with pytest.raises(InputError, match=message):
                meganet.Objective(*arguments)
        with pytest.raises(InputError, match="x: expected an array of shape"):
            objective(x[1:])
        with pytest.raises(InputError, match="W_regularizer: expected an operator on 36 weights"):
            meganet.Objective(network, classifier, images, labels, W_regularizer=Tikhonov(Identity(3), 1.0))
