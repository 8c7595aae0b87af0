"""`Arithmetic`: everything about an op's arithmetic that can change a bit, as one value and one string."""

import json
import re
from dataclasses import dataclass, field, fields, replace
from functools import lru_cache

from fpdet._order import KINDS, SEED_MAX, Order
from fpdet._words import boolean, integer, one_of

ROUNDINGS = (
    "nearest_even",
    "nearest_away",
    "toward_zero",
    "upward",
    "downward",
    "to_odd",
    "stochastic",
)
FORMATS = (
    "float64",
    "float32",
    "tfloat32",
    "bfloat16",
    "float16",
    "float8_e4m3fn",
    "float8_e5m2",
)
VARIANTS = ("a", "b", "c")
KEYS = ("position", "operands")
OPTIONS = {"bits": 32, "variant": "a", "seed": 0, "keyed_by": "position"}

_CUSTOM_FORMAT = re.compile(r"e(\d+)p(\d+)")


class Format(str):
    """An IEEE-like format: ``Format(5, 8)`` is ``"e5p8"``, 5 exponent bits, 8 significand bits.

    Raises:
        TypeError, ValueError: exponent_bits not an int in [2, 11], precision not in [2, 53].
    """

    __slots__ = ()

    def __new__(cls, exponent_bits, precision):
        e = integer("exponent_bits", exponent_bits, 2, 11)
        p = integer("precision", precision, 2, 53)
        return super().__new__(cls, f"e{e}p{p}")

    def __getnewargs__(self):
        return tuple(int(number) for number in _CUSTOM_FORMAT.fullmatch(self).groups())


def format_word(argument, value, *, extra=()):
    """Return the word of a format: a named one, one of `extra`, or ``e<bits>p<precision>``."""
    custom = _CUSTOM_FORMAT.fullmatch(value) if isinstance(value, str) else None
    if custom:
        return str(Format(int(custom[1]), int(custom[2])))
    return one_of(argument, value, (*extra, *FORMATS))


@dataclass(frozen=True)
class Arithmetic:
    """How one op computes: rounding, order of summation, accumulator, fusing.

    ``str(arithmetic)`` is canonical and `parse` reads it back. Frozen and hashable.

    Args:
        rounding: one of `ROUNDINGS`.
        order: a string or an `fpdet.order` object.
        accumulator: ``"auto"`` (float64 for float64 operands, float32 for the rest), a format's
            name, or `Format`. ``exact`` has none.
        fused: whether product and addition are rounded once. ``kahan``, ``neumaier`` and
            ``exact`` refuse False.
        bits, variant, seed, keyed_by: of stochastic rounding only: random bits (1 … 32), variant
            a, b or c, seed, and what keys the random bits ("position" or "operands").

    Raises:
        TypeError: an argument of the wrong type.
        ValueError: an unknown word, a number out of range, or a combination without meaning.
    """

    rounding: str = "nearest_even"
    order: Order = Order("blocked(512)")  # noqa: RUF009 (immutable)
    accumulator: str = "auto"
    fused: bool = True
    bits: int = field(default=32, kw_only=True)
    variant: str = field(default="a", kw_only=True)
    seed: int = field(default=0, kw_only=True)
    keyed_by: str = field(default="position", kw_only=True)

    def __post_init__(self):
        keep = object.__setattr__
        one_of("rounding", self.rounding, ROUNDINGS)
        keep(self, "order", Order(self.order))
        keep(self, "accumulator", format_word("accumulator", self.accumulator, extra=("auto",)))
        boolean("fused", self.fused)
        integer("bits", self.bits, 1, 32)
        one_of("variant", self.variant, VARIANTS)
        integer("seed", self.seed, 0, SEED_MAX)
        one_of("keyed_by", self.keyed_by, KEYS)
        self._refuse_combinations()
        keep(self, "text", self._spell())
        keep(self, "draws", self.rounding == "stochastic" or self.order.per_call)

    def _refuse_combinations(self):
        if self.order == "exact" and self.accumulator != "auto":
            raise ValueError(
                "accumulator: order 'exact' rounds the real sum straight to the output dtype, "
                f"expected no accumulator, got {self.accumulator!r}"
            )
        if not self.order.is_tree and not self.fused:
            raise ValueError(f"fused: order {self.order!r} fixes it, expected no value, got False")
        if self.rounding != "stochastic":
            for name, default in OPTIONS.items():
                if getattr(self, name) != default:
                    raise ValueError(
                        f"{name}: only stochastic rounding has it, expected no value with "
                        f"rounding {self.rounding!r}, got {getattr(self, name)!r}"
                    )

    def _spell(self):
        words = [self.rounding, self.order]
        if self.order != "exact":
            words.append(self.accumulator)
        if self.order.is_tree:
            words.append("fused" if self.fused else "unfused")
        if self.rounding == "stochastic":
            options = ((name, getattr(self, name)) for name in OPTIONS)
            words += [f"{name}={value}" for name, value in options if value != OPTIONS[name]]
        return " ".join(words)

    def __str__(self):
        return self.text

    def replace(self, **changes):
        """A copy with some fields changed."""
        return replace(self, **changes)

    @classmethod
    def parse(cls, text):
        """The Arithmetic that `text` spells; words left out at the end have their defaults.

        Raises:
            TypeError: `text` is no string.
            ValueError: an unknown or misplaced word.
        """
        if not isinstance(text, str):
            raise TypeError(f"arithmetic: expected a string, got {type(text).__name__}")
        words = [word for word in text.replace(", ", ",").split() if word]
        options = [word.partition("=") for word in words if _is_option(word)]
        words = [word for word in words if not _is_option(word)]
        if not 1 <= len(words) <= 4:
            raise ValueError(f"arithmetic: expected '<rounding> <order> <accumulator> <fused>', got {text!r}")
        given = dict(zip(("rounding", "order", "accumulator", "fused"), words, strict=False))
        if "fused" in given:
            given["fused"] = one_of("fused", given["fused"], ("fused", "unfused")) == "fused"
            if not Order(given["order"]).is_tree:
                raise ValueError(f"fused: order {given['order']!r} has none, got {text!r}")
        if given.get("order") == "exact" and "accumulator" in given:
            raise ValueError(f"accumulator: order 'exact' has none, got {text!r}")
        for name, _, value in options:
            one_of("arithmetic option", name, tuple(OPTIONS))
            if name in given:
                raise ValueError(f"{name}: expected one value, got {text!r}")
            given[name] = _option(name, value)
        return cls(**given)

    def to_json(self):
        """A JSON object with every field."""
        return json.dumps({f.name: getattr(self, f.name) for f in fields(self)})

    @classmethod
    def from_json(cls, text):
        """The inverse of `to_json`.

        Raises:
            ValueError: no JSON object, or an unknown field.
        """
        given = json.loads(text)
        if not isinstance(given, dict):
            raise ValueError(f"arithmetic: expected a JSON object, got {text!r}")
        for name in given:
            one_of("arithmetic field", name, tuple(f.name for f in fields(cls)))
        return cls(**given)


