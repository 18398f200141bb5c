"""Armijo and Wolfe on the test function of the file.

Armijo of the original, without the step length, is the line search of `meganet_descent`, and replayed as that. Its
Wolfe search is wrong inside the zoom (it interpolates as if the lower end were 0): ours must fulfil the conditions
where both
are asked, and be the same where no zoom is needed.
"""

import numpy as np

from meganet.optim import Problem, StrongWolfe, meganet_descent
from meganet.optim.problem import Control


def function(a):
    """Return ``x -> sum a (x_{i+1} - x_i^2)^2 + (1 - x_i)^2`` with its gradient."""

    def fun(x):
        gap, rest = x[1:] - x[:-1] ** 2, 1 - x[:-1]
        gradient = np.zeros_like(x)
        gradient[1:] += 2 * a * gap
        gradient[:-1] -= 4 * a * gap * x[:-1] + 2 * rest
        return (a * gap**2 + rest**2).sum(), gradient

    return fun


def hessian(a):
    """Return its Hessian as a matrix."""

    def matrix(x):
        n = len(x)
        h = np.zeros((n, n))
        i = np.arange(n - 1)
        h[i, i] += 12 * a * x[:-1] ** 2 - 4 * a * x[1:] + 2
        h[i + 1, i + 1] += 2 * a
        h[i, i + 1] = h[i + 1, i] = -4 * a * x[:-1]
        return h

    return matrix


def cases(golden):
    found = golden.cases("x", "s", "mu")
    assert found
    return found


def test_the_function(golden):
    fun = function(golden.number("opt", "a"))
    for c in cases(golden):
        value, gradient = fun(golden(c, "x").ravel())
        golden.compare(value.reshape(1, 1), golden(c, "Jc"))
        golden.compare(gradient[:, None], golden(c, "dJ"))


def test_armijo_of_the_original(golden):
    fun = function(golden.number("opt", "a"))
    for c in cases(golden):
        mu, s = golden.number(c, "mu"), golden(c, "s").ravel()
        # the driver starts with mu = 1 and scales directions longer than 1: both undone by the direction's length
        if abs(mu * s).max() > 1:
            value, gradient = fun(golden(c, "x").ravel())
            slope, trials, step = gradient @ s, 1, mu
            while fun(golden(c, "x").ravel() + step * s)[0] >= value + 1e-3 * slope and trials < 10:
                step, trials = step / 2, trials + 1
            found, length = golden(c, "x").ravel() + step * s, step
        else:
            scaled = function(golden.number("opt", "a"))

            def along(x, scaled=scaled, mu=mu):
                value, gradient = scaled(x)
                return value, gradient / mu

            result = meganet_descent(
                along,
                golden(c, "x").ravel(),
                lambda problem, point, d=mu * s: (d, {}),
                {},
                control=Control(max_iterations=1, rtol=0),
            )
            row = result.history[1]
            found, trials, length = result.x, row["trials"], row["mu"] * mu
        golden.compare(found[:, None], golden(c, "armijo_xt"))
        assert trials == golden.number(c, "armijo_iter")
        assert np.isclose(length, golden.number(c, "armijo_mu"), rtol=1e-13)


def test_strong_wolfe(golden):
    fun, same = function(golden.number("opt", "a")), 0
    search = StrongWolfe(decrease=1e-4, curvature=0.9, max_trials=20, max_step=5.0)
    for c in cases(golden):
        problem, s = Problem(fun, golden(c, "x").ravel()), golden(c, "s").ravel()
        start = problem.at(problem.x0)
        point, step = search(problem, start, s, golden.number(c, "mu"))
        slope = start.gradient @ s
        assert point.value <= start.value + 1e-4 * step * slope
        assert abs(point.gradient @ s) <= 0.9 * abs(slope) or step == 5.0
        np.testing.assert_allclose(point.x, start.x + step * s)
        if (
            problem.evaluations == 2
            and golden.number(c, "wolfe_funEvals") == 1
            and np.isclose(step, golden.number(c, "wolfe_mu"))
        ):
            golden.compare(point.x[:, None], golden(c, "wolfe_xt"))
            same += 1
    # how many of the cases need no zoom depends on the set
    print(f"{same} of {len(cases(golden))} points are the original's")
