"""tikhonovReg, l1Reg, l2Reg, blockReg."""

import numpy as np
import pytest
from layout import column_major

from meganet.linop import BlockDiagonal, Diagonal, Difference, Gradient, Identity, Matrix
from meganet.regularizers import BlockRegularizer, SmoothedL1, Tikhonov

EPS = (1e-3, 1e-2, 1e-4, 1e-1, 1e-5)
"""Of the smoothed modulus. The file does not hold it: the one that gives the stored value."""


@pytest.fixture
def build(golden):
    """A function from a case to its regulariser and the places of our weights in MATLAB's vector."""
    n1, steps, channels = (int(golden.number("opt", name)) for name in ("n1", "nt", "nch"))
    h, image = golden.number("opt", "h"), golden.integers("opt", "nImg")
    n = n1 * steps
    in_time, in_space = Difference((steps, n1), 0, h), Gradient((channels, *image))

    def second(case):
        return Diagonal(golden(case, "D").ravel().copy()) if golden.has(case, "D") else Identity((n,))

    def modulus(case, alpha, reference, part, value):
        quadratic = Tikhonov(second(case), alpha[1], reference)
        made = [SmoothedL1(in_time, alpha[0], eps, reference, "lagged") + quadratic for eps in EPS]
        return min(made, key=lambda one: abs(float(one.value(part)) - value))

    def squares(alpha, reference):
        return Tikhonov(in_time, alpha[0], reference) + Tikhonov(Identity((n,)), alpha[1], reference)

    def made(case):
        x, reference = golden(case, "x").ravel(), golden(case, "xref").ravel()
        reference = None if reference.size == 1 else reference.copy()
        places = np.arange(len(x))
        if case.startswith("tik_grad"):
            places = np.concatenate([column_major(channels, *image), np.arange(channels * image[0] * image[1], len(x))])
        # value, then the factors, or for blocks the values of the parts
        para = golden(case, "para").ravel().tolist()
        if case == "block":
            alphas = golden("opt", "alpha").ravel().tolist()
            first = len(x) - 2 * n
            last = modulus(case, alphas, None, x[first + n :].copy(), para[-1])
            return BlockRegularizer([Tikhonov(Identity((first,)), alphas[0]), squares(alphas, None), last]), places
        if case.startswith("l2"):
            return squares(para[1:], reference), places
        if case.startswith("l1"):
            return modulus(case, para[1:], reference, x.copy(), para[0]), places
        alpha = para[1]
        operators = {
            "tik_sparse": lambda: Matrix(golden(case, "B")),
            "tik_grad": lambda: in_space,
            "tik_grad_bias": lambda: BlockDiagonal([in_space, Identity((len(x) - in_space.shape[1],))]),
            "tik_tder": lambda: in_time,
            "tik_diag": lambda: second(case),
        }
        return Tikhonov(operators.get(case, lambda: Identity((len(x),)))(), alpha, reference), places

    return made


def test_values_and_derivatives(golden, build):
    cases = golden.cases("Sc", "dS", "d2S_v")
    assert cases
    for c in cases:
        regularizer, places = build(c)
        x, v = (golden(c, name).ravel()[places] for name in ("x", "v"))
        value, gradient = regularizer.value_and_gradient(x)
        golden.compare(value.reshape(1, 1), golden(c, "Sc"))
        golden.compare(gradient, golden(c, "dS").ravel()[places])
        golden.compare(regularizer.hessian_product(x, v), golden(c, "d2S_v").ravel()[places])


def test_preconditioners(golden, build):
    cases = golden.cases("PCx")
    assert cases
    for c in cases:
        name = c.removesuffix("_PC")
        regularizer, places = build(name)
        operator = regularizer.operator
        x = golden(c, "x").ravel()[places].reshape(operator.domain_shape)
        golden.compare(operator.solve_normal(x).ravel(), golden(c, "PCx").ravel()[places], 1e-11)
