"""Optimisers. They see functions of a vector and know nothing of networks."""

from meganet.ground.deprecated import moved_names
from meganet.optim.coarse import Coarse, Corrected
from meganet.optim.divergence import Divergence, DivergenceWarning
from meganet.optim.history import History
from meganet.optim.krylov import Krylov, arnoldi, gmres, gmres_in_ball
from meganet.optim.line_search import Armijo, LineSearch, StrongWolfe
from meganet.optim.meganet import MeganetSolution, meganet_cg, meganet_descent, meganet_newton
from meganet.optim.methods import bfgs, lbfgs, newton_cg, nonlinear_cg, steepest_descent
from meganet.optim.mgopt import mg_opt
from meganet.optim.problem import Control, Point, Problem, Result
from meganet.optim.proximal import ball, bounds, prox_l1, prox_tikhonov, proximal_gradient
from meganet.optim.rates import LinearDecay
from meganet.optim.rules import Adam, Momentum
from meganet.optim.runs import Run, SGDState
from meganet.optim.sgd import sgd, sgd_stacked
from meganet.optim.steihaug import Subproblem, steihaug
from meganet.optim.trust_region import trust_region

__all__ = [
    "Adam",
    "Armijo",
    "Coarse",
    "Control",
    "Corrected",
    "Divergence",
    "DivergenceWarning",
    "History",
    "Krylov",
    "LineSearch",
    "LinearDecay",
    "MeganetSolution",
    "Momentum",
    "Point",
    "Problem",
    "Result",
    "Run",
    "SGDState",
    "StrongWolfe",
    "Subproblem",
    "arnoldi",
    "ball",
    "bfgs",
    "bounds",
    "gmres",
    "gmres_in_ball",
    "lbfgs",
    "meganet_cg",
    "meganet_descent",
    "meganet_newton",
    "mg_opt",
    "newton_cg",
    "nonlinear_cg",
    "prox_l1",
    "prox_tikhonov",
    "proximal_gradient",
    "sgd",
    "sgd_stacked",
    "steepest_descent",
    "steihaug",
    "trust_region",
]

moved_names(__name__, {"quasi_newton": "meganet.optim.methods", "sgd_together": "meganet.optim:sgd_stacked"})
moved_names("meganet.optim.sgd", {"sgd_together": "meganet.optim.sgd:sgd_stacked"})
moved_names(
    "meganet.optim.descent",
    {name: f"meganet.optim.methods:{name}" for name in ("newton_cg", "nonlinear_cg", "steepest_descent")},
)
