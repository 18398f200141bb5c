"""One list of operators, one of layers, one of functions: every class of the package is in one of them, once."""

from __future__ import annotations

import inspect

import numpy as np
import pytest
from registry import (
    LAYER_CASES,
    LAYERS,
    LOSSES,
    OPERATOR_CASES,
    OPERATORS,
    REGULARIZERS,
    concrete_subclasses,
    documented,
    numbers,
)

from meganet import losses, regularizers
from meganet.backend import get_backend
from meganet.checks import check_adjoint, check_derivative, check_layer
from meganet.ground.validate import InputError
from meganet.layers import Layer, LinearLayer
from meganet.linop import BlockDiagonal, CirculantConvolution, Gradient, Identity, LinearOperator
from meganet.losses import LeastSquares, LogisticLoss, SoftmaxCrossEntropy
from meganet.networks import Chain
from meganet.objective import Hessian, ReducedHessian
from meganet.regularizers import BlockRegularizer, SmoothedL1, Tikhonov


def test_every_operator_layer_loss_and_regulariser_is_tried():
    assert concrete_subclasses(LinearOperator) == set(OPERATORS)
    assert concrete_subclasses(Layer) == set(LAYERS)
    for module, listed in ((losses, LOSSES), (regularizers, REGULARIZERS)):
        classes = {c for _, c in inspect.getmembers(module, inspect.isclass) if c.__module__ == module.__name__}
        assert {c for c in classes if not inspect.isabstract(c)} == set(listed)


class Short(Chain):
    """A network whose example imports nothing.

    Examples
    --------
    >>> network = Short([LinearLayer(Identity((2, 3, 4)))])
    """


def test_a_class_is_tried_on_what_the_example_in_its_docstring_makes():
    (chain,) = documented(Chain)
    assert len(chain.layers) == 2

    (short,) = documented(Short)
    assert type(short) is Short, "an example may use the names of its module, as in any doctest"

    class Silent(Chain):
        """Layers without an example."""

    with pytest.raises(AssertionError, match="Silent: the example in its docstring assigns none"):
        documented(Silent)


@pytest.fixture(params=OPERATOR_CASES)
def operator(request, backend, dtype):
    return OPERATOR_CASES[request.param](backend, dtype)


@pytest.mark.loops
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
        if isinstance(operator, (Hessian, ReducedHessian)) and backend is not get_backend("numpy"):
            with pytest.raises(InputError, match="backend: expected .*, where the objective is, got numpy"):
                operator.to("numpy")
            return
        x = numbers(backend, dtype, 2, *operator.domain_shape)
        moved = operator.to("numpy")
        assert moved.backend is get_backend("numpy") and operator.backend is backend
        expected = backend.to_host(operator @ x)
        np.testing.assert_allclose(moved @ backend.to_host(x), expected, rtol=0, atol=100 * np.finfo(dtype).eps)


@pytest.mark.parametrize("case", OPERATOR_CASES)
def test_scipy_adapter(case):
    operator = OPERATOR_CASES[case](get_backend("numpy"), np.dtype("float64"))
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


@pytest.mark.loops
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
        if type(layer) is LinearLayer:
            with pytest.raises(InputError, match="domain_shape: expected .* for which the operator is made"):
                layer.resized((*shape, 2))
            assert layer.resized(layer.domain_shape) is layer
            return
        assert layer.resized(shape).domain_shape == shape


LOSS_CASES = [(kind, number) for kind, cases in LOSSES.items() for number in range(len(cases))]


@pytest.fixture(params=LOSS_CASES, ids=lambda case: f"{case[0].__name__}-{case[1]}")
def loss_case(request, backend):
    """A function of the dtype: the loss, outputs, targets and a direction."""
    kind, number = request.param
    make, draw = LOSSES[kind][number]

    def case(dtype):
        targets = backend.asarray(draw(np.random.default_rng(4)))
        v = backend.asarray(np.random.default_rng(8).standard_normal((5, 4)), dtype)
        return make(backend, np.dtype(dtype)), numbers(backend, dtype, 5, 4), targets, v

    return case


def logits_and_labels(backend, dtype):
    labels = backend.asarray(np.array([0, 3, 1, 1, 2]))
    v = backend.asarray(np.random.default_rng(8).standard_normal((5, 4)), dtype)
    return numbers(backend, dtype, 5, 4), labels, v


