"""Solutions of the lesson "Signals: convolution in one dimension", and mistakes that its checks see."""

import numpy as np


def response(theta, omega):
    # (K u)_j = theta_0 u_(j-1) + theta_1 u_j + theta_2 u_(j+1), and u_(j+k) = exp(i omega k) u_j
    return np.sum(theta * np.exp(1j * omega * np.array([-1, 0, 1])))


def response_mistake(theta, omega):
    # a convolution with a flip, which this one is not
    return np.sum(theta * np.exp(-1j * omega * np.array([-1, 0, 1])))


def noise_gain(theta):
    # the variance of a sum of independent numbers is the sum of their variances, theta_k squared
    return np.linalg.norm(theta)


def noise_gain_mistake(theta):
    return np.sum(np.abs(theta))
