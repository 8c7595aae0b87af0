"""Activations: each forward is one correctly rounded function, each derivative a few steps."""

import math

from fpdet.programs import program


def _normal_density(m, x):
    return m.mul(m.unary("exp", m.mul(m.mul(x, x), -0.5)), 1.0 / math.sqrt(2.0 * math.pi))


class _Function:
    """y = function(x); a subclass has the derivative, `slope(m, x, y)`.    dx = g * slope."""

    results, keeps_result = 1, True

    @classmethod
    def forward(cls, m, x):
        y = m.unary(cls.__name__, m.enter(x))
        return m.leave(y, x), y

    @classmethod
    def backward(cls, m, needed, grads, inputs, outputs):
        slope = cls.slope(m, m.enter(inputs[0]), outputs[1])
        return (m.leave(m.mul(m.enter(grads[0]), slope), inputs[0]),)


@program
class exp(_Function):
    """slope = y."""

    def slope(m, x, y):
        return y


@program
class expm1(_Function):
    """slope = exp(x)."""

    def slope(m, x, y):
        return m.unary("exp", x)


@program
class log(_Function):
    """slope = 1/x."""

    def slope(m, x, y):
        return m.unary("reciprocal", x)


@program
class log1p(_Function):
    """slope = 1 / (x + 1)."""

    def slope(m, x, y):
        return m.unary("reciprocal", m.add(x, 1.0))


@program
class sqrt(_Function):
    """slope = 0.5 / y."""

    def slope(m, x, y):
        return m.div(0.5, y)


@program
class rsqrt(_Function):
    """slope = (y / x) * -0.5."""

    def slope(m, x, y):
        return m.mul(m.div(y, x), -0.5)


@program
class reciprocal(_Function):
    """slope = -(y*y)."""

    def slope(m, x, y):
        return -m.mul(y, y)


@program
class sigmoid(_Function):
    """slope = y * (1 - y)."""

    def slope(m, x, y):
        return m.mul(y, m.sub(1.0, y))


@program
class tanh(_Function):
    """slope = 1 - y*y."""

    def slope(m, x, y):
        return m.sub(1.0, m.mul(y, y))


@program
class erf(_Function):
    """slope = exp(-(x*x)) * (2 / sqrt(pi))."""

    def slope(m, x, y):
        return m.mul(m.unary("exp", -m.mul(x, x)), 2.0 / math.sqrt(math.pi))


@program
class normal_cdf(_Function):
    """slope = exp(-0.5 * (x*x)) * (1 / sqrt(2 pi))."""

    def slope(m, x, y):
        return _normal_density(m, x)


@program
class softplus(_Function):
    """slope = sigmoid(x)."""

    def slope(m, x, y):
        return m.unary("sigmoid", x)


@program
class silu(_Function):
    """s = sigmoid(x);  slope = s + (y * (1 - s)), and 0 * (1 - s) where x is minus infinity."""

    def slope(m, x, y):
        s = m.unary("sigmoid", x)
        return m.add(s, m.mul(y, m.sub(1.0, s)))


@program
class gelu(_Function):
    """slope = Phi(x) + x * (exp(-0.5 * (x*x)) * (1 / sqrt(2 pi)))    (Hendrycks, Gimpel, arXiv:1606.08415)."""

    def slope(m, x, y):
        return m.add(m.unary("normal_cdf", x), m.mul(x, _normal_density(m, x)))


@program
class gelu_tanh:
    """u = (x + 0.044715 * (x*x)*x) * sqrt(2/pi);  t = tanh(u);  y = (0.5*x) * (1 + t).

    du = (1 + 0.134145 * (x*x)) * sqrt(2/pi);  dx = g * (0.5*(1 + t) + (0.5*x) * ((1 - t*t) * du)).
    """

    results = 1

    def forward(m, x):
        wide = m.enter(x)
        cube = m.mul(m.mul(wide, wide), wide)
        t = m.unary("tanh", m.mul(m.add(wide, m.mul(cube, 0.044715)), math.sqrt(2.0 / math.pi)))
        y = m.mul(m.mul(wide, 0.5), m.add(t, 1.0))
        return m.leave(y, x), t

    def backward(m, needed, grads, inputs, outputs):
        x, t = m.enter(inputs[0]), outputs[1]
        du = m.mul(m.add(m.mul(m.mul(x, x), 0.134145), 1.0), math.sqrt(2.0 / math.pi))
        left = m.mul(m.add(t, 1.0), 0.5)
        right = m.mul(m.mul(x, 0.5), m.mul(m.sub(1.0, m.mul(t, t)), du))
        return (m.leave(m.mul(m.enter(grads[0]), m.add(left, right)), inputs[0]),)


@program
class leaky_relu:
    """y = x where x > 0, else x * negative_slope; the gradient alike."""

    results = 1

    def forward(m, x, *, negative_slope):
        wide = m.enter(x)
        return (m.leave(m.where(wide > 0, wide, m.mul(wide, negative_slope)), x),)

    def backward(m, needed, grads, inputs, outputs, *, negative_slope):
        g, x = m.enter(grads[0]), inputs[0]
        return (m.leave(m.where(x > 0, g, m.mul(g, negative_slope)), x),)


@program
class elu:
    """y = x where x > 0, else alpha * expm1(x);  dx = g where x > 0, else g * (alpha * exp(x))."""

    results = 1

    def forward(m, x, *, alpha):
        wide = m.enter(x)
        return (m.leave(m.where(wide > 0, wide, m.mul(m.unary("expm1", wide), alpha)), x),)

    def backward(m, needed, grads, inputs, outputs, *, alpha):
        g, x = m.enter(grads[0]), m.enter(inputs[0])
        return (m.leave(m.where(x > 0, g, m.mul(g, m.mul(m.unary("exp", x), alpha))), inputs[0]),)
