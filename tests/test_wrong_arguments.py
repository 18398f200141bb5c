"""Whatever is handed in for one argument, the call works or one line says what was expected."""

import inspect

import numpy as np
import pytest

import meganet
from meganet import Chain, ConvolutionLayer, DenseLayer, Objective, datasets, interop, linop, multigrid, stencils
from meganet.datasets import MNIST, read_idx
from meganet.ground.validate import InputError
from meganet.linop import Identity
from meganet.regularizers import BlockRegularizer, RegularizerSum, SmoothedL1, Tikhonov

LAYER, CLASSIFIER = ConvolutionLayer((2, 8, 8), 2), DenseLayer((2, 8, 8), 3)
NETWORK = Chain([ConvolutionLayer((1, 8, 8), 2)])
IMAGES, LABELS = np.random.default_rng(0).standard_normal((6, 1, 8, 8)), np.arange(6) % 3
PENALTY = Tikhonov(Identity(CLASSIFIER.parameters.size), 0.1)
OBJECTIVE = Objective(NETWORK, CLASSIFIER, IMAGES, LABELS, W_regularizer=PENALTY)
THETA, W = np.ones(NETWORK.parameters.size), np.ones(CLASSIFIER.parameters.size)
X, INDICES = np.ones(OBJECTIVE.parameters.size), np.array([0])
RNG, STENCIL = np.random.default_rng(0), np.ones((1, 1, 3, 3))
PIXELS = np.zeros((2, 1, 2, 2), np.uint8)

