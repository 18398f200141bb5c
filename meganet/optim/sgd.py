"""Stochastic gradient descent and its relatives, epoch by epoch, with a state that can be stored and continued."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from meganet.backend import Array
from meganet.optim.epochs import Shared, train
from meganet.optim.rules import Rule
from meganet.optim.runs import Function, Observer, Order, Run, SGDState


def sgd(
    fun: Function,
    x0: Array,
    examples: int,
    *,
    epochs: int,
    learning_rate: float | Callable[[int], float],
    batch_size: int = 32,
    rule: Rule | None = None,
    order: Order = 0,
    project: Callable[[Array], Array] | None = None,
    observe: Observer | None = None,
    callback: Callable[[SGDState], bool | None] | None = None,
    state: SGDState | None = None,
    on_divergence: str = "warn",
    progress: str | None = None,
) -> SGDState:
    """Minimise an average over examples by mini-batch steps.

    Parameters
    ----------
    fun : callable
        ``fun(x, indices) -> value, gradient``: a real number, or an array of shape (), and an array like x. It may
        change its arguments in place and return the same array each time.
    x0 : array, (n,)
        Where to start, float32 or float64; its dtype is kept.
    examples : int
        Number of examples.
    epochs : int
        Passes through the examples in all; a given `state` may have done some of them.
    learning_rate : float or callable
        A number, or a function of the epoch, which counts from 1. The function is called once for each epoch that is
        made, in order, so it may have a state; a continued run begins with its next epoch.
    batch_size : int
        Mini-batches are drawn without replacement; an incomplete last one is dropped, as in Meganet.
    rule : Momentum or Adam
        `Momentum()`, plain steps, if not given.
    order : int or callable
        Seed of the order of the examples, or a function from the epoch to a permutation, called like `learning_rate`.
    project : callable, optional
        Projection onto a feasible set, applied to the start and after each step.
    observe : callable, optional
        ``x -> {name: number}`` at the start and after each epoch: further columns of the history, whose names must not
        be epoch, learning_rate or step.
    callback : callable, optional
        Called with the state after each epoch, for storing it: a copy, which stays as it is. If it returns True, the
        run stops.
    state : SGDState, optional
        A stored state to continue from, made with the same batch size, rule and columns of `observe`; it is left as it
        is.
    on_divergence : {"warn", "continue", "stop"}
        A run has diverged when x, or a column objective, loss or value that is observed, is not finite after an epoch.
        The state then says in which epoch that was and, for an `Objective`, which layer gave the first number that is
        not finite: its attribute `divergence`. "warn" also issues a `DivergenceWarning` and goes on, "continue" goes on
        silently, "stop" ends the run with that epoch.
    progress : str, optional
        Show a progress bar with this label on standard error, in a notebook as a widget.

    Returns
    -------
    SGDState

    Raises
    ------
    InputError
        For a batch larger than the data set, no epochs, a learning rate that is not positive, an order that is no
        permutation, a state that does not fit `x0` and the rule, and functions that return something else: a value that
        is no real number, a gradient that does not fit `x0`, observed columns that are not numbers or have the name of
        another.

    Notes
    -----
    Source: equations (2.4) and (2.5) of the thesis.

    Examples
    --------
    >>> import numpy as np
    >>> from meganet.optim import sgd
    >>> data = np.random.default_rng(0).standard_normal((100, 3)) + 5
    >>> fun = lambda x, k: (0.5 * ((x - data[k]) ** 2).sum(axis=1).mean(), x - data[k].mean(axis=0))
    >>> state = sgd(fun, np.zeros(3), 100, epochs=20, learning_rate=lambda epoch: 0.5 / epoch, batch_size=10)
    >>> state.x.shape, bool(abs(state.x - data.mean(axis=0)).max() < 0.1), state.history.columns
    ((3,), True, ('epoch', 'learning_rate', 'step'))
    """
    run = Run(fun, x0, order, observe, callback, state)
    return train(
        Shared(examples, epochs, learning_rate, batch_size, rule, project, None, on_divergence), [run], progress
    )[0]


def sgd_stacked(
    runs: Sequence[Run],
    examples: int,
    *,
    stack: Callable[[Any], Function],
    epochs: int,
    learning_rate: float | Callable[[int], float],
    batch_size: int = 32,
    rule: Rule | None = None,
    project: Callable[[Array], Array] | None = None,
    on_divergence: str = "warn",
    progress: str | None = None,
) -> list[SGDState]:
    """Make several trainings of one kind side by side, each with its own start, order of examples and history.

    On a GPU one small network leaves most of the device idle; many at once take hardly longer. Each run gives what
    it would give alone: to the bit on the CPU, up to round-off on a device, whose sums depend on the size of the stack.

    Parameters
    ----------
    runs : sequence of Run
    stack : callable
        Makes one function of several: ``stack(funs)(x, indices) -> values, gradients`` with points (T, n), indices
        (T, batch_size), values (T,) and gradients (T, n), such as `StackedObjective`.
    examples, epochs, learning_rate, batch_size, rule, project, on_divergence, progress
        As in `sgd`; `project` gets the stack. A learning rate is asked for once an epoch for all runs that make it, an
        order once for each of them. States that are given may have done different numbers of epochs: those
        furthest behind go on first, without the others. Of runs that diverge each stops, or is warned of, by itself.

    Returns
    -------
    list of SGDState
        In the order of the runs. The seconds of an epoch are its share, the time of all divided by their number.

    Examples
    --------
    >>> import numpy as np
    >>> from meganet.optim import Run, sgd_stacked
    >>> def stack(funs):
    ...     return lambda x, indices: (0.5 * (x * x).sum(axis=1), x)
    >>> runs = [Run(lambda x, k: (0.5 * x @ x, x), np.full(2, start)) for start in (1.0, 4.0)]
    >>> states = sgd_stacked(runs, 4, stack=stack, epochs=1, learning_rate=0.5, batch_size=2)
    >>> [state.x for state in states]
    [array([0.25, 0.25]), array([1., 1.])]
    """
    return train(
        Shared(examples, epochs, learning_rate, batch_size, rule, project, stack, on_divergence), runs, progress
    )
