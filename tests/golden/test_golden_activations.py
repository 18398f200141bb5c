"""relu, tanh and identity with their derivatives."""

import pytest

from meganet.backend import get_backend
from meganet.layers.activations import ACTIVATIONS


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activation(golden, name):
    backend, z = get_backend("numpy"), golden("in", "Y")
    y, slope = ACTIVATIONS[name].evaluate(backend, z.copy())
    golden.compare(y, golden(name, "A"))
    golden.compare(slope, golden(name, "dA"))
    golden.compare(ACTIVATIONS[name].second_derivative(backend, z), golden(name, "d2A"))


def test_tanh_of_images(golden):
    backend, z = get_backend("numpy"), golden("tanh4", "Y")
    y, slope = ACTIVATIONS["tanh"].evaluate(backend, z.copy())
    golden.compare(y, golden("tanh4", "A"))
    golden.compare(slope, golden("tanh4", "dA"))
    golden.compare(ACTIVATIONS["tanh"].second_derivative(backend, z), golden("tanh4", "d2A"))
