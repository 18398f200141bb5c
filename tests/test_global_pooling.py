"""The mean over all pixels: a classifier behind it is the same on every grid."""

import numpy as np
import pytest

from meganet import Chain, ConvolutionLayer, InputError, Model, PoolingLayer, he_normal, load, prolongate, restrict
from meganet.layers import GlobalPoolingLayer
from meganet.linop import AveragePooling, PixelMean
from meganet.multigrid import prolongate_images


def network(image):
    return Chain([ConvolutionLayer((1, *image), 3, bias=True), PoolingLayer(...), GlobalPoolingLayer(...)])


def test_it_is_average_pooling_over_the_whole_image(backend, dtype, rng):
    x = backend.asarray(rng.standard_normal((5, 3, 6, 4)), dtype)
    mean, blocks = PixelMean((3, 6, 4), dtype), AveragePooling((3, 6, 4), (6, 4), dtype)
    assert mean.range_shape == blocks.range_shape == (3, 1, 1)
    np.testing.assert_allclose(backend.to_host(mean @ x), backend.to_host(blocks @ x), rtol=1e-5, atol=1e-6)
    y = blocks @ x
    np.testing.assert_allclose(backend.to_host(mean.T @ y), backend.to_host(blocks.T @ y), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(mean.to("numpy").tosparse().toarray(), blocks.to("numpy").tosparse().toarray())


def test_of_prolongated_images_the_mean_is_the_same(rng):
    x = rng.standard_normal((5, 3, 6, 4))
    fine = prolongate_images(x, "constant")
    np.testing.assert_allclose(PixelMean((3, 12, 8)) @ fine, PixelMean((3, 6, 4)) @ x)


@pytest.mark.parametrize("kernels", ["galerkin", "copy"])
@pytest.mark.parametrize("image", [(8, 12), (1, 12)])
def test_the_classifier_is_carried_as_it_is(image, kernels, backend, dtype, rng):
    first = ConvolutionLayer((1, *image), 3, (1 if image[0] == 1 else 3, 3), bias=True)
    coarse = Chain([first, GlobalPoolingLayer(...)])
    theta, w = he_normal(coarse, rng, dtype), backend.asarray(rng.standard_normal(4 * (3 + 1)), dtype)
    fine = prolongate(coarse, theta, w, kernels=kernels)
    assert fine.network.range_shape == (3, 1, 1) and fine.network.domain_shape[2] == 24
    np.testing.assert_array_equal(backend.to_host(fine.W), backend.to_host(w))
    back = restrict(*fine, kernels=kernels)
    assert back.network.domain_shape == coarse.domain_shape
    np.testing.assert_array_equal(backend.to_host(back.W), backend.to_host(w))
    np.testing.assert_allclose(backend.to_host(back.theta), backend.to_host(theta), atol=1e-4)


@pytest.mark.parametrize("suffix", [".npz", ".mat"])
def test_a_model_with_it_is_stored(suffix, tmp_path, rng):
    x, labels = rng.standard_normal((12, 1, 8, 12)), np.arange(12) % 3
    model = Model(network((8, 12)), classes=3).fit(x, labels, epochs=1, batch_size=4)
    model.save(tmp_path / f"net{suffix}")
    again = load(tmp_path / f"net{suffix}")
    assert isinstance(again.network.layers[-1], GlobalPoolingLayer)
    np.testing.assert_array_equal(again.predict_proba(x), model.predict_proba(x))
    # signals of MATLAB and videos have other numbers of pixel axes
    assert GlobalPoolingLayer((2, 3, 4, 5)).range_shape == (2, 1, 1, 1)


def test_channels_alone_have_no_pixels():
    with pytest.raises(InputError, match=r"domain_shape: expected channels and axes of pixels, \(C, ...\), got \(3,\)"):
        PixelMean((3,))
