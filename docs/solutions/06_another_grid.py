"""Solutions of the lesson "Carrying a network to another grid", and mistakes that its checks see."""

import numpy as np

from meganet.multigrid import galerkin_matrix, prolongate_images, restrict_images


def largest_growth(interpolation):
    # ||A^-1 s|| / ||s|| is largest for the left singular vector of the smallest singular value
    return 1 / np.linalg.svd(galerkin_matrix(3, interpolation), compute_uv=False).min()


def largest_growth_mistake(interpolation):
    # the condition number compares with the stencil that grows least
    return np.linalg.cond(galerkin_matrix(3, interpolation))


def unseen(images):
    # the mean of four copies is what was copied
    return images - prolongate_images(restrict_images(images), "constant")


def unseen_mistake(images):
    return images - prolongate_images(restrict_images(images), "linear")


def fine_classifier(W):
    # each of the four pixels gives a quarter of what the coarse one gave
    return np.repeat(np.repeat(W, 2, axis=-2), 2, axis=-1) / 4


def fine_classifier_mistake(W):
    return np.repeat(np.repeat(W, 2, axis=-2), 2, axis=-1)
