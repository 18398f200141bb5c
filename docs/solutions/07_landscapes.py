"""Solutions of the lesson "Loss landscapes", and mistakes that its checks see."""

import numpy as np


def normalised(direction, kernel):
    axes = (1, 2, 3)
    lengths = [np.linalg.norm(k.reshape(len(k), -1), axis=1) for k in (kernel, direction)]
    return direction * np.expand_dims(lengths[0] / lengths[1], axes)


def normalised_mistake(direction, kernel):
    # the whole layer has the right norm, its filters have not
    return direction * np.linalg.norm(kernel) / np.linalg.norm(direction)


def permuted(first, second, order):
    # outputs of the first layer are inputs of the second
    return first[order], second[:, order]


def permuted_mistake(first, second, order):
    return first[order], second[order]


def hill(losses):
    straight = np.linspace(losses[0], losses[-1], len(losses))
    return np.max(losses - straight)


def hill_mistake(losses):
    # right only where both ends have the same loss
    return np.max(losses) - losses[0]
