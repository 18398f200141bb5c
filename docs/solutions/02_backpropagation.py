"""Solutions of the lesson "Backpropagation of one layer, by hand", and mistakes that its checks see."""

import numpy as np


def two_layers(first, second, theta_1, theta_2, x, g):
    y_1, tape_1 = first.forward(theta_1, x)
    _, tape_2 = second.forward(theta_2, y_1)
    in_theta_2, in_y_1 = second.vjp(g, tape_2)
    in_theta_1, in_x = first.vjp(in_y_1, tape_1)
    return in_theta_1, in_theta_2, in_x


def two_layers_mistake(first, second, theta_1, theta_2, x, g):
    # the first layer gets the gradient in the result of the second
    y_1, tape_1 = first.forward(theta_1, x)
    _, tape_2 = second.forward(theta_2, y_1)
    in_theta_2, _ = second.vjp(g, tape_2)
    in_theta_1, in_x = first.vjp(g, tape_1)
    return in_theta_1, in_theta_2, in_x


def swish(z):
    s = 1 / (1 + np.exp(-z))
    return z * s, s + z * s * (1 - s)


def swish_mistake(z):
    # the product rule is forgotten
    s = 1 / (1 + np.exp(-z))
    return z * s, s


def residual_adjoint(K, h, x, g):
    # J = I + h diag(slope) K
    slope = 1 - np.tanh(K @ x) ** 2
    return g + h * (K.T @ (slope * g))


def residual_adjoint_mistake(K, h, x, g):
    # the factors of a transposed product change their order
    slope = 1 - np.tanh(K @ x) ** 2
    return g + h * slope * (K.T @ g)
