"""Convolution in every pass, for any number of spatial dimensions: explicit loops over the defined terms.

Shapes: x (N, C, *S), weight (K, C/groups, *R), output (N, K, *O). stride, padding and dilation are ints or one
int per spatial axis; ``padding`` is the zero padding *before* each axis, the output size says what follows after.
Results are float64 arrays of members of ``dtype`` (the dtype of the first array unless given).
Source: docs/semantics.md section 7.
"""

import numpy as np

from .reduction import DEFAULT, FORWARD, GRAD_BIAS, GRAD_INPUT, GRAD_WEIGHT, reduce_element
from .tensors import as_values, dtype_of, fill, fill_samples, indices, padded, per_axis


def _output_extent(size, kernel, stride, padding, dilation):
    return (size + 2 * padding - dilation * (kernel - 1) - 1) // stride + 1


def convolution(
    x, weight, bias=None, stride=1, padding=0, dilation=1, groups=1, output_size=None, rules=DEFAULT, dtype=None
) -> np.ndarray:
    """Forward. Terms of out[n, k, o]: (c, r...) of the group's weight, last fastest; x is +0 outside.

    ``output_size`` defaults to the size that padding of both sides by ``padding`` gives.
    """
    dtype, x, weight = dtype_of(x, dtype), as_values(x), as_values(weight)
    axes = x.ndim - 2
    stride, padding, dilation = (per_axis(v, axes) for v in (stride, padding, dilation))
    if output_size is None:
        output_size = map(_output_extent, x.shape[2:], weight.shape[2:], stride, padding, dilation)
    rules = rules.for_pass(FORWARD)
    in_group, out_group = weight.shape[1], weight.shape[0] // groups

    def value(index, n, element):
        sample, k, *o = index
        first_channel = k // out_group * in_group
        terms = []
        for c, *r in indices(weight.shape[1:]):
            position = [o[a] * stride[a] - padding[a] + r[a] * dilation[a] for a in range(axes)]
            terms.append((float(weight[(k, c, *r)]), padded(x, (sample, first_channel + c), position)))
        return reduce_element(terms, rules, dtype, None if bias is None else float(bias[k]), n, element)

    return fill_samples((x.shape[0], weight.shape[0], *output_size), rules.batch_offset, value)


def convolution_grad_input(
    grad_output, weight, input_size, bias=None, stride=1, padding=0, dilation=1, groups=1, rules=DEFAULT, dtype=None
) -> np.ndarray:
    """Gradient of the input, shape (N, C, *input_size); with a bias of C values, a transposed convolution.

    Terms of out[n, c, h]: (k, r...) of the group, last fastest, of those taps r for which h + padding - r*dilation is a
    multiple of the stride on every axis; grad_output is +0 outside.
    """
    dtype, grad_output, weight = dtype_of(grad_output, dtype), as_values(grad_output), as_values(weight)
    axes = grad_output.ndim - 2
    stride, padding, dilation = (per_axis(v, axes) for v in (stride, padding, dilation))
    rules = rules.for_pass(GRAD_INPUT)
    in_group, out_group = weight.shape[1], weight.shape[0] // groups

    def value(index, n, element):
        sample, channel, *h = index
        group, c = divmod(channel, in_group)
        terms = []
        for k, *r in indices((out_group, *weight.shape[2:])):
            reach = [h[a] + padding[a] - r[a] * dilation[a] for a in range(axes)]
            if all(reach[a] % stride[a] == 0 for a in range(axes)):
                k += group * out_group
                position = [reach[a] // stride[a] for a in range(axes)]
                terms.append((float(weight[(k, c, *r)]), padded(grad_output, (sample, k), position)))
        return reduce_element(terms, rules, dtype, None if bias is None else float(bias[channel]), n, element)

    shape = (grad_output.shape[0], in_group * groups, *per_axis(input_size, axes))
    return fill_samples(shape, rules.batch_offset, value)


def convolution_grad_weight(
    grad_output, x, kernel_size, stride=1, padding=0, dilation=1, groups=1, rules=DEFAULT, dtype=None
) -> np.ndarray:
    """Gradient of the weight, shape (K, C/groups, *kernel_size). Terms: (n, o...), last fastest; x is +0 outside."""
    dtype, grad_output, x = dtype_of(grad_output, dtype), as_values(grad_output), as_values(x)
    axes = x.ndim - 2
    stride, padding, dilation = (per_axis(v, axes) for v in (stride, padding, dilation))
    rules = rules.for_pass(GRAD_WEIGHT)
    in_group, out_group = x.shape[1] // groups, grad_output.shape[1] // groups

    def value(index, element):
        k, c, *r = index
        channel = k // out_group * in_group + c
        terms = []
        for sample, *o in indices((grad_output.shape[0], *grad_output.shape[2:])):
            position = [o[a] * stride[a] - padding[a] + r[a] * dilation[a] for a in range(axes)]
            terms.append((float(grad_output[(sample, k, *o)]), padded(x, (sample, channel), position)))
        return reduce_element(terms, rules, dtype, None, 0, element)

    return fill((grad_output.shape[1], in_group, *per_axis(kernel_size, axes)), value)


def channel_sum(grad_output, rules=DEFAULT, dtype=None) -> np.ndarray:
    """Gradient of the bias, shape (K,): grad_output (N, K, *O) summed over (n, o...), last fastest.

    Terms enter as round(acc + term), whatever ``fused`` says.
    """
    dtype, grad_output = dtype_of(grad_output, dtype), as_values(grad_output)
    rules = rules.for_pass(GRAD_BIAS)

    def value(index, element):
        terms = [float(v) for v in grad_output[:, index[0]].reshape(-1)]
        return reduce_element(terms, rules, dtype, None, 0, element)

    return fill((grad_output.shape[1],), value)


def conv_transpose(
    x, weight, bias=None, stride=1, padding=0, output_padding=0, dilation=1, groups=1, rules=DEFAULT, dtype=None
) -> np.ndarray:
    """Transposed convolution: x (N, K, *O), weight (K, C/groups, *R) -> (N, C, *S), as torch's conv_transposeNd.

    It is the gradient of the input of the convolution with the same weight, under the forward pass tag.
    """
    axes = np.ndim(x) - 2
    settings = [per_axis(v, axes) for v in (stride, padding, output_padding, dilation)]
    size = [
        (extent - 1) * s - 2 * p + d * (kernel - 1) + extra + 1
        for extent, kernel, s, p, extra, d in zip(np.shape(x)[2:], np.shape(weight)[2:], *settings, strict=True)
    ]
    rules = rules.for_pass(FORWARD)
    return convolution_grad_input(x, weight, size, bias, stride, padding, dilation, groups, rules, dtype)
