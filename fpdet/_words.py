"""Checks of the words and numbers a user passes; every message names argument, expected, got."""

from difflib import get_close_matches


def one_of(argument, value, allowed):
    """Return `value` if it is one of the words `allowed`."""
    if not isinstance(value, str):
        raise TypeError(f"{argument}: expected a string, got {type(value).__name__}")
    if value in allowed:
        return value
    close = get_close_matches(value, allowed, n=1)
    hint = f" (did you mean {close[0]!r}?)" if close else ""
    raise ValueError(f"{argument}: expected one of {', '.join(allowed)}; got {value!r}{hint}")


def integer(argument, value, low, high):
    """Return `value` if it is an int with low <= value <= high."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{argument}: expected an int, got {type(value).__name__}")
    if not low <= value <= high:
        raise ValueError(f"{argument}: expected an int in [{low}, {high}], got {value}")
    return value


def boolean(argument, value):
    """Return `value` if it is a bool."""
    if not isinstance(value, bool):
        raise TypeError(f"{argument}: expected a bool, got {type(value).__name__}")
    return value
