"""relu, tanh, identity and smoothRelu with their derivatives."""

import numpy as np
import pytest

from meganet.backend import get_backend
from meganet.layers import SmoothReLU
from meganet.layers.activations import ACTIVATIONS


def compare(golden, case, activation, z):
    backend = get_backend("numpy")
    y, slope = activation.evaluate(backend, z.copy())
    golden.compare(y, golden(case, "A"))
    golden.compare(np.ones_like(z) if slope is None else slope, golden(case, "dA"))
    if golden.has(case, "d2A"):
        golden.compare(activation.second_derivative(backend, z), golden(case, "d2A"))


@pytest.mark.parametrize("name", ["identity", "relu", "tanh"])
def test_activation(golden, name):
    compare(golden, name, ACTIVATIONS[name], golden("in", "Y"))


def test_smooth_relu(golden):
    cases = golden.cases("eta", "A")
    assert cases
    for c in cases:
        compare(golden, c, SmoothReLU(golden.number(c, "eta")), golden("in", "Y"))


def test_tanh_of_images(golden):
    compare(golden, "tanh4", ACTIVATIONS["tanh"], golden("tanh4", "Y"))
