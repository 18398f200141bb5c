"""avgRestrictionGalerkin, cellCenteredInt and the Galerkin products."""

import numpy as np
import pytest
from layout import column_major
from test_golden_conv_matrices import zero_padded

from meganet.ground.validate import InputError
from meganet.linop import CirculantConvolution
from meganet.multigrid import (
    galerkin_matrix,
    prolongate_kernels,
    prolongation,
    restrict_kernels,
    restriction,
)

INTERPOLATION = {"avg": "constant", "cci": "linear"}


def test_restriction_and_prolongation(golden):
    cases = golden.cases("R_i", "P_i")
    assert cases
    for c in cases:
        kind, size = c.split("_")
        fine = tuple(int(n) for n in size.split("x"))
        if fine[0] % 2 or fine[1] % 2:
            with pytest.raises(InputError, match="expected even sizes"):
                restriction(fine)
            continue
        rows, columns = column_major(fine[0] // 2, fine[1] // 2), column_major(*fine)
        golden.compare(restriction(fine).toarray(), golden.sparse(c, "R")[rows][:, columns])
        theirs = golden.sparse(c, "P")[columns][:, rows]
        golden.compare(prolongation(fine, INTERPOLATION[kind]).toarray(), theirs)


def test_galerkin_products_and_maps(golden):
    stencil, fine = golden("gal", "K"), tuple(golden.integers("gal", "n"))
    coarse_order = column_major(fine[0] // 2, fine[1] // 2)
    k1, k2 = stencil.shape
    order = column_major(k1, k2)
    for kind, interpolation in INTERPOLATION.items():
        # getConvMatPeriodic is the convolution: our stencil is the flipped one
        flipped = stencil[None, None, ::-1, ::-1].copy()
        matrix = CirculantConvolution(flipped, fine).tosparse()
        product = restriction(fine) @ matrix @ prolongation(fine, interpolation)
        golden.compare(product.toarray(), golden(f"gal_{kind}_periodic", "RAP")[coarse_order][:, coarse_order])
        # and getConvMat the cross-correlation, with zeros around the image
        padded = zero_padded(stencil[None, None], fine).tosparse()
        product = restriction(fine) @ padded @ prolongation(fine, interpolation)
        golden.compare(product.toarray(), golden(f"gal_{kind}_zero", "RAP")[coarse_order][:, coarse_order])
        coarse = restrict_kernels(flipped, interpolation)[0, 0, ::-1, ::-1]
        golden.compare(coarse, golden(f"gal_{kind}", "KH"))
        golden.compare(galerkin_matrix((k1, k2), interpolation), golden(f"gal_{kind}", "T")[order][:, order])


def test_1x1_stencils(golden):
    cases = golden.cases("theta", "coarse", "fine")
    assert cases
    for c in cases:
        theta = golden(c, "theta")
        kernels = theta.reshape(-1, 1, 1, 1).copy()
        golden.compare(restrict_kernels(kernels, "constant").reshape(theta.shape), golden(c, "coarse"))
        golden.compare(prolongate_kernels(kernels, "constant").reshape(theta.shape), golden(c, "fine"))
        assert np.array_equal(golden(c, "coarse"), theta)
