"""``fpdet report DIR DIR …``: what differs among run folders of one experiment, and whether their bits agree."""

from fpdet.experiments.config import ConfigError
from fpdet.experiments.store import read_json


def compare(folders):
    """{"experiment", "settings", "digests", "numbers"}: settings that differ, digests, numbers of the summaries.

    Raises:
        ConfigError: folders of several experiments, or one that has not finished.
    """
    names = {folder.experiment for folder in folders}
    if len(names) > 1:
        raise ConfigError(f"report: expected run folders of one experiment, got {', '.join(sorted(names))}")
    summaries = []
    for folder in folders:
        if not (folder.path / "summary.json").is_file():
            raise ConfigError(f"{folder.path}: expected a finished run with summary.json, found none")
        summaries.append(read_json(folder.path / "summary.json"))
    configs = [folder.settings.to_json() for folder in folders]
    flat = [dict(_leaves(summary)) for summary in summaries]
    keys = [key for key in flat[0] if all(key in other for other in flat[1:])]
    return {
        "experiment": names.pop(),
        "folders": [str(folder.path) for folder in folders],
        "settings": {
            key: [c[key] for c in configs] for key in configs[0] if any(c[key] != configs[0][key] for c in configs)
        },
        "digests": [summary["digest"] for summary in summaries],
        "equal": len({summary["digest"] for summary in summaries}) == 1,
        "numbers": {
            key: [f[key] for f in flat]
            for key in keys
            if key not in ("digest", "seconds") and any(f[key] != flat[0][key] for f in flat)
        },
    }


def _leaves(value, path=""):
    """(dotted path, leaf) of everything in a JSON value."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _leaves(item, f"{path}.{key}" if path else key)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _leaves(item, f"{path}[{index}]")
    else:
        yield path, value


def text(found, most=40):
    """The comparison as text."""
    lines = [f"{found['experiment']}: {len(found['folders'])} runs"]
    lines += [f"  {folder}  {digest[:16]}" for folder, digest in zip(found["folders"], found["digests"], strict=True)]
    lines.append("digests: equal" if found["equal"] else "digests: they differ")
    for title, rows in (("settings", found["settings"]), ("summary", found["numbers"])):
        lines.append(f"{title} that differ: {len(rows) or 'none'}")
        lines += [f"  {key}: {' | '.join(map(str, values))}" for key, values in list(rows.items())[:most]]
        if len(rows) > most:
            lines.append(f"  … {len(rows) - most} more")
    return "\n".join(lines)
