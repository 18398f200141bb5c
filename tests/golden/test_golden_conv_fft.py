"""convFFT: products, adjoint, weight gradients, explicit matrix, eigenvalues."""

import numpy as np
from layout import column_major, images, kernel, kernel_vector

from meganet.linop import CirculantConvolution


def test_products(golden):
    cases = golden.cases("theta", "Y", "Amv")
    assert cases
    for c in cases:
        shape, image = golden.integers(c, "sK"), golden.integers(c, "nImg")
        basis = golden(c, "Q") if golden.has(c, "Q") else np.eye(int(np.prod(shape)))
        operator = CirculantConvolution(kernel(basis @ golden(c, "theta"), shape), image)
        y, w = images(golden(c, "Y")), images(golden(c, "W"))
        golden.compare(operator @ y, images(golden(c, "Amv")))
        golden.compare(operator.T @ w, images(golden(c, "ATmv")))
        direction = operator.with_kernel(kernel(basis @ golden(c, "dtheta"), shape))
        golden.compare(direction @ y, images(golden(c, "Jthetamv")))
        if golden.has(c, "JthetaTmv"):
            golden.compare(basis.T @ kernel_vector(operator.kernel_adjoint(y, w)), golden(c, "JthetaTmv"))
            each = [basis.T @ kernel_vector(operator.kernel_adjoint(y[n : n + 1], w[n : n + 1])) for n in range(len(y))]
            golden.compare(np.hstack(each), golden(c, "JthetaTmv_ex"))


def test_explicit_matrix(golden):
    cases = golden.cases("getMat", "theta")
    assert cases
    for c in cases:
        shape, image = golden.integers(c, "sK"), golden.integers(c, "nImg")
        operator = CirculantConvolution(kernel(golden(c, "theta"), shape), image)
        rows, columns = column_major(shape[3], *image), column_major(shape[2], *image)
        golden.compare(operator.tosparse().toarray(), golden(c, "getMat")[np.ix_(rows, columns)])


def test_eigenvalues_of_the_unit_stencils(golden):
    cases = golden.cases("eigs")
    assert cases
    for c in cases:
        (k1, k2), image = golden.integers(c, "sK")[:2], golden.integers(c, "nImg")
        for number, column in enumerate(golden(c, "eigs").T):
            unit = np.zeros(k1 * k2)
            unit[number] = 1
            operator = CirculantConvolution(unit.reshape(1, 1, k1, k2, order="F").copy(), image)
            # theirs multiplies the inverse transform, so it is the complex conjugate
            golden.compare(operator.symbol()[0, 0].conj(), column.reshape(image, order="F"))
