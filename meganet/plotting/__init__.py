"""The thesis' figures: functions that draw on matplotlib axes which the caller may pass."""

from meganet.plotting.axes import to_png
from meganet.plotting.convergence import STYLES, plot_convergence
from meganet.plotting.figures import FIGURES, Figure
from meganet.plotting.landscape import plot_landscape
from meganet.plotting.mosaic import plot_mosaic

__all__ = [
    "FIGURES",
    "STYLES",
    "Figure",
    "plot_convergence",
    "plot_landscape",
    "plot_mosaic",
    "to_png",
]
