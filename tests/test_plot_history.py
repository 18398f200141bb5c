"""The curves of a history, and how it shows itself."""

import numpy as np
import pytest
from matplotlib.figure import Figure

from meganet.ground.validate import InputError
from meganet.optim import History, bfgs, nonlinear_cg
from meganet.plotting import plot_history

ROWS = [
    {"epoch": k, "learning_rate": 0.1, "step": 0.01, "objective": 4.0 - k, "loss": 3.0 - k, "accuracy": 0.25 * k}
    | {"validation_loss": 3.5 - k, "validation_accuracy": 0.2 * k}
    for k in range(3)
]


def test_a_training_is_drawn_in_percent_over_whole_epochs():
    axes = plot_history(History(ROWS))
    assert [ax.get_ylabel() for ax in axes] == ["Objective", "Loss", "Accuracy, %"]
    assert [ax.get_yscale() for ax in axes] == ["log", "log", "linear"]
    assert [len(ax.lines) for ax in axes] == [1, 2, 2] and axes[2].get_xlabel() == "Epoch"
    assert [line.get_ydata().tolist() for line in axes[2].lines] == [[0, 25, 50], [0, 20, 40]]
    assert [line.get_label() for line in axes[2].lines] == ["training", "validation"]
    axes[0].figure.canvas.draw()
    ticks = [tick for tick in axes[2].get_xticks() if 0 <= tick <= 2]
    assert ticks == [0, 1, 2]
    legend = axes[0].get_legend().get_window_extent()
    assert legend.y0 >= axes[0].get_window_extent().y1 - 1, "the legend covers no line"


def test_phases_are_marked_where_they_begin():
    rows = [{"phase": k // 2, "level": k // 2, "work": 1e9 * k} | row for k, row in enumerate(ROWS)]
    axes = plot_history(History(rows))
    assert [ax.get_ylabel() for ax in axes] == ["Objective", "Loss", "Accuracy, %"]
    marks = [[line.get_xdata()[0] for line in ax.lines if line.get_linestyle() == ":"] for ax in axes]
    assert marks == [[2], [2], [2]]


def test_columns_without_a_number_are_left_out():
    rows = [
        row | {"validation_loss": np.nan, "accuracy": np.nan, "loss": 1.0 if k else np.nan}
        for k, row in enumerate(ROWS)
    ]
    axes = plot_history(History(rows))
    assert [ax.get_ylabel() for ax in axes] == ["Objective", "Loss", "Validation accuracy, %"]
    assert np.isnan(axes[1].lines[0].get_ydata()).tolist() == [True, False, False]


def test_columns_of_the_callers_own_are_drawn():
    rows = [{"epoch": k, "learning_rate": 0.1, "step": 0.0, "distance": 1.0 - k} for k in range(2)]
    (ax,) = plot_history(History(rows))
    assert ax.get_ylabel() == "Distance" and ax.get_yscale() == "linear"
    (ax,) = plot_history(History([{"a": 1.0}, {"a": 2.0}]))
    assert ax.get_xlabel() == "Row" and ax.lines[0].get_xdata().tolist() == [0, 1]


@pytest.mark.parametrize("minimise", [bfgs, nonlinear_cg])
def test_a_minimisation_is_drawn_on_logarithmic_axes(minimise):
    # at the minimum the gradient is exactly 0
    history = minimise(lambda x: (1.0 + float(x @ x), 2 * x), np.ones(3)).history
    axes = history.plot()
    assert [ax.get_ylabel() for ax in axes] == ["Value", "Gradient norm"]
    assert {ax.get_yscale() for ax in axes} == {"log"} and axes[1].get_xlabel() == "Iteration"
    axes[0].figure.canvas.draw()


def test_axes_and_columns_that_are_given():
    history, ax = History(ROWS), Figure().subplots()
    assert history.plot(ax, columns="learning_rate").tolist() == [ax] and ax.get_ylabel() == "Learning rate"
    pair = Figure().subplots(1, 2)
    assert history.plot(pair, columns=["loss", "validation_accuracy"]).tolist() == pair.tolist()
    assert pair[1].get_ylabel() == "Validation accuracy, %"


@pytest.mark.parametrize(
    ("draw", "message"),
    [
        (lambda: plot_history([1.0]), "history: expected a History, got "),
        (lambda: plot_history(History()), "history: expected one with a finite number to draw, got 0 rows"),
        (lambda: History([{"epoch": 0, "loss": np.nan}]).plot(), "history: expected one with a finite number"),
        (lambda: History(ROWS).plot(columns="los"), "columns: expected one of .*'loss'.*, got 'los'"),
        (lambda: History(ROWS).plot(columns=3), "columns: expected names of columns, got "),
        (lambda: History(ROWS).plot(Figure().subplots()), "axes: expected axes for each of objective, loss, accuracy"),
        (lambda: History(ROWS).plot(3, columns="loss"), "axes: expected axes for each of loss, got 3"),
    ],
)
def test_what_cannot_be_drawn_is_one_line(draw, message):
    with pytest.raises(InputError, match=f"^{message}"):
        draw()


def test_a_history_shows_itself():
    history = History([{"epoch": 0, "a<b": 0.123456}, {"epoch": 1, "a<b": np.nan}])
    assert repr(history) == "<History: 2 rows of epoch, a<b>" and repr(History()) == "<History: 0 rows>"
    text = history._repr_html_()
    assert "<th>a&lt;b</th>" in text and text.count("<tr>") == 3 and "<td>0.1235</td>" in text
    assert "<tr>" in History()._repr_html_()


def test_a_long_history_shows_its_ends():
    text = History({"epoch": k} for k in range(1000))._repr_html_()
    assert "<td>0</td>" in text and "<td>999</td>" in text and "<td>500</td>" not in text
    assert text.count("<tr>") == 62 and "1000 rows" in text
