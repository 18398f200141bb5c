"""Videos (N, C, T, H, W): convolutions in space and time, their memory, and a model of them."""

import numpy as np
import pytest
import scipy.ndimage

import meganet as mn
from meganet.backend import get_backend
from meganet.backend.layout import folded, unfolded, videos_from_memory
from meganet.ground.validate import InputError
from meganet.interop import to_torch
from meganet.layers import ConvolutionLayer, PoolingLayer
from meganet.linop import AveragePooling, CirculantConvolution
from meganet.multigrid import (
    galerkin_matrix,
    prolongate_images,
    prolongate_kernels,
    prolongation,
    restrict_images,
    restrict_kernels,
    restriction,
)
from meganet.networks import Chain

KERNELS = [(1, 3, 3), (5, 1, 1), (3, 3, 5), (3, 1, 1), (1, 1, 1), (3, 1, 3)]


def drawn(*shape):
    return np.random.default_rng(sum(shape)).standard_normal(shape)


def test_a_case_by_hand():
    kernel = np.array([1.0, 10.0, 100.0]).reshape(1, 1, 3, 1, 1) * np.array([0.0, 1.0, 2.0])  # (1, 1, 3, 1, 3)
    video = np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0], [7.0, 8.0, 9.0]]).reshape(1, 3, 1, 3)
    result = (CirculantConvolution(kernel, (3, 1, 3)) @ video).reshape(3, 3)
    # last, own and next frame, with the factors 1, 10 and 100; in each the pixel and twice its right neighbour
    rows = np.array([[5.0, 8.0, 5.0], [14.0, 17.0, 14.0], [23.0, 26.0, 23.0]])
    np.testing.assert_array_equal(result, np.roll(rows, 1, 0) + 10 * rows + 100 * np.roll(rows, -1, 0))
    assert result[0, 0] == 23 + 50 + 1400


@pytest.mark.loops
@pytest.mark.parametrize("size", KERNELS)
@pytest.mark.parametrize("channels", [(2, 3), (9, 8)])
@pytest.mark.parametrize("engine", ["auto", "direct", "sparse"])
def test_agrees_with_scipy_ndimage(size, channels, engine):
    kernel, x = drawn(*channels, *size), drawn(2, channels[1], 5, 6, 7)
    result = CirculantConvolution(kernel, (5, 6, 7), engine) @ x
    expected = np.zeros_like(result)
    for n, o, c in np.ndindex(len(x), *channels):
        expected[n, o] += scipy.ndimage.correlate(x[n, c], kernel[o, c], mode="grid-wrap")
    np.testing.assert_allclose(result, expected, atol=1e-11)


@pytest.mark.parametrize("size", KERNELS)
def test_symbol_diagonalises(size):
    operator, x = CirculantConvolution(drawn(3, 2, *size), (5, 6, 7)), drawn(2, 2, 5, 6, 7)
    modes = np.einsum("ocijk,ncijk->noijk", operator.symbol(), np.fft.fftn(x, axes=(2, 3, 4)))
    np.testing.assert_allclose(np.fft.ifftn(modes, axes=(2, 3, 4)).real, operator @ x, atol=1e-12)


@pytest.mark.loops
@pytest.mark.parametrize("size", KERNELS)
def test_a_stack_of_kernels(backend, dtype, size):
    kernels, x, y = (
        backend.asarray(0.3 * drawn(4, *shape), dtype) for shape in ((3, 2, *size), (2, 2, 5, 4, 6), (2, 3, 5, 4, 6))
    )
    operator = CirculantConvolution(kernels[0], (5, 4, 6)).with_kernel(kernels)
    together = [operator @ x, operator.T @ y, operator.kernel_adjoint(x, y)]
    for t in range(4):
        one = operator.with_kernel(kernels[t])
        for a, b in zip(together, [one @ x[t], one.T @ y[t], one.kernel_adjoint(x[t], y[t])], strict=True):
            assert a.dtype == b.dtype == dtype
            np.testing.assert_allclose(backend.to_host(a[t]), backend.to_host(b), atol=100 * np.finfo(dtype).eps)


