"""Plots of what is there: some of the arms, trials of different lengths, numbers that are not finite."""

import numpy as np
import pytest

from meganet.ground.validate import InputError
from meganet.objective.landscape import Landscape
from meganet.optim import History
from meganet.plotting import Line, plot_budgets, plot_convergence, plot_landscape, plot_landscapes, plot_mosaic
from meganet.plotting.causes import Gap, gaps_figure, plot_gaps
from meganet.plotting.mosaic import share_scale
from meganet.plotting.worth import Curve, plot_work, work_figure


def history(*losses):
    return History({"epoch": epoch, "loss": loss} for epoch, loss in enumerate(losses))


@pytest.mark.parametrize(
    ("names", "shift"),
    [
        (["coarse", "new", "transfer", "multigrid"], 2),
        (["coarse"], 0),
        (["multigrid"], 0),
        (["transfer", "new"], 0),
        (["coarse", "transfer"], 2),
        (["my network"], 0),
        (["coarse", "my network", "new"], 2),
    ],
)
def test_convergence_is_drawn_for_any_runs(names, shift):
    ax = plot_convergence({name: [history(3.0, 2.0, 1.0)] for name in names}, "loss")
    lines = {line.get_label(): line.get_xdata().tolist() for line in ax.lines if len(line.get_xdata()) == 3}
    assert len(lines) == len(names)
    for label, epochs in lines.items():
        assert epochs == ([0, 1, 2] if label == "Coarse training" else [shift, shift + 1, shift + 2])


def test_a_history_stands_for_a_list_of_one():
    ax = plot_convergence({"new": history(2.0, 1.0)}, "loss")
    assert ax.lines[0].get_ydata().tolist() == [2.0, 1.0]


def test_each_run_is_drawn_from_where_the_one_before_it_ends():
    names = ("new", "down", "again", "beside")
    after = {"down": "new", "again": "down", "beside": "not drawn"}
    ax = plot_convergence({name: history(3.0, 2.0, 1.0) for name in names}, "loss", after=after)
    starts = {line.get_label(): line.get_xdata()[0] for line in ax.lines if len(line.get_xdata()) == 3}
    assert starts == {"New": 0, "down": 2, "again": 4, "beside": 0} and ax.get_xlabel() == "Epoch"
    assert sorted(line.get_xdata()[0] for line in ax.lines if len(line.get_xdata()) == 2) == [2, 4]
    # of runs in a circle none is counted twice
    circle = plot_convergence({name: history(2.0, 1.0) for name in "ab"}, "loss", after={"a": "b", "b": "a"})
    assert {line.get_xdata()[0] for line in circle.lines} == {1}


def test_trials_of_different_lengths_and_numbers_that_are_not_finite():
    trials = [history(4.0, 2.0, 1.0), history(2.0, np.nan), history(3.0, np.inf)]
    ax = plot_convergence({"new": trials, "transfer": [history(np.nan, np.nan)], "multigrid": []}, "loss")
    np.testing.assert_array_equal(ax.lines[0].get_ydata(), [3.0, 2.0, 1.0])
    assert np.isnan(ax.lines[1].get_ydata()).all() and len(ax.lines) == 2 and ax.get_yscale() == "log"


def test_values_down_to_zero_have_a_linear_scale():
    assert plot_convergence({"new": history(1.0, 0.0)}, "loss").get_yscale() == "linear"


@pytest.mark.parametrize("histories", [{}, {"new": []}, {"new": [History()]}])
def test_no_history_is_refused(histories):
    with pytest.raises(InputError, match="histories: expected at least one history with a row, got none"):
        plot_convergence(histories)


def test_a_column_that_is_not_there_is_refused():
    with pytest.raises(InputError, match="column: expected one that the histories of 'new' have"):
        plot_convergence({"new": history(1.0)}, "accuracy")


