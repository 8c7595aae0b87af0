"""What one run of the experiment is: a frozen record that prints, parses and compares."""

import difflib
import json
import math
from dataclasses import asdict, dataclass, fields, replace

SCHEMA = 1  # of the run folder; another number is refused
DATASETS = ("digits", "fashion-mnist", "cifar10")
SOURCES = ("rescale", "rounding", "order", "seed")


class ConfigError(ValueError):
    """A setting, or a run folder, that cannot be used; the text says which, what was expected and what was got."""


@dataclass(frozen=True)
class Config:
    """Settings of ``fpdet run sources``; every one can be given as ``--set name=value``.

    Members of a source: the baseline plus one per entry below. `rescales` holds the k of the paper; `stochastic_seeds`
    adds stochastic members to the source rounding. `learning_rate` and its decay factors are powers of two, so that
    learning_rate*k has no rounding of its own: what rescale injects is rounding, not another learning rate.
    """

    data: str = "digits"
    seed: int = 0
    train_images: int = 1000
    test_images: int = 797
    channels: tuple[int, ...] = (6, 6, 6, 6)
    batch: int = 16
    steps: int = 320
    learning_rate: float = 0.25
    momentum: float = 0.9
    nesterov: bool = True
    weight_decay: float = 5e-4
    baseline: str = "nearest_even blocked(512) auto fused"
    sources: tuple[str, ...] = SOURCES
    rescales: tuple[int, ...] = (3, 5, 7, 9, 11)
    controls: tuple[int, ...] = (1, 2, 4)
    roundings: tuple[str, ...] = ("toward_zero", "upward", "downward")
    stochastic_seeds: tuple[int, ...] = (1, 2)
    orders: tuple[str, ...] = ("sequential", "reverse", "pairwise", "shuffled(1)", "shuffled(2)", "shuffled(3)")
    exact: bool = True
    data_seeds: tuple[int, ...] = (1, 2, 3, 4, 5)
    record_every: int = 1
    bootstrap: int = 10000
    threads: int = 1

    def __post_init__(self):
        one_of("data", self.data, DATASETS)
        for source in self.sources:
            one_of("sources", source, SOURCES)
        for name in ("train_images", "test_images", "batch", "steps", "record_every", "bootstrap", "threads"):
            _at_least(name, getattr(self, name), 1)
        _at_least("batch", self.batch, 2)  # batch norm needs two
        _at_least("train_images", self.train_images, self.batch)
        for name in ("seed", "stochastic_seeds", "data_seeds"):
            for seed in _items(getattr(self, name)):
                _at_least(name, seed, 0)
        for name in ("channels", "rescales", "controls"):
            for item in getattr(self, name):
                _at_least(name, item, 1)
        if not self.channels:
            raise ConfigError("channels: expected at least one, got ()")
        for k in self.controls:
            if k & (k - 1):
                raise ConfigError(f"controls: expected powers of two (exact scaling), got {k}")
        for name in ("rescales", "controls", "roundings", "stochastic_seeds", "orders", "data_seeds", "sources"):
            if len(set(getattr(self, name))) != len(getattr(self, name)):
                raise ConfigError(f"{name}: expected no entry twice, got {getattr(self, name)}")
        if self.seed in self.data_seeds:
            raise ConfigError(f"data_seeds: expected seeds other than seed={self.seed}, got {self.data_seeds}")
        if 1 in self.rescales:
            raise ConfigError("rescales: expected k other than 1 (that is the baseline), got 1")
        if not (math.isfinite(self.learning_rate) and self.learning_rate > 0):
            raise ConfigError(f"learning_rate: expected a positive number, got {self.learning_rate}")
        for name in ("momentum", "weight_decay"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value >= 0):
                raise ConfigError(f"{name}: expected a number >= 0, got {value}")

    def to_json(self):
        """JSON of every setting, as `config.json` of a run folder holds it."""
        return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()}

    @classmethod
    def from_json(cls, given):
        """The inverse of `to_json`.

        Raises:
            ConfigError: an unknown setting or a value of the wrong type.
        """
        if not isinstance(given, dict):
            raise ConfigError(f"config: expected an object, got {type(given).__name__}")
        return cls(**{name: _typed(_field(name), value) for name, value in given.items()})

    def change(self, settings):
        """A copy changed by ``name=value`` strings; lists are written ``a,b,c`` (an empty value is an empty list).

        Raises:
            ConfigError: an unknown name (with the nearest one) or a value of the wrong type.
        """
        given = {}
        for setting in settings:
            name, equals, text = setting.partition("=")
            if not equals:
                raise ConfigError(f"--set: expected name=value, got {setting!r}")
            given[name.strip()] = _parsed(_field(name.strip()), text.strip())
        return replace(self, **given)


