"""Classes for asv: ``asv run`` follows the cases over the history of the repository.

pip install ".[bench]" && cd benchmarks && asv run HEAD^!
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from meganet import prolongate
from meganet.linop import CirculantConvolution

from .cases import STEP_CASES, Case, Training


class Step:
    """One step of SGD."""

    params = STEP_CASES
    param_names = ("case",)

    def setup(self, case: Case) -> None:
        self.training = Training(case)
        self.training.step()

    def time_step(self, case: Case) -> None:
        self.training.step()

    def peakmem_step(self, case: Case) -> None:
        for _ in range(5):
            self.training.step()


class Evaluation:
    """Loss and accuracy over 1,000 images."""

    params = STEP_CASES
    param_names = ("case",)

    def setup(self, case: Case) -> None:
        self.training = Training(case, examples=1000)

    def time_evaluate(self, case: Case) -> None:
        self.training.evaluate()

    def peakmem_evaluate(self, case: Case) -> None:
        self.training.evaluate()


class Convolution:
    """A 32 to 64 layer on 28x28 images, batch 32, by engine."""

    params: ClassVar = ["winograd", "direct"]
    param_names = ("engine",)

    def setup(self, engine: str) -> None:
        rng = np.random.default_rng(0)
        self.operator = CirculantConvolution(rng.standard_normal((64, 32, 3, 3)).astype("float32"), (28, 28), engine)
        self.x = rng.standard_normal((32, 32, 28, 28)).astype("float32")
        self.y = self.operator @ self.x

    def time_forward(self, engine: str) -> None:
        self.operator @ self.x

    def time_adjoint(self, engine: str) -> None:
        self.operator.T @ self.y

    def time_kernel_gradient(self, engine: str) -> None:
        self.operator.kernel_adjoint(self.x, self.y)


class Transfer:
    """The multigrid transfer of net A with its classifier to twice the size."""

    params: ClassVar = [14, 56]
    param_names = ("size",)

    def setup(self, size: int) -> None:
        self.training = Training(Case("A", size), examples=1)

    def time_prolongate(self, size: int) -> None:
        fun = self.training.fun
        prolongate(fun.network, *fun.split(self.training.x))
