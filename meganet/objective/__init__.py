"""The function that training minimises, ``J(theta, W)``, with its derivatives, and what is made of it.

From left to right: `selection`, which examples in which batches; `batch`, the mathematics of one batch; `evaluation`
and `finite`, of a whole data set; `hessian`; `objective`; and what uses objectives: `observation`, `stacked`, `varpro`,
`landscape`.
"""

from meganet.objective.evaluation import Metrics
from meganet.objective.hessian import Hessian
from meganet.objective.objective import Objective
from meganet.objective.observation import Evaluation, observer
from meganet.objective.stacked import StackedObjective
from meganet.objective.varpro import ReducedHessian, VariableProjection

__all__ = [
    "Evaluation",
    "Hessian",
    "Metrics",
    "Objective",
    "ReducedHessian",
    "StackedObjective",
    "VariableProjection",
    "observer",
]
