"""steihaugPCG: the original's variant."""

import math

import numpy as np

from meganet.optim import meganet_cg


def test_original_variant(golden):
    cases = golden.cases("flag", "resvec", "x")
    assert cases
    b, matrices = golden("data", "b").ravel(), {"spd": golden("data", "A"), "ind": golden("data", "B")}
    matrices["neg"] = -matrices["spd"]
    for c in cases:
        words = c.split("_")
        matrix, options = matrices[words[0]], {}
        if "PC" in words:
            options["preconditioner"] = lambda r: np.linalg.solve(golden("data", "PC"), r)
        if "x0" in words:
            options["x0"] = golden("data", "x0").ravel() * (0.1 if words[-1] == "D" else 1.0)
        solved = meganet_cg(
            lambda v, matrix=matrix: matrix @ v,
            b,
            radius=golden.number(c, "Delta"),
            tol=golden.number(c, "tol"),
            max_iterations=int(golden.number(c, "maxIter")),
            **options,
        )
        assert (solved.flag, solved.best) == (golden.number(c, "flag"), golden.number(c, "iterOpt")), c
        ours, theirs = np.array(solved.residuals), golden(c, "resvec").ravel()
        assert ours.shape == theirs.shape
        finite = np.isfinite(theirs)
        np.testing.assert_array_equal(np.isfinite(ours), finite)
        golden.compare(ours[finite], theirs[finite], 1e-9)
        golden.compare(solved.x, golden(c, "x").ravel(), 1e-9)
        assert math.isclose(solved.relres, golden.number(c, "relres"), rel_tol=1e-6, abs_tol=1e-10)
