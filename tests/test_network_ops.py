"""Functional ops and tensor functions: torch's values and gradients up to rounding, and torch's errors.

That their bits are the programs' is in test_programs.py; here a wrong formula is found.
"""

import pytest
import torch
import torch.nn.functional as TF

import fpdet.nn.functional as F
from fpdet import ops

TOLERANCE = {"rtol": 2e-5, "atol": 2e-5}  # a few roundings of float32 among values of order one


def tensor(*shape, low=-2.0, high=2.0, seed=0):
    generator = torch.Generator().manual_seed(seed + 7 * len(shape))
    return (torch.rand(shape, generator=generator) * (high - low) + low).requires_grad_()


X4, W1 = (3, 8, 6, 6), (8,)
INDEX = torch.tensor([[0, 2, 2], [1, 0, 2]])
CLASSES = torch.tensor([0, 4, 1, -100])
CASES = {
    "linear": (F.linear, TF.linear, [(4, 5, 6), (7, 6), (7,)], {}),
    "sigmoid": (F.sigmoid, torch.sigmoid, [(5, 7)], {}),
    "tanh": (F.tanh, torch.tanh, [(5, 7)], {}),
    "silu": (F.silu, TF.silu, [(5, 7)], {}),
    "gelu": (F.gelu, TF.gelu, [(5, 7)], {}),
    "gelu tanh": (F.gelu, TF.gelu, [(5, 7)], {"approximate": "tanh"}),
    "softplus": (F.softplus, TF.softplus, [(5, 7)], {}),
    "logsigmoid": (F.logsigmoid, TF.logsigmoid, [(5, 7)], {}),
    "leaky_relu": (F.leaky_relu, TF.leaky_relu, [(5, 7)], {"negative_slope": 0.2}),
    "elu": (F.elu, TF.elu, [(5, 7)], {"alpha": 0.7}),
    "softmax": (F.softmax, TF.softmax, [(4, 5, 6)], {"dim": 1}),
    "log_softmax": (F.log_softmax, TF.log_softmax, [(4, 5, 6)], {"dim": -1}),
    "batch_norm": (
        lambda x, w, b, **k: F.batch_norm(x, None, None, w, b, True, **k),
        lambda x, w, b: TF.batch_norm(x, None, None, w, b, True),
        [X4, W1, W1],
        {},
    ),
    "instance_norm": (
        lambda x, w, b, **k: F.instance_norm(x, weight=w, bias=b, **k),
        lambda x, w, b: TF.instance_norm(x, weight=w, bias=b),
        [X4, W1, W1],
        {},
    ),
    "group_norm": (
        lambda x, w, b, **k: F.group_norm(x, 4, w, b, **k),
        lambda x, w, b: TF.group_norm(x, 4, w, b),
        [X4, W1, W1],
        {},
    ),
    "layer_norm": (
        lambda x, w, b, **k: F.layer_norm(x, (6, 6), w, b, **k),
        lambda x, w, b: TF.layer_norm(x, (6, 6), w, b),
        [X4, (6, 6), (6, 6)],
        {},
    ),
    "rms_norm": (
        lambda x, w, **k: F.rms_norm(x, (6, 6), w, **k),
        lambda x, w: TF.rms_norm(x, (6, 6), w),
        [X4, (6, 6)],
        {},
    ),
    "max_pool2d": (F.max_pool2d, TF.max_pool2d, [X4], {"kernel_size": 3, "stride": 2, "padding": 1}),
    "max_pool1d": (F.max_pool1d, TF.max_pool1d, [(2, 3, 9)], {"kernel_size": 3, "stride": 1}),
    "max_pool3d": (F.max_pool3d, TF.max_pool3d, [(1, 2, 4, 4, 4)], {"kernel_size": 2}),
    "adaptive_max_pool2d": (F.adaptive_max_pool2d, TF.adaptive_max_pool2d, [X4], {"output_size": (4, 3)}),
    "avg_pool1d": (F.avg_pool1d, TF.avg_pool1d, [(2, 3, 9)], {"kernel_size": 3, "stride": 2}),
    "avg_pool2d": (F.avg_pool2d, TF.avg_pool2d, [X4], {"kernel_size": 3, "stride": 2, "padding": 1}),
    "avg_pool2d inside": (
        F.avg_pool2d,
        TF.avg_pool2d,
        [X4],
        {"kernel_size": 3, "stride": 2, "padding": 1, "count_include_pad": False},
    ),
    "avg_pool3d": (F.avg_pool3d, TF.avg_pool3d, [(1, 2, 4, 4, 4)], {"kernel_size": 2}),
    "adaptive_avg_pool1d": (F.adaptive_avg_pool1d, TF.adaptive_avg_pool1d, [(2, 3, 9)], {"output_size": 4}),
    "adaptive_avg_pool2d": (F.adaptive_avg_pool2d, TF.adaptive_avg_pool2d, [X4], {"output_size": (4, 3)}),
    "adaptive_avg_pool2d 1": (F.adaptive_avg_pool2d, TF.adaptive_avg_pool2d, [X4], {"output_size": 1}),
    "adaptive_avg_pool3d": (F.adaptive_avg_pool3d, TF.adaptive_avg_pool3d, [(1, 2, 5, 4, 4)], {"output_size": 3}),
    "mse_loss": (F.mse_loss, TF.mse_loss, [(5, 7), (5, 7)], {}),
    "mse_loss none": (F.mse_loss, TF.mse_loss, [(5, 7), (5, 7)], {"reduction": "none"}),
    "l1_loss": (F.l1_loss, TF.l1_loss, [(5, 7), (5, 7)], {"reduction": "sum"}),
    "bce": (
        lambda x, w, **k: F.binary_cross_entropy_with_logits(x, (x > 0).to(x.dtype), w.detach(), **k),
        lambda x, w: TF.binary_cross_entropy_with_logits(x, (x > 0).to(x.dtype), w.detach()),
        [(5, 7), (7,)],
        {},
    ),
    "bce pos_weight": (
        lambda x, w, **k: F.binary_cross_entropy_with_logits(x, (x > 0).to(x.dtype), pos_weight=w.detach(), **k),
        lambda x, w: TF.binary_cross_entropy_with_logits(x, (x > 0).to(x.dtype), pos_weight=w.detach()),
        [(5, 7), (7,)],
        {},
    ),
    "cross_entropy": (
        lambda x, **k: F.cross_entropy(x, CLASSES, **k),
        lambda x, **k: TF.cross_entropy(x, CLASSES, **k),
        [(4, 5)],
        {},
    ),
    "cross_entropy smooth": (
        lambda x, **k: F.cross_entropy(x, CLASSES, **k),
        lambda x, **k: TF.cross_entropy(x, CLASSES, **k),
        [(4, 5)],
        {"label_smoothing": 0.1},
    ),
    "cross_entropy weight": (
        lambda x, w, **k: F.cross_entropy(x, CLASSES, w.detach(), **k),
        lambda x, w: TF.cross_entropy(x, CLASSES, w.detach()),
        [(4, 5), (5,)],
        {},
    ),
    "cross_entropy image": (
        lambda x, **k: F.cross_entropy(x, INDEX, **k),
        lambda x: TF.cross_entropy(x, INDEX),
        [(2, 4, 3)],
        {},
    ),
    "nll_loss none": (
        lambda x, **k: F.nll_loss(x, CLASSES, **k),
        lambda x, **k: TF.nll_loss(x, CLASSES, **k),
        [(4, 5)],
        {"reduction": "none"},
    ),
    "embedding": (lambda w, **k: F.embedding(INDEX, w, **k), lambda w, **k: TF.embedding(INDEX, w, **k), [(5, 6)], {}),
    "embedding padding": (
        lambda w, **k: F.embedding(INDEX, w, **k),
        lambda w, **k: TF.embedding(INDEX, w, **k),
        [(5, 6)],
        {"padding_idx": 2},
    ),
    "nearest": (F.interpolate, TF.interpolate, [X4], {"scale_factor": 2}),
    "nearest size": (F.interpolate, TF.interpolate, [X4], {"size": (4, 9)}),
    "nearest-exact": (F.interpolate, TF.interpolate, [X4], {"size": (4, 9), "mode": "nearest-exact"}),
    "bilinear": (F.interpolate, TF.interpolate, [X4], {"size": (4, 9), "mode": "bilinear"}),
    "bilinear corners": (
        F.interpolate,
        TF.interpolate,
        [X4],
        {"size": (4, 9), "mode": "bilinear", "align_corners": True},
    ),
    "linear mode": (F.interpolate, TF.interpolate, [(2, 3, 5)], {"scale_factor": 1.7, "mode": "linear"}),
    "attention": (
        F.scaled_dot_product_attention,
        TF.scaled_dot_product_attention,
        [(2, 3, 5, 4), (2, 3, 6, 4), (2, 3, 6, 4)],
        {},
    ),
    "attention causal": (
        F.scaled_dot_product_attention,
        TF.scaled_dot_product_attention,
        [(2, 5, 4), (2, 5, 4), (2, 5, 3)],
        {"is_causal": True},
    ),
    "add": (ops.add, torch.add, [(4, 5), (5,)], {}),
    "add alpha": (ops.add, torch.add, [(4, 5), (5,)], {"alpha": 0.3}),
    "sub alpha": (ops.sub, torch.sub, [(4, 5), (4, 1)], {"alpha": 3}),
    "mul": (ops.mul, torch.mul, [(4, 5), (4, 1)], {}),
    "div": (ops.div, torch.div, [(4, 5), (4, 1)], {}),
    "sum": (ops.sum, torch.sum, [(4, 5, 6)], {"dim": (0, 2)}),
    "sum all": (ops.sum, torch.sum, [(4, 5, 6)], {}),
    "mean": (ops.mean, torch.mean, [(4, 5, 6)], {"dim": 1, "keepdim": True}),
    "var": (ops.var, torch.var, [(4, 5, 6)], {"dim": 1}),
    "logsumexp": (ops.logsumexp, torch.logsumexp, [(4, 5, 6)], {"dim": (1, 2)}),
    "matmul": (ops.matmul, torch.matmul, [(2, 3, 4, 5), (3, 5, 2)], {}),
    "matmul vector": (ops.matmul, torch.matmul, [(4, 5), (5,)], {}),
    "dot": (ops.dot, torch.dot, [(5,), (5,)], {}),
    "addmm": (ops.addmm, torch.addmm, [(4, 3), (4, 5), (5, 3)], {"beta": 0.5}),
    "lerp": (ops.lerp, torch.lerp, [(4, 5), (4, 5)], {"weight": 0.3}),
    "square": (ops.square, torch.square, [(4, 5)], {}),
    "exp": (ops.exp, torch.exp, [(4, 5)], {}),
    "expm1": (ops.expm1, torch.expm1, [(4, 5)], {}),
    "log": (lambda x, **k: ops.log(abs(x), **k), lambda x: torch.log(abs(x)), [(4, 5)], {}),
    "log1p": (lambda x, **k: ops.log1p(abs(x), **k), lambda x: torch.log1p(abs(x)), [(4, 5)], {}),
    "sqrt": (lambda x, **k: ops.sqrt(abs(x), **k), lambda x: torch.sqrt(abs(x)), [(4, 5)], {}),
    "rsqrt": (lambda x, **k: ops.rsqrt(abs(x) + 1, **k), lambda x: torch.rsqrt(abs(x) + 1), [(4, 5)], {}),
    "reciprocal": (lambda x, **k: ops.reciprocal(abs(x) + 1, **k), lambda x: 1 / (abs(x) + 1), [(4, 5)], {}),
    "erf": (ops.erf, torch.erf, [(4, 5)], {}),
    "getitem": (lambda x, **k: ops.getitem(x, (INDEX, 1), **k), lambda x: x[INDEX, 1], [(4, 5)], {}),
    "gather": (lambda x, **k: ops.gather(x, 0, INDEX, **k), lambda x: x.gather(0, INDEX), [(4, 5)], {}),
    "index_select": (
        lambda x, **k: ops.index_select(x, 1, INDEX[0], **k),
        lambda x: x.index_select(1, INDEX[0]),
        [(4, 5)],
        {},
    ),
    "index_add": (
        lambda x, v, **k: ops.index_add(x, 1, INDEX[0], v, **k),
        lambda x, v: x.index_add(1, INDEX[0], v),
        [(4, 5), (4, 3)],
        {},
    ),
    "scatter_add": (
        lambda x, v, **k: ops.scatter_add(x, 0, INDEX, v, **k),
        lambda x, v: x.scatter_add(0, INDEX, v),
        [(4, 5), (2, 3)],
        {},
    ),
    "broadcast_to": (
        lambda x, **k: ops.broadcast_to(x, (3, 4, 5), **k),
        lambda x: x.broadcast_to(3, 4, 5),
        [(4, 1)],
        {},
    ),
}


def run(function, shapes, keywords, dtype=torch.float32):
    operands = [tensor(*shape, seed=i).detach().to(dtype).requires_grad_() for i, shape in enumerate(shapes)]
    y = function(*operands, **keywords)
    weights = tensor(*y.shape, seed=99).detach().to(y.dtype)
    grads = torch.autograd.grad(y, operands, weights, allow_unused=True)
    return [y, *(g for g in grads if g is not None)]


@pytest.mark.parametrize("name", CASES)
def test_values_and_gradients_are_torchs_up_to_rounding(name):
    ours, theirs, shapes, keywords = CASES[name]
    found = run(ours, shapes, {**keywords, "arithmetic": "nearest_even"})
    expected = run(theirs, shapes, keywords, torch.float64)
    assert len(found) == len(expected)
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(a.double(), b, **TOLERANCE)
