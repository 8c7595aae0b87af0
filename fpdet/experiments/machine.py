"""A machine that computes in one format, with one rounding and one order of summation: fpdet's arithmetic over arrays.

Every operation is rounded into the format. Values are kept in float32 arrays where that holds the format, else in
float64; what holds them rounds nothing. Random bits of stochastic rounding come from (seed, number of the operation).
"""

from dataclasses import dataclass

import numpy as np
import torch

from fpdet import _core, core
from fpdet._arithmetic import Arithmetic, format_word
from fpdet.experiments.config import ConfigError
from fpdet.nn.functional import conv2d

ADD = 4  # pass tag of elementwise operations (docs/semantics.md, section 6)
TORCH_TYPES = {
    "float64": torch.float64,
    "float32": torch.float32,
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
}


@dataclass(frozen=True)
class Variant:
    """A machine's words, ``FORMAT ROUNDING ORDER [unfused]``, e.g. "bfloat16 upward pairwise"."""

    format: str
    rounding: str
    order: str
    fused: bool

    @classmethod
    def parse(cls, text):
        """The variant that `text` spells.

        Raises:
            ConfigError: unknown words, or an exact sum in a format that no dtype has.
        """
        words = text.split()
        if not 2 <= len(words) <= 4 or words[3:] not in ([], ["unfused"]):
            raise ConfigError(f"variants: expected 'FORMAT ROUNDING [ORDER [unfused]]', got {text!r}")
        order = words[2] if len(words) > 2 else "sequential"
        try:
            word = format_word("format", words[0])
            chosen = Arithmetic(words[1], order, fused=words[3:] == [])
        except ValueError as error:
            raise ConfigError(f"variants: {error}, in {text!r}") from None
        if order == "exact" and word not in TORCH_TYPES:
            raise ConfigError(f"variants: an exact sum goes into one of {', '.join(TORCH_TYPES)}, got {text!r}")
        return cls(word, chosen.rounding, str(chosen.order), chosen.fused)

    def __str__(self):
        return " ".join([self.format, self.rounding, self.order, *([] if self.fused else ["unfused"])])

    @property
    def precision(self):
        """Bits of the significand."""
        return core.format_info(self.format)["precision"]

    @property
    def largest(self):
        """The largest number of the format."""
        return core.format_info(self.format)["max_finite"]

    @property
    def unit_roundoff(self):
        """2^-precision, half the distance from 1 to the next number."""
        return 2.0**-self.precision


class Machine:
    """Operations of one `Variant`; `seed` is that of stochastic rounding."""

    def __init__(self, variant, seed=0):
        self.variant = variant
        self.dtype = core.round(np.zeros(1, np.float32), variant.format).dtype
        self._options = {"seed": seed} if variant.rounding == "stochastic" else {}
        self._seed = seed
        self._count = 0
        if variant.order == "exact":
            words = Arithmetic(variant.rounding, "exact", **self._options)
            self._tensor_type = TORCH_TYPES[variant.format]
        else:
            words = Arithmetic(variant.rounding, variant.order, variant.format, variant.fused, **self._options)
            self._tensor_type = torch.from_numpy(np.zeros(1, self.dtype)).dtype
        self._words = str(words)
        spelled = [variant.rounding, *([f"seed={seed}"] if self._options and seed else [])]
        self._rounding = core.parse_rounding(" ".join(spelled))["text"]

    def _next(self):
        self._count += 1
        return {**self._options, "counter": self._count} if self._options else {}

    def _elementwise(self, operation, *operands):
        # What fpdet.core does, less its checks and parsing, which cost more than the arithmetic of a small array.
        self._count += 1
        arrays = [np.asarray(operand, self.dtype) for operand in operands]
        shape = np.broadcast_shapes(*(array.shape for array in arrays))
        arrays = [a if a.shape == shape else np.full(shape, a) for a in arrays]
        out = np.empty(shape, self.dtype)
        size = int(np.prod(shape[1:], dtype=np.int64)) if shape else 1
        arrays = [np.ascontiguousarray(a).reshape(shape) for a in arrays]
        _core.elementwise(operation, arrays, out, self.variant.format, self._rounding, self._count, ADD, 0, size)
        return out[()]

    def number(self, value):
        """A Python number as the format has it, to nearest even whatever the rounding (docs/semantics.md, "SGD")."""
        return core.round(np.float64(value), self.variant.format).astype(self.dtype)

    def round(self, x):
        """Float64 values rounded into the format."""
        wide = core.round(np.asarray(x, np.float64), self.variant.format, self.variant.rounding, **self._next())
        return wide.astype(self.dtype)

    def add(self, x, y):
        """round(x + y)."""
        return self._elementwise("add", x, y)

    def sub(self, x, y):
        """round(x - y)."""
        return self._elementwise("add", x, np.negative(y))

    def mul(self, x, y):
        """round(x * y)."""
        return self._elementwise("mul", x, y)

    def div(self, x, y):
        """round(x / y)."""
        return self._elementwise("div", x, y)

    def fma(self, x, y, z):
        """round(x * y + z), or round(round(x * y) + z) if the variant is unfused."""
        if not self.variant.fused:
            return self.add(self.mul(x, y), z)
        return self._elementwise("fma", x, y, z)

    def sum(self, terms):
        """The sums along the last axis, in the variant's order."""
        terms = np.asarray(terms, self.dtype)
        format, rounding = self.variant.format, self.variant.rounding
        if self.variant.order == "exact":
            return core.sum_exact(terms, rounding, format, **self._next())
        return core.reduce(terms, self.variant.order, format, rounding, **self._next())

    def correlate(self, image, kernels):
        """sum over (r, s) of image[p + r, q + s] * kernel[r, s] at every (p, q) where the kernel fits.

        `kernels` is one kernel or a stack of them, and so is the result.
        """
        x, w = (torch.from_numpy(np.ascontiguousarray(a)).to(self._tensor_type) for a in (image, kernels))
        self._count += 1
        stream = torch.tensor([self._seed, self._count]) if self._options else None
        stack = w[None, None] if w.dim() == 2 else w[:, None]
        found = conv2d(x[None, None], stack, arithmetic=self._words, stream=stream)[0]
        found = found.to(torch.from_numpy(np.zeros(1, self.dtype)).dtype).numpy()
        return found[0] if w.dim() == 2 else found
