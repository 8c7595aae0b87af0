"""The one-layer CNN: its gradient step in a machine's arithmetic, and its curvature in closed form.

On a checkerboard every patch is +c or -c, one wave of m x m signs, so z = K*I takes the two values s = <K, c> and
-s, and the gradient is a multiple of c. With p the share of positions that see +c and r(z) = z sigmoid(beta z),

    f(s) = p r(s) + (1 - p) r(-s),   L(s) = log(1 + exp(-f)),   Hessian = m^2 L''(s) (c c^T / m^2) + alpha 1 :

curvature m^2 L'' + alpha along c, alpha across it. A perturbation is multiplied by 1 - lr * curvature a step.
"""

import numpy as np

from fpdet.core import dot_exact
from fpdet.experiments.elementary import sigmoid, softplus
from fpdet.experiments.linear_pde.model import checkerboard


class Net:
    """Gradient and update in the arithmetic of a `Machine`, of a stack of kernels, one for each of `rescales`.

    Kernels of a stack do not touch: each has the bits that it has alone. (Under stochastic rounding they would draw
    apart, so there a stack holds one, and twins are nets with machines of their own, which draw alike.)
    """

    def __init__(self, machine, settings, lr, rescales=(1,)):
        self.machine = machine
        self.image = machine.round(checkerboard(settings.image))
        self.beta = machine.number(settings.beta)
        self.alpha = machine.number(settings.alpha)
        self.positions = machine.number((settings.image - settings.kernel + 1) ** 2)
        column = (len(rescales), 1, 1)
        self.divisor = machine.number(np.array(rescales, np.float64)).reshape(column)
        self.rate = machine.number(np.array([-(lr * k) for k in rescales])).reshape(column)

    def forward(self, k):
        """(z, sigmoid(beta z), f) of a stack."""
        m = self.machine
        z = m.correlate(self.image, k)
        gate = m.round(sigmoid(m.mul(self.beta, z)))
        terms = m.mul(z, gate).reshape(len(k), -1)
        return z, gate, m.div(m.sum(terms), self.positions)

    def step(self, k):
        """(K after one step, f, z at the first position) of label 1, each a stack."""
        m = self.machine
        z, gate, f = self.forward(k)
        a = m.sub(m.round(sigmoid(f)), 1.0).reshape(-1, 1, 1)
        slope = m.mul(m.mul(self.beta, z), m.mul(gate, m.sub(1.0, gate)))
        data = m.div(m.correlate(self.image, m.add(gate, slope)), self.positions)
        d = m.fma(self.alpha, k, m.mul(a, data))
        return m.fma(self.rate, m.div(d, self.divisor), k), f, z[:, 0, 0]


def loss(f, k, alpha):
    """BCE of label 1, plus alpha/2 ||K||^2 (the sum exact), in float64."""
    flat = k.reshape(-1).astype(np.float64)
    return float(softplus(-f)) + 0.5 * alpha * float(dot_exact(flat, flat))


def positive_share(image, kernel):
    """p: the share of positions whose patch starts with +1."""
    rows = image - kernel + 1
    return ((rows * rows + 1) // 2) / (rows * rows)


def _swish(z, beta):
    """r, r', r''."""
    g = sigmoid(beta * z)
    return z * g, g + beta * z * g * (1 - g), beta * g * (1 - g) * (2 + beta * z * (1 - 2 * g))


def derivatives(s, share, beta):
    """L'(s) and L''(s)."""
    up, down = _swish(s, beta), _swish(-s, beta)
    f = share * up[0] + (1 - share) * down[0]
    first = share * up[1] - (1 - share) * down[1]
    second = share * up[2] + (1 - share) * down[2]
    p = sigmoid(f)
    return (p - 1) * first, p * (1 - p) * first**2 + (p - 1) * second


def curvature(s, settings):
    """Curvature of the loss along c where <K, c> = s."""
    share = positive_share(settings.image, settings.kernel)
    return settings.kernel**2 * derivatives(s, share, settings.beta)[1] + settings.alpha


def minima(settings):
    """[(s, curvature along c)] of the minima on the line of c: signs of L'(s) + alpha s / m^2, then bisection."""
    share = positive_share(settings.image, settings.kernel)

    def slope(s):
        return derivatives(s, share, settings.beta)[0] + settings.alpha * s / settings.kernel**2

    far = 2 * settings.kernel**2 / settings.alpha  # |L'| < 1.2, so the slope has the sign of s there
    grid = np.linspace(-far, far, 4001)
    slopes = slope(grid)
    found = []
    for low, high, left, right in zip(grid, grid[1:], slopes, slopes[1:], strict=False):
        if left < 0 <= right:
            for _ in range(80):
                middle = 0.5 * (low + high)
                low, high = (middle, high) if slope(middle) < 0 else (low, middle)
            found.append((float(low), float(curvature(low, settings))))
    return found


def onset(settings):
    """The learning rate from which on no minimum is stable: 2 / curvature of the flattest one, at most 2 / alpha."""
    return float(max(2 / max(bend, settings.alpha) for _, bend in minima(settings)))
