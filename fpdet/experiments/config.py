"""Settings of a run: a frozen record that prints, parses, compares, and is kept as a TOML file."""

import difflib
import json
import math
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path

SCHEMA = 2  # of the run folder; another number is refused
CONFIGS = Path(__file__).parent / "configs"  # EXPERIMENT/SIZE.toml


class ConfigError(ValueError):
    """A setting, or a run folder, that cannot be used; the text says which, what was expected and what was got."""


@dataclass(frozen=True)
class Settings:
    """What the settings of all experiments share. A subclass adds fields whose defaults say their types.

    seed: of every random number, through counter-based generators. threads: of torch and fpdet, no bit of fpdet's.
    """

    seed: int = 0
    threads: int = 1

    def __post_init__(self):
        at_least("threads", self.threads, 1)
        at_least("seed", self.seed, 0)
        self.check()

    def check(self):
        """Raise ConfigError for a value that means nothing; for subclasses."""

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
        return cls(**{name: _typed(_field(cls, name), value) for name, value in given.items()})

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
            given[name.strip()] = _parsed(_field(type(self), name.strip()), text.strip())
        return replace(self, **given)


def from_toml(kind, path):
    """The Settings of class `kind` that a TOML file holds.

    Raises:
        ConfigError: no such file, no TOML, or a setting that does not exist.
    """
    try:
        import tomllib
    except ModuleNotFoundError:  # Python 3.10
        import tomli as tomllib
    path = Path(path)
    try:
        given = tomllib.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path}: expected a TOML file, got {type(error).__name__}: {error}") from None
    try:
        return kind.from_json(given)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from None


def sizes(experiment):
    """The sizes that an experiment has files for, smallest first."""
    found = {path.stem for path in (CONFIGS / experiment).glob("*.toml") if "-" not in path.stem}
    return tuple(size for size in ("smoke", "laptop", "paper") if size in found)


def preset(experiment, kind, size, data=None):
    """The Settings in configs/EXPERIMENT/SIZE-DATA.toml if there is such a file, else in SIZE.toml.

    Raises:
        ConfigError: an unknown size.
    """
    one_of("size", size, sizes(experiment))
    own = CONFIGS / experiment / f"{size}-{data}.toml"
    return from_toml(kind, own if own.is_file() else CONFIGS / experiment / f"{size}.toml")


def one_of(name, value, allowed):
    """Raise ConfigError, naming the nearest word, unless `value` is one of `allowed`."""
    if value not in allowed:
        near = difflib.get_close_matches(str(value), allowed, 1)
        hint = f" (did you mean {near[0]!r}?)" if near else ""
        raise ConfigError(f"{name}: expected one of {', '.join(allowed)}, got {value!r}{hint}")


def at_least(name, value, least):
    """Raise ConfigError unless every number of `value` is `least` or more."""
    for item in value if isinstance(value, tuple) else (value,):
        if not item >= least:
            raise ConfigError(f"{name}: expected at least {least}, got {item}")


def positive(name, value):
    """Raise ConfigError unless every number of `value` is finite and above zero."""
    for item in value if isinstance(value, tuple) else (value,):
        if not (math.isfinite(item) and item > 0):
            raise ConfigError(f"{name}: expected a positive number, got {item}")


def distinct(name, values):
    """Raise ConfigError where an entry stands twice."""
    if len(set(values)) != len(values):
        raise ConfigError(f"{name}: expected no entry twice, got {values}")


def not_empty(name, values):
    """Raise ConfigError unless a list holds something."""
    if not values:
        raise ConfigError(f"{name}: expected at least one, got ()")


def _field(cls, name):
    known = {field.name: field for field in fields(cls)}
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
    """The settings as TOML, one a line."""
    return "".join(f"{name} = {json.dumps(value)}\n" for name, value in config.to_json().items())
