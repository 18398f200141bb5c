"""Phases and schedules: what they hold, and what they refuse."""

import numpy as np
import pytest

import meganet as mn
from meganet.linop import Identity
from meganet.multilevel import Phase, cycle, in_space, in_turn, joint, nested


def test_cuts_are_the_rounds_of_a_phase():
    assert Phase(0, batch_size=10).cuts(105) == (0, 10)
    assert Phase(0, 2.5, batch_size=10, every=1).cuts(100) == (0, 10, 20, 25)
    assert Phase(0, 1, batch_size=10, every=1 / 3).cuts(100) == (0, 3, 7, 10)
    assert Phase(0, 0.25, batch_size=10, every=1).cuts(400) == (0, 10)
    for phase in (Phase(0, 1, batch_size=50, every=0.3), Phase(0, 0.2, batch_size=50)):
        with pytest.raises(
            mn.InputError, match=r"^every: expected rounds of at least one mini-batch, of which .* has 2"
        ):
            phase.cuts(100)
    with pytest.raises(mn.InputError, match="^batch_size: expected at most the number of images, 7, got 8"):
        Phase(0, batch_size=8).cuts(7)


def test_rates_are_numbers_or_functions_of_the_passes():
    assert Phase(0, learning_rate=0.5).rate(3.0) == 0.5
    assert Phase(0, learning_rate=lambda passes: 1 / (1 + passes)).rate(3.0) == 0.25
    with pytest.raises(mn.InputError, match="^learning_rate: expected a finite number above 0, got 0"):
        Phase(0, learning_rate=lambda passes: 0.0).rate(0.0)


def test_penalties_are_numbers_or_made_for_a_level():
    level = in_space(mn.ConvolutionLayer((1, 8, 8), 2), classes=3, grids=(4, 8))[0]
    own = mn.Tikhonov(Identity(18), 0.25)
    found = Phase(0, theta_alpha=lambda at: own if at is level else None, W_alpha=0.5).penalties(level, np.float64)
    assert found["theta_regularizer"] is own and float(found["W_regularizer"].value(np.ones(99))) == 0.25 * 99
    assert set(Phase(0).penalties(level, np.float64).values()) == {None}
    with pytest.raises(mn.InputError, match="^theta_alpha: expected a Regularizer"):
        Phase(0, theta_alpha=lambda at: "much").penalties(level, np.float64)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"level": "0"}, "level: expected the number of a level"),
        ({"level": ()}, "level: expected the number of a level"),
        ({"level": (1, 1)}, "level: expected different levels"),
        ({"level": (0, 1), "classifier_only": True}, "classifier_only: expected False where several"),
        ({"rate_factors": (1, 2)}, "rate_factors: expected a number for each of several levels"),
        ({"level": (0, 1), "rate_factors": (1,)}, "rate_factors: expected a number for each of several levels"),
        ({"level": (0, 1), "rate_factors": (1, 0)}, r"rate_factors\[1\]: expected a finite number above 0"),
        ({"epochs": 0}, "epochs: expected a finite number above 0"),
        ({"every": -1}, "every: expected a finite number above 0"),
        ({"learning_rate": 0}, "learning_rate: expected a finite number above 0"),
        ({"batch_size": 0}, "batch_size: expected an integer"),
        ({"W_alpha": -1}, "W_alpha: expected a finite number of at least 0"),
        ({"patience": 0}, "patience: expected an integer"),
        ({"rule": mn.Momentum}, "rule: expected Momentum, Adam"),
        ({"assignment": "by size"}, "assignment: expected"),
    ],
)
def test_what_is_no_phase(settings, message):
    with pytest.raises(mn.InputError, match="^" + message):
        Phase(**{"level": 0, **settings})


def test_schedules_are_phases_in_a_row():
    assert cycle(np.arange(2)) == cycle((0, 1))
    hierarchy = in_space(mn.ConvolutionLayer((1, 16, 16), 2), classes=3, grids=(4, 8, 16))
    assert nested(hierarchy, 2, batch_size=(64, 32, 16)).phases == (
        Phase(0, 2, batch_size=64),
        Phase(1, 2, batch_size=32),
        Phase(2, 2, batch_size=16),
    )
    assert in_turn(2, turns=3) == cycle((0, 1, 0, 1, 0, 1))
    assert joint(hierarchy)[0] == Phase((0, 1, 2)) and joint((0, -1))[0] == Phase((0, -1))
    both = nested(2) + joint(2)
    assert both.epochs == 3 and [phase.level for phase in both] == [0, 1, (0, 1)]
    with pytest.raises(mn.InputError, match="^epochs: expected one value, or 2, one for each phase"):
        nested(2, epochs=[1, 2, 3])
    with pytest.raises(mn.InputError, match="^phases: expected one or more phases"):
        mn.multilevel.Schedule(())
    with pytest.raises(mn.InputError, match="^levels: expected how many there are, or a Hierarchy, got "):
        nested((7, 14, 28))
