"""Softmax and its logarithm, shifted by the greatest element, which is exact."""

from fpdet.programs import program


@program
class softmax:
    """e = exp(x - max);  y = e / sum(e).    dx = y * (g - sum(g*y))."""

    results, keeps_result = 1, True

    def forward(m, x, *, axis):
        e = m.unary("exp", m.sub(*_shifted(m, x, axis)))
        y = m.div(e, m.sum(e, (axis,)))
        return m.leave(y, x), y

    def backward(m, needed, grads, inputs, outputs, *, axis):
        g, y = m.enter(grads[0]), outputs[1]
        return (m.leave(m.mul(y, m.sub(g, m.dot(g, y, (axis,)))), inputs[0]),)


@program
class log_softmax:
    """z = x - max;  y = z - log(sum(exp(z))).    dx = g - exp(y) * sum(g)."""

    results, keeps_result = 1, True

    def forward(m, x, *, axis):
        z = m.sub(*_shifted(m, x, axis))
        y = m.sub(z, m.unary("log", m.sum(m.unary("exp", z), (axis,))))
        return m.leave(y, x), y

    def backward(m, needed, grads, inputs, outputs, *, axis):
        g, y = m.enter(grads[0]), outputs[1]
        return (m.leave(m.sub(g, m.mul(m.unary("exp", y), m.sum(g, (axis,)))), inputs[0]),)


@program
class logsumexp:
    """max + log(sum(exp(x - max))) over `axes`, 0 in the place of an infinite max.    dx = g * exp(x - y)."""

    results, keeps_result = 1, True

    def forward(m, x, *, axes):
        wide = m.enter(x)
        top = wide
        for axis in axes:
            top = m.amax(top, axis)
        top = m.where(abs(top) == float("inf"), 0.0, top)
        y = m.add(m.unary("log", m.sum(m.unary("exp", m.sub(wide, top)), axes)), top)
        return m.leave(y, x), y

    def backward(m, needed, grads, inputs, outputs, *, axes):
        wide = m.enter(inputs[0])
        return (m.leave(m.mul(m.unary("exp", m.sub(wide, outputs[1])), m.enter(grads[0])), inputs[0]),)


def _shifted(m, x, axis):
    wide = m.enter(x)
    return wide, m.amax(wide, axis)
