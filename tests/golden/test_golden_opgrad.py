"""opGrad, opTimeDer and the block diagonal operator; not built: preconditioners, Kronecker, bias, removeAvg."""

import numpy as np
import pytest
from layout import column_major

from meganet.linop import BlockDiagonal, Diagonal, Difference, Gradient, Identity


def test_gradient(golden):
    cases = golden.cases("n", "nch", "mat")
    assert cases
    for c in cases:
        (height, width), channels = golden.integers(c, "n"), int(golden.number(c, "nch"))
        h, beta = golden(c, "h").ravel().tolist(), golden.number(c, "beta")
        operator = beta * Gradient((channels, height, width), tuple(h))
        columns = column_major(channels, height, width)
        # rows: for each channel the differences down, then across, each in MATLAB's order
        plane = [column_major(height - 1, width), (height - 1) * width + column_major(height, width - 1)]
        plane = np.concatenate(plane)
        rows = np.concatenate([k * len(plane) + plane for k in range(channels)])
        golden.compare(operator.tosparse().toarray(), golden(c, "mat")[rows][:, columns])
        x, z = golden(c, "x")[columns].T, golden(c, "z")[rows].T
        ax = (operator @ x.reshape(-1, channels, height, width)).reshape(len(x), -1)
        golden.compare(ax, golden(c, "Ax")[rows].T)
        atz = (operator.T @ z.reshape(len(z), channels, -1)).reshape(len(z), -1)
        golden.compare(atz, golden(c, "ATz")[columns].T)
        one = Gradient((height, width), tuple(h)).tosparse().toarray()
        theirs = np.sort(golden(c, "lam").ravel())
        golden.compare(np.linalg.eigvalsh(one.T @ one), theirs)


def test_difference_in_time(golden):
    cases = golden.cases("n1", "nt", "mat")
    assert cases
    for c in cases:
        n, steps = int(golden.number(c, "n1")), int(golden.number(c, "nt"))
        operator = golden.number(c, "beta") * Difference((steps, n), 0, golden.number(c, "h"))
        golden.compare(operator.tosparse().toarray(), golden(c, "mat"))
        golden.compare((operator @ golden(c, "x").reshape(steps, n)).reshape(-1, 1), golden(c, "Ax"))
        golden.compare((operator.T @ golden(c, "z").reshape(steps - 1, n)).reshape(-1, 1), golden(c, "ATz"))


def test_block_diagonal(golden):
    d = golden("ops", "blk_d").ravel()
    x, z = golden("ops", "blk_x"), golden("ops", "blk_z")
    height, width, channels, identity = 4, 3, 2, 3
    if len(x) != height * width * channels + identity + len(d):
        pytest.skip("the sizes of the blocks are not stored, and these are others")
    blocks = [Gradient((channels, height, width)), Identity((identity,)), Diagonal(d.copy())]
    operator = BlockDiagonal(blocks)
    columns = np.concatenate([column_major(channels, height, width), np.arange(channels * height * width, len(x))])
    plane = np.concatenate([column_major(height - 1, width), (height - 1) * width + column_major(height, width - 1)])
    rows = np.concatenate([plane, len(plane) + plane, np.arange(2 * len(plane), len(z))])
    golden.compare(operator @ x[columns].T.copy(), golden("ops", "blk_Ax")[rows].T)
    golden.compare(operator.T @ z[rows].T.copy(), golden("ops", "blk_ATz")[columns].T)