def _is_option(word):
    return "=" in word and "(" not in word


def _option(name, value):
    if not isinstance(OPTIONS[name], int):
        return value
    if not value.isdecimal():
        raise ValueError(f"{name}: expected an int, got {value!r}")
    return int(value)


@dataclass(frozen=True)
class PassArithmetic:
    """One `Arithmetic` for each pass of a convolution; grad_bias follows grad_weight.

    ``str`` joins them with ``" | "`` in the order forward, grad_input, grad_weight.

    Raises:
        TypeError: a pass is neither an Arithmetic nor a string.
    """

    forward: Arithmetic = Arithmetic()
    grad_input: Arithmetic = Arithmetic()
    grad_weight: Arithmetic = Arithmetic()

    def __post_init__(self):
        for f in fields(self):
            object.__setattr__(self, f.name, _one(f.name, getattr(self, f.name)))
        passes = [getattr(self, f.name) for f in fields(self)]
        texts = [each.text for each in passes]
        text = texts[0] if len(set(texts)) == 1 else " | ".join(texts)
        object.__setattr__(self, "text", text)
        object.__setattr__(self, "draws", any(each.draws for each in passes))
        object.__setattr__(self, "seed", self.forward.seed)

    def __str__(self):
        return self.text


@lru_cache(maxsize=256)
def _parsed(text):
    if "|" not in text:
        return Arithmetic.parse(text)
    parts = text.split("|")
    if len(parts) != 3:
        raise ValueError(f"arithmetic: expected 'forward | grad_input | grad_weight', got {text!r}")
    return PassArithmetic(*(Arithmetic.parse(part) for part in parts))


def _one(argument, value):
    if isinstance(value, Arithmetic):
        return value
    if isinstance(value, str):
        return Arithmetic.parse(value)
    raise TypeError(f"{argument}: expected fpdet.Arithmetic or its string, got {type(value).__name__}")


def as_arithmetic(value):
    """What a user passed as `arithmetic`: an Arithmetic, a PassArithmetic, a string, None (default)."""
    if value is None:
        return DEFAULT
    if isinstance(value, Arithmetic | PassArithmetic):
        return value
    if isinstance(value, str):
        return _parsed(value)
    raise TypeError(
        f"arithmetic: expected fpdet.Arithmetic, fpdet.PassArithmetic or a string, got {type(value).__name__}"
    )


def _read(value):
    return as_arithmetic(value)


_read._dynamo_marked_constant = True  # torch.compiler.assume_constant_result, without importing the compiler


def parsed(value):
    """As `as_arithmetic`, where a compiler may be reading along."""
    return value if isinstance(value, (Arithmetic, PassArithmetic)) else _read(value)


def as_single(value):
    """As `as_arithmetic`, for an op that has one pass."""
    value = as_arithmetic(value)
    if isinstance(value, PassArithmetic):
        raise TypeError("arithmetic: expected one fpdet.Arithmetic, got fpdet.PassArithmetic")
    return value


DEFAULT = Arithmetic()
ORDER_KINDS = KINDS
