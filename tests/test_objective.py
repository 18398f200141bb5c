"""The objective: value, gradient, Hessian products, evaluation; stacks of objectives."""

import tracemalloc

import numpy as np
import pytest
from registry import OBJECTIVES, coupled_network, small_objective

import meganet
from meganet import Chain, ConvolutionLayer, DenseLayer, NormalisationLayer, Objective, ResidualNetwork, Tikhonov
from meganet.backend import get_backend
from meganet.checks import check_adjoint, check_derivative
from meganet.experiments import build_network
from meganet.ground.validate import InputError
from meganet.linop import Gradient, Identity, Matrix
from meganet.losses import LeastSquares
from meganet.networks import Reparametrised
from meganet.objective.hessian import Hessian, bytes_of
from meganet.objective.selection import Selection
from meganet.regularizers import SmoothedL1


@pytest.mark.loops
class TestObjective:
    def test_a_stack_of_objectives(self, backend, dtype):
        objectives = [small_objective(backend, dtype)[0] for _ in range(2)]
        objectives[1].images = objectives[1].images * 2
        objectives = [objectives[1], objectives[0], objectives[1]]
        x0 = small_objective(backend, dtype)[1]
        x = backend.xp.stack([x0, 2 * x0, 3 * x0])
        indices = backend.asarray(np.array([[0, 5], [2, 1], [6, 3]]))
        values, gradients = meganet.objective.StackedObjective(objectives)(x, indices)
        assert values.shape == (3,) and values.dtype == gradients.dtype == dtype
        for t, objective in enumerate(objectives):
            value, gradient = objective(x[t].copy(), indices[t])
            for together, alone in ((values[t], value), (gradients[t], gradient)):
                together, alone = backend.to_host(together), backend.to_host(alone)
                if backend.name == "numpy":
                    np.testing.assert_array_equal(together, alone)
                np.testing.assert_allclose(together, alone, rtol=0, atol=20 * np.finfo(dtype).eps * abs(alone).max())
        with pytest.raises(InputError, match=r"x: expected an array of shape \(3, "):
            meganet.objective.StackedObjective(objectives)(x[:2], indices)
        with pytest.raises(InputError, match="objectives: expected at least one, got none"):
            meganet.objective.StackedObjective([])
        for change in ({"theta_regularizer": None}, {"W_regularizer": Tikhonov(Gradient((3, 2, 3, 2), 0.5), 0.3)}):
            usual = {name: getattr(objectives[0], name) for name in ("theta_regularizer", "W_regularizer")}
            parts = objectives[0].network, objectives[0].classifier, objectives[0].images, np.zeros(7, int)
            other = meganet.Objective(*parts, **{**usual, **change})
            with pytest.raises(InputError, match=rf"objectives\[1\]: expected the {next(iter(change))} of the first"):
                meganet.objective.StackedObjective([objectives[0], other])
        parts = objectives[0].network, objectives[0].classifier, objectives[0].images[:3], [0, 1, 2]
        other = meganet.Objective(*parts, **usual)
        with pytest.raises(InputError, match=r"objectives\[1\]: expected images \(7, 1, 6, 4\), as the first, got"):
            meganet.objective.StackedObjective([objectives[0], other])

    def test_parts_of_a_stack_are_compared_by_their_numbers(self, backend):
        """Also those that a repr does not show; what is equal may be made twice."""

        def made(h=0.5, reference=0.0, scale=1.0, hessian="exact"):
            step = Reparametrised(
                ConvolutionLayer((1, 6, 4), 1, activation="tanh"),
                Matrix(scale * np.eye(9)),
                backend.asarray(np.ones(9)),
            )
            in_time = np.array([[1.0, h], [0.0, 1.0]])
            network = ResidualNetwork(step, 2, 0.5, coefficients=in_time)
            penalty = SmoothedL1(Identity((18,)), 0.1, 1e-3, backend.asarray(np.full(18, reference)), hessian)
            images = backend.asarray(np.ones((4, 1, 6, 4)))
            classifier = DenseLayer((1, 6, 4), 2)
            return meganet.Objective(network, classifier, images, np.arange(4) % 2, theta_regularizer=penalty)

        stack = meganet.objective.StackedObjective([made(), made()])
        x = backend.asarray(np.random.default_rng(0).standard_normal((2, 18 + 50)))
        indices = backend.asarray(np.array([[0, 1], [2, 3]]))
        values = backend.to_host(stack(x, indices)[0])
        for t in range(2):
            assert values[t] == pytest.approx(float(backend.to_host(made()(x[t].copy(), indices[t])[0])), rel=1e-12)
        for change in ({"h": 0.4}, {"reference": 1.0}, {"scale": 2.0}, {"hessian": "lagged"}):
            with pytest.raises(
                InputError, match=r"objectives\[1\]: expected the (network|theta_regularizer) of the first"
            ):
                meganet.objective.StackedObjective([made(), made(**change)])

    def test_a_batch_that_belongs_together_is_evaluated_whole(self, backend):
        objective, x = small_objective(backend, "float64", network=coupled_network())
        value = float(backend.to_host(objective(x)[0]))
        for batch_size in (1, 2, 5, 100):
            assert objective.evaluate(x, batch_size).objective == pytest.approx(value, rel=1e-12)

    def test_bad_indices(self, backend):
        objective, x = small_objective(backend, "float64")
        for indices, message in (
            (np.zeros(0, int), "indices: expected at least one example, got none"),
            (np.array([1.0]), "indices: expected integers, got float64"),
            (np.array([[1]]), r"indices: expected an array of shape \(N,\)"),
        ):
            for call in (objective, objective.hessian):
                with pytest.raises(InputError, match=message):
                    call(x, indices=backend.asarray(indices))

    @pytest.mark.parametrize("name", OBJECTIVES)
    def test_gradient(self, backend, name):
        objective, x = OBJECTIVES[name](backend)
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
        assert objective.parameters.names == (
            "theta.0.kernel",
            "theta.2.0.K.kernel",
            "theta.2.1.K.kernel",
            "W.kernel",
            "W.bias",
        )

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


