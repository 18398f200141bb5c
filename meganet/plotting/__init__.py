"""Functions that draw on given or new axes: training curves, landscapes, mosaics, gaps, work, relaxation, cycles."""

from meganet.plotting.axes import to_png, to_svg
from meganet.plotting.budgets import Line, plot_budgets
from meganet.plotting.causes import Gap, gaps_figure, plot_gaps
from meganet.plotting.convergence import plot_convergence
from meganet.plotting.cycles import plot_cycle, plot_residuals
from meganet.plotting.history import plot_history
from meganet.plotting.landscape import plot_landscape, plot_landscapes
from meganet.plotting.mosaic import plot_mosaic
from meganet.plotting.relaxation import plot_relaxation
from meganet.plotting.styles import STYLES, Style
from meganet.plotting.unseen import plot_unseen, unseen_figure
from meganet.plotting.worth import Curve, plot_work, work_figure

__all__ = [
    "STYLES",
    "Curve",
    "Gap",
    "Line",
    "Style",
    "gaps_figure",
    "plot_budgets",
    "plot_convergence",
    "plot_cycle",
    "plot_gaps",
    "plot_history",
    "plot_landscape",
    "plot_landscapes",
    "plot_mosaic",
    "plot_relaxation",
    "plot_residuals",
    "plot_unseen",
    "plot_work",
    "to_png",
    "to_svg",
    "unseen_figure",
    "work_figure",
]