def test_frames_and_pixels_in_time_are_views():
    backend, memory = get_backend("numpy"), drawn(8, 6, 4, 5, 3)
    videos = videos_from_memory(memory)
    for in_time, shape in ((False, (20, 3, 8, 6)), (True, (5, 3, 48, 4))):
        images = folded(backend, videos, in_time)
        assert images.shape == shape and np.shares_memory(images, memory)
        back = unfolded(backend, images, (4, 8, 6), in_time)
        assert np.shares_memory(back, memory)
        np.testing.assert_array_equal(back, videos)
    np.testing.assert_array_equal(folded(backend, videos, False)[2 * 5 + 1], videos[1, :, 2])
    np.testing.assert_array_equal(folded(backend, videos, True)[1, 2, 3 * 6 + 5], videos[1, 2, :, 3, 5])


@pytest.mark.loops
def test_layers_keep_the_order_of_memory(backend, dtype):
    shape = (2, 4, 6, 8)
    network = Chain(
        [
            ConvolutionLayer(shape, 9, (1, 3, 3), bias=True, backend=backend),
            ConvolutionLayer((9, *shape[1:]), 9, (3, 1, 1), backend=backend),
            ConvolutionLayer((9, *shape[1:]), 3, 3, backend=backend),
            PoolingLayer((3, *shape[1:]), (2, 1, 2), backend=backend),
        ]
    )
    theta = backend.asarray(drawn(network.parameters.size), dtype)
    y, tape = network.forward(theta, backend.asarray(drawn(5, *shape), dtype))
    dx = network.vjp(y, tape)[1]
    for videos in (y, dx):
        assert videos.transpose(3, 4, 2, 0, 1).flags.c_contiguous


def test_time_and_space_apart_are_one_kernel_of_rank_one():
    space, time = drawn(1, 1, 1, 3, 3), drawn(1, 1, 3, 1, 1)
    x = drawn(2, 1, 5, 6, 4)
    apart = CirculantConvolution(time, (5, 6, 4)) @ (CirculantConvolution(space, (5, 6, 4)) @ x)
    np.testing.assert_allclose(apart, CirculantConvolution(time * space, (5, 6, 4)) @ x, atol=1e-12)


def test_pooling_is_the_mean_of_blocks(backend):
    x = drawn(2, 3, 4, 6, 8)
    pooled = AveragePooling((3, 4, 6, 8), (2, 3, 4), backend=backend) @ backend.asarray(x)
    np.testing.assert_allclose(backend.to_host(pooled), x.reshape(2, 3, 2, 2, 2, 3, 2, 4).mean(axis=(3, 5, 7)))


def test_a_model_learns_which_way_something_moves(tmp_path):
    rng = np.random.default_rng(0)
    labels = rng.integers(2, size=160)
    videos = np.zeros((160, 1, 4, 6, 6), np.float32)
    start, row = rng.integers(6, size=(2, 160))
    for t in range(4):
        videos[np.arange(160), 0, t, row, (start + t * (2 * labels - 1)) % 6] = 1
    in_space = ConvolutionLayer((1, 4, 6, 6), 8, (1, 3, 3))
    network = Chain([in_space, ConvolutionLayer(..., 8, (3, 1, 1)), PoolingLayer(..., (4, 6, 6))])
    model = mn.Model(network, classes=2)
    model.fit(videos[:120, 0], labels[:120], epochs=40, learning_rate=0.03, batch_size=20, rule=mn.Adam(), rng=0)
    assert model.score(videos[120:], labels[120:]) == 1.0
    model.save(tmp_path / "model.npz")
    again = mn.load(tmp_path / "model.npz")
    np.testing.assert_array_equal(again.predict(videos), model.predict(videos))
    assert again.network.layers[1].kernel_shape == (3, 1, 1)


AXES = [(-3,), (-2, -1), (-3, -2, -1)]


