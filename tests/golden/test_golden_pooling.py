"""getAveragePooling and opPool."""

import numpy as np
from layout import column_major, images

from meganet.linop import AveragePooling


def test_matrices(golden):
    cases = golden.cases("P_i", "np")
    assert cases
    for c in cases:
        height, width, channels = golden.integers(c, "nImg")
        factor = 2 ** int(golden.number(c, "np"))
        operator = AveragePooling((channels, height, width), factor)
        rows, columns = column_major(*operator.range_shape), column_major(*operator.domain_shape)
        golden.compare(operator.tosparse().toarray(), golden.sparse(c, "P")[rows][:, columns])


def test_products(golden):
    cases = golden.cases("Y", "apply")
    assert cases
    for c in cases:
        height, width, channels = golden.integers(c, "nImg")
        operator = AveragePooling((channels, height, width), int(golden.number(c, "pool")))
        assert operator.range_shape == tuple(np.roll(golden.integers(c, "m"), 1))
        golden.compare(operator @ images(golden(c, "Y")), images(golden(c, "apply")))
        if golden.has(c, "adjoint"):
            golden.compare(operator.T @ images(golden(c, "W")), images(golden(c, "adjoint")))
