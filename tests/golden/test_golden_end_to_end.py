"""A small convolutional network trained by sgd, step by step."""

import numpy as np
from layout import column_major, images, kernel, kernel_vector, stencils_within

from meganet import Adam, Chain, ConvolutionLayer, DenseLayer, Momentum, Objective, PoolingLayer, Tikhonov, sgd
from meganet.linop import BlockDiagonal, Gradient, Identity


class Problem:
    """The original's problem; `to_ours` and `to_theirs` reorder the flat vector [theta; vec(W)]."""

    def __init__(self, golden):
        height, width = golden.integers("data", "nImg")
        channels, classes = golden.integers("data", "ch"), int(golden.number("data", "nc"))
        ins = golden.shape("data", "Y", 4)[2]
        case = golden.cases("perms", "iterates_theta")[0]
        entries = len(golden(case, "theta")) // (ins * channels[0] + channels[0] * channels[1])
        pixels = (len(golden(case, "W")) // classes - 1) // channels[1]
        factor = round((height * width / pixels) ** 0.5)
        size = stencils_within((height // factor, width // factor), entries)[0]
        layers = [ConvolutionLayer((ins, height, width), channels[0], size)]
        if golden.number("data", "pool"):
            layers.append(PoolingLayer(layers[-1].range_shape, factor))
        layers.append(ConvolutionLayer(layers[-1].range_shape, channels[1], size))
        self.network = Chain(layers)
        self.classifier = DenseLayer(self.network.range_shape, classes)
        shapes = [(ins, channels[0]), (channels[0], channels[1])]
        features = self.network.range_shape
        count = int(np.prod(features))
        order = column_major(*features)
        w_order = (np.arange(classes)[:, None] + classes * order[None, :]).ravel()
        bias = classes * count + np.arange(classes)
        theta_order, start = [], 0
        for cin, cout in shapes:
            numbers = np.arange(start, start + size[0] * size[1] * cin * cout)
            theta_order.append(kernel(numbers, [*size, cin, cout]).ravel())
            start += numbers.size
        self.order = np.concatenate([*theta_order, start + w_order, start + bias])
        self.theta_size = start
        self.theta_penalty = Tikhonov(Identity(start), golden.number("data", "alphaTheta"))
        # the original lets the gradient run over vec(W) as if pixels ran fastest, though classes do
        gradient = Gradient((classes * features[0], features[2], features[1]))
        operator = BlockDiagonal([gradient, Identity(classes)])
        self.w_penalty = Tikhonov(operator, golden.number("data", "alphaW"))

    def objective(self, golden, y, c):
        """Return fun(x, indices) in the original's order of weights."""
        fun = Objective(self.network, self.classifier, images(golden("data", y)), golden("data", c).argmax(axis=0))

        def both(x, indices=None):
            value, gradient = fun(x[self.order], indices)
            theirs = np.empty_like(x)
            theirs[self.order] = gradient
            for penalty, part in (
                (self.theta_penalty, slice(self.theta_size)),
                (self.w_penalty, slice(self.theta_size, None)),
            ):
                more, slope = penalty.value_and_gradient(x[part])
                value = value + more
                theirs[part] += slope
            return value, theirs

        return fun, both


def test_kernel_orders_are_inverse():
    numbers = np.arange(54.0)
    np.testing.assert_array_equal(kernel_vector(kernel(numbers, [3, 3, 2, 3])).ravel(), numbers)


def test_training(golden):
    problem = Problem(golden)
    training, both = problem.objective(golden, "Y", "C")
    validation, _ = problem.objective(golden, "Yv", "Cv")
    cases = golden.cases("perms", "iterates_theta")
    assert cases
    for case in cases:
        momentum = golden.number("data", "momentum")
        rule = Adam(beta1=momentum, variant="meganet") if case == "adam" else Momentum(momentum, nesterov=True)
        perms, rate = golden(case, "perms").astype(int) - 1, golden.number(case, "lr")
        iterates = []

        def record(x, iterates=iterates):
            iterates.append(x)
            return x

        def observe(x):
            ours = training.evaluate(x[problem.order]), validation.evaluate(x[problem.order])
            return {
                "Jc": float(both(x)[0]),
                "F": ours[0].loss,
                "accuracy": 100 * ours[0].accuracy,
                "R(theta)": float(problem.theta_penalty.value_and_gradient(x[: problem.theta_size])[0]),
                "R(W)": float(problem.w_penalty.value_and_gradient(x[problem.theta_size :])[0]),
                "F_val": ours[1].loss,
                "accuracy_val": 100 * ours[1].accuracy,
            }

        state = sgd(
            both,
            golden("data", "x0").ravel(),
            perms.shape[1],
            epochs=len(perms),
            learning_rate=lambda epoch, rate=rate: rate / epoch**0.5,
            batch_size=int(golden.number("data", "miniBatch")),
            rule=rule,
            order=lambda epoch, perms=perms: perms[epoch - 1],
            project=record,
            observe=observe,
        )
        points = np.array(iterates).T
        golden.compare(points[: problem.theta_size], golden(case, "iterates_theta"), 1e-10)
        golden.compare(np.linalg.norm(points, axis=0)[None], golden(case, "iterates_norm"), 1e-10)
        golden.compare(state.x[: problem.theta_size, None], golden(case, "theta"), 1e-8)
        golden.compare(state.x[problem.theta_size :, None], golden(case, "W"), 1e-8)
        columns = ["epoch", "Jc", "step", "learning_rate", "F", "accuracy", "R(theta)", "R(W)", "F_val", "accuracy_val"]
        ours = np.array([[row[name] for name in columns] for row in state.history])[1:]
        titles = golden(case, "his_names").tolist()
        theirs = ["epoch", "Jc", "|x-xOld|", "lr", "F", "accuracy", "R(theta)", "R(W)"]
        # those of the validation have the same titles, and are the last two
        places = [titles.index(title) for title in theirs] + [len(titles) - 2, len(titles) - 1]
        golden.compare(ours, golden(case, "his")[:, places], 1e-8)