def preset(size, data):
    """The Config of a size ("laptop", "smoke") for a data set.

    Raises:
        ConfigError: an unknown size or data set.
    """
    one_of("size", size, ("laptop", "smoke"))
    one_of("data", data, DATASETS)
    config = Config(data=data)
    if data != "digits":
        config = replace(config, train_images=10000, test_images=2000)
    if size == "smoke":
        config = replace(
            config,
            train_images=48,
            test_images=40,
            channels=(2, 2),
            batch=8,
            steps=6,
            rescales=(3,),
            roundings=("toward_zero",),
            stochastic_seeds=(1,),
            orders=("reverse",),
            data_seeds=(1,),
            bootstrap=200,
        )
    return config


def one_of(name, value, allowed):
    """Raise ConfigError, naming the nearest word, unless `value` is one of `allowed`."""
    if value not in allowed:
        near = difflib.get_close_matches(str(value), allowed, 1)
        hint = f" (did you mean {near[0]!r}?)" if near else ""
        raise ConfigError(f"{name}: expected one of {', '.join(allowed)}, got {value!r}{hint}")


def _items(value):
    return value if isinstance(value, tuple) else (value,)


def _at_least(name, value, least):
    if value < least:
        raise ConfigError(f"{name}: expected at least {least}, got {value}")


def _field(name):
    known = {field.name: field for field in fields(Config)}
    if name not in known:
        near = difflib.get_close_matches(name, known, 1)
        hint = f" (did you mean {near[0]!r}?)" if near else ""
        raise ConfigError(f"config: unknown setting {name!r}{hint}; known: {', '.join(known)}")
    return known[name]


def _kind(field):
    """(type of an item, whether the setting is a list)."""
    default = field.default
    return (type(default[0]), True) if isinstance(default, tuple) else (type(default), False)


def _typed(field, value):
    kind, many = _kind(field)
    if many:
        if not isinstance(value, (list, tuple)):
            raise ConfigError(f"{field.name}: expected a list, got {value!r}")
        return tuple(_item(field.name, kind, item) for item in value)
    return _item(field.name, kind, value)


def _item(name, kind, value):
    if kind is float and type(value) is int:
        value = float(value)
    if type(value) is not kind:
        raise ConfigError(f"{name}: expected {kind.__name__}, got {value!r}")
    return value


def _parsed(field, text):
    kind, many = _kind(field)
    if many:
        return tuple(_scalar(field.name, kind, item.strip()) for item in _split(text))
    return _scalar(field.name, kind, text)


def _split(text):
    """The items of ``a,b(1,2),c``: commas inside parentheses do not split."""
    items, depth = [""], 0
    for letter in text:
        depth += (letter == "(") - (letter == ")")
        if letter == "," and depth == 0:
            items.append("")
        else:
            items[-1] += letter
    return [item for item in items if item.strip()]


def _scalar(name, kind, text):
    if kind is bool:
        words = {"true": True, "false": False, "1": True, "0": False}
        if text.lower() not in words:
            raise ConfigError(f"{name}: expected true or false, got {text!r}")
        return words[text.lower()]
    try:
        return kind(text)
    except ValueError:
        raise ConfigError(f"{name}: expected {kind.__name__}, got {text!r}") from None


def config_text(config):
    """The settings as indented JSON."""
    return json.dumps(config.to_json(), indent=1)