def test_gaps_are_drawn_for_the_arms_and_variants_that_are_there():
    def gap(net, variant, row):
        return Gap(variant, net, row, np.array([1.0, 2.0]))

    some = [gap("A", "a", "transfer"), gap("A", "b", "multigrid"), gap("B", "a", "multigrid"), gap("B", "b", "mine")]
    canvas = gaps_figure(some[:3])
    assert [len(ax.patches) for ax in canvas.axes] == [2, 1]
    ax = plot_gaps(some, "B", thesis={("A", "transfer"): 3.0, ("B", "mine"): 4.0})
    assert [bar.get_height() for bar in ax.patches] == [pytest.approx(0.24)] * 2, "as wide as three rows allow"
    assert [label for label in ax.get_legend_handles_labels()[1] if "thesis" in label] == ["mine, thesis"]


def test_work_is_drawn_for_lines_of_any_name():
    given = {"line": "three grids", "examples": 5, "std": np.full(2, np.nan)}
    curve = Curve(**{name: np.ones(2) for name in Curve.__dataclass_fields__} | given)
    assert plot_work([curve], 5).lines[0].get_label() == "three grids"
    with pytest.raises(InputError, match="against: expected one of"):
        plot_work([curve], 5, against="hours")


def test_budgets_are_drawn_on_a_logarithmic_axis_with_intervals_where_there_are_some():
    work = np.array([0.05, 0.4])
    lines = [Line("nested", work, np.array([90.0, 95.0]), np.array([0.5, 0.2])), Line("new", 2 * work, work, work)]
    lines.append(Line("one trial", work[:1], np.array([80.0]), np.array([np.nan])))
    ax = plot_budgets(lines, against="seconds")
    assert ax.get_legend_handles_labels()[1] == ["nested", "New", "one trial"] and ax.get_xscale() == "log"
    assert ax.get_xlabel() == "Total training time, s" and ax.xaxis.get_major_formatter()(0.05) == "0.05"
    assert plot_budgets(lines[2:], legend=False).get_legend() is None
    with pytest.raises(InputError, match="against: expected one of"):
        plot_budgets(lines, against="hours")


@pytest.mark.parametrize("numbers", [[5], [5, 2]])
def test_work_is_drawn_for_any_number_of_sizes(numbers):
    given = {"line": "New", "std": np.full(2, np.nan)}
    fields = {name: np.ones(2) for name in Curve.__dataclass_fields__} | given
    canvas = work_figure([Curve(**(fields | {"examples": examples})) for examples in numbers])
    assert len(canvas.axes) == 2 * len(numbers)


def plane(values):
    given = {"steps": np.linspace(-1, 1, len(values)), "objective": values, "loss": values}
    return Landscape(**dict.fromkeys(Landscape.__dataclass_fields__, 1.0) | given)


@pytest.mark.parametrize("kind", ["contour", "surface"])
def test_a_landscape_with_holes(kind):
    values = np.arange(25.0).reshape(5, 5)
    values[0, 0], values[4, 4], values[2, 3] = np.nan, np.inf, -np.inf
    assert plot_landscape(plane(values), kind=kind).collections
    with pytest.raises(InputError, match="found: expected a finite objective somewhere"):
        plot_landscape(plane(np.full((5, 5), np.nan)), kind=kind)


def test_landscapes_to_be_compared_share_one_scale_and_one_colour_bar():
    one, other = 10.0 + np.arange(25.0).reshape(5, 5), np.full((5, 5), 1e4)
    other[0, 0], other[1, 1] = np.nan, np.inf
    canvas = plot_landscapes({"low": plane(one), "high": plane(other)})
    *panels, bar = canvas.axes
    assert len(panels) == 4 and bar.get_xlabel() == r"$\log_{10}$ of objective"
    limits = {ax.collections[0].get_clim() for ax in panels}
    (low, high), *more = limits
    assert not more and low <= 1 and high >= 4
    assert {ax.get_zlim() for ax in panels[1::2]} == limits
    assert [ax.get_title() for ax in panels[::2]] == ["low", "high"]
    canvas.canvas.draw()
    with pytest.raises(InputError, match="found: expected a landscape with a finite loss, got none"):
        plot_landscapes({"none": plane(np.full((5, 5), np.nan))}, quantity="loss")
    with pytest.raises(InputError, match="found: expected a landscape with a finite objective, got none"):
        plot_landscapes({})


