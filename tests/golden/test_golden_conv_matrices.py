"""getConvMatPeriodic and getConvTransposed; the matrices with zero boundary have no counterpart here."""

from layout import column_major

from meganet.linop import CirculantConvolution
from meganet.linop._engines.base import adjoint_kernel


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
    kernel = golden("couple", "K").transpose(3, 2, 0, 1)
    golden.compare(adjoint_kernel(kernel), golden("transposed", "KT").transpose(3, 2, 0, 1))