CASES = [
    (ConvolutionLayer, {"domain_shape": (1, 8, 8), "out_channels": 2}),
    (DenseLayer, {"domain_shape": (2, 8, 8), "outputs": 3}),
    (meganet.PoolingLayer, {"domain_shape": (2, 8, 8)}),
    (meganet.ActivationLayer, {"domain_shape": (2, 8, 8)}),
    (meganet.layers.BiasLayer, {"domain_shape": (2, 8, 8)}),
    (meganet.layers.ScalingLayer, {"domain_shape": (2, 8, 8)}),
    (meganet.NormalisationLayer, {"domain_shape": (2, 8, 8)}),
    (meganet.layers.TVNormalisationLayer, {"domain_shape": (2, 8, 8)}),
    (meganet.layers.UpsamplingLayer, {"domain_shape": (2, 8, 8)}),
    (meganet.layers.GlobalPoolingLayer, {"domain_shape": (2, 8, 8)}),
    (meganet.layers.LinearLayer, {"operator": Identity(3)}),
    (Chain, {"layers": [LAYER]}),
    (meganet.networks.Reparametrised, {"layer": LAYER, "basis": Identity(36)}),
    (Objective, {"network": NETWORK, "classifier": CLASSIFIER, "images": IMAGES, "labels": LABELS}),
    (meganet.objective.StackedObjective, {"objectives": [OBJECTIVE]}),
    (meganet.objective.VariableProjection, {"objective": OBJECTIVE}),
    (Tikhonov, {"operator": Identity(3), "alpha": 1.0}),
    (SmoothedL1, {"operator": Identity(3), "alpha": 1.0}),
    (BlockRegularizer, {"parts": [PENALTY]}),
    (RegularizerSum, {"parts": [PENALTY]}),
    (OBJECTIVE.__call__, {"x": X, "indices": INDICES, "batch_size": 2}),
    (OBJECTIVE.hessian, {"x": X, "indices": INDICES, "batch_size": 2}),
    (OBJECTIVE.evaluate, {"x": X, "batch_size": 2}),
    (OBJECTIVE.logits, {"x": X, "images": IMAGES}),
    (NETWORK.__call__, {"theta": THETA, "x": IMAGES}),
    (meganet.he_normal, {"layer": NETWORK, "rng": RNG}),
    (meganet.layers.normal, {"layer": NETWORK, "rng": RNG, "std": 1.0}),
    (meganet.layers.smoothed_normal, {"layer": CLASSIFIER, "rng": RNG}),
    (meganet.prolongate, {"network": NETWORK, "theta": THETA, "W": W}),
    (meganet.restrict, {"network": NETWORK, "theta": THETA, "W": W}),
    (meganet.SoftmaxCrossEntropy().value, {"outputs": np.ones((2, 3)), "targets": np.array([0, 1])}),
    (meganet.losses.LeastSquares().value, {"outputs": np.ones((2, 3)), "targets": np.ones((2, 3))}),
    (meganet.get_backend, {}),
    (meganet.use_backend, {"backend": "numpy"}),
    (multigrid.restriction, {"fine_shape": (4, 4)}),
    (multigrid.prolongation, {"fine_shape": (4, 4)}),
    (multigrid.restrict_images, {"images": IMAGES}),
    (multigrid.prolongate_images, {"images": IMAGES}),
    (multigrid.galerkin_matrix, {"kernel_shape": (3, 3)}),
    (multigrid.galerkin_condition, {"kernel_shape": (3, 3)}),
    (multigrid.restrict_classifier, {"W": W, "feature_shape": (2, 8, 8)}),
    (multigrid.prolongate_classifier, {"W": W, "feature_shape": (2, 8, 8)}),
    (multigrid.restrict_kernels, {"kernels": STENCIL}),
    (multigrid.prolongate_kernels, {"kernels": STENCIL}),
    (multigrid.weights_prolongation, {"network": NETWORK, "classes": 3}),
    (multigrid.weights_restriction, {"network": NETWORK, "classes": 3}),
    (multigrid.prolongation_penalty, {"network": NETWORK, "alpha": 0.1}),
    (multigrid.Galerkin, {}),
    (multigrid.Galerkin().finer, {"kernel_shape": 3}),
    (multigrid.DampedGalerkin, {}),
    (multigrid.TruncatedGalerkin, {}),
    (multigrid.Rediscretised().finer, {"kernel_shape": 3}),
    (multigrid.Enlarged().finer, {"kernel_shape": 3}),
    (multigrid.Enlarged().coarser, {"kernel_shape": 5}),
    (stencils.to_derivatives, {"kernels": STENCIL}),
    (stencils.from_derivatives, {"beta": np.ones(9)}),
    (stencils.derivative_basis, {"kernel_shape": (1, 1, 3, 3)}),
    (stencils.derivative_matrix, {}),
    (stencils.derivative_stencils, {}),
    (stencils.derivatives, {}),
    (interop.to_matlab, {"parameters": NETWORK.parameters, "vector": THETA}),
    (interop.from_matlab, {"parameters": NETWORK.parameters, "vector": THETA}),
    (interop.scipy_arguments, {"objective": OBJECTIVE}),
    (datasets.scale_images, {"images": IMAGES, "scaling": "standardize"}),
    (datasets.split, {"count": 5, "sizes": [2, 2], "rng": RNG}),
    (datasets.ImageSet, {"name": "a", "images": PIXELS, "labels": np.zeros(2, int), "source": "here"}),
    (datasets.circle, {"per_class": 3, "rng": RNG}),
    (datasets.peaks, {"count": 20, "classes": 3, "rng": RNG}),
    (datasets.swiss_roll, {"n": 8}),
    (Identity, {"domain_shape": 3}),
    (linop.Diagonal, {"diagonal": np.ones(3)}),
    (linop.Matrix, {"matrix": np.ones((2, 3))}),
    (linop.Gradient, {"domain_shape": (4, 4)}),
    (linop.Difference, {"domain_shape": (4, 4), "axis": 0}),
    (linop.RemoveMean, {"domain_shape": (4, 4)}),
    (linop.Reshape, {"domain_shape": (4, 4), "range_shape": (16,)}),
    (linop.Broadcast, {"range_shape": (4, 4)}),
    (linop.AveragePooling, {"domain_shape": (1, 4, 4)}),
    (linop.PixelMean, {"domain_shape": (1, 4, 4)}),
    (linop.BlockDiagonal, {"operators": [Identity(2)]}),
    (linop.Kronecker, {"left": Identity(2), "right": Identity(2)}),
    (linop.CirculantConvolution, {"kernel": STENCIL, "image_shape": (4, 4)}),
    (linop.Dense, {"kernel": np.ones((3, 4))}),
    (linop.DepthwiseConvolution, {"kernel": np.ones((1, 3, 3)), "image_shape": (4, 4)}),
    (linop.Sparse, {"kernel": np.ones(2), "rows": [0, 1], "columns": [0, 1], "shape": (2, 2)}),
    (linop.Transposed, {"operator": linop.Dense(np.ones((3, 4)))}),
    (linop.zero_padded_convolution, {"kernel_shape": (1, 1, 3, 3), "image_shape": (4, 4)}),
]
SCALARS = [None, "x", b"x", object(), True, -1, 0, 3, 2.5, float("nan"), float("inf"), 1j, len, int]
LISTS = [[], [1], {}, (), (0,), (-1, 2), ("a",), (1.5, 2), [[1, 2], [3]]]
ARRAYS = [np.array(3), np.array([]), np.ones(3), np.ones((2, 2, 2, 2, 2)), np.full(4, np.nan)]
ARRAYS += [np.array(["a"]), np.array([1j]), np.array([None]), np.ones((1, 1, 1, 1), "i4,f8")]
SIZES = ("count", "per_class", "classes", "n", "batch_size")
"""Arguments for which there may be as many as one likes."""


