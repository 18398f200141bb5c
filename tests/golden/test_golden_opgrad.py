"""opGrad, opTimeDer, opDiag, opEye, opKron, opRemoveAvg, opCNNBias, opBlkdiag and their preconditioners."""

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
        rows = plane_rows(channels, height, width)
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
        x, z = golden(c, "x").T.reshape(-1, steps, n), golden(c, "z").T.reshape(-1, steps - 1, n)
        golden.compare((operator @ x.copy()).reshape(len(x), -1).T, golden(c, "Ax"))
        golden.compare((operator.T @ z.copy()).reshape(len(z), -1).T, golden(c, "ATz"))
        one = Difference((steps, n), 0, golden.number(c, "h"))
        golden.compare(one.eigenvalues(), golden(c, "lam").ravel())
        alpha_gamma = golden(c, "alpha_gamma").ravel().tolist()
        for name, numbers in (("PCmv", []), ("PCmv_ag", alpha_gamma)):
            ours = operator.solve_normal(x.copy(), *numbers).reshape(len(x), -1).T
            golden.compare(ours, golden(c, name), 1e-11)


def shapes(size):
    """Yield the (channels, height, width) of images with fewer than so many pixels."""
    for channels in range(1, size // 4 + 1):
        for height in range(2, size // (2 * channels) + 1):
            for width in range(2, (size - 1) // (channels * height) + 1):
                yield channels, height, width


def gradient_of_block(columns, rows, x, ax):
    """Return the gradient in front of an identity, with so many columns and rows together, as its product says."""
    for channels, height, width in shapes(columns):
        rest, plane = columns - channels * height * width, (height - 1) * width + height * (width - 1)
        if channels * plane + rest != rows:
            continue
        image = x[: height * width, 0].reshape(height, width, order="F")
        parts = np.split(ax[:plane, 0], [(height - 1) * width])
        h = []
        for axis, stored in enumerate(parts):
            ours = np.diff(image, axis=axis).ravel(order="F")
            h.append(float(ours @ ours / (ours @ stored)))
            if not np.allclose(ours, h[-1] * stored):
                break
        else:
            return Gradient((channels, height, width), tuple(h))
    raise AssertionError("no sizes fit")


def plane_rows(channels, height, width):
    """Return the places in MATLAB's order of our differences: for each channel those down, then those across."""
    plane = [column_major(height - 1, width), (height - 1) * width + column_major(height, width - 1)]
    plane = np.concatenate(plane)
    return np.concatenate([k * len(plane) + plane for k in range(channels)])


def factors(d, x, solved):
    """Return alpha and gamma of ``(alpha d^2 + gamma) solved = x``."""
    return np.linalg.lstsq(np.column_stack([d * d * solved, solved]), x, rcond=None)[0].tolist()


def test_block_diagonal(golden):
    d = golden("ops", "blk_d").ravel()
    x, z = golden("ops", "blk_x"), golden("ops", "blk_z")
    gradient = gradient_of_block(len(x) - len(d), len(z) - len(d), x, golden("ops", "blk_Ax"))
    pixels = gradient.shape[1]
    identity = len(x) - len(d) - pixels
    operator = BlockDiagonal([gradient, Identity((identity,)), Diagonal(d.copy())])
    columns = np.concatenate([column_major(*gradient.domain_shape), np.arange(pixels, len(x))])
    rows = np.concatenate([plane_rows(*gradient.domain_shape), np.arange(gradient.shape[0], len(z))])
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