@pytest.mark.loops
class TestHessian:
    """Both products, for every objective of the registry."""

    @pytest.mark.parametrize("name", OBJECTIVES)
    def test_exact(self, backend, name):
        objective, x = OBJECTIVES[name](backend)
        v, w = (backend.asarray(a) for a in np.random.default_rng(4).standard_normal((2, *x.shape)))
        hessian = objective.hessian(x, "exact")
        check_derivative(lambda z: objective(z)[1], lambda d: hessian @ d, x, v)
        check_adjoint(hessian, v=v, w=w)

    @pytest.mark.parametrize("name", OBJECTIVES)
    def test_gauss_newton_is_the_hessian_of_the_linearised_network(self, backend, name):
        """It differs from the exact one by the curvature of the network, which a change of the targets changes."""
        objective, x = OBJECTIVES[name](backend)
        xp, n = backend.xp, objective.network.parameters.size
        v, w = (backend.asarray(a) for a in np.random.default_rng(4).standard_normal((2, *x.shape)))
        ours = objective.hessian(x) @ v
        check_adjoint(objective.hessian(x), v=v, w=w)
        theta, weights = objective.split(x)
        features, tape = objective.network.forward(theta, objective.images)
        outputs, last = objective.classifier.forward(weights, features)
        along = objective.classifier.jvp(v[n:], objective.network.jvp(v[:n], 0 * objective.images, tape), last)
        u = objective.loss.hessian_product(outputs, objective.labels, along)
        in_w, in_features = objective.classifier.vjp(u, last)
        expected = xp.concatenate([objective.network.vjp_theta(in_features, tape), in_w])
        for penalty, part in objective.terms.penalties():
            expected[part] += penalty.hessian_product(x[part], v[part])
        np.testing.assert_allclose(backend.to_host(ours), backend.to_host(expected), rtol=1e-11, atol=1e-13)

    @pytest.mark.parametrize("kind", ["gauss-newton", "exact"])
    def test_any_split_of_the_batch(self, backend, dtype, kind):
        objective, x = small_objective(backend, dtype)
        v = backend.asarray(np.random.default_rng(4).standard_normal(x.shape), dtype)
        chosen = backend.asarray(np.array([3, 0, 5, 6, 1]))
        for indices in (None, chosen):
            whole = backend.to_host(objective.hessian(x, kind, indices=indices) @ v)
            assert whole.dtype == dtype
            for batch_size in (1, 2, 3, 100):
                part = backend.to_host(objective.hessian(x, kind, indices=indices, batch_size=batch_size) @ v)
                np.testing.assert_allclose(part, whole, rtol=0, atol=50 * np.finfo(dtype).eps * abs(whole).max())

    @pytest.mark.parametrize("kind", ["gauss-newton", "exact"])
    def test_what_is_kept_is_bounded_and_has_no_influence(self, backend, kind):
        objective, x = small_objective(backend, "float64")
        v = backend.asarray(np.random.default_rng(4).standard_normal(x.shape))
        whole = objective.hessian(x, kind, batch_size=2, keep_bytes=None)
        passes = len(whole.examples.shares)
        at = objective.terms.forward(x, whole.examples.batch(whole.examples.shares[0]))
        one = bytes_of(at, x, objective.images, objective.labels)
        expected, kept = backend.to_host(whole @ v), []
        for keep_bytes in (0, one - 1, one, 2 * one + 1, 100 * one):
            hessian = objective.hessian(x, kind, batch_size=2, keep_bytes=keep_bytes)
            np.testing.assert_array_equal(backend.to_host(hessian @ v), expected)
            kept.append(len(hessian._kept))
        assert passes > 2
        assert kept == [0, 0, 1, 2, passes]
        assert len(whole._kept) == passes
        np.testing.assert_array_equal(backend.to_host(hessian.with_dtype("float64") @ v), expected)

    def test_matrix(self, backend):
        objective, x = small_objective(backend, "float64")
        for kind in ("gauss-newton", "exact"):
            matrix = objective.hessian(x, kind).apply_unchecked(backend.asarray(np.eye(len(x))))
            matrix = backend.to_host(matrix)
            np.testing.assert_allclose(matrix, matrix.T, atol=1e-13)
            smallest = np.linalg.eigvalsh(matrix)[0]
            assert smallest > -1e-12 if kind == "gauss-newton" else np.isfinite(smallest)
        n = objective.network.parameters.size
        assert abs(matrix[:n, n:]).max() > 1e-3

    def test_the_point_is_copied(self, backend):
        objective, x = small_objective(backend, "float64")
        v = backend.asarray(np.random.default_rng(4).standard_normal(x.shape))
        for options in ({}, {"batch_size": 3}):
            hessian = objective.hessian(x, **options)
            before = backend.to_host(hessian @ v)
            x *= 2
            np.testing.assert_array_equal(backend.to_host(hessian @ v), before)

    def test_errors(self, backend):
        objective, x = small_objective(backend, "float64")
        with pytest.raises(InputError, match="kind: expected one of 'exact', 'gauss-newton', got 'newton'"):
            objective.hessian(x, "newton")
        with pytest.raises(InputError, match="x: expected an array of shape"):
            objective.hessian(x[1:])
        with pytest.raises(InputError, match="keep_bytes: expected an integer of at least 0, got -1"):
            objective.hessian(x, keep_bytes=-1)
        coupled, x = small_objective(backend, "float64", network=coupled_network())
        with pytest.raises(InputError, match="batch_size: expected none, for a network that normalises over"):
            coupled.hessian(x, batch_size=2)