@pytest.mark.parametrize(("function", "good"), CASES, ids=[getattr(f, "__qualname__", str(f)) for f, _ in CASES])
@pytest.mark.filterwarnings("ignore")
def test_one_wrong_argument(function, good, tmp_path, monkeypatch):
    # a text that names a file is right, and the file is written
    monkeypatch.chdir(tmp_path)
    function(**good)
    for name in inspect.signature(function).parameters:
        for value in [*SCALARS, *LISTS, *ARRAYS, *([] if name in SIZES else [10**30])]:
            try:
                function(**good | {name: value})
            except InputError as error:
                assert "\n" not in str(error) and len(str(error)) < 3000


@pytest.mark.parametrize("h", [1e-200, 1e200, 5e-324])
@pytest.mark.parametrize(
    "make",
    [
        lambda h: linop.Gradient((4, 4), h),
        lambda h: linop.Gradient((4, 4), (1.0, h)),
        lambda h: linop.Difference((4, 4), 0, h),
        lambda h: stencils.derivative_matrix(4, h),
        lambda h: stencils.derivative_stencils(2, (h, 1.0)),
        lambda h: stencils.to_derivatives(np.ones((3, 3)), h),
        lambda h: stencils.derivative_basis((1, 1, 5, 5), h),
    ],
)
def test_a_mesh_width_has_powers_that_are_numbers(make, h):
    with pytest.raises(InputError, match="h: expected a number from 1e-"):
        make(h)


def test_the_smallest_and_the_largest_mesh_widths_work():
    x = np.random.default_rng(0).standard_normal((1, 4, 4))
    for h in (1e-150, 1e150):
        gradient = linop.Gradient((4, 4), h)
        assert np.allclose(gradient.normal(x) * h * h, linop.Gradient((4, 4)).normal(x))
    for h in (1e-37, 1e37):
        kernel = stencils.to_derivatives(np.eye(5), h)
        assert np.allclose(stencils.from_derivatives(kernel, h), np.eye(5))


READERS = {
    "save_mat": lambda path: interop.save_mat(path, {"theta": (NETWORK.parameters, THETA)}),
    "load_mat": lambda path: interop.load_mat(path, {"theta": NETWORK.parameters}),
    "read_idx": lambda path: read_idx(path, 3),
    "load_cdr": datasets.load_cdr,
    "find": lambda path: MNIST.find(path),
    "MEGANET_DATA": lambda path: MNIST.find(),
}


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("path", ["n" * 300, "null\0", "~nosuchuser/file", 3, b"bytes", ["list"]], ids=repr)
def test_paths_that_no_file_can_have(reader, path, monkeypatch):
    if reader == "MEGANET_DATA":
        if not isinstance(path, str) or "\0" in path:
            return
        monkeypatch.setenv(reader, path)
    with pytest.raises(InputError):
        READERS[reader](path)


def test_long_arrays_are_named_by_shape_and_dtype():
    network = Chain([ConvolutionLayer((1, 4, 4), 2)])
    for call in (
        lambda: meganet.sgd(np.ones(500), np.ones(3), 40, epochs=1, learning_rate=0.1),
        lambda: meganet.sgd(network, np.ones(3), 40, epochs=np.ones((20, 25)), learning_rate=0.1),
        lambda: datasets.scale_images(np.ones((2, 1, 4, 4)), np.ones(500)),
        lambda: meganet.checks.check_layer(np.ones(500)),
    ):
        with pytest.raises(InputError, match=r"expected .*, got an array of shape \(.*\), float64$"):
            call()


@pytest.mark.parametrize(
    ("dtype", "advice"), [("uint8", 'scale_images(images, "unit")'), ("bool", 'images.astype("float32")')]
)
def test_pixels_that_are_no_floats_are_told_how_they_become_some(dtype, advice):
    images, network = np.ones((2, 1, 4, 4), dtype), Chain([ConvolutionLayer((1, 4, 4), 2)])
    for call in (
        lambda x: Objective(network, DenseLayer(network.range_shape, 2), x, [0, 1]),
        multigrid.restrict_images,
    ):
        with pytest.raises(InputError, match="^images: expected float32 or float64 ") as error:
            call(images)
        assert advice in str(error.value) and str(error.value).endswith(f"got {dtype}")
