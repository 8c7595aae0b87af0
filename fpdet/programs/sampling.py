"""Ops whose rows are sums of rows of their operand, and so are their gradients.

The maps are integers (offsets, indices) as `gather_sum` has them, worked out before by the op; the backward map is
the forward one turned round, terms of one target in the order of their sources.
"""

from fpdet.programs import program


@program
class resample:
    """y[s] = sum over the taps j of s of weight[j] * x[source[j]], ordered; dx the same sum turned round.

    x (T, D); inputs offsets, sources, weights forward, then the same three for backward.
    """

    results = 1

    def forward(m, x, offsets, sources, weights, *back):
        return (m.leave(m.gather_sum(m.enter(x), offsets, sources, m.enter(weights)), x),)

    def backward(m, needed, grads, inputs, outputs):
        x, (offsets, sources, weights) = inputs[0], inputs[4:]
        g = m.gather_sum(m.enter(grads[0]), offsets, sources, m.enter(weights))
        return m.leave(g, x), None, None, None, None, None, None


@program
class accumulate_rows:
    """index_add: y[t] = x[t] + sum of v[i] over the i with index[i] = t, ascending, x itself where there is none.

    dx = g, dv[i] = g[index[i]].
    """

    results = 1

    def forward(m, x, v, index, offsets, sources, touched):
        total = m.gather_sum(m.enter(v), offsets, sources)
        wide = m.enter(x)
        return (m.leave(m.where(touched, m.add(wide, total), wide), x),)

    def backward(m, needed, grads, inputs, outputs):
        g, index = grads[0], inputs[2]
        return (g if needed[0] else None, m.pick(g, index) if needed[1] else None, None, None, None, None)


@program
class mean_rows:
    """y[s] = (sum of the rows sources[offsets[s]:offsets[s + 1]] of x) / counts[s];  dx the sum turned round.

    x (T, D), counts (S, 1) of the working dtype.
    """

    results = 1

    def forward(m, x, offsets, sources, counts, *back):
        return (m.leave(m.div(m.gather_sum(m.enter(x), offsets, sources), counts), x),)

    def backward(m, needed, grads, inputs, outputs):
        x, _, _, counts, offsets, sources = inputs
        g = m.gather_sum(m.div(m.enter(grads[0]), counts), offsets, sources)
        return m.leave(g, x), None, None, None, None, None
