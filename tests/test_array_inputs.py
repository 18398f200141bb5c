"""Arrays that are no plain ones, or hold no real numbers, are refused by name by all that takes arrays."""

import numpy as np
import pytest
import scipy.sparse

import meganet
from meganet import datasets, interop, linop, losses, multigrid, stencils
from meganet._validate import InputError
from meganet.backend import get_backend
from meganet.linop import Convolution, Diagonal, Gradient, Identity, Matrix, Sparse
from meganet.plotting import plot_mosaic
from meganet.regularizers import BlockRegularizer, SmoothedL1, Tikhonov

IMAGES = np.random.default_rng(0).standard_normal((6, 1, 4, 4))
LABELS = np.arange(6) % 3
NETWORK = meganet.Chain([meganet.ConvolutionLayer((1, 4, 4), 2)])
CLASSIFIER = meganet.DenseLayer((2, 4, 4), 3)
OBJECTIVE = meganet.Objective(NETWORK, CLASSIFIER, IMAGES, LABELS)
THETA = np.random.default_rng(1).standard_normal(NETWORK.parameters.size)
X = np.random.default_rng(2).standard_normal(OBJECTIVE.parameters.size)
KERNEL = np.random.default_rng(3).standard_normal((2, 1, 3, 3))
TIKHONOV = Tikhonov(Identity(X.size), 1.0)
OUTPUTS = np.random.default_rng(4).standard_normal((6, 3))
TARGETS = np.full((6, 3), 0.5)
PIXELS = np.arange(96, dtype=np.uint8).reshape(6, 1, 4, 4)
SOFTMAX, LOGISTIC, SQUARES = losses.SoftmaxCrossEntropy(), losses.LogisticLoss(), losses.LeastSquares()

