"""docs/programs.md from the programs themselves: ``python -m fpdet.programs.page > docs/programs.md``."""

import inspect
import textwrap

from fpdet.programs import PROGRAMS

_HEAD = """# Programs

<!-- Made by `python -m fpdet.programs.page > docs/programs.md`; tests/test_programs.py compares. -->

The ops of whole networks, each a straight-line program of the steps that [semantics.md](semantics.md), section 12,
describes. This is the code that runs: on tensors by fpdet's primitives, in the oracle in exact rationals.
"""


def page():
    """The text of docs/programs.md."""
    parts, last = [_HEAD], None
    for name, cls in PROGRAMS.items():
        module = inspect.getmodule(cls)
        if module is not last:
            parts.append(f"## {module.__name__.rpartition('.')[2]}\n\n{inspect.getdoc(module)}\n{_helpers(module)}")
            last = module
        parts.append(f"### {name}\n\n```python\n{textwrap.dedent(inspect.getsource(cls)).strip()}\n```\n")
    return "\n".join(parts)


def _helpers(module):
    """The functions and bases that the module's programs share."""
    found = [
        inspect.getsource(value).strip()
        for value in vars(module).values()
        if getattr(value, "__module__", None) == module.__name__
        and (inspect.isfunction(value) or inspect.isclass(value))
        and value.__name__ not in PROGRAMS
    ]
    return "\n```python\n{}\n```\n".format("\n\n\n".join(found)) if found else ""


if __name__ == "__main__":
    print(page(), end="")
