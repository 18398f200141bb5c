"""opGrad, opTimeDer, opDiag, opEye, opKron, opRemoveAvg, opCNNBias, opBlkdiag and their preconditioners."""

from itertools import product

import numpy as np
from layout import column_major, images

from meganet.linop import (
    BlockDiagonal,
    Broadcast,
    Diagonal,
    Difference,
    Gradient,
    Identity,
    Kronecker,
    Matrix,
    RemoveMean,
)


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
        tensor, factors = (channels, height, width), golden(c, "alpha_gamma").ravel().tolist()
        y = golden(c, "y").ravel()[columns].reshape(tensor)
        golden.compare(operator.solve_normal(y).ravel(), golden(c, "PCmv").ravel()[columns], 1e-11)
        solved = operator.solve_normal(y, *factors)
        golden.compare(solved.ravel(), golden(c, "PCmv_ag").ravel()[columns], 1e-11)


def test_difference_in_time(golden):
    cases = golden.cases("n1", "nt", "mat")
    assert cases
    for c in cases:
        n, steps = int(golden.number(c, "n1")), int(golden.number(c, "nt"))
        operator = golden.number(c, "beta") * Difference((steps, n), 0, golden.number(c, "h"))
        golden.compare(operator.tosparse().toarray(), golden(c, "mat"))
        golden.compare((operator @ golden(c, "x").reshape(steps, n)).reshape(-1, 1), golden(c, "Ax"))
        golden.compare((operator.T @ golden(c, "z").reshape(steps - 1, n)).reshape(-1, 1), golden(c, "ATz"))
        one = Difference((steps, n), 0, golden.number(c, "h"))
        golden.compare(one.eigenvalues(), golden(c, "lam").ravel())
        x, factors = golden(c, "x").reshape(steps, n), golden(c, "alpha_gamma").ravel().tolist()
        golden.compare(operator.solve_normal(x).reshape(-1, 1), golden(c, "PCmv"), 1e-11)
        golden.compare(operator.solve_normal(x, *factors).reshape(-1, 1), golden(c, "PCmv_ag"), 1e-11)


def block_sizes(columns, rows, x, ax):
    """Return the sizes of a gradient and an identity with so many columns and rows, as the products say."""
    for height, width, channels in product(range(2, 12), range(2, 12), range(1, 6)):
        identity = columns - height * width * channels
        differences = channels * ((height - 1) * width + height * (width - 1))
        if identity < 1 or differences + identity != rows:
            continue
        down = np.diff(x[: height * width, 0].reshape(height, width, order="F"), axis=0).ravel(order="F")
        if np.allclose(ax[: down.size, 0], down):
            return height, width, channels, identity
    raise AssertionError("no sizes fit")


def factors(d, x, solved):
    """Return alpha and gamma of ``(alpha d^2 + gamma) solved = x``."""
    return np.linalg.lstsq(np.column_stack([d * d * solved, solved]), x, rcond=None)[0].tolist()


def test_block_diagonal(golden):
    d = golden("ops", "blk_d").ravel()
    x, z = golden("ops", "blk_x"), golden("ops", "blk_z")
    height, width, channels, identity = block_sizes(len(x) - len(d), len(z) - len(d), x, golden("ops", "blk_Ax"))
    blocks = [Gradient((channels, height, width)), Identity((identity,)), Diagonal(d.copy())]
    operator = BlockDiagonal(blocks)
    columns = np.concatenate([column_major(channels, height, width), np.arange(channels * height * width, len(x))])
    plane = np.concatenate([column_major(height - 1, width), (height - 1) * width + column_major(height, width - 1)])
    rows = np.concatenate([plane, len(plane) + plane, np.arange(2 * len(plane), len(z))])
    golden.compare(operator @ x[columns].T.copy(), golden("ops", "blk_Ax")[rows].T)
    golden.compare(operator.T @ z[rows].T.copy(), golden("ops", "blk_ATz")[columns].T)
    theirs = golden("ops", "blk_PCmv").ravel()[columns]
    # the factors are not stored: on the identity and the diagonal x = (alpha d^2 + gamma) PC x
    weights = np.concatenate([np.ones(identity), d])
    alpha, gamma = factors(weights, x[-len(weights) :, 0], theirs[-len(weights) :])
    golden.compare(operator.solve_normal(x[columns, 0].copy(), alpha, gamma), theirs, 1e-10)


def test_diagonal_and_identity(golden):
    d, x = golden("ops", "d").ravel(), golden("ops", "x").ravel()
    alpha, gamma = factors(d, x, golden("ops", "diag_PCmv").ravel())
    for name, operator in (("diag", Diagonal(d.copy())), ("eye", Identity(x.shape))):
        golden.compare(operator.solve_normal(x, alpha, gamma), golden("ops", f"{name}_PCmv").ravel(), 1e-10)
    golden.compare(Diagonal(d.copy()) @ x, golden("ops", "diag_x").ravel())


def test_kronecker(golden):
    a, b = Matrix(golden("ops", "kA")), Matrix(golden("ops", "kB"))
    operator = Kronecker(a, b)
    for n in [key.removeprefix("ops__k_x") for key in golden.arrays if key.startswith("ops__k_x")]:
        x, z = golden("ops", f"k_x{n}").T.copy(), golden("ops", f"k_z{n}").T.copy()
        ours = operator @ x.reshape(-1, *operator.domain_shape)
        golden.compare(ours.reshape(len(x), -1).T, golden("ops", f"kron_x{n}"))
        ours = operator.T @ z.reshape(-1, *operator.range_shape)
        golden.compare(ours.reshape(len(z), -1).T, golden("ops", f"kronT_z{n}"))


def test_means_removed_and_bias(golden):
    k1, k2, *channels = golden.integers("ops", "sK")
    stencils = golden("ops", "w").reshape(k1, k2, *channels, order="F")
    ours = RemoveMean(stencils.shape, (0, 1)) @ stencils
    golden.compare(ours.ravel(order="F"), golden("ops", "removeAvg").ravel())
    height, width, channels = golden.integers("ops", "bias_nImg")
    operator = Broadcast((channels, height, width))
    b, z = golden("ops", "bias_b").ravel(), images(golden("ops", "bias_Z"))
    golden.compare((operator @ b)[:, 0, 0], golden("ops", "bias_apply").ravel())
    golden.compare((operator.T @ z).T, golden("ops", "bias_adjoint"))
    one = Broadcast((1, *golden("ops", "bias1_Z").shape[:2]))
    # the original's adjoint has the wrong shape for one channel, its numbers are right
    golden.compare((one.T @ images(golden("ops", "bias1_Z"))).ravel(), golden("ops", "bias1_adjoint").ravel())
