"""Arrays that are no plain ones, or hold no real numbers, are refused by name by all that takes arrays."""

import re
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse

import meganet
from meganet import (
    Control,
    DenseLayer,
    ResidualNetwork,
    datasets,
    interop,
    lbfgs,
    linop,
    losses,
    multigrid,
    multilevel,
    sgd,
    stencils,
)
from meganet.backend import get_backend
from meganet.checks import check_adjoint, check_derivative
from meganet.ground.validate import InputError
from meganet.linop import (
    CirculantConvolution,
    Dense,
    DepthwiseConvolution,
    Diagonal,
    Gradient,
    Identity,
    Matrix,
    Sparse,
)
from meganet.multilevel import MultilevelGradient
from meganet.networks import SymmetricLayer
from meganet.optim import arnoldi, gmres, gmres_in_ball, meganet_cg, steihaug
from meganet.plotting import plot_mosaic
from meganet.regularizers import BlockRegularizer, SmoothedL1, Tikhonov

IMAGES = np.random.default_rng(0).standard_normal((6, 1, 4, 4))
LABELS = np.arange(6) % 3
LAYER = meganet.ConvolutionLayer((1, 4, 4), 2)
NETWORK = meganet.Chain([LAYER])
CLASSIFIER = meganet.DenseLayer((2, 4, 4), 3)
OBJECTIVE = meganet.Objective(NETWORK, CLASSIFIER, IMAGES, LABELS)
REGULAR = meganet.Objective(NETWORK, CLASSIFIER, IMAGES, LABELS, W_regularizer=Tikhonov(Identity(99), 0.1))
THETA = np.random.default_rng(1).standard_normal(NETWORK.parameters.size)
X = np.random.default_rng(2).standard_normal(OBJECTIVE.parameters.size)
W = np.random.default_rng(5).standard_normal(CLASSIFIER.parameters.size)
LARGE = meganet.Chain([meganet.ConvolutionLayer((1, 8, 8), 2)])
LARGE_W = np.random.default_rng(6).standard_normal(3 * (2 * 8 * 8 + 1))
KERNEL = np.random.default_rng(3).standard_normal((2, 1, 3, 3))
TIKHONOV = Tikhonov(Identity(X.size), 1.0)
OUTPUTS = np.random.default_rng(4).standard_normal((6, 3))
TARGETS = np.full((6, 3), 0.5)
PIXELS = np.arange(96, dtype=np.uint8).reshape(6, 1, 4, 4)
SOFTMAX, LOGISTIC, SQUARES = losses.SoftmaxCrossEntropy(), losses.LogisticLoss(), losses.LeastSquares()
MEANS = losses.MeanSquares()
GRIDS = multilevel.in_space(LARGE, 3, grids=(4, 8))
LARGE_IMAGES, LARGE_X = np.kron(IMAGES, np.ones((2, 2))), np.concatenate([THETA, LARGE_W])
SMALLER = multilevel.in_sizes(LARGE, 3, [4, 8])
COARSE = [meganet.optim.Coarse(OBJECTIVE, np.eye(X.size), np.eye(X.size))]
SCHEDULE = multilevel.Schedule((multilevel.Phase(1, 1.0, 0.1, 2),))

CYCLED = multigrid.GridHierarchy(multigrid.Poisson((4, 4)))
RELAXATION = multigrid.Jacobi(multigrid.Poisson((4, 4)))

