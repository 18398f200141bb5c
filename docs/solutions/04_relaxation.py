"""Solutions of the lesson "Relaxation and the V-cycle", and mistakes that its checks see."""


def smoothing_factor(weight):
    # sin^2(theta / 2) goes from 1/2 to 1, and the factor is linear in it
    return max(abs(1 - weight), abs(1 - 2 * weight))


def smoothing_factor_mistake(weight):
    return abs(1 - 2 * weight)


def richardson_sweep(A, step, u, f):
    return u + step * (f - A @ u)


def richardson_sweep_mistake(A, step, u, f):
    return u + step * (A @ u - f)


def two_grid(hierarchy, u, f):
    fine, coarse = hierarchy[1], hierarchy[0]
    u = fine.relaxation(u, f)
    error = coarse.inverse @ (fine.R @ (f - fine.A @ u))
    return fine.relaxation(u + fine.P @ error, f)


def two_grid_mistake(hierarchy, u, f):
    fine, coarse = hierarchy[1], hierarchy[0]
    residual = f - fine.A @ u  # of what was there before the sweep
    error = coarse.inverse @ (fine.R @ residual)
    return fine.relaxation(fine.relaxation(u, f) + fine.P @ error, f)
