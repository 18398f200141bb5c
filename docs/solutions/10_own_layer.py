"""Solutions of the lesson "Your own layer", and mistakes that its checks see."""

import numpy as np


def wave(z):
    e = np.exp(-z * z / 2)
    return z * e, (1 - z * z) * e, z * (z * z - 3) * e


def wave_mistake(z):
    e = np.exp(-z * z / 2)
    return z * e, (1 - z * z) * e, -2 * z * e


def summed_adjoint(y):
    # entry j of x is in all sums from j on
    return np.cumsum(y[..., ::-1], axis=-1)[..., ::-1]


def summed_adjoint_mistake(y):
    # the inverse, not the adjoint
    return np.diff(y, axis=-1, prepend=0)


def parabola_vjp(a, b, x, dy):
    axes = (-4, -2, -1)
    return (x * dy).sum(axis=axes), (x * x * dy).sum(axis=axes), (a + 2 * b * x) * dy


def parabola_vjp_mistake(a, b, x, dy):
    axes = (-4, -2, -1)
    return (x * dy).sum(axis=axes), (x * x * dy).sum(axis=axes), (a + b * x) * dy
