"""Labels and targets as users have them."""

import numpy as np
import pytest

import meganet as mn

IMAGES = np.random.default_rng(0).standard_normal((4, 1, 2, 2))
LAYERS = [mn.ConvolutionLayer((1, 2, 2), 1, kernel_shape=1)]
TEXTS = ["a", "b", "b", "a"]


def test_a_cell_array_of_texts_from_matlab_are_labels():
    cells = np.empty((1, 4), dtype=object)
    for k, text in enumerate(TEXTS):
        cells[0, k] = np.array([text])
    model = mn.Model(LAYERS, classes=2).fit(IMAGES, cells, epochs=1, batch_size=2)
    assert model.classes.tolist() == ["a", "b"] and model.score(IMAGES, cells) == model.score(IMAGES, TEXTS)


def test_text_without_classes_says_that_it_is_a_regression():
    with pytest.raises(ValueError, match="as classes=None"):
        mn.Model(LAYERS).fit(IMAGES, TEXTS)


def test_adam_as_an_optimizer_says_that_it_is_a_rule():
    for optimizer in ("adam", mn.Adam()):
        with pytest.raises(ValueError, match=r"rule=mn\.Adam\(\)"):
            mn.Model(LAYERS, classes=2).fit(IMAGES, TEXTS, optimizer=optimizer)
