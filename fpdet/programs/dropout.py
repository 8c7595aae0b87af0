"""Dropout with a given mask."""

from fpdet.programs import program


@program
class dropout:
    """y = x * (1 / (1 - p)) where `keep`, else 0;  the gradient alike."""

    results = 1

    def forward(m, x, keep, *, p):
        return (m.leave(_scaled(m, m.enter(x), keep, p), x),)

    def backward(m, needed, grads, inputs, outputs, *, p):
        return m.leave(_scaled(m, m.enter(grads[0]), inputs[1], p), inputs[0]), None


def _scaled(m, x, keep, p):
    if p == 1.0:
        return m.where(keep, 0.0, m.mul(x, 0.0))
    return m.where(keep, m.mul(x, 1.0 / (1.0 - p)), 0.0)
