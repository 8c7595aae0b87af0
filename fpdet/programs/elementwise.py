"""What torch calls one op and is more than one rounding."""

from fpdet.programs import program


@program
class square:
    """y = x*x;  dx = (g*x) * 2."""

    results = 1

    def forward(m, x):
        wide = m.enter(x)
        return (m.leave(m.mul(wide, wide), x),)

    def backward(m, needed, grads, inputs, outputs):
        return (m.leave(m.mul(m.mul(m.enter(grads[0]), m.enter(inputs[0])), 2.0), inputs[0]),)


@program
class add_scaled:
    """y = a + (b * alpha): torch's add and sub with alpha=; b is broadcast to a before.

    da = g;  db = g * alpha.
    """

    results = 1

    def forward(m, a, b, *, alpha):
        return (m.leave(m.add(m.enter(a), m.mul(m.enter(b), alpha)), a),)

    def backward(m, needed, grads, inputs, outputs, *, alpha):
        g = m.enter(grads[0])
        return (
            m.leave(g, inputs[0]) if needed[0] else None,
            m.leave(m.mul(g, alpha), inputs[1]) if needed[1] else None,
        )


@program
class lerp:
    """y = a + (weight * (b - a)), weight a number.    da = g * (1 - weight);  db = g * weight."""

    results = 1

    def forward(m, a, b, *, weight):
        a_wide = m.enter(a)
        return (m.leave(m.add(a_wide, m.mul(m.sub(m.enter(b), a_wide), weight)), a),)

    def backward(m, needed, grads, inputs, outputs, *, weight):
        g = m.enter(grads[0])
        return (
            m.leave(m.mul(g, 1.0 - weight), inputs[0]) if needed[0] else None,
            m.leave(m.mul(g, weight), inputs[1]) if needed[1] else None,
        )


@program
class divide:
    """y = a / n, n of the working dtype and without gradient.    da = g / n."""

    results = 1

    def forward(m, a, n):
        return (m.leave(m.div(m.enter(a), n), a),)

    def backward(m, needed, grads, inputs, outputs):
        return m.leave(m.div(m.enter(grads[0]), inputs[1]), inputs[0]), None


@program
class fan_out:
    """`copies` copies of x, for as many uses.    dx = ((g1 + g2) + g3) + …, g of a copy without use being +0."""

    results = 1

    def forward(m, x, *, copies):
        return (m.expand(x.reshape((1, *x.shape)), (copies, *x.shape)),)

    def backward(m, needed, grads, inputs, outputs, *, copies):
        parts = [m.enter(grads[0][i]) for i in range(copies)]
        total = parts[0]
        for part in parts[1:]:
            total = m.add(total, part)
        return (m.leave(total, inputs[0]),)
