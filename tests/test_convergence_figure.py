"""The convergence of any protocol, on any number of grids: where each stage is drawn, and how."""

import pytest
from matplotlib.figure import Figure

from meganet.experiments.report.figures.convergence import beside
from meganet.experiments.setup.stages import planned
from meganet.experiments.setup.tables import tables_of
from meganet.optim import History
from meganet.plotting import plot_convergence

RUN = History([{"epoch": epoch, "loss": 2.0 - epoch} for epoch in range(2)])


def places(protocol, grids):
    return beside(planned([stage for table in tables_of(protocol) for stage in table.stages()], grids))


def drawn(protocol, grids):
    """Return the stages in the order of their epochs, each an epoch long, and the entries of the legend."""
    after = places(protocol, grids)
    stages = planned([stage for table in tables_of(protocol) for stage in table.stages()], grids)
    ax = plot_convergence({stage.name: RUN for stage in stages}, "loss", Figure().subplots(), after=after)
    return ax, [text.get_text() for text in ax.get_legend().get_texts()]


@pytest.mark.parametrize(
    ("protocol", "grids", "new", "coarse"),
    [
        ("4.1", 2, "coarse", None),
        ("4.1", 3, "transfer-grid-2", None),
        ("in-turn", 2, "coarse", None),
        ("in-turn", 3, "transfer-grid-2", None),
        ("fine-to-coarse", 2, None, "new"),
        ("fine-to-coarse", 3, None, "transfer-down-grid-2"),
    ],
)
def test_fresh_weights_stand_beside_those_carried_to_their_grid(protocol, grids, new, coarse):
    found = places(protocol, grids)
    assert (found.get("new"), found.get("coarse")) == (new, coarse)


@pytest.mark.parametrize("grids", [2, 3, 4])
def test_the_stages_of_a_row_look_alike_and_have_one_entry(grids):
    ax, legend = drawn("in-turn", grids)
    assert legend == ["Coarse training", "New", "Transfer", "Multigrid"]
    assert len({line.get_color() for line in ax.lines if line.get_linestyle() != "-" or line.get_marker() == "o"}) == 4


def test_runs_of_a_user_keep_their_labels():
    ax = plot_convergence({"mine": RUN, "mine-again": RUN}, "loss", Figure().subplots())
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["mine", "mine-again"]
