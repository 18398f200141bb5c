"""Solutions of the lesson "Second-order methods: CG-Steihaug step by step", and mistakes that its checks see."""

import numpy as np


def cauchy_point(H, g, radius):
    longest, curvature = radius / np.linalg.norm(g), g @ H @ g
    # along -g the model falls up to t = g'g / g'Hg, or without end
    return -g * (min(g @ g / curvature, longest) if curvature > 0 else longest)


def cauchy_point_mistake(H, g, radius):
    return -g * min(g @ g / (g @ H @ g + 1e-30), radius / np.linalg.norm(g))


def gauss_newton(layer, theta, examples, v):
    _, tape = layer.forward(theta, examples)
    return layer.vjp(layer.jvp(v, np.zeros_like(examples), tape), tape)[0]


def gauss_newton_mistake(layer, theta, examples, v):
    _, tape = layer.forward(theta, examples)
    return layer.vjp(layer.jvp(v, examples, tape), tape)[0]
