"""Network, classifier and weights as one object: `Model`; files of it: `load`."""

from meganet.model.files import load
from meganet.model.model import Model

__all__ = ["Model", "load"]
