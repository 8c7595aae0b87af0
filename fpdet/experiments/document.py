"""docs/experiments.md: its tables, figures and numbers are written from the small files in docs/experiments/RUN/.

Between ``<!-- run NAME -->`` and ``<!-- end -->`` stand the figures and tables of that run. In the prose,
``<!-- = RUN PATH FORMAT -->…<!-- / -->`` holds one number of its summary: a path is keys joined by dots, ``key[3]``, or
``key[name=value;…]`` for the first entry of a list that has these values.
"""

import json
import re
import shutil
from pathlib import Path

from fpdet.experiments import load, page, plots
from fpdet.experiments.config import ConfigError
from fpdet.experiments.store import RunFolder, read_json, read_tables

LONG = 24  # rows from which on a table is folded
DOCS = Path(__file__).resolve().parents[2] / "docs"
_RUN = re.compile(r"(<!-- run (\S+) -->\n).*?(<!-- end -->)", re.DOTALL)
_NUMBER = re.compile(r"(<!-- = (\S+) (.+?) (\{\S*\}\S*) -->).*?(<!-- / -->)", re.DOTALL)
_STEP = re.compile(r"([^.\[]+)(?:\[([^\]]*)\])?(?:\.|$)")


def write(folders=(), docs=None):
    """Take the run `folders` in under their names, then write every figure and the page again; its path.

    Raises:
        ConfigError: no checkout, a folder that has not finished, a run or a number that is not there.
    """
    docs = DOCS if docs is None else Path(docs)
    target = docs / "experiments.md"
    if not target.is_file():
        raise ConfigError(f"{target}: expected a file, found none; the docs come with the source, not with the wheel")
    for folder in folders:
        _take(RunFolder(folder), docs / "experiments")
    for found in sorted(path.parent for path in (docs / "experiments").glob("*/summary.json")):
        for name, (png, _) in plots.rendered(_figures(found)).items():
            (found / f"{name}.png").write_bytes(png)
    target.write_text(filled(target.read_text(), docs / "experiments"))
    return target


def _take(folder, root):
    if not (folder.path / "summary.json").is_file():
        raise ConfigError(f"{folder.path}: expected a finished run with summary.json, found none")
    own = root / folder.path.resolve().name
    own.mkdir(parents=True, exist_ok=True)
    for path in (*folder.path.glob("*.json"), *folder.path.glob("*.csv")):
        shutil.copyfile(path, own / path.name)


def _figures(folder):
    experiment = load(read_json(folder / "config.json")["experiment"])
    return experiment.figures(read_json(folder / "summary.json"), read_tables(folder))


def filled(text, root):
    """`text` with every run's block and every number written from the files under `root`."""
    text = _RUN.sub(lambda match: match[1] + block(match[2], root) + match[3], text)
    return _NUMBER.sub(lambda match: f"{match[1]}{_number(root, *match.group(2, 3, 4))}{match[5]}", text)


def block(run, root):
    """Figures, verdict and tables of a run, as Markdown."""
    folder = root / run
    header, summary, tables = read_json(folder / "config.json"), read_json(folder / "summary.json"), read_tables(folder)
    experiment = load(header["experiment"])
    lines = [f"![{name}](experiments/{run}/{name}.png)\n" for name in experiment.figures(summary, tables)]
    lines.append(f"*{experiment.verdict(summary)[1]}.* Settings: [config.json](experiments/{run}/config.json).\n")
    for heading, body in experiment.sections(summary, tables):
        if isinstance(body, str):
            lines.append(f"**{heading}.** {body}\n")
        elif len(body[1]) > LONG:
            lines.append(f"<details><summary>{heading}</summary>\n\n{page.markdown(*body)}\n\n</details>\n")
        else:
            lines.append(f"**{heading}**\n\n{page.markdown(*body)}\n")
    return "\n".join(lines)


def _number(root, run, path, form):
    value = lookup(read_json(root / run / "summary.json"), path)
    return form.format(float(value) if isinstance(value, str) and value in ("nan", "inf", "-inf") else value)


def lookup(value, path):
    """The part of a JSON value that `path` names.

    Raises:
        ConfigError: there is none.
    """
    for key, selector in _STEP.findall(path):
        try:
            value = value[key]
            if selector:
                value = value[int(selector)] if selector.isdecimal() else _select(value, selector)
        except (KeyError, IndexError, TypeError, StopIteration):
            raise ConfigError(f"experiments.md: expected a number at {path!r}, found none at {key!r}") from None
    return value


def _select(rows, selector):
    wanted = dict(pair.split("=", 1) for pair in selector.split(";"))
    return next(row for row in rows if all(_matches(row[key], text) for key, text in wanted.items()))


def _matches(value, text):
    return value == text if isinstance(value, str) else json.dumps(value) == text or value == float(text)
