"""Losses per element or per sample; `reduction` is a sum or a mean of what they give."""

from fpdet.programs import program


@program
class squared_error:
    """d = input - target;  y = d*d;  dinput = (g*d) * 2, dtarget = -dinput."""

    results = 1

    def forward(m, input, target):
        d = m.sub(m.enter(input), m.enter(target))
        return (m.leave(m.mul(d, d), input),)

    def backward(m, needed, grads, inputs, outputs):
        input, target = inputs
        d = m.sub(m.enter(input), m.enter(target))
        g = m.mul(m.mul(m.enter(grads[0]), d), 2.0)
        return (m.leave(g, input) if needed[0] else None, m.leave(-g, target) if needed[1] else None)


@program
class absolute_error:
    """y = |input - target|;  dinput = g * sign(input - target), 0 where they are equal; dtarget = -dinput."""

    results = 1

    def forward(m, input, target):
        return (m.leave(abs(m.sub(m.enter(input), m.enter(target))), input),)

    def backward(m, needed, grads, inputs, outputs):
        a, b = m.enter(inputs[0]), m.enter(inputs[1])
        g = m.enter(grads[0])
        g = m.where(a > b, g, m.where(a < b, -g, m.where(a == b, 0.0, float("nan"))))
        return (m.leave(g, inputs[0]) if needed[0] else None, m.leave(-g, inputs[1]) if needed[1] else None)


@program
class bce_with_logits:
    """Binary cross entropy of logits x and targets t:

        y = weight * ((1 - t) * x + (1 + (pos_weight - 1) * t) * softplus(-x))

    pos_weight and weight, each broadcast before, may be missing; without pos_weight, y = (1 - t)*x + softplus(-x).
    dx = g * weight * ((1 - t) - (1 + (pos_weight - 1)*t) * sigmoid(-x)).  No gradient for t.
    """

    results = 1

    def forward(m, x, target, weight, pos_weight):
        wide, t = m.enter(x), m.enter(target)
        y = m.mul(m.sub(1.0, t), wide)
        y = m.add(y, _scaled(m, m.unary("softplus", -wide), t, m.enter(pos_weight)))
        if weight is not None:
            y = m.mul(y, m.enter(weight))
        return (m.leave(y, x),)

    def backward(m, needed, grads, inputs, outputs):
        x, target, weight, pos_weight = inputs
        wide, t, g = m.enter(x), m.enter(target), m.enter(grads[0])
        if weight is not None:
            g = m.mul(g, m.enter(weight))
        slope = m.sub(m.sub(1.0, t), _scaled(m, m.unary("sigmoid", -wide), t, m.enter(pos_weight)))
        return m.leave(m.mul(g, slope), x), None, None, None


def _scaled(m, y, target, pos_weight):
    if pos_weight is None:
        return y
    return m.mul(y, m.add(m.mul(m.sub(pos_weight, 1.0), target), 1.0))
