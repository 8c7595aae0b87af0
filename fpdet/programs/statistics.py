"""Mean and variance over axes."""

from fpdet.programs import program
from fpdet.programs.machine import count


@program
class mean:
    """y = sum(x) / n;  dx = g / n."""

    results = 1

    def forward(m, x, *, axes):
        return (m.leave(m.mean(m.enter(x), axes), x),)

    def backward(m, needed, grads, inputs, outputs, *, axes):
        x = inputs[0]
        each = m.leave(m.div(m.enter(grads[0]), float(count(x, axes))), x)
        return (m.expand(each, tuple(x.shape)),)


@program
class var:
    """mean = sum(x)/n;  d = x - mean;  y = sum(d*d) / (n - correction);  dx = d * (g * (2 / (n - correction)))."""

    results = 1

    def forward(m, x, *, axes, correction):
        wide = m.enter(x)
        centre = m.mean(wide, axes)
        d = m.sub(wide, centre)
        y = m.div(m.dot(d, d, axes), float(max(count(x, axes) - correction, 0)))
        return m.leave(y, x), centre

    def backward(m, needed, grads, inputs, outputs, *, axes, correction):
        x = inputs[0]
        d = m.sub(m.enter(x), outputs[1])
        n = max(count(x, axes) - correction, 0)
        return (m.leave(m.mul(d, m.mul(m.enter(grads[0]), 2.0 / n if n else float("inf"))), x),)
