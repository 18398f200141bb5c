"""Checks of operators, derivatives and layers, for users and for our own tests.

Each check raises `CheckError` with everything it measured, and returns what it measured otherwise. What it accepts
follows from round-off, measured where the mistake would be: right ones pass at any size and scale, and a relative error
of 1e-6 in a derivative or of some ten units of round-off in an adjoint is seen. Use float64.
"""

from meganet.checks.adjoint import CheckError, check_adjoint
from meganet.checks.derivative import TaylorTable, check_derivative
from meganet.checks.exercise import try_exercise
from meganet.checks.layer import check_layer

__all__ = ["CheckError", "TaylorTable", "check_adjoint", "check_derivative", "check_layer", "try_exercise"]
