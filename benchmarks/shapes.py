"""Lists of problems: files under shapes/, one problem a line, `#` starts a comment."""

from pathlib import Path

from benchmarks.problems import ProblemError, parse

FOLDER = Path(__file__).parent / "shapes"


def names():
    """The lists that come with the benchmark."""
    return sorted(path.stem for path in FOLDER.glob("*.txt"))


def read(name):
    """The problems of a list: its name (resnet18) or a file.

    Raises:
        ProblemError: no such list, a bad line, or nothing in it.
    """
    path = FOLDER / f"{name}.txt" if str(name) in names() else Path(name)
    try:
        lines = path.read_text().splitlines()
    except OSError:
        raise ProblemError(f"shapes: expected one of {', '.join(names())} or a file, got {str(name)!r}") from None
    problems = []
    for number, line in enumerate(lines, 1):
        if text := line.partition("#")[0].strip():
            problems.append(parse(text, f"{path}:{number}"))
    if not problems:
        raise ProblemError(f"{path}: expected at least one problem, got none")
    return problems
