"""Data sets that are drawn: the same continuous functions on every grid, the same numbers from every seed."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meganet.datasets import (
    CATALOGUE,
    Drawn,
    ImageSet,
    load,
    load_denoising,
    load_moving_digits,
    load_shapes,
    load_signals,
    scale_images,
    shapes,
)
from meganet.datasets.catalogue import image_sets
from meganet.datasets.drawn.cells import FINEST
from meganet.datasets.sets.moving_digits import DIRECTIONS
from meganet.experiments import Setup, grid_shapes
from meganet.ground.validate import InputError
from meganet.multigrid import restrict_images

FEW = ImageSet("Few", np.zeros((3, 1, 2, 2), np.uint8), np.zeros(3, int), "drawn")
SEEDS = st.integers(0, 2**40)


class TestShapes:
    @settings(max_examples=15, deadline=None)
    @given(size=st.integers(4, FINEST // 2), seed=SEEDS, train=st.booleans())
    def test_each_grid_sees_the_averages_of_the_finer_one(self, size, seed, train):
        fine, coarse = (shapes(n, 3, seed=seed, train=train) for n in (2 * size, size))
        np.testing.assert_allclose(restrict_images(fine.features), coarse.features, atol=1e-6)
        assert (fine.targets == coarse.targets).all()
        pixels, fewer = (load_shapes(n, 3, seed=seed, train=train).images for n in (2 * size, size))
        assert abs(restrict_images(pixels.astype(np.float64)) - fewer).max() <= 1
        assert coarse.features.min() >= 0 and coarse.features.max() <= 1

    def test_any_two_grids_see_one_function(self):
        # 14 | 42, in blocks of 3x3, whose fine grids differ
        fine, coarse = shapes(42, 40).features, shapes(14, 40).features
        blocks = fine.reshape(40, 14, 3, 14, 3).mean(axis=(2, 4))
        np.testing.assert_allclose(blocks, coarse[:, 0], atol=0.01)
        wide = shapes(2 * FINEST, 10).features
        np.testing.assert_allclose(restrict_images(wide), shapes(FINEST, 10).features, atol=0.06)

    @settings(max_examples=10, deadline=None)
    @given(size=st.integers(1, 40), seed=SEEDS, first=st.integers(0, 25), count=st.integers(1, 12))
    def test_an_example_depends_on_its_number_alone(self, size, seed, first, count):
        whole, part = shapes(size, first + count, seed=seed), shapes(size, count, seed=seed, first=first)
        np.testing.assert_array_equal(whole.features[first:], part.features)
        np.testing.assert_array_equal(whole.targets[first:], part.targets)

    def test_classes_are_balanced_and_seeds_differ(self):
        drawn = load_shapes(14, 200)
        assert np.bincount(drawn.labels).tolist() == [20] * 10
        for other in (load_shapes(14, 200, seed=1), load_shapes(14, 200, train=False)):
            assert (drawn.images != other.images).any(axis=(1, 2, 3)).all()
            assert (drawn.labels != other.labels).any()

    def test_numbers_are_those_that_they_were(self):
        # results that are stored belong to these images
        drawn = load_shapes(28, 10)
        means = [111.6, 95.91, 129.88, 57.71, 41.15, 34.03, 99.34, 81.03, 91.47, 83.82]
        assert drawn.labels.tolist() == [4, 5, 3, 8, 7, 2, 0, 9, 1, 6]
        np.testing.assert_allclose(drawn.images.mean(axis=(1, 2, 3)), means, atol=0.01)

    def test_patterns_need_resolution(self):
        """Plain shapes look the same on all grids; what patterns vary is lost on coarse ones."""
        lost = []
        for surface in (0, 1):
            fine, coarse = (shapes(n, 100) for n in (112, 14))
            chosen = fine.targets % 2 == surface
            ratio = coarse.features[chosen].std(axis=(1, 2, 3)) / fine.features[chosen].std(axis=(1, 2, 3))
            lost.append(1 - ratio.mean())
        assert lost[0] < 0.08 and lost[1] > 1.5 * lost[0], lost

    def test_dtypes(self):
        assert shapes(8, 1).features.dtype == np.float32
        double = shapes(8, 1, dtype="float64").features
        np.testing.assert_array_equal(double, shapes(8, 1).features.astype(np.float64))

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            ({"size": 0}, "size: expected an integer of at least 1, got 0"),
            ({"size": 2**70}, "size: expected an integer of at most"),
            ({"examples": 2.0}, "examples: expected an integer of at least 1, got 2.0"),
            ({"seed": -1}, "seed: expected an integer of at least 0, got -1"),
            ({"seed": None}, "seed: expected an integer of at least 0, got None"),
            ({"train": "no"}, "train: expected True or False, got 'no'"),
        ],
    )
    def test_what_is_refused(self, arguments, message):
        for draw in (load_shapes, shapes):
            with pytest.raises(InputError, match=f"^{message}"):
                draw(**{"examples": 1, **arguments})
        with pytest.raises(InputError, match="^first: "):
            shapes(first=-1)

    def test_by_name(self):
        names = [name for name in image_sets() if name.startswith("shapes-")]
        assert names == [f"shapes-{size}" for size in (14, 28, 56, 112, 224)]
        for name in names:
            assert isinstance(CATALOGUE[name], Drawn) and CATALOGUE[name].where() == "built in"
        few = replace(CATALOGUE["shapes-14"], examples=(30, 10))
        for train, count in ((True, 30), (False, 10)):
            data = few.load(train=train)
            np.testing.assert_array_equal(data.images, load_shapes(14, count, train=train).images)
        with pytest.raises(InputError, match="data: expected no folder, since shapes-14 are drawn, got '/nowhere'"):
            load("shapes-14", "/nowhere")

    def test_experiments_take_them_on_many_grids(self):
        setup = Setup.of(dataset="shapes-56", grids=(7, 14, 28, 56))
        assert grid_shapes(setup, CATALOGUE["shapes-56"].shape)[0] == (1, 7, 7)


class TestDenoising:
    @settings(max_examples=10, deadline=None)
    @given(size=st.integers(4, FINEST // 2), seed=SEEDS, noise=st.floats(0, 2))
    def test_each_grid_sees_the_averages_of_the_finer_one(self, size, seed, noise):
        fine, coarse = (load_denoising(n, 2, seed=seed, noise=noise) for n in (2 * size, size))
        for part in ("features", "targets"):
            np.testing.assert_allclose(restrict_images(getattr(fine, part)), getattr(coarse, part), atol=1e-4)

    @pytest.mark.parametrize("size", [14, 28, 56, 224])
    def test_noise_is_white(self, size):
        pairs = load_denoising(size, 20, noise=0.1, seed=3)
        noise = pairs.features - pairs.targets
        expected = 0.1 * size / 28
        np.testing.assert_allclose(noise.std(), expected, rtol=0.05)
        products = (noise[..., 1:] * noise[..., :-1]).mean()
        assert abs(products) < 0.05 * expected**2
        np.testing.assert_array_equal(load_denoising(size, 20, noise=0, seed=3).features, pairs.targets)

    def test_an_example_depends_on_its_number_alone(self):
        whole, part = load_denoising(20, 6), load_denoising(20, 2, first=4)
        np.testing.assert_array_equal(whole.features[4:], part.features)
        np.testing.assert_array_equal(whole.targets[4:], part.targets)
        assert (load_denoising(20, 6, train=False).targets != whole.targets).any(axis=(1, 2, 3)).all()

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            ({"size": "28"}, "size: expected an integer of at least 1, got '28'"),
            ({"examples": 0}, "examples: expected an integer of at least 1, got 0"),
            ({"noise": -1}, "noise: expected a finite number of at least 0, got -1"),
            ({"first": 0.5}, "first: expected an integer of at least 0, got 0.5"),
        ],
    )
    def test_what_is_refused(self, arguments, message):
        with pytest.raises(InputError, match=f"^{message}"):
            load_denoising(**{"examples": 1, **arguments})


class TestSignals:
    @settings(max_examples=15, deadline=None)
    @given(length=st.integers(2, 512), seed=SEEDS, train=st.booleans())
    def test_each_length_sees_the_averages_of_the_longer_one(self, length, seed, train):
        fine, coarse = (load_signals(n, 4, seed=seed, train=train, noise=0.01) for n in (2 * length, length))
        pairs = fine.images.reshape(4, 1, 1, length, 2).mean(axis=-1)
        # the longer one's noise may reach beyond what a pixel can hold
        np.testing.assert_allclose(pairs, coarse.images, atol=1)
        assert (fine.labels == coarse.labels).all()

    def test_classes_seeds_and_numbers(self):
        drawn = load_signals(64, 100)
        assert drawn.images.shape == (100, 1, 1, 64) and np.bincount(drawn.labels).tolist() == [10] * 10
        np.testing.assert_array_equal(load_signals(64, 20).images, drawn.images[:20])
        for other in (load_signals(64, 100, seed=1), load_signals(64, 100, train=False)):
            assert (drawn.images != other.images).any(axis=(1, 2, 3)).all()
        assert np.std(load_signals(64, 100, noise=1).images) > 2 * np.std(drawn.images)

    def test_by_name_and_what_is_refused(self):
        data = replace(CATALOGUE["signals"], examples=(30, 10)).load(train=False)
        np.testing.assert_array_equal(data.images, load_signals(64, 10, train=False).images)
        for arguments, name in (({"length": 0}, "length"), ({"noise": np.inf}, "noise"), ({"seed": 0.5}, "seed")):
            with pytest.raises(InputError, match=f"^{name}: expected "):
                load_signals(**{"examples": 1, **arguments})


class TestMovingDigits:
    @settings(max_examples=4, deadline=None)
    @given(frames=st.integers(1, 8), size=st.integers(2, 24), seed=SEEDS, train=st.booleans())
    def test_shorter_and_smaller_videos_are_averages(self, frames, size, seed, train):
        def draw(frames, size):
            return load_moving_digits(frames, size, 2, seed=seed, train=train).images.astype(np.float64)

        coarse = draw(frames, size)
        np.testing.assert_allclose(draw(2 * frames, size).reshape(2, 1, frames, 2, size, size).mean(3), coarse, atol=1)
        blocks = draw(frames, 2 * size).reshape(2, 1, frames, size, 2, size, 2)
        np.testing.assert_allclose(blocks.mean(axis=(4, 6)), coarse, atol=1)

    def test_classes_are_what_they_say(self):
        videos = load_moving_digits(16, 32, 80)
        assert np.bincount(videos.labels).tolist() == [10] * 8
        frequencies = np.fft.fft2(videos.images[:, 0].astype(np.float64), axes=(2, 3))
        turned = -np.angle((frequencies[:, 1:] * frequencies[:, :-1].conj()).sum(axis=1))
        down, across = turned[:, 1, 0], turned[:, 0, 1]
        for (d, a), of in zip(DIRECTIONS.values(), range(4), strict=True):
            chosen = videos.labels // 2 == of
            assert ((down * d + across * a)[chosen] > abs(down * a + across * d)[chosen]).all()

    def test_no_place_tells_the_direction(self):
        """At the beginning of the video, too, the digits of each direction are anywhere."""
        videos = load_moving_digits(16, 4, 800)
        for pair in ((0, 1), (2, 3)):
            first, second = (videos.images[videos.labels // 2 == of][:, :, 0].mean(axis=0) for of in pair)
            assert abs(first - second).max() < 0.4 * (first + second).mean()

    def test_an_example_depends_on_its_number_alone(self):
        whole, part = load_moving_digits(4, 16, 20), load_moving_digits(4, 16, 7)
        np.testing.assert_array_equal(whole.images[:7], part.images)
        for other in (load_moving_digits(4, 16, 20, seed=1), load_moving_digits(4, 16, 20, train=False)):
            assert (other.images != whole.images).any(axis=(1, 2, 3, 4)).all()

    def test_other_images_move(self):
        colours = np.zeros((10, 3, 6, 8), np.uint8)
        colours[::2, 0], colours[1::2, 2] = 255, 255
        videos = load_moving_digits(4, 12, 16, images=ImageSet("Colours", colours, np.arange(10) % 2, "drawn"))
        assert videos.images.shape == (16, 3, 4, 12, 12) and videos.name == "Moving Colours" and videos.classes == 8
        red = videos.images[:, 0].any(axis=(1, 2, 3))
        assert (red == (videos.labels % 2 == 0)).all() and not videos.images[:, 1].any()
        # 48 pixels of a frame that is 16 by 16 of these
        share = (3 / 8) * 0.5**2 * 2
        np.testing.assert_allclose(videos.images.max(axis=1).mean(axis=(1, 2, 3)) / 255, share, atol=0.01)

    def test_by_name_and_scaled(self):
        data = replace(CATALOGUE["moving-digits"], examples=(8, 4)).load(train=False)
        np.testing.assert_array_equal(data.images, load_moving_digits(16, 32, 4, train=False).images)
        assert scale_images(data.images, "unit").shape == data.images.shape
        assert "moving-digits" not in image_sets()

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            ({"frames": 0}, "frames: expected an integer of at least 1, got 0"),
            ({"size": 2.5}, "size: expected an integer of at least 1, got 2.5"),
            ({"images": "digits"}, "images: expected an ImageSet, got 'digits'"),
            ({"images": FEW}, "images: expected at least 5 images of each class, got 3 of class 0"),
        ],
    )
    def test_what_is_refused(self, arguments, message):
        with pytest.raises(InputError, match=f"^{message}"):
            load_moving_digits(**{"examples": 1, "train": False, **arguments})
