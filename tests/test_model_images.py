"""Images as users have them: which are taken, and what is said of those that are not."""

import numpy as np
import pytest

import meganet as mn


@pytest.mark.parametrize(
    ("domain", "shape", "advice"),
    [
        ((3, 4, 6), (5, 4, 6, 3), "x.transpose(0, 3, 1, 2)"),
        ((1, 4, 6), (5, 4, 6, 1), "x.transpose(0, 3, 1, 2)"),
        ((3, 4, 6), (4, 6, 3, 5), "x.transpose(3, 2, 0, 1)"),
        ((1, 4, 6), (4, 6, 5), "x.transpose(2, 0, 1)"),
        ((3, 4, 6), (3, 4, 6), "x[None]"),
        ((1, 4, 6), (4, 6), "x[None]"),
        ((2, 1, 6), (5, 2, 6), "x[:, :, None]"),
        ((3, 4, 6), (5, 72), "x.reshape(-1, 3, 4, 6)"),
    ],
)
def test_axes_in_another_order_are_said_how_to_rearrange(domain, shape, advice):
    model = mn.Model([mn.ConvolutionLayer(domain, 2, kernel_shape=1)], classes=2)
    # of uint8 too: what is said of the shape comes first, as no scaling mends it
    images = np.ones(shape, np.uint8)
    with pytest.raises(ValueError, match="; x") as caught:
        model.fit(images, np.zeros(len(images)))
    assert f"; {advice} " in str(caught.value) and f"got shape {shape}" in str(caught.value)
    mended = eval(advice, {"x": images})
    with pytest.raises(ValueError, match="scale_images"):
        model.fit(mended, np.zeros(len(mended)))


def test_grey_images_without_an_axis_for_the_channel_are_scaled_as_the_model_takes_them():
    images = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
    for scaling in ("unit", "standardize"):
        found = mn.datasets.scale_images(images, scaling)
        np.testing.assert_array_equal(found, mn.datasets.scale_images(images[:, None], scaling)[:, 0])
    with pytest.raises(ValueError, match=r"\(N, C, T, H, W\), or \(N, H, W\) of one channel, got shape \(3, 4\)"):
        mn.datasets.scale_images(images[0], "unit")
