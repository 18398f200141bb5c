"""Variable projection: the reduced function, its derivatives, and what eliminating W spares."""

import numpy as np
import pytest
from registry import small_objective

from meganet.backend import get_backend
from meganet.checks import check_derivative
from meganet.ground.validate import InputError
from meganet.linop import Identity
from meganet.losses import LeastSquares
from meganet.objective import VariableProjection
from meganet.optim import Control, trust_region
from meganet.regularizers import Tikhonov


def reduced(backend, **options):
    objective, x = small_objective(backend, "float64", **options)
    objective.W_regularizer = Tikhonov(Identity((objective.classifier.parameters.size,)), 0.1)
    return VariableProjection(objective, control=Control(rtol=1e-13, atol=1e-14)), objective.split(x)[0].copy()


def test_the_inner_problem_is_solved(backend):
    projection, theta = reduced(backend)
    w = projection.solve(theta)
    n = projection.parameters.size
    gradient = projection.objective(backend.xp.concatenate([theta, w]))[1]
    assert abs(backend.to_host(gradient[n:])).max() < 1e-12


def test_a_solution_is_kept_in_either_precision(backend, dtype):
    """What was found before is good enough the second time, also where round-off is close."""
    objective, x = small_objective(backend, dtype)
    objective.W_regularizer = Tikhonov(Identity((objective.classifier.parameters.size,), dtype), 0.1)
    projection, theta = VariableProjection(objective), objective.split(x)[0].copy()
    first = projection.solve(theta)
    assert first.dtype == dtype and projection.solve(theta) is first
    n = projection.parameters.size
    ends = [backend.to_host(objective(backend.xp.concatenate([theta, w]))[1][n:]) for w in (0 * first, first)]
    assert np.linalg.norm(ends[1]) <= 0.011 * np.sqrt(np.finfo(dtype).eps) * np.linalg.norm(ends[0])


@pytest.mark.parametrize("loss", ["softmax", "least squares"])
def test_derivatives(backend, loss):
    """The gradient is that of the reduced function, and the exact Hessian the gradient's derivative."""
    options = {"loss": LeastSquares(), "targets": np.arange(21.0).reshape(7, 3) / 10} if loss != "softmax" else {}
    projection, theta = reduced(backend, **options)
    v = backend.asarray(np.random.default_rng(2).standard_normal(theta.shape))
    gradient = projection(theta)[1]
    check_derivative(lambda t: projection(t)[0], lambda d: (gradient * d).sum(), theta, 0.3 * v)
    hessian = projection.hessian(theta, "exact")
    step, host = 1e-5, backend.to_host
    difference = (host(projection(theta + step * v)[1]) - host(projection(theta - step * v)[1])) / (2 * step)
    np.testing.assert_allclose(host(hessian @ v), difference, rtol=1e-6, atol=1e-8)


def test_gauss_newton_is_symmetric_and_not_negative():
    projection, theta = reduced(get_backend("numpy"))
    matrix = projection.hessian(theta).tosparse().toarray()
    np.testing.assert_allclose(matrix, matrix.T, atol=1e-9)
    assert np.linalg.eigvalsh(matrix)[0] > -1e-9


def test_fewer_iterations_than_all_weights_together():
    projection, theta = reduced(get_backend("numpy"))
    objective = projection.objective
    x0 = np.concatenate([theta, np.zeros(objective.classifier.parameters.size)])
    control = Control(max_iterations=12, rtol=0)
    whole = trust_region(objective, x0, objective.hessian, control=control)
    ours = trust_region(projection, theta, projection.hessian, control=control)
    assert ours.value < whole.value


def test_errors(backend):
    objective, x = small_objective(backend, "float64")
    with pytest.raises(InputError, match="objective: expected a W_regularizer on all 39 weights of the classifier"):
        VariableProjection(objective)
    projection, _ = reduced(backend)
    with pytest.raises(InputError, match="theta: expected an array of shape"):
        projection(x)
