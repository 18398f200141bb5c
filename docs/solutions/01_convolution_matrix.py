"""Solutions of the lesson "Convolution as a matrix, and its adjoint", and mistakes that its checks see."""

import numpy as np


def adjoint_kernel(kernel):
    # exchange the channels, turn every stencil by 180 degrees
    return kernel.swapaxes(0, 1)[:, :, ::-1, ::-1].copy()


def adjoint_kernel_mistake(kernel):
    return kernel.swapaxes(0, 1).copy()


def solve(K, y):
    # K multiplies the coefficient of each mode by an eigenvalue
    return np.fft.ifft2(np.fft.fft2(y) / K.symbol()[0]).real


def solve_mistake(K, y):
    return np.fft.ifft2(np.fft.fft2(y) / K.symbol()[0].conj()).real


def norm(K):
    # the Fourier modes are orthogonal, so each frequency is a block of its own: a matrix (O, I)
    matrices = np.moveaxis(K.symbol(), (0, 1), (-2, -1))
    return np.linalg.norm(matrices, 2, axis=(-2, -1)).max()


def norm_mistake(K):
    return abs(K.symbol()).max()