class TestLosses:
    def test_gradient_and_hessian(self, loss_case, backend):
        loss, logits, labels, v = loss_case("float64")
        gradient = loss.value_and_gradient(logits, labels)[1]
        check_derivative(lambda z: loss.value(z, labels), lambda d: (gradient * d).sum(), logits, v)

        def hessian(d):
            return loss.hessian_product(logits, labels, d)

        check_derivative(lambda z: loss.value_and_gradient(z, labels)[1], hessian, logits, v)
        check_adjoint(hessian, hessian, v=v, w=numbers(backend, "float64", 5, 4))

    def test_dtype_and_agreement_with_float64(self, loss_case, backend, dtype):
        results = []
        for loss, logits, labels, v in (loss_case(dtype), loss_case("float64")):
            value, gradient = loss.value_and_gradient(logits, labels)
            results.append([value, loss.value(logits, labels), gradient, loss.hessian_product(logits, labels, v)])
        for narrow, exact in zip(*results, strict=True):
            assert narrow.dtype == dtype
            np.testing.assert_allclose(backend.to_host(narrow), backend.to_host(exact), atol=1e-5)

    def test_examples_add_up(self, loss_case, backend):
        loss, logits, targets, _ = loss_case("float64")
        values = [float(backend.to_host(loss.value(logits[n : n + 1], targets[n : n + 1]))) for n in range(5)]
        assert float(backend.to_host(loss.value(logits, targets))) == pytest.approx(np.mean(values), rel=1e-13)
        hits = loss.hits(logits, targets)
        assert hits is None or hits.shape == (5,)

    def test_errors_of_numbers(self, backend):
        logits = numbers(backend, "float64", 5, 4)
        targets = backend.asarray(np.full((5, 4), 1.5))
        with pytest.raises(InputError, match="labels: expected numbers from 0 to 1, got 1.5 to 1.5"):
            LogisticLoss().value(logits, targets)
        with pytest.raises(InputError, match=r"labels: expected numbers of shape \(N, 4\), got shape \(5,\)"):
            LeastSquares().value(logits, targets[:, 0])
        with pytest.raises(InputError, match="labels: expected finite numbers, got NaN"):
            LeastSquares().value(logits, targets * np.inf)
        with pytest.raises(InputError, match="weight: expected an operator on 4 outputs"):
            LeastSquares(Identity((3,))).value(logits, targets)

    def test_large_outputs_of_the_logistic_loss(self, backend, dtype):
        logits = backend.asarray(np.array([[1e4], [-1e4], [-80.0]]), dtype)
        value, gradient = LogisticLoss().value_and_gradient(logits, backend.asarray(np.array([[1.0], [1.0], [0.0]])))
        assert float(backend.to_host(value)) == pytest.approx(1e4 / 3)
        np.testing.assert_allclose(backend.to_host(gradient), [[0], [-1 / 3], [0]], atol=1e-7)

    def test_errors(self, backend):
        loss, (logits, labels, _) = SoftmaxCrossEntropy(), logits_and_labels(backend, "float64")
        with pytest.raises(InputError, match="labels: expected classes 0 to 3, got 4 at position 1"):
            loss.value(logits, backend.asarray(np.array([0, 4, 0, 0, 0])))
        with pytest.raises(InputError, match="labels: expected classes 0 to 3, got -1 at position 4"):
            loss.value(logits, backend.asarray(np.array([0, 0, 0, 0, -1])))
        with pytest.raises(InputError, match="labels: expected whole numbers, got 0.5 at position 0"):
            loss.value(logits, labels.astype(np.float64) * 0 + 0.5)
        with pytest.raises(InputError, match="labels: expected one class for each of 5 examples"):
            loss.value(logits, labels[:2])
        with pytest.raises(InputError, match="outputs: expected at least one example, got none"):
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
        check_derivative(lambda z: penalty.value_and_gradient(z)[1], lambda d: penalty.hessian_product(x, d), x, v)
        w = backend.asarray(np.random.default_rng(9).standard_normal(24))
        check_adjoint(*[lambda d: penalty.hessian_product(x, d)] * 2, v=v, w=w)

    def test_dtype_and_agreement_with_float64(self, regularizer, backend, dtype):
        results = []
        for t in (dtype, "float64"):
            penalty, x = regularizer(t), numbers(backend, t, 24)
            results.append([penalty.value(x), *penalty.value_and_gradient(x), penalty.hessian_product(x, x)])
        for narrow, wide in zip(*results, strict=True):
            np.testing.assert_allclose(backend.to_host(narrow), backend.to_host(wide), rtol=1e-4, atol=1e-5)
        assert {a.dtype for a in results[0]} == {dtype}


def test_the_lagged_hessian_is_the_larger(backend):
    x, v = (backend.asarray(a) for a in np.random.default_rng(3).standard_normal((2, 24)))
    products = [SmoothedL1(Identity((24,)), 1.0, hessian=kind).hessian_product(x, v) for kind in ("exact", "lagged")]
    energies = [float(backend.to_host((v * p).sum())) for p in products]
    assert 0 < energies[0] < energies[1]
    assert energies[1] == pytest.approx(float((backend.to_host(v * v) / np.sqrt(backend.to_host(x * x) + 1e-3)).sum()))


def test_errors_of_composed_regularisers(backend):
    one, other = Tikhonov(Identity((3,)), 1.0), Tikhonov(Identity((4,)), 1.0)
    with pytest.raises(InputError, match="parts: expected all on 3 weights"):
        one + other
    with pytest.raises(InputError, match="parts: expected one or more regularisers"):
        BlockRegularizer([])
    with pytest.raises(InputError, match=r"x: expected an array of shape \(7,\)"):
        BlockRegularizer([one, other]).value(numbers(backend, "float64", 8))
    with pytest.raises(InputError, match="x: expected 3 weights"):
        SmoothedL1(Identity((3,)), 1.0).value(numbers(backend, "float64", 8))


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
    for function, arguments in (
        (penalty.value_and_gradient, (x,)),
        (loss.value_and_gradient_unchecked, (logits, labels)),
    ):
        values, gradients = function(*arguments)
        assert values.shape == (5,) and values.dtype == gradients.dtype == dtype
        for t in range(5):
            value, gradient = function(*(a[t] for a in arguments))
            for together, alone in ((values[t], value), (gradients[t], gradient)):
                np.testing.assert_allclose(backend.to_host(together), backend.to_host(alone), rtol=1e-5)
