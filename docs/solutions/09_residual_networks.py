"""Solutions of the lesson "Residual networks as differential equations", and mistakes that its checks see."""

import numpy as np

from meganet.networks import Stage


def largest_step(A):
    # |1 + h lambda|^2 = 1 + 2 h Re(lambda) + h^2 |lambda|^2 <= 1
    eigenvalues = np.linalg.eigvals(A)
    return np.min(-2 * eigenvalues.real / abs(eigenvalues) ** 2)


def largest_step_mistake(A):
    return 2 / abs(np.linalg.eigvals(A)).max()


def backwards(F, G, h, y, z):
    # the last update is undone first
    z = z + h * G(y)
    return y - h * F(z), z


def backwards_mistake(F, G, h, y, z):
    y = y - h * F(z)
    return y, z + h * G(y)


def heun(h):
    return [Stage(0, 0, (1.0,), ((1.0, 0.0), (0.0, 1.0))), Stage(0, 1, (1.0, h), ((1.0, h / 2, h / 2),))]


def heun_mistake(h):
    return [Stage(0, 0, (1.0,), ((1.0, 0.0), (0.0, 1.0))), Stage(0, 1, (1.0, h / 2), ((1.0, h / 2, h / 2),))]
