"""Solutions of the lesson "Stencils as differential operators", and mistakes that its checks see."""

import numpy as np

from meganet.stencils import derivative_stencils, derivatives


def one_sided(h):
    # (u(h) - u(0)) / h = u'(0) + h/2 u''(0) + ...; no mean, as it sums to zero
    return np.array([0.0, 1.0, h / 2])


def one_sided_mistake(h):
    return np.array([0.0, 1.0, 0.5])


def directional(phi):
    in_rows, in_columns = derivative_stencils(2)[[derivatives(2).index(d) for d in ((1, 0), (0, 1))]]
    return np.cos(phi) * in_rows + np.sin(phi) * in_columns


def directional_mistake(phi):
    in_rows, in_columns = derivative_stencils(2)[[derivatives(2).index(d) for d in ((1, 0), (0, 1))]]
    return np.sin(phi) * in_rows + np.cos(phi) * in_columns