# argument, a call that takes it, and what it takes
CALLS = [
    ("images", lambda a: meganet.Objective(NETWORK, CLASSIFIER, a, LABELS), IMAGES),
    ("labels", lambda a: meganet.Objective(NETWORK, CLASSIFIER, IMAGES, a), LABELS),
    ("labels", lambda a: meganet.Objective(NETWORK, CLASSIFIER, IMAGES, a, loss=LOGISTIC), TARGETS),
    ("labels", lambda a: meganet.Objective(NETWORK, CLASSIFIER, IMAGES, a, loss=SQUARES), TARGETS),
    ("x", OBJECTIVE, X),
    ("indices", lambda a: OBJECTIVE(X, a), np.array([0, 1])),
    ("x", OBJECTIVE.evaluate, X),
    ("x", OBJECTIVE.hessian, X),
    ("x", lambda a: OBJECTIVE.hessian(X) @ a, X),
    ("x", lambda a: meganet.StackedObjective([OBJECTIVE])(a, np.array([[0, 1]])), X[None]),
    ("indices", lambda a: meganet.StackedObjective([OBJECTIVE])(X[None], a), np.array([[0, 1]])),
    ("theta", meganet.VariableProjection(OBJECTIVE, max_iterations=2), THETA)
    if "max_iterations" in meganet.VariableProjection.__init__.__annotations__
    else ("theta", meganet.VariableProjection(OBJECTIVE), THETA),
    ("theta", lambda a: NETWORK(a, IMAGES), THETA),
    ("x", lambda a: NETWORK(THETA, a), IMAGES),
    ("x0", lambda a: meganet.sgd(OBJECTIVE, a, 6, epochs=1, learning_rate=0.1, batch_size=2), X),
    ("x0", lambda a: meganet.lbfgs(OBJECTIVE, a, control=meganet.Control(max_iterations=1)), X),
    ("logits", lambda a: SOFTMAX.value(a, LABELS), OUTPUTS),
    ("labels", lambda a: SOFTMAX.value(OUTPUTS, a), LABELS),
    ("v", lambda a: SOFTMAX.hessian_product(OUTPUTS, LABELS, a), OUTPUTS),
    ("logits", lambda a: LOGISTIC.value_and_gradient(a, TARGETS), OUTPUTS),
    ("labels", lambda a: SQUARES.value_and_gradient(OUTPUTS, a), TARGETS),
    ("x", TIKHONOV.value, X),
    ("x", TIKHONOV.value_and_gradient, X),
    ("v", lambda a: TIKHONOV.hessian_product(X, a), X),
    ("reference", lambda a: Tikhonov(Identity(X.size), 1.0, a), X),
    ("reference", lambda a: SmoothedL1(Identity(X.size), 1.0, reference=a), X),
    ("x", SmoothedL1(Identity(X.size), 1.0).value_and_gradient, X),
    ("x", BlockRegularizer([TIKHONOV]).value_and_gradient, X),
    ("x", lambda a: Gradient((2, 4, 4)) @ a, np.ones((2, 4, 4))),
    ("y", lambda a: Gradient((4,)).T @ a if False else Identity(4).adjoint(a), np.ones(4))
    if hasattr(linop.LinearOperator, "adjoint")
    else ("x", lambda a: Identity(4) @ a, np.ones(4)),
    ("diagonal", Diagonal, np.ones(4)),
    ("matrix", Matrix, np.ones((3, 4))),
    ("kernel", lambda a: Convolution(a, (4, 4)), KERNEL),
    ("kernel", Convolution(KERNEL, (4, 4)).with_kernel, KERNEL),
    ("y", lambda a: Convolution(KERNEL, (4, 4)).kernel_adjoint(IMAGES, a), np.ones((6, 2, 4, 4))),
    ("kernel", lambda a: Sparse(a, [0, 1], [1, 0], (2, 2)), np.ones(2)),
    ("rows", lambda a: Sparse(np.ones(2), a, [1, 0], (2, 2)), np.array([0, 1])),
    ("columns", lambda a: Sparse(np.ones(2), [0, 1], a, (2, 2)), np.array([0, 1])),
    ("kernels", multigrid.restrict_kernels, KERNEL),
    ("kernels", multigrid.prolongate_kernels, KERNEL),
    ("images", multigrid.restrict_images, IMAGES),
    ("theta", lambda a: multigrid.prolongate(NETWORK, a), THETA),
    ("theta", lambda a: multigrid.restrict(NETWORK, a), THETA),
    ("kernels", stencils.to_derivatives, KERNEL),
    ("beta", stencils.from_derivatives, np.ones((2, 9))),
    ("vector", lambda a: interop.to_matlab(NETWORK.parameters, a), THETA),
    ("vector", lambda a: interop.from_matlab(NETWORK.parameters, a), THETA),
    ("images", lambda a: datasets.scale_images(a, "standardize"), PIXELS),
    ("images", lambda a: datasets.scale_images(a, "unit"), PIXELS),
    ("images", lambda a: datasets.ImageSet("name", a, LABELS, "here"), PIXELS),
    ("labels", lambda a: datasets.ImageSet("name", PIXELS, a, "here"), LABELS),
    ("x", get_backend("numpy").asarray, X),
    ("rows[0][0]", lambda a: plot_mosaic([[a]]), np.ones((3, 3))),
]
NAMES = [f"{number}-{argument}" for number, (argument, *_) in enumerate(CALLS)]
each_call = pytest.mark.parametrize(("argument", "call", "good"), CALLS, ids=NAMES)


@each_call
def test_masked_arrays_are_refused(argument, call, good):
    call(good.copy())
    for masked in (
        np.ma.masked_array(good),
        np.ma.masked_array(good, mask=np.arange(good.size).reshape(good.shape) == 1),
    ):
        with pytest.raises(InputError) as error:
            call(masked)
        assert str(error.value).startswith(f"{argument}: expected a plain array (of a masked one, .filled(value)")


@each_call
def test_matrices_are_refused(argument, call, good):
    with pytest.warns(PendingDeprecationWarning):
        matrix = good.reshape(good.shape[0], -1).view(np.matrix)
    with pytest.raises(InputError) as error:
        call(matrix)
    assert str(error.value).startswith(f"{argument}: expected a plain array (np.asarray makes one")


@each_call
def test_what_is_no_array_of_real_numbers_is_refused_in_one_line(argument, call, good):
    wrong = [None, "text", object(), 3, [1, [2, 3]], np.full(good.shape, "a"), np.full(good.shape, None)]
    wrong += [good.astype(complex), good.astype("datetime64[s]"), np.zeros(good.shape, "i4,f8")]
    if argument not in ("matrix", "x") or good is not X:
        wrong.append(scipy.sparse.csr_array(np.eye(3)) if argument != "matrix" else None)
    for value in wrong:
        if call.__class__.__name__ == "method" and call.__name__ == "asarray":
            continue
        if value is None and argument == "indices" and OBJECTIVE is not None:
            continue
        with pytest.raises(InputError) as error:
            call(value)
        assert "\n" not in str(error.value)
