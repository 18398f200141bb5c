"""Networks: layers made of layers. They nest, since every network is a layer."""

from meganet.ground.deprecated import moved_names
from meganet.networks.chain import Chain
from meganet.networks.compound import DoubleLayer, SingleLayer, SymmetricLayer
from meganet.networks.integrator import Integrator, Stage
from meganet.networks.reparametrised import Reparametrised, antisymmetric
from meganet.networks.time_stepping import (
    DoubleHamiltonian,
    Hamiltonian,
    Leapfrog,
    ResidualNetwork,
    RungeKutta4,
)

__all__ = [
    "Chain",
    "DoubleHamiltonian",
    "DoubleLayer",
    "Hamiltonian",
    "Integrator",
    "Leapfrog",
    "Reparametrised",
    "ResidualNetwork",
    "RungeKutta4",
    "SingleLayer",
    "Stage",
    "SymmetricLayer",
    "antisymmetric",
]

moved_names(__name__, {"evaluation": "meganet.objective.evaluation"})
