"""The time left of a plan of mixed stages, from synthetic timings."""

import pytest

from meganet.experiments.remaining import Part, Remaining, roughly

#: Kind to true seconds of an epoch and to the estimate of its work, which is off by large factors.
KINDS = {"coarse": (20.0, 1.0), "classifier": (90.0, 0.02), "newton": (1500.0, 21.0), "sgd": (200.0, 1.3)}
PLAN = [("coarse", 8), ("classifier", 5), ("classifier", 5), ("sgd", 5), ("newton", 5), ("newton", 5)]


def simulate(chains, side_by_side, setup=30.0, known=None):
    """Yield how far a plan is, the true time left, and the estimate, each time an epoch ends."""
    parts = [Part(chain, kind, epochs, KINDS[kind][1]) for chain in range(chains) for kind, epochs in PLAN]
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
    estimate = Remaining(parts, done, side_by_side, dict(known or {}))
    for clock, number in events:
        done[number] += 1
        estimate.see(done, clock)
        estimate.known |= {kind: KINDS[kind][0] for kind in estimate.unmeasured()}
        yield clock / end, end - clock, estimate.seconds()


@pytest.mark.parametrize(("chains", "side_by_side"), [(1, 1), (3, 1), (4, 2), (5, 2)])
def test_the_time_left_is_right_when_every_kind_was_seen(chains, side_by_side):
    seen = list(simulate(chains, side_by_side))
    assert seen[-1][1:] == (0.0, 0.0)
    # one trial has shown every kind when its first Newton step of the network is done
    for share, true, found in seen:
        if (0.6 if chains == 1 else 0.5) < share < 0.98:
            assert true / 1.4 < found + 60 < true * 1.4 + 120, (share, true, found)


def test_before_a_kind_was_seen_its_estimate_counts():
    parts = [Part(0, "a", 4, 1.0), Part(0, "b", 4, 10.0)]
    left = Remaining(parts, [0, 0])
    assert left.seconds() is None and left.share() == 0
    left.see([1, 0], 100.0)
    assert left.seconds() is None and left.unmeasured() == {"a"}, "a start measures nothing"
    left.known["a"] = 5.0
    assert left.seconds() == pytest.approx(3 * 5 + 4 * 50) and left.unmeasured() == set()
    left.see([3, 0], 106.0)
    assert left.seconds() == pytest.approx(1 * 3 + 4 * 30), "what is measured counts before what is known"
    left.see([4, 1], 209.0)
    # the time of the chain is shared as the estimates of its kinds are
    assert left.seconds() == pytest.approx(3 * 103 * 30 / 33)
    assert left.share() == pytest.approx(
        1 - 3 * left.paces()[parts[1].kind] / (4 * left.paces()[parts[0].kind] + 4 * left.paces()[parts[1].kind])
    )


def test_the_epoch_that_is_being_made_counts_as_far_as_it_is():
    left = Remaining([Part(0, "a", 4, 1.0)], [0])
    for done, now in (([1], 0.0), ([2], 10.0)):
        left.see(done, now)
    assert left.seconds() == pytest.approx(20)
    left.see([2], 16.0)
    assert left.seconds() == pytest.approx(14)
    left.see([2], 60.0)
    assert left.seconds() == pytest.approx(10), "no less than the epochs behind it"


def test_side_by_side_counts_those_that_move_and_the_longest_one():
    parts = [Part(chain, "a", 10, 1.0) for chain in range(3)]
    left = Remaining(parts, [0, 0, 0])
    for epoch in range(1, 5):
        left.see([epoch, epoch, 0], 10.0 * epoch)
    assert left.seconds() == pytest.approx(60 + 100)
    for epoch in range(5, 11):
        left.see([epoch, epoch, 0], 10.0 * epoch)
    assert left.seconds() == pytest.approx(100)


def test_a_light_kind_says_little_about_a_heavy_one():
    """An epoch of the classifier alone is mostly what comes beside the work: reading, storing, evaluating."""
    parts = [Part(0, "coarse", 2, 100.0), Part(0, "classifier", 2, 10.0), Part(0, "newton", 2, 5000.0)]
    left = Remaining(parts, [0, 0, 0])
    for done, now in (([1, 0, 0], 0.0), ([2, 0, 0], 10.0), ([2, 1, 0], 60.0), ([2, 2, 0], 110.0)):
        left.see(done, now)
    assert left.paces()[parts[1].kind] == pytest.approx(50) and left.seconds() == pytest.approx(2 * 10 * 50)


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
