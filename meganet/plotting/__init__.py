"""The thesis' figures: functions that draw on matplotlib axes which the caller may pass."""

from meganet.plotting.axes import to_png, to_svg
from meganet.plotting.causes import gaps_figure, plot_gaps
from meganet.plotting.convergence import STYLES, plot_convergence
from meganet.plotting.figures import FIGURES, Figure
from meganet.plotting.findings import findings_figure
from meganet.plotting.landscape import plot_landscape
from meganet.plotting.mosaic import plot_mosaic
from meganet.plotting.worth import plot_work, work_figure

__all__ = [
    "FIGURES",
    "STYLES",
    "Figure",
    "findings_figure",
    "gaps_figure",
    "plot_convergence",
    "plot_gaps",
    "plot_landscape",
    "plot_mosaic",
    "plot_work",
    "to_png",
    "to_svg",
    "work_figure",
]
