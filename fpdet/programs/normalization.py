"""Batch, layer and group normalisation.

Source: Ioffe, Szegedy, arXiv:1502.03167; Ba, Kiros, Hinton, arXiv:1607.06450; Wu, He, arXiv:1803.08494. Two passes
over the values: the variance is the sum of squared deviations, never E[x^2] - E[x]^2.
"""

from fpdet.programs import program
from fpdet.programs.machine import count


def _deviations(m, x, axes):
    """(x - mean, sum of squares, mean): the statistics of a training step."""
    mean = m.mean(x, axes)
    d = m.sub(x, mean)
    return d, m.dot(d, d, axes), mean


def _affine(m, xhat, weight, bias):
    y = xhat
    if weight is not None:
        y = m.mul(y, weight)
    if bias is not None:
        y = m.add(y, bias)
    return y


def _gradients(m, needed, grad, xhat, rstd, weight, axes, affine_axes, through_statistics):
    """Of x, weight and bias, the last two in the shape of the affine parameters with 1 elsewhere."""
    dx = dw = db = None
    if needed[0]:
        g = grad if weight is None else m.mul(grad, weight)
        if through_statistics:
            centre = m.mean(g, axes)
            slope = m.div(m.dot(g, xhat, axes), float(m.count(xhat, axes)))
            g = m.sub(m.sub(g, centre), m.mul(xhat, slope))
        dx = m.mul(g, rstd)
    m = m.on_weights()
    if needed[1]:
        dw = m.dot(grad, xhat, affine_axes)
    if needed[2]:
        db = m.sum(grad, affine_axes)
    return dx, dw, db


@program
class batch_norm:
    """x (N, C, *): statistics over all axes but C.

        mean = sum(x) / n;  d = x - mean;  s = sum(d*d);  rstd = rsqrt(s/n + eps)
        y = ((d * rstd) * weight) + bias

    The third and fourth results are those of the running statistics, from mean and s / (n - 1):

        r = ((1 - momentum) * running) + (momentum * new)        new itself where there is no `running`
    """

    results = 3
    affine = (1, 2)

    def forward(m, x, weight, bias, running_mean, running_var, *, eps, momentum):
        wide, axes, shape = m.enter(x), _all_but_channel(x), _channel_shape(x)
        d, squares, mean = _deviations(m, wide, axes)
        n = m.count(x, axes)
        rstd = m.unary("rsqrt", m.add(m.div(squares, float(n)), eps))
        xhat = m.mul(d, rstd)
        y = _affine(m, xhat, _channels(m, weight, shape), _channels(m, bias, shape))
        unbiased = m.div(squares, float(max(n - 1, 0)))
        running = [
            m.leave(_running(m, m.enter(old), new.reshape((shape[1],)), momentum), old if old is not None else x)
            for old, new in ((running_mean, mean), (running_var, unbiased))
        ]
        return m.leave(y, x), *running, xhat, rstd

    def backward(m, needed, grads, inputs, outputs, *, eps, momentum):
        x, weight = inputs[:2]
        axes, shape = _all_but_channel(x), _channel_shape(x)
        xhat, rstd = outputs[3:]
        gradients = _gradients(
            m, needed, m.enter(grads[0]), xhat, rstd, _channels(m, weight, shape), axes, axes, through_statistics=True
        )
        return *_leave_all(m, gradients, inputs), None, None


@program
class batch_norm_inference:
    """y = (((x - running_mean) * rsqrt(running_var + eps)) * weight) + bias."""

    results = 1
    affine = (1, 2)

    def forward(m, x, weight, bias, running_mean, running_var, *, eps):
        shape = _channel_shape(x)
        rstd = m.unary("rsqrt", m.add(_channels(m, running_var, shape), eps))
        xhat = m.mul(m.sub(m.enter(x), _channels(m, running_mean, shape)), rstd)
        return m.leave(_affine(m, xhat, _channels(m, weight, shape), _channels(m, bias, shape)), x), xhat, rstd

    def backward(m, needed, grads, inputs, outputs, *, eps):
        x = inputs[0]
        axes, weight = _all_but_channel(x), _channels(m, inputs[1], _channel_shape(x))
        xhat, rstd = outputs[1:]
        gradients = _gradients(m, needed, m.enter(grads[0]), xhat, rstd, weight, axes, axes, through_statistics=False)
        return *_leave_all(m, gradients, inputs), None, None


