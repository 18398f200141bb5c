"""What relaxation leaves of the modes of an error."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from meganet.backend import to_host
from meganet.ground import validate
from meganet.multigrid.poisson import modes
from meganet.multigrid.relaxation import Relaxation
from meganet.plotting.axes import LEGEND, PAGE, new_axes
from meganet.plotting.styles import styles_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes


MOST = 4096
"""Cells, and so modes of as many numbers."""


def plot_relaxation(
    relaxations: Relaxation | Mapping[str, Relaxation],
    ax: Axes | None = None,
    *,
    sweeps: int = 1,
    boundary: str = "dirichlet",
) -> Axes:
    """Draw what sweeps of relaxation leave of each mode of the error, from smooth to oscillatory.

    Parameters
    ----------
    relaxations : Relaxation, or mapping of str to Relaxation
        Of operators on small grids, as all modes are relaxed; the names are those of the legend.
    ax : matplotlib Axes, optional
        Where to draw; a new figure of pyplot if not given.
    sweeps : int
    boundary : {"dirichlet", "neumann", "periodic"}
        Whose modes, see `modes`.

    Returns
    -------
    matplotlib Axes
        Over the frequency, in units of the highest, the norm that is left of a mode of norm 1. In two dimensions and
        more a frequency is the highest of the axes', and the largest norm of its modes is drawn.

    Notes
    -----
    The coarse grid sees the frequencies below one half: the others, shaded, are those that relaxation has to damp. Of
    them the oscillatory part of what is left is drawn. Red-black relaxation turns the rest into smooth modes, which the
    coarse grid takes care of (Trottenberg, Oosterlee and Schuller, Multigrid, 2001).

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> from meganet.multigrid import GaussSeidel, Jacobi, Poisson
    >>> from meganet.plotting import plot_relaxation
    >>> A = Poisson(32)
    >>> kinds = {"Jacobi, weight 2/3": Jacobi(A, 2 / 3), "Gauss-Seidel": GaussSeidel(A)}
    >>> ax = plot_relaxation(kinds, Figure().subplots(), sweeps=3)
    >>> len(ax.lines), ax.get_ylabel()
    (2, 'Left after 3 sweeps')
    """
    sweeps = validate.integer("sweeps", sweeps)
    named = {"": relaxations} if isinstance(relaxations, Relaxation) else relaxations
    validate.instance("relaxations", named, Mapping, "a Relaxation, or a mapping of names to some")
    for name, relaxation in named.items():
        validate.instance(f"relaxations[{name!r}]", relaxation, Relaxation, "a Relaxation")
        if relaxation.operator.shape[0] > MOST:
            shape = validate.by(relaxation.operator.domain_shape)
            validate.reject(
                f"relaxations[{name!r}]", f"one of {MOST:,} cells or less, whose modes are all relaxed", shape
            )
    ax = new_axes((PAGE, 3.6)) if ax is None else ax
    styles = styles_of(named)
    for name, relaxation in named.items():
        frequency, left = _left(relaxation, sweeps, boundary)
        gap = np.searchsorted(frequency, 0.5)  # where another quantity begins
        points = (np.insert(values, gap, np.nan) for values in (frequency, left))
        ax.plot(*points, **styles[name].line(len(left)))
    ax.axvspan(0.5, 1, color="0.92", zorder=0)
    ax.set(
        xlim=(0, 1),
        ylim=(0, None),
        xlabel="Frequency of the mode, relative to the highest",
        ylabel=f"Left after {sweeps} sweep{'s' if sweeps > 1 else ''}",
    )
    if any(named):
        ax.legend(**LEGEND)
    return ax


def _left(
    relaxation: Relaxation, sweeps: int, boundary: str
) -> tuple[np.ndarray[tuple[int], np.dtype[np.float64]], np.ndarray[tuple[int], np.dtype[np.float64]]]:
    """Return the frequencies and the largest norm that is left of their modes, in the basis of all modes."""
    shape = relaxation.operator.domain_shape
    basis = modes(shape, boundary)
    errors = relaxation.operator.backend.asarray(basis)
    after = to_host(relaxation(errors, 0 * errors, sweeps)).reshape(len(basis), -1) @ basis.reshape(len(basis), -1).T
    parts = [np.zeros(n) if n == 1 else _frequencies(n, boundary) for n in shape]
    highest = np.max(np.stack(np.meshgrid(*parts, indexing="ij")), axis=0).ravel()
    after[np.ix_(highest >= 0.5, highest < 0.5)] = 0
    frequency, place = np.unique(highest, return_inverse=True)
    largest = np.zeros(len(frequency))
    np.maximum.at(largest, place, np.linalg.norm(after, axis=1))
    return frequency, largest


def _frequencies(n: int, boundary: str) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Return the frequencies of the modes of an axis, the highest being that of neighbours of opposite sign."""
    k = np.arange(n, dtype=np.float64)
    if boundary == "periodic":
        return (k + 1) // 2 / (n / 2)
    return (k + 1 if boundary == "dirichlet" else k) / n
