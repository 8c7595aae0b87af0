"""Random tensors from counters: equal for every device, number of threads and version of torch.

Element e of sample n of the c-th draw of a generator is a function of (seed, c, n, e) alone (docs/semantics.md,
"Random bits"); torch's generators are neither read nor moved.

Raises, where there is neither a generator nor a context with a seed: RuntimeError.
"""

from math import prod

import torch

from fpdet import _context, _functions, _ops, _primitives, _stream
from fpdet._arithmetic import Arithmetic
from fpdet._words import integer

_TAG = 1 << 21  # pass tag, apart from every rounding's
_NORMAL_ATTEMPTS = 4
_PLAIN = Arithmetic("nearest_even", "sequential").text


class Generator:
    """A seed and the number of draws so far; picklable, and its state is the pair.

    Args:
        seed: 0 ... 2^64 - 1.
    """

    def __init__(self, seed=0, counter=0):
        integer("seed", seed, 0, 2**64 - 1)
        self.state = _stream.new(seed, counter)

    @classmethod
    def over(cls, state):
        """A generator whose state is this int64 tensor (seed, counter) itself."""
        generator = cls.__new__(cls)
        generator.state = state
        return generator

    def get_state(self):
        """(seed, counter) as an int64 tensor."""
        return self.state.clone()

    def set_state(self, state):
        """Go on from what `get_state` gave."""
        if not isinstance(state, torch.Tensor) or state.dtype != torch.int64 or state.shape != (2,):
            raise TypeError(f"state: expected an int64 tensor of shape (2,), got {state!r}")
        self.state.copy_(state)


def _draw(generator, device):
    draw = _stream.advance((generator or _context.generator()).state)
    return draw if device is None else draw.to(device)


def _words(shape, words, generator, batch_offset, device, first_event=0, draw=None):
    """int64 (*shape, words) of uniform 32-bit numbers; the first axis of `shape` counts samples."""
    shape = tuple(shape)
    if draw is None:
        draw = _draw(generator, device)
    samples = shape[0] if shape else 1
    elements = prod(shape[1:])
    found = _ops.ops.random_words.default(draw, samples, elements, words, first_event, _TAG, batch_offset)
    return found.reshape(*shape, words)


def _fake_words(draw, samples, elements, words, first_event, pass_tag, batch_offset):
    return draw.new_empty((samples, elements, words))


_ops._describe("random_words", _fake_words)


def uniform(size, low=0.0, high=1.0, *, dtype=torch.float32, generator=None, batch_offset=0, device=None):
    """Uniform in [low, high): multiples of 2^-24 (2^-53 for float64), then u*(high - low) + low to nearest even.

    size: a shape; dtype: float64, float32, bfloat16 or float16 (the last two rounded from float32); device: where the
    result lies, None: where the generator's state does.
    """
    wide = torch.float64 if dtype == torch.float64 else torch.float32
    words = _words(size, 2 if wide == torch.float64 else 1, generator, batch_offset, device)
    if wide == torch.float64:
        u = ((words[..., 0] >> 5) * 2**26 + (words[..., 1] >> 6)).to(wide) * 2.0**-53  # exact
    else:
        u = (words[..., 0] >> 8).to(wide) * 2.0**-24  # exact
    if high - low != 1.0:
        u = _step("mul", u, float(high) - float(low))
    if low != 0.0:
        u = _step("add", u, float(low))
    return u.to(dtype)


def normal(size, mean=0.0, std=1.0, *, dtype=torch.float32, generator=None, batch_offset=0, device=None):
    """Normal by Marsaglia's polar method (SIAM Review 6, 1964), in float32 to nearest even, then z*std + mean.

    Attempt j of an element takes events 2j and 2j + 1; its u and v are odd multiples of 2^-23 in (-1, 1).
    """
    shape = tuple(size)
    draw = _draw(generator, device)
    result = torch.zeros(shape, device=draw.device)
    pending = torch.ones(shape, dtype=torch.bool, device=draw.device)
    first = 0
    while bool(pending.any()):
        words = _words(shape, 2 * _NORMAL_ATTEMPTS, None, batch_offset, device, first, draw)
        for attempt in range(_NORMAL_ATTEMPTS):
            u, v = (((words[..., 2 * attempt + i] >> 9) * 2 + 1).to(torch.float32) * 2.0**-23 - 1 for i in (0, 1))
            s = _step("add", _step("mul", u, u), _step("mul", v, v))
            good = pending & (s < 1)
            safe = torch.where(good, s, s.new_full((), 0.5))
            log = _functions.unary("log", safe, _PLAIN, None, _TAG, 0)
            root = _functions.unary("sqrt", _step("div", log * -2.0, safe), _PLAIN, None, _TAG, 0)
            result = torch.where(good, _step("mul", u, root), result)
            pending = pending & ~good
        first += 2 * _NORMAL_ATTEMPTS
    z = result.to(torch.float64) if dtype == torch.float64 else result
    if std != 1.0:
        z = _step("mul", z, float(std))
    if mean != 0.0:
        z = _step("add", z, float(mean))
    return z.to(dtype)


def integers(size, low, high, *, dtype=torch.int64, generator=None, batch_offset=0, device=None):
    """Integers of [low, high): low + floor(w * (high - low) / 2^64) with w of 64 bits, so that the probability of one
    differs from another's by at most 2^-64; high - low at most 2^32."""
    span = high - low
    if not 0 < span <= 2**32:
        raise ValueError(f"integers(): low, high: expected 0 < high - low <= 2^32, got {low}, {high}")
    words = _words(size, 2, generator, batch_offset, device)
    # floor((hi*2^32 + lo) * span / 2^64) without overflow: hi, lo < 2^32, span <= 2^32
    hi, lo = words[..., 0], words[..., 1]
    if span == 2**32:
        return (hi + low).to(dtype)
    carry = _high_half(lo, span)
    return (low + _high_half(hi, span, carry)).to(dtype)


def _high_half(word, span, carry=0):
    """floor((word*span + carry) / 2^32) for numbers below 2^32, in int64."""
    top, bottom = word >> 16, word & 0xFFFF
    low = bottom * span + carry  # < 2^49
    return (top * span + (low >> 16)) >> 16


def permutation(n, *, dtype=torch.int64, generator=None, device=None):
    """0 … n-1 sorted by (64 random bits, number), as `shuffled(seed)` sorts terms."""
    words = _words((n,), 2, generator, 0, device)
    keys = ((words[..., 1] - 2**31) << 32) | words[..., 0]  # the unsigned order, as int64
    return torch.sort(keys, stable=True).indices.to(dtype)


def bernoulli(p, *, generator=None, batch_offset=0):
    """1 with the probability that each element of the float tensor `p` has, else 0."""
    return (uniform(p.shape, generator=generator, batch_offset=batch_offset, device=p.device) < p).to(p.dtype)


def _step(operation, a, b):
    return _primitives.binary(operation, a, b, _PLAIN, None, _TAG)
