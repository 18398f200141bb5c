"""The bounds of the comparison: tight where rounding is harmless, and never too tight for rounding alone."""

import numpy as np
import pytest
from layout import LEAST, MOST, conditioned

from meganet import DenseLayer
from meganet.layers import LinearLayer, NormalisationLayer, ScalingLayer, TVNormalisationLayer
from meganet.linop import Reshape
from meganet.networks import Chain


def products(layer, theta, x, dtheta, dx, dy):
    """Return all products, in the precision of the arguments, which may be more than double."""
    y, record = layer.forward_unchecked(theta, x)
    in_theta, in_x = layer.vjp_unchecked(dy.copy(), record)
    return {"Z": y, "J": layer.jvp_unchecked(dtheta, dx, record), "theta": in_theta, "x": in_x}


def rounding(layer, seed):
    """Yield the relative error by rounding of every product, from a long double, and its bound."""
    rng = np.random.default_rng(seed)
    n, examples = layer.parameters.size, (int(rng.integers(2, 5)), *layer.domain_shape)
    arguments = [rng.standard_normal(shape) for shape in (n, examples, n, examples)]
    arguments.append(rng.standard_normal((examples[0], *layer.range_shape)))
    ours, bounds = conditioned(lambda *a: products(layer, *a), arguments[:2], arguments[2:], {"Z": 0})
    exact = products(layer, *(a.astype(np.longdouble) for a in arguments))
    for name, result in ours.items():
        if result.size:
            yield float(np.linalg.norm((result - exact[name]).astype(float)) / np.linalg.norm(result)), bounds[name]


def behind_a_dense_layer(norm):
    shape = norm.domain_shape
    reshaped = LinearLayer(Reshape((int(np.prod(shape)),), shape))
    return Chain([DenseLayer((3, 2, 2), int(np.prod(shape)), activation="tanh"), reshaped, norm, ScalingLayer(shape)])


@pytest.mark.skipif(np.finfo(np.longdouble).eps > 1e-18, reason="long double is double here")
def test_rounding_stays_below_the_bounds():
    largest = 0.0
    for seed in range(50):
        for norm in (
            NormalisationLayer((2, 2, 2), ("examples",), eps=1e-3),
            NormalisationLayer((2, 2, 2), ("pixels",), eps=1e-4),
            TVNormalisationLayer((2, 2, 2), eps=1e-4),
            TVNormalisationLayer((1, 2, 2), eps=1e-4),
        ):
            for error, bound in rounding(behind_a_dense_layer(norm), seed):
                assert LEAST <= bound <= MOST and error <= bound
                largest = max(largest, error)
    assert largest > LEAST, "no ill-conditioned case among them"


def test_what_is_well_conditioned_keeps_the_tight_bound():
    for layer in (DenseLayer((3, 2, 2), 5, activation="tanh"), NormalisationLayer((3, 4, 4), ("pixels",), eps=1e-3)):
        rng = np.random.default_rng(2)
        n, shape = layer.parameters.size, (4, *layer.domain_shape)
        arguments = [rng.standard_normal(s) for s in (n, shape, n, shape, (4, *layer.range_shape))]
        bounds = conditioned(lambda *a, on=layer: products(on, *a), arguments[:2], arguments[2:], {"Z": 0})[1]
        assert set(bounds.values()) == {LEAST}
