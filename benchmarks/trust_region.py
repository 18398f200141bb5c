"""CG-Steihaug beside SciPy's trust-ncg and the original's variant: iterations, evaluations, products, final values.

pip install ".[bench]" && python benchmarks/trust_region.py
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import common
import numpy as np
import scipy.optimize

from meganet import DenseLayer, Objective, Tikhonov, he_normal
from meganet.datasets import peaks
from meganet.interop import scipy_arguments
from meganet.layers import LinearLayer
from meganet.linop import Dense, Identity
from meganet.networks import Chain, ResidualNetwork, SingleLayer
from meganet.optim import Control, meganet_newton, trust_region

COLUMNS = ["problem", "method", "iterations", "evaluations", "Hessian products", "final value", "final gradient"]
LIMIT = 300
TOLERANCE = 1e-6
"""Of the gradient, relative to that at the start."""


class Problem(NamedTuple):
    """A function with its Hessian, for us and for SciPy."""

    name: str
    fun: Callable[[Any], Any]
    hessian: Callable[[Any], Any]
    x0: Any
    scipy: dict[str, Any]


def standard(name: str, fun: Any, gradient: Any, hessian: Any, x0: Any) -> Problem:
    """Return a test function; `hessian` gives a matrix."""
    arguments = {"fun": lambda x: (fun(x), gradient(x)), "jac": True, "hessp": lambda x, v: hessian(x) @ v}
    return Problem(name, arguments["fun"], hessian, np.array(x0, dtype=float), arguments)


def beale(x: Any) -> tuple[float, Any, Any]:
    """Return Beale's function (1958) with gradient and Hessian, from its three residuals."""
    a, b = x
    value, gradient, hessian = 0.0, np.zeros(2), np.zeros((2, 2))
    for k, c in enumerate((1.5, 2.25, 2.625), 1):
        r = c - a + a * b**k
        slope = np.array([b**k - 1, k * a * b ** (k - 1)])
        cross = k * b ** (k - 1)
        second = np.array([[0, cross], [cross, k * (k - 1) * a * (b ** (k - 2) if k > 1 else 0)]])
        value, gradient = value + r * r, gradient + 2 * r * slope
        hessian += 2 * np.outer(slope, slope) + 2 * r * second
    return value, gradient, hessian


def classifier(network: Any, name: str) -> Problem:
    """Return softmax classification of the peaks data behind a network, exact Hessian."""
    rng = np.random.default_rng(0)
    data = peaks(500, 5, rng)
    last = DenseLayer(network.range_shape, 5)
    sizes = (network.parameters.size, last.parameters.size)
    penalties = [Tikhonov(Identity((n,)), 1e-3) if n else None for n in sizes]
    objective = Objective(
        network, last, data.features, data.targets, theta_regularizer=penalties[0], W_regularizer=penalties[1]
    )
    x0 = np.concatenate([he_normal(layer, rng) for layer in (network, last)])
    return Problem(name, objective, lambda x: objective.hessian(x, "exact"), x0, scipy_arguments(objective, "exact"))


def problems() -> list[Problem]:
    """Return test functions of the literature, and classifiers."""
    rosen, der, hess = scipy.optimize.rosen, scipy.optimize.rosen_der, scipy.optimize.rosen_hess
    layer = SingleLayer(Dense(np.zeros((8, 8))), bias_in=True)
    network = Chain([DenseLayer((2,), 8, activation="tanh"), ResidualNetwork(layer, 4, 0.5)])
    return [
        standard("Rosenbrock, n = 2", rosen, der, hess, [-1.2, 1.0]),
        standard("Rosenbrock, n = 10", rosen, der, hess, np.tile([-1.2, 1.0], 5)),
        standard("Rosenbrock, n = 100", rosen, der, hess, np.tile([-1.2, 1.0], 50)),
        standard("Beale", lambda x: beale(x)[0], lambda x: beale(x)[1], lambda x: beale(x)[2], [1.0, 1.0]),
        classifier(LinearLayer(Identity((2,))), "softmax, 15 weights"),
        classifier(network, "residual network, 357 weights"),
    ]


def scipy_run(problem: Problem) -> list[Any]:
    """Return SciPy's counts; its products are counted here, its tolerance is absolute."""
    products = 0
    hessp = problem.scipy["hessp"]

    def counted(x: Any, v: Any) -> Any:
        nonlocal products
        products += 1
        return hessp(x, v)

    gtol = TOLERANCE * float(np.linalg.norm(problem.scipy["fun"](problem.x0)[1]))
    result = scipy.optimize.minimize(
        x0=problem.x0,
        method="trust-ncg",
        options={"gtol": gtol, "maxiter": LIMIT},
        **{**problem.scipy, "hessp": counted},
    )
    return [result.nit, result.nfev, products, float(result.fun), float(np.linalg.norm(result.jac))]


def our_run(method: Callable[..., Any], problem: Problem) -> list[Any]:
    """Return the counts of one of our methods."""
    result = method(problem.fun, problem.x0, problem.hessian, control=Control(max_iterations=LIMIT, rtol=TOLERANCE))
    norm = float(np.linalg.norm(result.gradient))
    return [result.iterations, result.evaluations, result.products, result.value, norm]


def main() -> None:
    """Run every method on every problem and write the table."""
    options = common.options(__doc__.splitlines()[0], rounds=1)
    record: dict[str, Any] = {"machine": common.machine(options.threads), "limit": LIMIT, "runs": []}
    rows = []
    for problem in problems():
        runs = {
            "meganet `trust_region`": our_run(trust_region, problem),
            "SciPy `trust-ncg`": scipy_run(problem),
            "the original's Newton, `meganet_newton`": our_run(meganet_newton, problem),
        }
        for name, (iterations, evaluations, products, value, norm) in runs.items():
            record["runs"].append([problem.name, name, iterations, evaluations, products, value, norm])
            rows.append(
                [problem.name, name, str(iterations), str(evaluations), str(products), f"{value:.9g}", f"{norm:.1e}"]
            )
    common.write("trust_region", "Trust-region Newton methods", common.table(COLUMNS, rows), record, options.isa)


if __name__ == "__main__":
    common.run(main)