@program
class layer_norm:
    """Statistics over the last `axes` axes: as batch_norm, without running ones."""

    results = 1
    affine = (1, 2)

    def forward(m, x, weight, bias, *, axes, eps):
        wide, over = m.enter(x), _last(x, axes)
        d, squares, _ = _deviations(m, wide, over)
        rstd = m.unary("rsqrt", m.add(m.div(squares, float(count(x, over))), eps))
        xhat = m.mul(d, rstd)
        return m.leave(_affine(m, xhat, m.enter(weight), m.enter(bias)), x), xhat, rstd

    def backward(m, needed, grads, inputs, outputs, *, axes, eps):
        x, weight, _ = inputs
        xhat, rstd = outputs[1:]
        before = tuple(range(len(x.shape) - axes))
        gradients = _gradients(
            m, needed, m.enter(grads[0]), xhat, rstd, m.enter(weight), _last(x, axes), before, through_statistics=True
        )
        return _leave_all(m, gradients, inputs)


@program
class rms_norm:
    """y = (x * rsqrt(sum(x*x)/n + eps)) * weight over the last `axes` axes (Zhang, Sennrich, arXiv:1910.07467)."""

    results = 1
    affine = (1,)

    def forward(m, x, weight, *, axes, eps):
        wide, over = m.enter(x), _last(x, axes)
        mean_square = m.div(m.dot(wide, wide, over), float(count(x, over)))
        rstd = m.unary("rsqrt", m.add(mean_square, eps))
        xhat = m.mul(wide, rstd)
        return m.leave(_affine(m, xhat, m.enter(weight), None), x), xhat, rstd

    def backward(m, needed, grads, inputs, outputs, *, axes, eps):
        (x, weight), (_, xhat, rstd) = inputs, outputs
        over, before, grad = _last(x, axes), tuple(range(len(x.shape) - axes)), m.enter(grads[0])
        dx = dw = None
        if needed[0]:
            g = grad if weight is None else m.mul(grad, m.enter(weight))
            slope = m.div(m.dot(g, xhat, over), float(count(x, over)))
            dx = m.mul(m.sub(g, m.mul(xhat, slope)), rstd)
        if needed[1]:
            dw = m.on_weights().dot(grad, xhat, before)
        return _leave_all(m, (dx, dw), inputs)


@program
class group_norm:
    """x (N, C, *) as (N, groups, C/groups, *): statistics over all but the first two axes, affine by channel."""

    results = 1
    affine = (1, 2)

    def forward(m, x, weight, bias, *, groups, eps):
        grouped = m.enter(x).reshape(_grouped_shape(x, groups))
        over = tuple(range(2, len(grouped.shape)))
        d, squares, _ = _deviations(m, grouped, over)
        rstd = m.unary("rsqrt", m.add(m.div(squares, float(count(grouped, over))), eps))
        xhat, shape = m.mul(d, rstd), _channel_shape(x)
        y = _affine(m, xhat.reshape(tuple(x.shape)), _channels(m, weight, shape), _channels(m, bias, shape))
        return m.leave(y, x), xhat, rstd

    def backward(m, needed, grads, inputs, outputs, *, groups, eps):
        x, weight, _ = inputs
        xhat, rstd = outputs[1:]
        form, shape = _grouped_shape(x, groups), _channel_shape(x)
        grad = m.enter(grads[0])
        over = tuple(range(2, len(form)))
        dx = None
        if needed[0]:
            g = (grad if weight is None else m.mul(grad, _channels(m, weight, shape))).reshape(form)
            dx, _, _ = _gradients(m, (True, False, False), g, xhat, rstd, None, over, over, through_statistics=True)
            dx = dx.reshape(tuple(x.shape))
        affine = (False, *needed[1:])
        _, dw, db = _gradients(
            m, affine, grad, xhat.reshape(tuple(x.shape)), rstd, None, over, _all_but_channel(x), False
        )
        return _leave_all(m, (dx, dw, db), inputs)


def _running(m, old, new, momentum):
    if old is None:
        return new
    return m.add(m.mul(old, 1.0 - momentum), m.mul(new, momentum))


def _leave_all(m, gradients, inputs):
    """Each gradient in the shape and dtype of its input."""
    pairs = zip(gradients, inputs, strict=False)
    return tuple(None if g is None else m.leave(g.reshape(tuple(x.shape)), x) for g, x in pairs)


def _all_but_channel(x):
    return tuple(i for i in range(len(x.shape)) if i != 1)


def _channel_shape(x):
    return tuple(x.shape[1] if i == 1 else 1 for i in range(len(x.shape)))


def _channels(m, parameter, shape):
    """One value per channel, ready to broadcast; None stays."""
    return None if parameter is None else m.enter(parameter).reshape(shape)


def _last(x, axes):
    return tuple(range(len(x.shape) - axes, len(x.shape)))


def _grouped_shape(x, groups):
    return (x.shape[0], groups, x.shape[1] // groups, *x.shape[2:])