def test_the_bytes_of_a_pass_are_those_that_it_takes():
    network = build_network("B", (1, 28, 28))
    objective = Objective(
        network, DenseLayer(network.range_shape, 10), np.ones((64, 1, 28, 28), np.float32), np.zeros(64, int)
    )
    x, batch = np.ones(objective.parameters.size, np.float32), objective.select().batch(slice(0, 64))
    objective.terms.forward(x, batch)
    tracemalloc.start()
    at = objective.terms.forward(x, batch)
    taken = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert taken == pytest.approx(bytes_of(at, x, objective.images), rel=0.05)


def test_what_passes_share_is_no_part_of_the_memory_of_each():
    objective = Objective(DenseLayer((400,), 400), DenseLayer((400,), 2), np.ones((16, 400)), [0, 1] * 8)
    x, each = np.zeros(objective.parameters.size), 20_000
    hessian = objective.hessian(x, batch_size=1, keep_bytes=16 * each)
    assert len(hessian._kept) == 16, "the weights, 1.3 MB, are there once"


def test_the_largest_batch_counts_where_threads_share_unevenly():
    objective, x = small_objective(get_backend("numpy"), "float64")
    shares = (slice(0, 1), slice(1, 7))
    examples = Selection(objective.images, objective.labels, None, shares)
    one = bytes_of(objective.terms.forward(x, examples.batch(shares[0])), x, objective.images)
    assert len(Hessian(objective.terms, x, examples, keep_bytes=11 * one)._kept) == 1
    assert len(Hessian(objective.terms, x, examples, keep_bytes=12 * one)._kept) == 2


@pytest.mark.parametrize("bias", [True, False])
def test_the_problem_of_the_classifier_has_its_weights_and_loss(bias, rng):
    """Of a network that normalises over the examples too, whose features are not made in batches."""
    layers = [ConvolutionLayer((1, 4, 4), 2), NormalisationLayer((2, 4, 4), ("examples", "pixels"))]
    classifier = DenseLayer((2, 4, 4), 3, bias=bias)
    images, targets = rng.standard_normal((300, 1, 4, 4)), rng.standard_normal((300, 3))
    fun = Objective(Chain(layers), classifier, images, targets, loss=LeastSquares())
    x = rng.standard_normal(fun.parameters.size)
    (theta, w), found = fun.split(x), fun.of_classifier(x)
    np.testing.assert_allclose(found(w)[0], fun(x)[0], rtol=1e-12)
    np.testing.assert_allclose(found(w)[1], fun.split(fun(x)[1])[1], rtol=1e-9, atol=1e-12)
    x[: theta.size] = np.inf
    with np.errstate(invalid="ignore"):
        assert fun.of_classifier(x) is None