@pytest.mark.parametrize("axes", AXES)
@pytest.mark.parametrize("interpolation", ["constant", "linear"])
def test_the_galerkin_condition_in_time_and_space(axes, interpolation):
    fine, kernel = tuple(12 if k - 3 in axes else 7 for k in range(3)), drawn(1, 1, 3, 3, 3)
    coarse = tuple(6 if k - 3 in axes else 7 for k in range(3))
    r = restriction(fine, axes=axes)
    product = r @ CirculantConvolution(kernel, fine).tosparse() @ prolongation(fine, interpolation, axes=axes)
    expected = CirculantConvolution(restrict_kernels(kernel, interpolation, axes=axes), coarse).tosparse()
    # P and the wrapped convolution differ at the edge alone
    inside = np.ravel_multi_index([n // 2 for n in coarse], coarse)
    np.testing.assert_allclose(product.toarray()[inside], expected.toarray()[inside], atol=1e-13)
    back = prolongate_kernels(restrict_kernels(kernel, interpolation, axes=axes), interpolation, axes=axes)
    np.testing.assert_allclose(back, kernel, atol=1e-11)


@pytest.mark.parametrize("interpolation", ["constant", "linear"])
def test_transfers_of_videos_are_products_of_those_along_each_axis(interpolation):
    one = {n: galerkin_matrix((1, n), interpolation, axes=-1) for n in (3, 5)}
    np.testing.assert_allclose(
        galerkin_matrix((3, 3, 5), interpolation, axes=(0, 2)), np.kron(np.kron(one[3], np.eye(3)), one[5]), atol=1e-15
    )
    x = drawn(2, 3, 4, 6, 8)
    in_turn = prolongate_images(prolongate_images(x, interpolation, axes=-3), interpolation)
    np.testing.assert_allclose(prolongate_images(x, interpolation, axes=(-3, -2, -1)), in_turn, atol=1e-14)
    means = AveragePooling((3, 4, 6, 8), 2) @ x
    np.testing.assert_allclose(restrict_images(x, axes=(-3, -2, -1)), means, atol=1e-14)
    np.testing.assert_allclose(restrict_images(in_turn, axes=(-3, -2, -1)).shape, x.shape)


def test_pytorch_computes_the_same():
    torch = pytest.importorskip("torch")
    shape = (2, 5, 6, 7)
    network = Chain(
        [ConvolutionLayer(shape, 3, (3, 5, 1), activation="identity"), PoolingLayer((3, *shape[1:]), (5, 2, 1))]
    )
    theta, x = drawn(network.parameters.size), drawn(4, *shape)
    convolution = torch.nn.Conv3d(2, 3, (3, 5, 1), padding=(1, 2, 0), padding_mode="circular", bias=False)
    module = torch.nn.Sequential(convolution, torch.nn.AvgPool3d((5, 2, 1))).double()
    to_torch(network, theta, module)
    np.testing.assert_allclose(module(torch.from_numpy(x)).detach().numpy(), network(theta, x), atol=1e-13)


def test_a_classifier_of_scikit_learn_takes_videos():
    pytest.importorskip("sklearn")
    from meganet.interop.sklearn import MeganetClassifier

    videos, labels = drawn(12, 1, 3, 4, 4), np.arange(12) % 2
    model = MeganetClassifier(width=2, depth=1, random_state=0, max_iter=2).fit(videos, labels)
    assert model.network_.domain_shape == (1, 3, 4, 4)
    np.testing.assert_array_equal(model.predict(videos), model.predict(videos.reshape(12, -1)))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda: ConvolutionLayer((1, 2, 8, 8), 4), r"one no larger than the 2x8x8 video, such as \(1, 3, 3\), got"),
        (lambda: ConvolutionLayer((1, 4, 8, 8), 4, (3, 3)), r"kernel_shape: expected one integer or 3 integers, got"),
        (lambda: ConvolutionLayer((1, 4, 8, 8), 4, (2, 3, 3)), "kernel_shape: expected odd sizes, .* got 2x3x3"),
        (
            lambda: ConvolutionLayer((1, 4), 4),
            r"domain_shape: expected a tuple of 3 or 4 positive integers, got \(1, 4\)",
        ),
        (
            lambda: CirculantConvolution(np.zeros((1, 1, 3)), (4, 4)),
            r"kernel: expected .* or \(O, I, kt, k1, k2\), got",
        ),
        (
            lambda: CirculantConvolution(np.zeros((1, 1, 5, 1, 1)), (4, 4, 4)),
            "no larger than the 4x4x4 video, got 5x1x1",
        ),
        (lambda: restrict_images(np.zeros((1, 3, 4, 4)), axes=-3), "images: expected even sizes, so that 2x1x1 blocks"),
        (lambda: restrict_images(np.zeros((4, 4)), axes=-3), r"images: expected at least three axes, \(..., T, H, W\)"),
        (lambda: AveragePooling((1, 4, 6, 6), (3, 2, 2)), "expected a video that 3x2x2 blocks cover, got 4x6x6"),
    ],
)
def test_messages(wrong, message):
    with pytest.raises(InputError, match=message):
        wrong()
