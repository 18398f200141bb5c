"""NN, ResNN, ResNNrk4, LeapFrogNN, HamiltonianNN, DoubleHamiltonianNN, connector, Meganet; refinement in time."""

from itertools import product

import numpy as np
from layout import bias, compare_all, fitting, stencils_within
from test_golden_layers_single import EPS

from meganet.interop.matlab import from_matlab, to_matlab
from meganet.layers import (
    BiasLayer,
    Layer,
    LinearLayer,
    PoolingLayer,
    ScalingLayer,
    TVNormalisationLayer,
)
from meganet.linop import CirculantConvolution, Dense, Matrix, Reshape
from meganet.networks import (
    Chain,
    DoubleHamiltonian,
    DoubleLayer,
    Hamiltonian,
    Leapfrog,
    ResidualNetwork,
    RungeKutta4,
    SingleLayer,
    SymmetricLayer,
    antisymmetric,
)


class Cases:
    """The networks by name, with the sizes of the file."""

    def __init__(self, golden):
        self.golden = golden
        self.h, self.n, self.steps, self.channels = (golden.number("opt", k) for k in ("h", "n", "nt", "nc"))
        self.n, self.steps, self.channels = int(self.n), int(self.steps), int(self.channels)
        self.image = golden.integers("opt", "nImg")
        self.bias, self.stencil, self.eps = bias(golden("bias", "B")), (3, 3), EPS[0]

    def dense(self, m=None, n=None):
        return Dense(np.zeros((m or self.n, n or self.n)))

    def convolution(self, out=None, channels=None, image=None):
        c = channels or self.channels
        return CirculantConvolution(np.zeros((out or c, c, *self.stencil)), image or self.image)

    def in_time(self, case):
        return self.golden(case, "A") if self.golden.has(case, "A") else None

    def build(self, case):
        """Return the network of a case, with the size of stencils that gives its result."""
        make = getattr(self, case, self.common)
        if "conv" not in case:
            return make(case)

        def candidates():
            # the normalisation's eps is not stored either
            sizes = stencils_within(self.image)
            for self.stencil, self.eps in product(sizes, EPS if "resnn" in case else EPS[:1]):
                made = make(case)
                yield from [made] if isinstance(made, Layer) else made

        return fitting(self.golden, case, candidates())

    def common(self, case):
        """The residual and leapfrog networks whose names say everything."""
        scheme, _, detail = case.partition("_")
        layer = {
            "A": lambda: SingleLayer(self.dense()),
            "sym": lambda: SymmetricLayer(self.dense()),
            "relu": lambda: SingleLayer(self.dense(), "relu"),
            "single": lambda: SingleLayer(self.dense(), "relu"),
            "anti": lambda: SingleLayer(antisymmetric(self.n)),
            "double": lambda: DoubleLayer(self.dense(), self.dense()),
            "conv": lambda: SymmetricLayer(self.convolution()),
        }[detail]()
        if (scheme, detail) == ("leap", "A"):
            layer = SymmetricLayer(self.dense())
        network = {"resnn": ResidualNetwork, "leap": Leapfrog}[scheme]
        return network(layer, self.steps, self.h, coefficients=self.in_time(case))

    def resnn(self, case):
        return ResidualNetwork(SingleLayer(self.dense(), bias_out=self.bias), self.steps, self.h)

    def resnn_conv(self, case):
        shape = (self.channels, *self.image)
        norm = Chain([TVNormalisationLayer(shape, eps=self.eps), ScalingLayer(shape), BiasLayer(shape)])
        layer = SymmetricLayer(self.convolution(), "relu", normalisation1=norm)
        return ResidualNetwork(layer, self.steps, self.h)

    def rk4(self, case):
        layer = SingleLayer(self.dense(), bias_in=self.bias if case == "rk4" else False)
        return RungeKutta4(layer, self.golden(case, "tY").ravel(), coefficients=self.in_time(case))

    rk4_A = rk4

    def ham(self, case):
        b = Matrix(self.golden(case, "B")) if self.golden.has(case, "B") else Matrix(np.eye(self.n))
        return Hamiltonian(self.dense(), self.steps, self.h, bias=b, coefficients=self.in_time(case))

    ham_A = ham

    def ham_conv(self, case):
        return Hamiltonian(self.convolution(), self.steps, self.h, bias=True)

    def dham(self, case):
        layers = [SymmetricLayer(self.dense()) for _ in range(2)]
        return DoubleHamiltonian(*layers, self.steps, self.h)

    def dham_two(self, case):
        rest = int(self.golden.number(case, "nTheta")) // self.steps - 2 * self.n**2
        first = SingleLayer(self.dense(), bias_in=self.bias)
        assert rest == self.bias.shape[1]
        return DoubleHamiltonian(first, SymmetricLayer(self.dense()), self.steps, self.h)

    def dham_conv(self, case):
        layers = [SymmetricLayer(self.convolution()) for _ in range(2)]
        return DoubleHamiltonian(*layers, self.steps, self.h)

    def connector(self, case):
        return LinearLayer(Matrix(self.golden(case, "K")), self.golden(case, "b").ravel())

    def connector_pool(self, case):
        height, width, channels = self.golden.shape(case, "Y", 4)[:3]
        small = self.golden(case, "Z").shape[:2]
        return PoolingLayer((channels, height, width), (height // small[0], width // small[1]))

    def nn1(self, case):
        return SingleLayer(self.dense(len(self.golden(case, "Z")), len(self.golden(case, "Y"))))

    def nn3(self, case):
        inputs, outputs = (len(self.golden(case, name)) for name in ("Y", "Z"))
        middle = SingleLayer(self.dense(), "relu", bias_in=self.bias)
        return Chain(
            [SingleLayer(self.dense(self.n, inputs)), middle, SingleLayer(self.dense(outputs, self.n), "identity")]
        )

    def nn_conv(self, case):
        """The numbers of channels inside follow from the number of weights."""
        ins, total = self.golden.shape(case, "Y", 4)[2], self.golden(case, "theta").size
        outs, pixels, entries = len(self.golden(case, "Z")), int(np.prod(self.image)), int(np.prod(self.stencil))
        for first, second in product(range(1, total // entries + 1), range(1, total // (outs * pixels) + 1)):
            if entries * first * (ins + second) + second + outs * second * pixels == total:
                layers = [
                    SingleLayer(self.convolution(first, ins), "relu"),
                    SingleLayer(self.convolution(second, first), bias_in=True),
                    LinearLayer(Reshape((second, *self.image), axes=(0, 2, 1))),
                ]
                yield Chain([*layers, SingleLayer(self.dense(outs, second * pixels))])

    def meganet(self, case):
        """The numbers of steps of its leapfrog and Hamiltonian parts follow from the number of weights."""
        ins, n = len(self.golden(case, "Y")), self.n

        def candidates():
            inside = self.golden(case, "theta").size - n * ins - self.steps * n * n
            pairs = product(range(1, inside // (n * n) + 1), repeat=2)
            for leaps, hams in sorted(pairs, key=lambda pair: pair[0] != pair[1]):
                if leaps * n * n + hams * (n * n + n) != inside:
                    continue
                yield Chain(
                    [
                        SingleLayer(self.dense(n, ins)),
                        ResidualNetwork(SingleLayer(self.dense()), self.steps, self.h),
                        Leapfrog(SymmetricLayer(self.dense()), leaps, self.h),
                        Hamiltonian(self.dense(), hams, self.h, bias=Matrix(np.eye(n))),
                        self.connector(case),
                    ]
                )

        return fitting(self.golden, case, candidates())

    def meganet_cnn(self, case):
        """Stencils, inner channels and steps follow from the number of weights."""
        image, small = self.golden(case, "Y").shape[:2], self.golden(case, "Z").shape[:2]
        ins, outs = (self.golden.shape(case, name, 4)[2] for name in ("Y", "Z"))
        total, before = self.golden(case, "theta").size, self.stencil

        def candidates():
            for self.stencil in stencils_within(small):
                most = total // int(np.prod(self.stencil))
                for channels, steps in product(range(1, most + 1), repeat=2):
                    if channels * (ins + steps * channels + outs) * int(np.prod(self.stencil)) == total:
                        yield network(channels, steps)

        def network(channels, steps):
            return Chain(
                [
                    SingleLayer(self.convolution(channels, ins, image), "relu"),
                    PoolingLayer((channels, *image), (image[0] // small[0], image[1] // small[1])),
                    ResidualNetwork(SymmetricLayer(self.convolution(channels, channels, small)), steps, self.h),
                    SingleLayer(self.convolution(outs, channels, small), "relu"),
                ]
            )

        found = fitting(self.golden, case, candidates())
        self.stencil = before
        return found


def test_products(golden):
    cases = Cases(golden)
    compare_all(golden, lambda case: None if case.endswith("_prolong") else cases.build(case), "W")


def test_refinement_in_time(golden):
    cases, found = Cases(golden), golden.cases("theta2")
    assert found
    for c in found:
        network = cases.build(c.removesuffix("_prolong"))
        theta = from_matlab(network.parameters, golden(c, "theta"))
        finer, theta2 = network.refined_in_time(theta)
        golden.compare(to_matlab(finer.parameters, theta2), golden(c, "theta2"))
        if golden.has(c, "nt2"):
            assert (finer.steps, finer.h) == (golden.number(c, "nt2"), golden.number(c, "h2"))
        if golden.has(c, "tY2"):
            # the original makes the new times equidistant, whatever the old ones were; ours halves every interval
            times = golden(c, "tY2").ravel()
            assert len(finer.nodes) == len(times) and finer.nodes[::2] == network.nodes
            golden.compare(np.array([finer.nodes[0], finer.nodes[-1]]), times[[0, -1]])
