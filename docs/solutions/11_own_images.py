"""Solutions of the lesson "Your own images, from a MATLAB file", and mistakes that its checks see."""

import numpy as np

import meganet as mn


def from_matlab_images(Y):
    # the axis of the channels is missing where there is one only
    whole = Y if Y.ndim == 4 else Y[:, :, None]
    return mn.datasets.scale_images(whole.transpose(3, 2, 0, 1), "unit")


def from_matlab_images_mistake(Y):
    whole = Y if Y.ndim == 4 else Y[:, :, None]
    rows, columns, channels, examples = whole.shape
    return mn.datasets.scale_images(whole.reshape(examples, channels, rows, columns), "unit")


def split_by_class(labels, share, rng):
    training = []
    for name in np.unique(labels):
        members = rng.permutation(np.flatnonzero(labels == name))
        training.append(members[: round(share * len(members))])
    training = np.concatenate(training)
    return training, np.setdiff1d(np.arange(len(labels)), training)


def split_by_class_mistake(labels, share, rng):
    count = round(share * len(labels))
    return mn.datasets.split(len(labels), [count, len(labels) - count], rng)


def kernel_of(column, shape):
    out, into, rows, columns = shape
    return column.reshape((rows, columns, into, out), order="F").transpose(3, 2, 0, 1)


def kernel_of_mistake(column, shape):
    return column.reshape(shape)
