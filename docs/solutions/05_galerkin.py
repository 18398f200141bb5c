"""Solutions of the lesson "The Galerkin condition for stencils", and mistakes that its checks see."""

import numpy as np

from meganet.linop import CirculantConvolution


def on_a_line(R, P):
    coarse, fine = R.shape
    columns = []
    for unit in np.eye(3):
        product = R @ CirculantConvolution(unit.reshape(1, 1, 1, 3), (1, fine)).tosparse() @ P
        middle = coarse // 2
        columns.append(product.toarray()[middle, middle - 1 : middle + 2])
    return np.column_stack(columns)


def on_a_line_mistake(R, P):
    # the first cell lies at the edge
    columns = []
    for unit in np.eye(3):
        product = R @ CirculantConvolution(unit.reshape(1, 1, 1, 3), (1, R.shape[1])).tosparse() @ P
        columns.append(np.roll(product.toarray()[0], 1)[:3])
    return np.column_stack(columns)


def exact(s):
    # cells two apart lie in neighbouring coarse cells, for even and odd cells alike
    return np.array([s[0], 0, s[1], 0, s[2]])


def exact_mistake(s):
    # five points by interpolation of the three, with the same sum
    between = np.interp(np.linspace(0, 2, 5), np.arange(3), s)
    return between * s.sum() / between.sum()


def damped(A, s, delta):
    # half the gradient: A'(A t - s) + delta (t - s) = 0
    unit = np.eye(len(s))
    return np.linalg.solve(A.T @ A + delta * unit, A.T @ s + delta * s)


def damped_mistake(A, s, delta):
    # this penalises t, not its distance from s
    return np.linalg.solve(A.T @ A + delta * np.eye(len(s)), A.T @ s)
