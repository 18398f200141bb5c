"""An objective for `scipy.optimize`."""

from __future__ import annotations

from typing import Any

import numpy as np

from meganet.ground import validate
from meganet.objective import Objective
from meganet.objective.hessian import KINDS


def scipy_arguments(objective: Objective, hessian: str = "gauss-newton") -> dict[str, Any]:
    """Return what `scipy.optimize.minimize` wants of an objective: ``fun``, ``jac=True`` and ``hessp``.

    SciPy works in float64 on the host; the objective may be in float32 and on a device, which every call then moves
    its vectors to and from.

    Parameters
    ----------
    objective : Objective
    hessian : {"gauss-newton", "exact"}
        Which products ``hessp`` gives; those at one point share its forward pass.

    Returns
    -------
    dict

    Notes
    -----
    Methods without Hessian, such as ``"L-BFGS-B"``, want ``hessp`` left out.

    Examples
    --------
    >>> import numpy as np
    >>> import scipy.optimize
    >>> import meganet as mn
    >>> from meganet.interop import scipy_arguments
    >>> network, classifier = mn.ConvolutionLayer((1, 4, 4), 2, activation="tanh"), mn.DenseLayer((2, 4, 4), 3)
    >>> rng = np.random.default_rng(0)
    >>> fun = mn.Objective(network, classifier, rng.standard_normal((6, 1, 4, 4)), np.arange(6) % 3)
    >>> x0 = np.concatenate([mn.he_normal(network, rng), mn.he_normal(classifier, rng)])
    >>> found = scipy.optimize.minimize(x0=x0, method="Newton-CG", options={"maxiter": 5}, **scipy_arguments(fun))
    >>> found.x.shape, bool(found.fun < fun(x0)[0])
    ((117,), True)
    """
    validate.choice("hessian", hessian, KINDS)
    validate.instance("objective", objective, Objective, "an Objective")
    backend, dtype = objective.backend, objective.dtype
    last: dict[str, Any] = {}

    def host(array: Any) -> np.ndarray[Any, Any]:
        return backend.to_host(array).astype(np.float64)

    def fun(x: np.ndarray[Any, Any]) -> tuple[float, np.ndarray[Any, Any]]:
        value, gradient = objective(backend.asarray(x, dtype))
        return float(backend.to_host(value)), host(gradient)

    def hessp(x: np.ndarray[Any, Any], v: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        if "x" not in last or not np.array_equal(last["x"], x):
            last.update(x=x.copy(), matrix=objective.hessian(backend.asarray(x, dtype), hessian))
        return host(last["matrix"] @ backend.asarray(v, dtype))

    return {"fun": fun, "jac": True, "hessp": hessp}
