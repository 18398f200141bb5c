"""Solutions of the lesson "Signals: convolution in one dimension", and mistakes that its checks see."""

import numpy as np


def response(theta, omega):
    # (K u)_j = theta_0 u_(j-1) + theta_1 u_j + theta_2 u_(j+1), and u_(j+k) = exp(i omega k) u_j
    return np.sum(theta * np.exp(1j * omega * np.array([-1, 0, 1])))


def response_mistake(theta, omega):
    # a convolution with a flip, which this one is not
    return np.sum(theta * np.exp(-1j * omega * np.array([-1, 0, 1])))


def coarse_stencil(theta):
    # of a pair, the first number has the neighbour before in another pair, the second one the neighbour after
    before, own, after = theta
    return np.array([before / 2, before / 2 + own + after / 2, after / 2])


def coarse_stencil_mistake(theta):
    before, own, after = theta
    return np.array([before / 2, own, after / 2])