# argument, a call that takes it, and what it takes
CALLS = [
    ("images", lambda a: meganet.Objective(NETWORK, CLASSIFIER, a, LABELS), IMAGES),
    ("images", lambda a: meganet.Model(NETWORK, 3).fit(a, LABELS, epochs=1), IMAGES),
    ("labels", lambda a: meganet.Model(NETWORK, 3).fit(IMAGES, a, epochs=1), LABELS),
    ("theta", lambda a: meganet.Model(NETWORK, 3, theta=a, W=W), THETA),
    ("W", lambda a: meganet.Model(NETWORK, 3, theta=THETA, W=a), W),
    ("labels", lambda a: meganet.Objective(NETWORK, CLASSIFIER, IMAGES, a), LABELS),
    ("labels", lambda a: meganet.Objective(NETWORK, CLASSIFIER, IMAGES, a, loss=LOGISTIC), TARGETS),
    ("labels", lambda a: meganet.Objective(NETWORK, CLASSIFIER, IMAGES, a, loss=SQUARES), TARGETS),
    ("labels", lambda a: meganet.Objective(NETWORK, CLASSIFIER, IMAGES, a, loss=MEANS), TARGETS),
    ("x", OBJECTIVE, X),
    ("indices", lambda a: OBJECTIVE(X, a), np.array([0, 1])),
    ("x", OBJECTIVE.evaluate, X),
    ("x", OBJECTIVE.hessian, X),
    ("x", lambda a: OBJECTIVE.hessian(X) @ a, X),
    ("x", lambda a: meganet.objective.StackedObjective([OBJECTIVE])(a, np.array([[0, 1]])), X[None]),
    ("indices", lambda a: meganet.objective.StackedObjective([OBJECTIVE])(X[None], a), np.array([[0, 1]])),
    ("theta", lambda a: meganet.objective.VariableProjection(REGULAR)(a), THETA),
    ("theta", lambda a: NETWORK(a, IMAGES), THETA),
    ("x", lambda a: NETWORK(THETA, a), IMAGES),
    ("x0", lambda a: meganet.sgd(OBJECTIVE, a, 6, epochs=1, learning_rate=0.1, batch_size=2), X),
    ("x0", lambda a: meganet.lbfgs(OBJECTIVE, a, control=meganet.Control(max_iterations=1)), X),
    ("outputs", lambda a: SOFTMAX.value(a, LABELS), OUTPUTS),
    ("labels", lambda a: SOFTMAX.value(OUTPUTS, a), LABELS),
    ("v", lambda a: SOFTMAX.hessian_product(OUTPUTS, LABELS, a), OUTPUTS),
    ("outputs", lambda a: LOGISTIC.value_and_gradient(a, TARGETS), OUTPUTS),
    ("labels", lambda a: SQUARES.value_and_gradient(OUTPUTS, a), TARGETS),
    ("labels", lambda a: MEANS.value_and_gradient(OUTPUTS, a), TARGETS),
    ("x", TIKHONOV.value, X),
    ("x", TIKHONOV.value_and_gradient, X),
    ("v", lambda a: TIKHONOV.hessian_product(X, a), X),
    ("reference", lambda a: Tikhonov(Identity(X.size), 1.0, a), X),
    ("reference", lambda a: SmoothedL1(Identity(X.size), 1.0, reference=a), X),
    ("x", SmoothedL1(Identity(X.size), 1.0).value_and_gradient, X),
    ("x", BlockRegularizer([TIKHONOV]).value_and_gradient, X),
    ("x", lambda a: Gradient((2, 4, 4)) @ a, np.ones((2, 4, 4))),
    ("x", lambda a: Gradient((2, 4, 4)).T @ a, np.ones(Gradient((2, 4, 4)).range_shape)),
    ("offset", lambda a: meganet.layers.LinearLayer(Identity(4), a), np.ones(4)),
    ("offset", lambda a: meganet.networks.Reparametrised(LAYER, Identity(18), a), np.ones(18)),
    ("kernel", Dense, np.ones((3, 2, 4, 4))),
    ("kernel", lambda a: DepthwiseConvolution(a, (4, 4)), np.ones((2, 3, 3))),
    ("diagonal", Diagonal, np.ones(4)),
    ("matrix", Matrix, np.ones((3, 4))),
    ("kernel", lambda a: CirculantConvolution(a, (4, 4)), KERNEL),
    ("kernel", CirculantConvolution(KERNEL, (4, 4)).with_kernel, KERNEL),
    ("y", lambda a: CirculantConvolution(KERNEL, (4, 4)).kernel_adjoint(IMAGES, a), np.ones((6, 2, 4, 4))),
    ("kernel", lambda a: Sparse(a, [0, 1], [1, 0], (2, 2)), np.ones(2)),
    ("rows", lambda a: Sparse(np.ones(2), a, [1, 0], (2, 2)), np.array([0, 1])),
    ("columns", lambda a: Sparse(np.ones(2), [0, 1], a, (2, 2)), np.array([0, 1])),
    ("kernels", multigrid.restrict_kernels, KERNEL),
    ("kernels", multigrid.prolongate_kernels, KERNEL),
    ("images", multigrid.restrict_images, IMAGES),
    ("images", multigrid.prolongate_images, IMAGES),
    ("W", lambda a: multigrid.restrict_classifier(a, (2, 4, 4)), W),
    ("W", lambda a: multigrid.prolongate_classifier(a, (2, 4, 4)), W),
    ("theta", lambda a: multigrid.prolongate(NETWORK, a, W), THETA),
    ("W", lambda a: multigrid.prolongate(NETWORK, THETA, a), W),
    ("theta", lambda a: multigrid.restrict(LARGE, a, LARGE_W), THETA),
    ("W", lambda a: multigrid.restrict(LARGE, THETA, a), LARGE_W),
    ("images", lambda a: multigrid.resample_images(a, (2, 2)), IMAGES),
    ("x", lambda a: multigrid.weights_prolongation(NETWORK, 3) @ a, X),
    ("x", lambda a: multigrid.weights_restriction(LARGE, 3) @ a, LARGE_X),
    ("x", multigrid.prolongation_penalty(NETWORK, 0.1).value, THETA),
    ("u", lambda a: RELAXATION(a, np.ones((4, 4))), np.ones((4, 4))),
    ("f", lambda a: RELAXATION(np.ones((4, 4)), a), np.ones((4, 4))),
    ("u", lambda a: multigrid.multigrid_cycle(CYCLED, a, np.ones((4, 4))), np.ones((4, 4))),
    ("f", lambda a: multigrid.multigrid_cycle(CYCLED, np.ones((4, 4)), a), np.ones((4, 4))),
    ("f", lambda a: multigrid.full_multigrid(CYCLED, a), np.ones((4, 4))),
    ("f", lambda a: multigrid.solve(CYCLED, a), np.ones((4, 4))),
    ("u", lambda a: multigrid.solve(CYCLED, np.ones((4, 4)), a), np.ones((4, 4))),
    ("images", lambda a: GRIDS.images(0, a), LARGE_IMAGES),
    ("images", lambda a: SMALLER.images(0, a), LARGE_IMAGES),
    ("x", lambda a: GRIDS.carry(a, 1, 0), LARGE_X),
    ("images", lambda a: multilevel.train(GRIDS, a, LABELS, SCHEDULE), LARGE_IMAGES),
    ("labels", lambda a: multilevel.train(GRIDS, LARGE_IMAGES, a, SCHEDULE), LABELS),
    ("x0", lambda a: multilevel.train(GRIDS, LARGE_IMAGES, LABELS, SCHEDULE, x0=a), LARGE_X),
    (
        "validation[0]",
        lambda a: multilevel.train(GRIDS, LARGE_IMAGES, LABELS, SCHEDULE, validation=(a, LABELS)),
        LARGE_IMAGES,
    ),
    ("labels", lambda a: multilevel.train(GRIDS, LARGE_IMAGES, LABELS, SCHEDULE, validation=(LARGE_IMAGES, a)), LABELS),
    ("x", lambda a: MultilevelGradient([OBJECTIVE], [], batch_size=2)(a, np.arange(2)), X),
    ("indices", lambda a: MultilevelGradient([OBJECTIVE], [], batch_size=2)(X, a), np.array([0, 1])),
    ("x0", lambda a: meganet.optim.mg_opt(OBJECTIVE, a, coarse=COARSE, control=meganet.Control(max_iterations=1)), X),
    ("kernels", stencils.to_derivatives, KERNEL),
    ("beta", stencils.from_derivatives, np.ones((2, 9))),
    ("vector", lambda a: interop.to_matlab(NETWORK.parameters, a), THETA),
    ("vector", lambda a: interop.from_matlab(NETWORK.parameters, a), THETA),
    ("images", lambda a: datasets.scale_images(a, "standardize"), PIXELS),
    ("images", lambda a: datasets.scale_images(a, "unit"), PIXELS),
    ("images", lambda a: datasets.ImageSet("name", a, LABELS, "here"), PIXELS),
    ("labels", lambda a: datasets.ImageSet("name", PIXELS, a, "here"), LABELS),
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
    matrix = good.reshape(good.shape[0], -1).view(np.matrix)
    with pytest.raises(InputError) as error:
        call(matrix)
    assert str(error.value).startswith(f"{argument}: expected a plain array (np.asarray makes one")


@each_call
def test_what_is_no_array_of_real_numbers_is_refused_in_one_line(argument, call, good):
    wrong = ["text", object(), 3, [1, [2, 3]], np.full(good.shape, "a"), np.full(good.shape, None)]
    wrong += [good.astype(complex), good.astype("datetime64[s]"), np.zeros(good.shape, "i4,f8")]
    if argument != "matrix":
        wrong.append(scipy.sparse.csr_array(np.eye(3)))
    for value in wrong:
        with pytest.raises(InputError) as error:
            call(value)
        assert "\n" not in str(error.value)


def test_a_backend_refuses_what_it_would_strip():
    with pytest.raises(InputError, match="x: expected a plain array"):
        get_backend("numpy").asarray(np.ma.masked_array(X))


TAKE_NO_ARRAY = {
    "CoarsestLevel",
    "Cycle",
    "GaussSeidel",
    "GridHierarchy",
    "GridLevel",
    "Jacobi",
    "Poisson",
    "Prolongation",
    "RedBlack",
    "Relaxation",
    "Restriction",
    "Solution",
    "convergence_factor",
    "modes",
    "Activation",
    "AffineLayer",
    "Evaluation",
    "InputError",
    "Layer",
    "Loss",
    "Metrics",
    "Parameter",
    "Parameters",
    "Regularizer",
    "RegularizerSum",
    "SmoothReLU",
    "Stage",
    "Unshaped",
    "antisymmetric",
    "clipped_normal",
    "load",
    "DataSet",
    "Points",
    "Published",
    "ActivationLayer",
    "Adam",
    "BiasLayer",
    "Chain",
    "Control",
    "ConvolutionLayer",
    "DenseLayer",
    "DoubleHamiltonian",
    "DoubleLayer",
    "GlobalPoolingLayer",
    "Hamiltonian",
    "Leapfrog",
    "Momentum",
    "NormalisationLayer",
    "PoolingLayer",
    "ResidualNetwork",
    "RungeKutta4",
    "ScalingLayer",
    "SingleLayer",
    "SymmetricLayer",
    "TVNormalisationLayer",
    "UpsamplingLayer",
    "__version__",
    "available_backends",
    "get_backend",
    "he_normal",
    "normal",
    "observer",
    "smoothed_normal",
    "use_backend",
    "AveragePooling",
    "BlockDiagonal",
    "Broadcast",
    "Difference",
    "Kronecker",
    "LinearOperator",
    "Pattern",
    "ParametricOperator",
    "PixelMean",
    "RemoveMean",
    "Reshape",
    "Transposed",
    "zero_padded_convolution",
    "Transferred",
    "galerkin_condition",
    "galerkin_matrix",
    "prolongation",
    "restriction",
    "derivative_basis",
    "derivative_matrix",
    "derivative_stencils",
    "derivatives",
    "from_torch",
    "load_mat",
    "scipy_arguments",
    "Collection",
    "DataNotFoundError",
    "Drawn",
    "Samples",
    "circle",
    "load_cdr",
    "load_cifar10",
    "load_cifar100",
    "load_denoising",
    "load_digits",
    "load_fashion_mnist",
    "load_mnist",
    "load_moving_digits",
    "load_shapes",
    "load_signals",
    "load_stl10",
    "peaks",
    "read_idx",
    "shapes",
    "split",
    "swiss_roll",
    "Copied",
    "DampedGalerkin",
    "Dilated",
    "Enlarged",
    "Galerkin",
    "Rediscretised",
    "StencilTransfer",
    "TruncatedGalerkin",
    "resampling",
    "Level",
    "LevelVariances",
    "Transfer",
    "cycle",
    "fine_to_coarse",
    "growing",
    "in_depth",
    "in_turn",
    "in_video",
    "joint",
    "load_state",
    "long_cycle",
    "nested",
    "initial_weights",
    "penalty_of",
}
ELSEWHERE = {
    "FixedNormalisationLayer": "of the statistics that a layer found",
    "Statistics": "what a layer found",
    "Hessian": "as Objective.hessian",
    "Integrator": "as ResidualNetwork",
    "ReducedHessian": "made of operators",
    "backend_of": "asks whose an array is, whatever it is",
    "bfgs": "as lbfgs",
    "newton_cg": "as lbfgs",
    "nonlinear_cg": "as lbfgs",
    "steepest_descent": "as lbfgs",
    "trust_region": "as lbfgs",
    "save_mat": "as to_matlab, below",
    "to_torch": "below",
    "Grids": "as in_space, above",
    "Hierarchy": "as in_space, above",
    "Sizes": "as in_sizes, above",
    "TimeSteps": "its images stay",
    "TrainingState": "what train found",
    "save_state": "of what train found",
}


def test_every_public_name_that_takes_arrays_is_tried():
    """A new one belongs into CALLS, or among the names that take none."""
    source = Path(__file__).read_text().split("CALLS = [")[1].split("NAMES =")[0]
    header = Path(__file__).read_text().split("CALLS = [")[0]
    rooms = (meganet.layers, meganet.losses, meganet.networks, meganet.objective, meganet.regularizers)
    for module in (meganet, linop, multigrid, multilevel, stencils, interop, datasets, *rooms):
        public = getattr(module, "__all__", None) or [
            name for name, value in vars(module).items() if getattr(value, "__module__", "") == module.__name__
        ]
        for name in public:
            if (
                name.startswith("_")
                or not callable(getattr(module, name))
                or name in TAKE_NO_ARRAY
                or name in ELSEWHERE
            ):
                continue
            assert re.search(rf"\b{name}\b", source) or re.search(rf"= .*\b{name}\(", header), name


def test_solvers_refuse_starts_that_are_no_plain_arrays():
    solvers = (
        meganet.optim.bfgs,
        meganet.optim.newton_cg,
        meganet.optim.nonlinear_cg,
        meganet.optim.steepest_descent,
        meganet.trust_region,
    )
    for solver in solvers:
        extra = (OBJECTIVE.hessian,) if solver in (meganet.optim.newton_cg, meganet.trust_region) else ()
        with pytest.raises(InputError, match="x0: expected a plain array"):
            solver(OBJECTIVE, np.ma.masked_array(X), *extra)


@pytest.mark.parametrize(
    ("indices", "message"),
    [
        ([0, 6], "indices: expected numbers 0 to 5 of examples, got 0 to 6"),
        ([-1, 2], "indices: expected numbers 0 to 5 of examples, got -1 to 2"),
        ([0.0], "indices: expected integers, got float64"),
        ([True, False], "indices: expected integers, got bool"),
        ([[0, 1]], r"indices: expected an array of shape \(N,\), got shape \(1, 2\)"),
        ([], "indices: expected at least one example, got none"),
    ],
)
def test_numbers_of_examples(indices, message):
    indices = np.array(indices)
    for call in (lambda: OBJECTIVE(X, indices), lambda: OBJECTIVE.hessian(X, indices=indices)):
        with pytest.raises(InputError, match=message):
            call()
    if indices.ndim == 1:
        with pytest.raises(InputError, match=message):
            meganet.objective.StackedObjective([OBJECTIVE])(X[None], indices[None])


def test_weights_for_matlab(tmp_path):
    path, parameters = tmp_path / "weights.mat", NETWORK.parameters
    masked = np.ma.masked_array(THETA)
    for weights in ([1], 3, None, {"theta": THETA}, {"theta": 3}, {"theta": (parameters,)}, {"theta": (THETA, THETA)}):
        with pytest.raises(InputError, match="weights"):
            interop.save_mat(path, weights)
    for vector in (3, None, [1.0], THETA[:-1], masked):
        with pytest.raises(InputError, match="vector"):
            interop.save_mat(path, {"theta": (parameters, vector)})
    assert not path.exists()
    interop.save_mat(path, {"theta": (parameters, THETA)})
    for weights in ([1], None, {"theta": 3}):
        with pytest.raises(InputError, match="weights"):
            interop.load_mat(path, weights)
    for wrong in (3, None, THETA):
        with pytest.raises(InputError, match="parameters"):
            interop.from_matlab(wrong, THETA)


def test_weights_for_torch():
    torch = pytest.importorskip("torch")
    module = torch.nn.Sequential(torch.nn.Conv2d(1, 2, 3, padding=1, padding_mode="circular", bias=False))
    before = module[0].weight.detach().clone()
    for theta in (3, None, "text", [1.0], np.ma.masked_array(THETA), THETA.astype(complex), 1e300 * THETA):
        with pytest.raises(InputError, match="theta"):
            interop.to_torch(NETWORK, theta, module)
    for wrong in (3, None, THETA):
        with pytest.raises(InputError, match="module"):
            interop.to_torch(NETWORK, THETA, wrong)
        with pytest.raises(InputError, match="module"):
            interop.from_torch(NETWORK, wrong)
        with pytest.raises(InputError, match="layer"):
            interop.to_torch(wrong, THETA, module)
        with pytest.raises(InputError, match="layer"):
            interop.from_torch(wrong, module)
    assert torch.equal(module[0].weight, before)
    with torch.no_grad():
        module.double()[0].weight[0, 0, 0, 0] = 1e300
    with pytest.raises(InputError, match="module: expected numbers in the range of float32"):
        interop.from_torch(NETWORK, module, np.float32)


def test_features_of_the_sklearn_classifier():
    pytest.importorskip("sklearn")
    from meganet.interop.sklearn import MeganetClassifier

    x, y = OUTPUTS, LABELS
    classifier = MeganetClassifier(max_iter=2, tol=10.0).fit(x, y)
    for wrong, advice in ((np.ma.masked_array, "filled"), (lambda a: a.reshape(len(a), -1).view(np.matrix), "asarray")):
        with pytest.raises(InputError, match=f"X: expected a plain array .*{advice}"):
            classifier.fit(wrong(x), y)
        with pytest.raises(InputError, match=f"y: expected a plain array .*{advice}"):
            classifier.fit(x, wrong(y))
        with pytest.raises(InputError, match=f"X: expected a plain array .*{advice}"):
            classifier.predict(wrong(x))


def _sgd(**arguments):
    return sgd(lambda x, i: (x @ x, 2 * x), np.ones(3), 4, epochs=1, learning_rate=0.1, batch_size=2, **arguments)


def _steps():
    return SymmetricLayer(Dense(np.zeros((3, 3))))


@pytest.mark.filterwarnings("ignore:the matrix subclass")
@pytest.mark.parametrize("special", [np.ma.masked_array, np.matrix])
@pytest.mark.parametrize(
    "call",
    [
        lambda special: _sgd(order=lambda epoch: special(np.arange(4))),
        lambda special: lbfgs(lambda x: (special(x @ x), 2 * x), np.ones(3)),
        lambda special: lbfgs(
            lambda x: (x @ x, 2 * x), np.ones(3), control=Control(observe=lambda x: {"a": special(1.0)})
        ),
        lambda special: steihaug(lambda v: v, special(np.ones(3)), 1.0),
        lambda special: gmres_in_ball(lambda v: v, special(np.ones(3)), 1.0, 2),
        lambda special: gmres(lambda v: v, special(np.ones(3)), 2),
        lambda special: arnoldi(lambda v: v, special(np.ones(3)), 2),
        lambda special: meganet_cg(lambda v: v, special(np.ones(3))),
        lambda special: ResidualNetwork(_steps(), 2, 1.0, coefficients=special(np.eye(2))),
        lambda special: DenseLayer((2,), 1).parameters.view(special(np.ones(3))),
        lambda special: check_derivative(np.tanh, lambda v: v, special(np.zeros(3)), np.ones(3)),
        lambda special: check_derivative(np.tanh, lambda v: v, np.zeros(3), special(np.ones(3))),
        lambda special: check_derivative(lambda x: special(x), lambda v: v, np.zeros(3), np.ones(3)),
        lambda special: check_adjoint(lambda v: v, lambda w: w, v=special(np.ones(3)), w=np.ones(3)),
    ],
)
def test_results_and_vectors_too_are_plain_arrays(call, special):
    with pytest.raises(InputError, match=r"expected a plain array.*(masked array|np\.matrix)"):
        call(special)


@pytest.mark.parametrize(
    "call",
    [
        lambda: steihaug(lambda v: v, [1.0, 2.0], 1.0),
        lambda: gmres(lambda v: v, np.ones((2, 2)), 1),
        lambda: meganet_cg(lambda v: v, np.ones(2, int)),
        lambda: ResidualNetwork(_steps(), 2, 1.0, coefficients=[[1], [2, 3]]),
        lambda: ResidualNetwork(_steps(), 2, 1.0, coefficients="no"),
        lambda: DenseLayer((2,), 1).parameters.view([1.0, 2.0, 3.0]),
    ],
)
def test_what_is_no_vector_of_numbers_is_one_line(call):
    with pytest.raises(InputError, match=r"^[^\n]*expected[^\n]*$"):
        call()
