"""getConvMat, getConvMatPeriodic, getConvCoupleMat, getConvTransposed, getSparseConvGenMat."""

import numpy as np
from layout import column_major

from meganet.layers import AffineLayer
from meganet.linop import (
    CirculantConvolution,
    Matrix,
    Sparse,
    zero_padded_convolution,
)
from meganet.linop._engines.base import adjoint_kernel
from meganet.networks import Reparametrised


def test_periodic_matrices(golden):
    cases = [c for c in golden.cases("K", "A_periodic") if golden(c, "K").ndim == 2]
    assert cases
    for c in cases:
        image = golden.integers(c, "n")[:2]
        # theirs is the convolution, ours the cross-correlation with the flipped stencil
        operator = CirculantConvolution(golden(c, "K")[None, None, ::-1, ::-1].copy(), image)
        order = column_major(*image)
        golden.compare(operator.tosparse().toarray(), golden(c, "A_periodic")[order][:, order])
        golden.compare((operator @ golden(c, "y")[None])[0], golden(c, "A_periodic_y"))


def test_transposed_kernel(golden):
    kernel = golden("couple", "K").reshape(golden.shape("couple", "K", 4)).transpose(3, 2, 0, 1)
    golden.compare(
        adjoint_kernel(kernel),
        golden("transposed", "KT").reshape(golden.shape("transposed", "KT", 4)).transpose(3, 2, 0, 1),
    )


def zero_padded(kernel, image):
    """Return the matrix of a convolution with zero boundary."""
    rows, columns, shape, basis = zero_padded_convolution(kernel.shape, image)
    return Sparse(basis @ kernel.ravel(), rows, columns, shape)


def test_zero_boundary(golden):
    """Two-dimensional images; the original's three-dimensional ones have no counterpart."""
    cases = [c for c in golden.cases("K", "A_zero") if golden(c, "K").ndim == 2]
    assert cases
    for c in cases:
        image = golden.integers(c, "n")[:2]
        operator = zero_padded(golden(c, "K")[None, None], image)
        order = column_major(*image)
        golden.compare(operator.tosparse().toarray(), golden(c, "A_zero")[order][:, order])
        golden.compare((operator @ golden(c, "y").ravel()).reshape(image), golden(c, "A_zero_y"))


def test_channels_with_zero_boundary(golden):
    kernel, image = (
        golden("couple", "K").reshape(golden.shape("couple", "K", 4)).transpose(3, 2, 0, 1),
        golden.integers("couple", "n"),
    )
    operator = zero_padded(kernel, image)
    rows, columns = column_major(len(kernel), *image), column_major(kernel.shape[1], *image)
    golden.compare(operator.tosparse().toarray(), golden("couple", "A")[rows][:, columns])
    y = golden("couple", "y").reshape(golden.shape("couple", "y", 3)).transpose(2, 0, 1).ravel()
    ours = (operator @ y).reshape(-1, *image).transpose(1, 2, 0)
    golden.compare(ours, golden("couple", "Ay").reshape(golden.shape("couple", "Ay", 3)))


def test_pattern_with_a_basis(golden, rng):
    """The original's pattern and basis in a layer K(Q theta): a transposed convolution with zero boundary."""
    cases = golden.cases("ival", "jval", "Qs_i")
    assert cases
    for c in cases:
        q, size, image = golden.sparse(c, "Qs"), golden.integers(c, "sK"), golden.integers(c, "n")
        k1, k2, ins, outs = size if len(size) == 4 else (*size, size[2]) if len(size) == 3 else (1, 1, *size)
        theta = rng.standard_normal(q.shape[1])
        rows, columns = (np.array(golden.integers(c, name)) - 1 for name in ("ival", "jval"))
        shape = (outs * image[0] * image[1], ins * image[0] * image[1])
        kernel = Sparse(np.zeros(len(rows)), rows, columns, shape)
        layer = Reparametrised(AffineLayer(kernel), Matrix(q))
        if len(size) == 3:  # one stencil for each channel
            stencils = np.zeros((k1, k2, ins, outs))
            stencils[:, :, range(ins), range(ins)] = theta.reshape(size, order="F")
        else:
            stencils = theta.reshape((k1, k2, ins, outs), order="F")
        # their matrix correlates with the flipped stencils
        expected = zero_padded(stencils.transpose(3, 2, 0, 1)[:, :, ::-1, ::-1].copy(), image).tosparse().toarray()
        ours = kernel.with_kernel(layer.weights(theta)).tosparse().toarray()
        order = column_major(outs, *image), column_major(ins, *image)
        golden.compare(ours[order[0]][:, order[1]], expected)
