"""Interpolation in time, stencils, scaling, transforms, projections, operators, GMRES."""

import numpy as np
import scipy.fft
from layout import images

from meganet.datasets import scale_images
from meganet.linop import Dense, Difference, Identity, Matrix, RemoveMean
from meganet.optim import arnoldi, ball, bounds, gmres, prox_tikhonov
from meganet.stencils import derivative_stencils, derivatives

FACTORS = (1, 4 / 3, 4 / 3, 1, 1, -4, 1, 1, -1 / 2)
"""What the original's stencils are, times ours; its first derivatives of a linear function come out as 4/3."""
ORDER = ((0, 0), (0, 1), (1, 0), (0, 2), (2, 0), (1, 1), (2, 1), (1, 2), (2, 2))
"""Its order of derivatives in (rows, columns)."""


def test_linear_interpolation(golden):
    """inter1D extends beyond both ends by the first and last weights, as numpy.interp does."""
    for case in golden.cases("thi", "wi", "idi"):
        if not golden.has(case, "theta"):
            continue
        times, ti = golden(case, "ttheta").ravel(), golden(case, "ti").ravel()
        ours = np.array([np.interp(ti, times, row) for row in golden(case, "theta")])
        golden.compare(ours, golden(case, "thi"))
    nearest = golden("nnInter1D", "idi").ravel().astype(int) - 1
    golden.compare(golden("inter1D", "theta")[:, nearest], golden("nnInter1D", "thi"))


def test_stencils(golden):
    """Two-dimensional ones; K7 is three-dimensional, which this package is not."""
    cases = golden.cases("K9", "h")
    assert cases
    for c in cases:
        h = golden(c, "h").ravel().tolist()
        # its first coordinate runs along the columns
        stencils = dict(zip(derivatives(2), derivative_stencils(2, (h[-1], h[0])), strict=True))
        # but not in the two third derivatives, where the mesh widths are exchanged
        exchanged = dict(zip(derivatives(2), derivative_stencils(2, (h[0], h[-1])), strict=True))
        stencils |= {d: exchanged[d] for d in ((2, 1), (1, 2))}
        ours = np.stack([f * stencils[d] for f, d in zip(FACTORS, ORDER, strict=True)], axis=-1)
        golden.compare(ours, golden(c, "K9"))
        golden.compare(ours[..., : golden(c, "K6").shape[-1]], golden(c, "K6"))


def test_scaling_of_data(golden):
    y = images(golden("normalize", "Y"))
    golden.compare(scale_images(y, "standardize", np.float64), images(golden("normalize", "out")))


def test_sorting_and_confusion(golden):
    """One line of NumPy each, so they are not in the package."""
    y, c = golden("normalize", "Y"), golden("sort", "C")
    order = np.argsort(c.argmax(axis=0), kind="stable")
    golden.compare(c[:, order], golden("sort", "Cs"))
    golden.compare(y[..., order], golden("sort", "Ys"))
    table = np.zeros_like(golden("confusion", "out"))
    pairs = golden("confusion", "Cp").argmax(axis=0), golden("confusion", "Ctrue").argmax(axis=0)
    np.add.at(table, pairs, 1)
    golden.compare(table, golden("confusion", "out"))


def test_scaling_to_a_range(golden):
    """The original's ``scaleData`` does not map onto the given range; the formula is replayed, not offered."""
    y = golden("normalize", "Y")
    # of all examples together, to the range [-1, 1]
    golden.compare(2 * y / abs(y).max() - 1, golden("scale", "out_all"))
    low, high = golden("scale", "range").ravel()
    each = abs(y.reshape(*golden.shape("normalize", "Y", 4))).max(axis=(0, 1, 2)).reshape((1,) * (y.ndim - 1) + (-1,))
    golden.compare(abs(high - low) * y / each + min(low, high), golden("scale", "out_ex"))


def test_cosine_transforms(golden):
    """SciPy's, which the preconditioners use."""
    for c in golden.cases("A", "dctn"):
        a = golden(c, "A")
        golden.compare(scipy.fft.dctn(a, norm="ortho"), golden(c, "dctn"))
        if golden.has(c, "idctn"):
            golden.compare(scipy.fft.idctn(a, norm="ortho"), golden(c, "idctn"))
        if golden.has(c, "dctn_110"):
            golden.compare(scipy.fft.dctn(a, axes=(0, 1), norm="ortho"), golden(c, "dctn_110"))
            golden.compare(scipy.fft.idctn(a, axes=(1, 2), norm="ortho"), golden(c, "idctn_011"))
    n, h = int(golden.number("eigLap", "n")), golden.number("eigLap", "h")
    golden.compare(Difference((n,), 0, h).eigenvalues(), golden("eigLap", "out").ravel())


