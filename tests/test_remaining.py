"""The time left of a plan of mixed stages, from synthetic timings."""

import pytest

from meganet.workers.remaining import Part, Remaining, roughly

#: Kind to true seconds of an epoch, and to what was measured beforehand, which is off by large factors.
KINDS = {"coarse": (20.0, 50.0), "classifier": (90.0, 9.0), "newton": (1500.0, 1000.0), "sgd": (200.0, 400.0)}
PLAN = [("coarse", 8), ("classifier", 5), ("classifier", 5), ("sgd", 5), ("newton", 5), ("newton", 5)]


def simulate(chains, side_by_side, setup=30.0):
    """Yield how far a plan is, the true time left, and the estimate, each time an epoch ends."""
    parts = [Part(chain, kind, epochs) for chain in range(chains) for kind, epochs in PLAN]
    events = []
    free = [0.0] * side_by_side
    for chain in range(chains):
        worker = free.index(min(free))
        clock = free[worker] + setup
        for number, (kind, epochs) in enumerate(PLAN):
            for _ in range(epochs):
                clock += KINDS[kind][0]
                events.append((clock, chain * len(PLAN) + number))
        free[worker] = clock
    events.sort()
    end = events[-1][0]
    done = [0] * len(parts)
    estimate = Remaining(parts, done, {kind: known for kind, (_, known) in KINDS.items()}, side_by_side)
    for clock, number in events:
        done[number] += 1
        estimate.see(done, clock)
        yield clock / end, end - clock, estimate.seconds()


@pytest.mark.parametrize(("chains", "side_by_side"), [(1, 1), (3, 1), (4, 2), (5, 2)])
def test_the_time_left_is_right_when_every_kind_was_seen(chains, side_by_side):
    seen = list(simulate(chains, side_by_side))
    assert seen[-1][1:] == (0.0, 0.0)
    # one trial has shown every kind when its first Newton step of the network is done
    for share, true, found in seen:
        if (0.6 if chains == 1 else 0.5) < share < 0.98:
            assert true / 1.4 < found + 60 < true * 1.4 + 120, (share, true, found)


def test_what_is_seen_counts_before_what_was_measured():
    parts = [Part(0, "a", 4), Part(0, "b", 4)]
    left = Remaining(parts, [0, 0], {"a": 5.0, "b": 50.0})
    assert left.seconds() == pytest.approx(4 * 5 + 4 * 50) and left.share() == 0
    left.see([1, 0], 100.0)
    assert left.seconds() == pytest.approx(3 * 5 + 4 * 50), "a start measures nothing"
    left.see([3, 0], 106.0)
    assert left.seconds() == pytest.approx(1 * 3 + 4 * 50)
    left.see([4, 1], 162.0)
    # the time of the chain is shared as the paces of its kinds are
    assert left.pace("b") == pytest.approx(56 * 50 / 53) and left.seconds() == pytest.approx(3 * left.pace("b"))
    assert left.share() == pytest.approx(1 - 3 * left.pace("b") / (4 * left.pace("a") + 4 * left.pace("b")))


def test_what_was_done_before_needs_no_pace():
    left = Remaining([Part(0, "a", 4), Part(0, "b", 4)], [4, 0], {"b": 2.0})
    assert left.seconds() == pytest.approx(8) and left.share() == pytest.approx(0, abs=1e-6)
    left.see([4, 4], 1.0)
    assert left.seconds() == 0 and left.share() == 1


def test_the_epoch_that_is_being_made_counts_as_far_as_it_is():
    left = Remaining([Part(0, "a", 4)], [0], {"a": 1.0})
    for done, now in (([1], 0.0), ([2], 10.0)):
        left.see(done, now)
    assert left.seconds() == pytest.approx(20)
    left.see([2], 16.0)
    assert left.seconds() == pytest.approx(14)
    left.see([2], 60.0)
    assert left.seconds() == pytest.approx(10), "no less than the epochs behind it"


def test_side_by_side_counts_those_that_move_and_the_longest_one():
    left = Remaining([Part(chain, "a", 10) for chain in range(3)], [0, 0, 0], {"a": 1.0})
    for epoch in range(1, 5):
        left.see([epoch, epoch, 0], 10.0 * epoch)
    assert left.seconds() == pytest.approx(60 + 100)
    for epoch in range(5, 11):
        left.see([epoch, epoch, 0], 10.0 * epoch)
    assert left.seconds() == pytest.approx(100)


def test_an_estimate_has_as_many_digits_as_are_known():
    times = {
        0.2: "1 s",
        42.4: "42 s",
        89: "89 s",
        91: "2 min",
        725: "12 min",
        5500: "1.5 h",
        90000: "25 h",
        3e5: "3.5 days",
    }
    assert {seconds: roughly(seconds) for seconds in times} == times