def test_a_contour_of_equal_values():
    assert plot_landscape(plane(np.ones((3, 3)))).collections


def test_mosaics_to_be_compared_share_one_scale():
    from matplotlib.figure import Figure

    canvas = Figure()
    axes = canvas.subplots(2)
    for ax, size in zip(axes, (1.0, 5.0), strict=True):
        plot_mosaic([[np.full((2, 2), size), np.array([[np.nan, size]])]], ax, common_scale=True)
    share_scale(axes, "weight")
    assert {image.get_clim() for ax in axes for image in ax.images} == {(-5.0, 5.0)}
    assert canvas.axes[2].get_xlabel() == "weight"


def test_accuracies_are_in_percent_and_epochs_whole():
    rows = [{"epoch": k, "validation_accuracy": 0.25 * k} for k in range(3)]
    ax = plot_convergence({"new": [History(rows), History(rows)]}, "validation_accuracy")
    assert ax.lines[0].get_ydata().tolist() == [0, 25, 50] and ax.get_ylabel() == "Validation accuracy, %"
    ax.figure.canvas.draw()
    assert all(float(tick).is_integer() for tick in ax.get_xticks())
    assert ax.get_legend().get_window_extent().y0 >= ax.get_window_extent().y1 - 1, "the legend covers no line"
    assert plot_convergence({"new": History(rows)}, "validation_accuracy", legend=False).get_legend() is None


def test_a_surface_needs_three_dimensions():
    from matplotlib.figure import Figure

    with pytest.raises(InputError, match="ax: expected axes with projection='3d'"):
        plot_landscape(plane(np.ones((3, 3))), Figure().subplots(), kind="surface")


def test_a_mosaic_of_numbers_that_are_not_finite_and_of_wrong_labels():
    image = np.array([[np.nan, 1.0], [np.inf, -2.0]])
    ax = plot_mosaic([[image, np.full((2, 2), np.nan)]], common_scale=True)
    assert ax.images[0].get_clim() == (-2.0, 2.0)
    for name in ("row_labels", "column_labels"):
        with pytest.raises(InputError, match=f"{name}: expected . labels or none, got 3"):
            plot_mosaic([[image, image]], **{name: ["a", "b", "c"]})


@pytest.mark.parametrize(
    "histories", [None, history(1.0), {"new": None}, {"new": [None]}, {"new": {"epoch": [1]}}, {"new": "abc"}]
)
def test_what_is_no_history_is_one_line(histories):
    with pytest.raises(InputError, match=r"^histories.*: expected a (dict from names of runs to histories|History or)"):
        plot_convergence(histories, "loss")


def test_work_with_one_number_of_fine_examples():
    row = np.arange(3.0)
    coarse, fine = Curve("coarse network", 0, row, row, row, row), Curve("New", 5, row, row, row, row)
    assert [len(ax.lines) for ax in work_figure([coarse, fine]).axes] == [2, 2]
    assert len(work_figure([fine]).axes) == 2


@pytest.mark.parametrize(
    ("draw", "message"),
    [
        (lambda: work_figure([]), "curves: expected at least one of fine training, got none"),
        (lambda: gaps_figure([]), "gaps: expected at least one gap, got none"),
        (
            lambda: plot_gaps([Gap("a", "A", "new", np.ones(1)), Gap("a", "B", "new", np.ones(1))], "C"),
            "net: expected one of 'A', 'B', got 'C'",
        ),
    ],
)
def test_figures_of_nothing_are_one_line(draw, message):
    with pytest.raises(InputError, match=message):
        draw()