def test_projections(golden):
    x = golden("bound", "x")
    golden.compare(bounds(golden.number("bound", "lo"), golden.number("bound", "hi"))(x), golden("bound", "out"))
    sizes, steps = golden.integers("project", "sz"), int(golden.number("project", "nt"))
    width, rest = int(np.prod(sizes)), golden("project", "x").ravel()
    offset = int(golden.number("project", "offset"))
    stencil = int(np.prod(sizes[:2]))
    for name, skipped in (("out", 0), ("out_offset", offset), ("out_norm", 0)):
        if not golden.has("project", name):
            continue
        expected = golden("project", name).ravel()
        blocks = len(rest) // steps
        ours = rest.reshape(steps, blocks).copy()
        part = ours[:, skipped : skipped + width].reshape(-1, stencil)
        centred = RemoveMean(part.shape, (1,)) @ part
        if name == "out_norm":
            # of which the radius is not stored: the largest norm
            norms = np.linalg.norm(expected.reshape(steps, blocks)[:, :width].reshape(-1, stencil), axis=1)
            centred = ball(float(norms.max()))(centred)
        ours[:, skipped : skipped + width] = centred.reshape(steps, width)
        golden.compare(ours.ravel(), expected)


def test_proximal_operator(golden):
    alpha, tau = golden.number("prox", "alpha"), golden.number("prox", "tau")
    p = golden("prox", "p").ravel()
    out = golden("prox", "out").ravel()

    def solved(steps):
        """Return the result for a number of steps, with the mesh width that suits it best."""
        one = Difference((steps, len(p) // steps), 0)
        curved = one.normal(out.reshape(steps, -1)).ravel()
        h = np.sqrt(alpha / tau * (curved @ curved) / abs(curved @ (p - out)))
        return prox_tikhonov(Difference((steps, len(p) // steps), 0, float(h)), alpha)(p, tau)

    # neither the number of steps nor their length is stored
    divisors = [n for n in range(2, len(p) + 1) if len(p) % n == 0]
    best = min((solved(n) for n in divisors), key=lambda ours: np.linalg.norm(ours - out))
    golden.compare(best, out)
    reference = golden("prox", "xref").ravel()
    ours = prox_tikhonov(Identity(p.shape), alpha, reference)(p, tau)
    golden.compare(ours, golden("prox", "out_eye_ref").ravel())


def test_operator_algebra(golden):
    a, b = (Dense(golden("linop", name)) for name in ("A", "B"))
    x, y = golden("linop", "x").ravel(), golden("linop", "y").ravel()
    factor = float(golden("linop", "sAx").ravel()[0] / golden("linop", "Ax").ravel()[0])
    products = {
        "Ax": a @ x,
        "ATy": a.T @ y,
        "ABx": a @ b @ x,
        "sAx": factor * a @ x,
        "Asx": a @ (float(golden("linop", "Asx")[0, 0] / golden("linop", "Ax")[0, 0]) * x),
        "AABx": (a + a) @ x,
        "BpB_x": (b + b) @ x,
        "BmB_x": (b - b.T) @ x,
        "normal": a.normal(x),
    }
    for name, ours in products.items():
        golden.compare(ours, golden("linop", name).ravel())


def test_krylov(golden):
    cases = golden.cases("A", "H", "V", "x0")
    assert cases
    for c in cases:
        a, b, x0 = golden(c, "A"), golden(c, "b").ravel(), golden(c, "x0").ravel()
        m = golden(c, "H").shape[1]
        golden.compare(gmres(lambda v, a=a: a @ v, b, m, x0=x0)[:, None], golden(c, "x"), 1e-10)
        space = arnoldi(lambda v, a=a: a @ v, b - a @ x0, m)
        # where the space is exhausted theirs goes on with round-off
        k = len(space.basis)
        golden.compare(space.matrix[:k], golden(c, "H")[:k, : space.matrix.shape[1]], 1e-10)
        golden.compare(np.stack(space.basis, axis=1), golden(c, "V")[:, :k], 1e-10)


def test_direct_solution_and_least_squares(golden):
    """Left to NumPy and SciPy."""
    a, b = golden("direct", "A"), golden("direct", "b")
    golden.compare(np.linalg.solve(a, b), golden("direct", "x"), 1e-10)
    ours = np.linalg.lstsq(golden("lsqr", "A"), golden("lsqr", "B"), rcond=None)[0]
    golden.compare(ours, golden("lsqr", "X"), 1e-6)
    golden.compare(Matrix(a) @ golden("direct", "x").ravel(), b.ravel(), 1e-10)
