"""Scaled dot-product and multi-head attention: matmul, softmax, dropout, matmul, each an op with its own derivative.

Source: Vaswani et al., arXiv:1706.03762.
"""

import math

import torch

from fpdet import _check, ops
from fpdet._numbers import chosen
from fpdet.nn.functional.activation import softmax
from fpdet.nn.functional.dropout import dropout
from fpdet.nn.functional.linear import linear


def scaled_dot_product_attention(
    query,
    key,
    value,
    attn_mask=None,
    dropout_p=0.0,
    is_causal=False,
    scale=None,
    enable_gqa=False,
    *,
    generator=None,
    arithmetic=None,
    stream=None,
):
    """softmax(((q * scale) k^T) + mask) v; query (*, L, E), key (*, S, E), value (*, S, V).

    scale: a number, 1/sqrt(E) by default. A boolean mask puts minus infinity where it is False. A row without any
    key is NaN. enable_gqa raises NotImplementedError.
    """
    op = "scaled_dot_product_attention"
    _check.tensors(op, query=query, key=key, value=value)
    if enable_gqa:
        raise NotImplementedError(f"{op}(): enable_gqa: expected False, got True; repeat key and value")
    if is_causal and attn_mask is not None:
        raise RuntimeError(f"{op}(): attn_mask: expected None with is_causal=True")
    arithmetic, stream = chosen(arithmetic, stream)
    keywords = {"arithmetic": arithmetic, "stream": stream}
    scores = _scores(query, key, scale, _mask(op, query, key, attn_mask, is_causal), keywords)
    weights = softmax(scores, -1, **keywords)
    if dropout_p:
        weights = dropout(weights, dropout_p, generator=generator, **keywords)
    return ops.matmul(weights, value, **keywords)


def _scores(query, key, scale, mask, keywords):
    scaled = ops.mul(query, 1.0 / math.sqrt(query.shape[-1]) if scale is None else float(scale), **keywords)
    scores = ops.matmul(scaled, key.transpose(-2, -1), **keywords)
    if mask is None:
        return scores
    if mask.dtype == torch.bool:
        return torch.where(mask, scores, scores.new_full((), -math.inf))
    return ops.add(scores, mask, **keywords)


def _mask(op, query, key, mask, is_causal):
    if is_causal:
        return torch.ones(query.shape[-2], key.shape[-2], dtype=torch.bool, device=query.device).tril()
    if mask is not None and mask.dtype not in (torch.bool, query.dtype):
        raise RuntimeError(f"{op}(): attn_mask: expected dtype bool or {query.dtype}, got {mask.dtype}")
    return mask


def multi_head_attention_forward(
    query,
    key,
    value,
    embed_dim_to_check,
    num_heads,
    in_proj_weight,
    in_proj_bias,
    bias_k,
    bias_v,
    add_zero_attn,
    dropout_p,
    out_proj_weight,
    out_proj_bias,
    training=True,
    key_padding_mask=None,
    need_weights=True,
    attn_mask=None,
    use_separate_proj_weight=False,
    q_proj_weight=None,
    k_proj_weight=None,
    v_proj_weight=None,
    static_k=None,
    static_v=None,
    average_attn_weights=True,
    is_causal=False,
    *,
    generator=None,
    arithmetic=None,
    stream=None,
):
    """As torch's; query (L, N, E), key and value (S, N, E), or without N. Query, key and value are projected apart,
    each by its rows of in_proj_weight. bias_k, bias_v, add_zero_attn, static_k, static_v raise NotImplementedError."""
    op = "multi_head_attention_forward"
    for name, given in (("bias_k", bias_k), ("bias_v", bias_v), ("static_k", static_k), ("static_v", static_v)):
        if given is not None:
            raise NotImplementedError(f"{op}(): {name}: expected None, got a tensor")
    if add_zero_attn:
        raise NotImplementedError(f"{op}(): add_zero_attn: expected False, got True")
    _check.tensors(op, query=query, key=key, value=value)
    if query.shape[-1] != embed_dim_to_check or embed_dim_to_check % num_heads:
        raise AssertionError(
            f"{op}(): embed_dim: expected {embed_dim_to_check}, a multiple of {num_heads} heads, got {query.shape[-1]}"
        )
    arithmetic, stream = chosen(arithmetic, stream)
    keywords = {"arithmetic": arithmetic, "stream": stream}
    batched = query.dim() == 3
    operands = [x if batched else x.unsqueeze(1) for x in (query, key, value)]
    weights = (q_proj_weight, k_proj_weight, v_proj_weight) if use_separate_proj_weight else in_proj_weight.chunk(3)
    biases = (None,) * 3 if in_proj_bias is None else in_proj_bias.chunk(3)
    if query is key and key is value:
        operands = ops.fan_out(operands[0], 3, **keywords)
    q, k, v = (
        _heads(linear(x, w, b, **keywords), num_heads) for x, w, b in zip(operands, weights, biases, strict=True)
    )
    length, batch = q.shape[2], q.shape[0]
    mask = _attention_mask(op, q, k, attn_mask, key_padding_mask, num_heads, is_causal and not need_weights)
    scores = softmax(_scores(q, k, None, mask, keywords), -1, **keywords)
    if training and dropout_p:
        scores = dropout(scores, dropout_p, generator=generator, **keywords)
    shown = None
    if need_weights:
        scores, shown = ops.fan_out(scores, 2, **keywords)
        shown = ops.mean(shown, 1, **keywords) if average_attn_weights else shown
        shown = shown if batched else shown.squeeze(0)
    y = ops.matmul(scores, v, **keywords)
    y = y.permute(2, 0, 1, 3).reshape(length, batch, embed_dim_to_check)
    y = linear(y, out_proj_weight, out_proj_bias, **keywords)
    return (y if batched else y.squeeze(1)), shown


def _heads(x, heads):
    """(L, N, E) as (N, heads, L, E/heads)."""
    length, batch, width = x.shape
    return x.reshape(length, batch, heads, width // heads).permute(1, 2, 0, 3)


def _attention_mask(op, q, k, attn_mask, key_padding_mask, heads, is_causal):
    """One mask (N or 1, heads or 1, L, S) of bool, True where attended, or of the dtype, to be added."""
    mask = None
    if attn_mask is not None and not is_causal:
        mask = attn_mask if attn_mask.dim() == 2 else attn_mask.reshape(q.shape[0], heads, *attn_mask.shape[1:])
        mask = ~mask if mask.dtype == torch.bool else mask
    elif is_causal:
        mask = torch.ones(q.shape[2], k.shape[2], dtype=torch.bool, device=q.device).tril()
    if key_padding_mask is None:
        return mask
    padding = key_padding_mask if key_padding_mask.dim() == 2 else key_padding_mask.unsqueeze(0)
    padding = padding[:, None, None, :]
    if padding.dtype == torch.bool:
        padding = ~padding
    if mask is None:
        return padding
    if mask.dtype == padding.dtype == torch.bool:
        return mask & padding
    hidden = [m if m.dtype != torch.bool else torch.where(m, 0.0, -math.inf).to(q.dtype) for m in (mask, padding)]
    if any(bool(((m != 0) & ~torch.isinf(m)).any()) for m in hidden):
        raise NotImplementedError(f"{op}(): attn_mask, key_padding_mask: expected at most one with finite summands")
    return torch.minimum(*torch.broadcast_tensors(*hidden))
