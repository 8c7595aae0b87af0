"""torch.nn.functional with a stated arithmetic.

Each takes torch's arguments in torch's order, then by keyword:

arithmetic    an `fpdet.Arithmetic`, an `fpdet.PassArithmetic` or their string; None: that of the innermost
              ``with fpdet.arithmetic(...)``, else the default
stream        int64 tensor (seed, counter) that random bits come from; the call advances its counter.
              None: the context's with its arithmetic, else the Arithmetic's seed and counter 0
batch_offset  number of the first sample, so that a slice of a batch draws what the whole batch draws

Tensors of one op share one dtype of float64, float32, bfloat16, float16, on the CPU. Elementary functions (exp, log,
tanh, sigmoid, …, and what is made of them: softmax, normalisation, gelu, …) take no float64.

Raises (all of them, before any work):
    RuntimeError: shapes and dtypes that do not fit, as torch.
    TypeError, ValueError: a bad `arithmetic`, `stream` or `batch_offset`.
    NotImplementedError: other dtypes and devices, torch.autocast, forward-mode AD, options that are not covered.

Source: docs/semantics.md, "Terms" and "Programs"; shapes as in torch.nn.functional.
"""

from fpdet.nn.functional.activation import (
    elu,
    gelu,
    leaky_relu,
    log_softmax,
    logsigmoid,
    sigmoid,
    silu,
    softmax,
    softplus,
    tanh,
)
from fpdet.nn.functional.attention import multi_head_attention_forward, scaled_dot_product_attention
from fpdet.nn.functional.convolution import (
    conv1d,
    conv2d,
    conv3d,
    conv_transpose1d,
    conv_transpose2d,
    conv_transpose3d,
)
from fpdet.nn.functional.dropout import dropout
from fpdet.nn.functional.linear import linear
from fpdet.nn.functional.loss import (
    binary_cross_entropy_with_logits,
    cross_entropy,
    l1_loss,
    mse_loss,
    nll_loss,
)
from fpdet.nn.functional.normalization import batch_norm, group_norm, instance_norm, layer_norm, rms_norm
from fpdet.nn.functional.pooling import (
    adaptive_avg_pool1d,
    adaptive_avg_pool2d,
    adaptive_avg_pool3d,
    adaptive_max_pool2d,
    avg_pool1d,
    avg_pool2d,
    avg_pool3d,
    max_pool1d,
    max_pool2d,
    max_pool3d,
)
from fpdet.nn.functional.sampling import embedding, interpolate

__all__ = [
    "adaptive_avg_pool1d",
    "adaptive_avg_pool2d",
    "adaptive_avg_pool3d",
    "adaptive_max_pool2d",
    "avg_pool1d",
    "avg_pool2d",
    "avg_pool3d",
    "batch_norm",
    "binary_cross_entropy_with_logits",
    "conv1d",
    "conv2d",
    "conv3d",
    "conv_transpose1d",
    "conv_transpose2d",
    "conv_transpose3d",
    "cross_entropy",
    "dropout",
    "elu",
    "embedding",
    "gelu",
    "group_norm",
    "instance_norm",
    "interpolate",
    "l1_loss",
    "layer_norm",
    "leaky_relu",
    "linear",
    "log_softmax",
    "logsigmoid",
    "max_pool1d",
    "max_pool2d",
    "max_pool3d",
    "mse_loss",
    "multi_head_attention_forward",
    "nll_loss",
    "rms_norm",
    "scaled_dot_product_attention",
    "sigmoid",
    "silu",
    "softmax",
    "softplus",
    "tanh",
]
