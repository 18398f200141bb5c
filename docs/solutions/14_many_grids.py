"""Solutions of the lesson "Training on many grids", and mistakes that its checks see."""

from meganet import multilevel as ml


def work_of(schedule, hierarchy):
    return sum(phase.epochs * hierarchy[phase.level].flop for phase in schedule) / hierarchy[-1].flop


def work_of_mistake(schedule, hierarchy):
    # unknowns are nearly a quarter on the next grid too, but work is counted in operations
    return sum(phase.epochs * hierarchy[phase.level].unknowns for phase in schedule) / hierarchy[-1].unknowns


def v_cycle(levels, epochs):
    return ml.cycle([*range(levels - 1, 0, -1), *range(levels)], epochs)


def v_cycle_mistake(levels, epochs):
    # the coarsest level comes twice
    return ml.fine_to_coarse(levels, epochs) + ml.nested(levels, epochs)


def joint_gradient(f, T, x):
    value, gradient = f(T @ x)
    return value, T.T @ gradient


def joint_gradient_mistake(f, T, x):
    # the mean of four pixels in place of the adjoint
    value, gradient = f(T @ x)
    return value, T.T @ gradient / 4
