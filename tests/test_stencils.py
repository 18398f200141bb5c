"""Stencils as differential operators."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meganet import ConvolutionLayer
from meganet.checks import check_layer
from meganet.ground.validate import InputError
from meganet.networks import Reparametrised
from meganet.stencils import (
    derivative_basis,
    derivative_matrix,
    derivative_stencils,
    derivatives,
    from_derivatives,
    to_derivatives,
)


@pytest.mark.parametrize("order", [2, 4])
@pytest.mark.parametrize("h", [1.0, 0.25])
def test_exact_for_polynomials(order, h):
    """Every stencil takes the derivative that it is named after of every polynomial that its points determine."""
    x = h * (np.arange(order + 1) - order / 2)
    matrix = derivative_matrix(order, h)
    for k in range(1, order + 1):
        for degree in range(order + 1):
            expected = np.prod(np.arange(k, 0, -1)) if degree == k else 0.0
            assert matrix[:, k] @ x**degree == pytest.approx(expected, abs=1e-9 / h**k) or degree > k
    assert matrix[:, 0].sum() == pytest.approx(1)


def test_order_of_accuracy():
    for order in (2, 4):
        errors = []
        for h in (0.1, 0.05):
            x = 0.3 + h * (np.arange(order + 1) - order / 2)
            matrix = derivative_matrix(order, h)
            values = matrix.T @ np.sin(x)
            errors.append([abs(values[1] - np.cos(0.3)), abs(values[2] + np.sin(0.3))])
        rates = np.log2(np.array(errors[0]) / errors[1])
        np.testing.assert_allclose(rates, order, atol=0.1)


@settings(deadline=None, max_examples=40)
@given(st.sampled_from([3, 5]), st.booleans(), st.floats(0.1, 10), st.integers(0, 10**6))
def test_both_ways(size, plane, h, seed):
    rng = np.random.default_rng(seed)
    kernels = rng.standard_normal((2, 7, size, size) if plane else (7, size))
    beta = to_derivatives(kernels, h)
    assert beta.shape == (*kernels.shape[: -2 if plane else -1], size * size if plane else size)
    np.testing.assert_allclose(from_derivatives(beta, h), kernels, rtol=1e-9, atol=1e-9)
    if plane:
        stencils = derivative_stencils(size - 1, h)
        np.testing.assert_allclose(np.tensordot(beta, stencils, 1), kernels, rtol=1e-9, atol=1e-9)


def test_backends_and_dtypes(backend, dtype):
    kernels = backend.asarray(np.random.default_rng(0).standard_normal((4, 3, 3, 3)), dtype)
    beta = to_derivatives(kernels, (0.5, 2.0))
    assert beta.dtype == dtype and from_derivatives(beta, (0.5, 2.0)).dtype == dtype
    np.testing.assert_allclose(
        backend.to_host(from_derivatives(beta, (0.5, 2.0))), backend.to_host(kernels), rtol=1e-4, atol=1e-5
    )


def test_the_order_of_the_thesis():
    names = ["".join("u" * a + "v" * b) or "1" for a, b in derivatives()]
    assert names == ["1", "u", "v", "uv", "uu", "vv", "uuv", "uvv", "uuvv"]
    assert len(derivatives(4)) == 25


def test_convolution_in_the_basis(backend):
    """K(Q beta): every pair of channels has nine coefficients."""
    layer = ConvolutionLayer((2, 6, 5), 3, activation="tanh")
    basis = derivative_basis((3, 2, 3, 3), 2.0)
    inside = Reparametrised(layer, basis)
    check_layer(inside)
    beta = np.random.default_rng(1).standard_normal((3, 2, 9))
    weights = backend.to_host(inside.weights(backend.asarray(beta.ravel())))
    np.testing.assert_allclose(weights, from_derivatives(beta, 2.0).ravel(), atol=1e-12)


def test_errors():
    for call, message in (
        (lambda: derivative_matrix(3), "order: expected 2 or 4, got 3"),
        (lambda: derivative_matrix(2, 0), "h: expected a finite number above 0, got 0"),
        (lambda: to_derivatives(np.ones((2, 4))), "kernels: expected stencils of 3 or 5 points"),
        (lambda: to_derivatives(np.ones(3), (1.0, 2.0)), "h: expected one mesh width for one-dimensional"),
        (lambda: from_derivatives(np.ones(4)), "beta: expected 3, 5, 9 or 25 coefficients"),
        (lambda: derivative_basis((1, 1, 3, 5)), "kernel_shape: expected 3x3 or 5x5 stencils, got 3x5"),
        (lambda: derivative_stencils(2, (1.0, 2.0, 3.0)), "h: expected one mesh width or a pair"),
    ):
        with pytest.raises(InputError, match=message):
            call()
