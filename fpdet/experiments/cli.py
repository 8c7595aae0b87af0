"""The commands ``fpdet run``, ``fpdet list`` and ``fpdet report``."""

from dataclasses import fields

from fpdet.__main__ import bad_input, failed
from fpdet.experiments import EXPERIMENTS, load
from fpdet.experiments.config import ConfigError, from_toml, one_of, sizes


def run(given):
    """``fpdet run``; returns the exit status: 0, 1 (a control failed, workers were lost), 2 (bad input)."""
    from fpdet.experiments import executors
    from fpdet.experiments.data import DataError
    from fpdet.experiments.runner import run as run_units

    try:
        one_of("experiment", given.experiment, tuple(EXPERIMENTS))
        experiment = load(given.experiment)
        settings = _settings(experiment, given)
        executor = executors.chosen(given.executor, given.workers, given.address)
        out = given.out or "-".join(
            ["runs/" + experiment.name, *([settings.data] if hasattr(settings, "data") else []), given.size]
        )
        summary = run_units(experiment, settings, out, given.root, executor=executor)
    except (ConfigError, DataError, ValueError) as error:
        return bad_input(error)
    except executors.WorkerLostError as error:
        return failed(error)
    return 0 if experiment.verdict(summary)[0] else 1


def _settings(experiment, given):
    has_data = any(field.name == "data" for field in fields(experiment.Settings))
    if given.data is not None and not has_data:
        raise ConfigError(f"--data: expected none, {experiment.name} uses no images; got {given.data!r}")
    if given.config is not None:
        settings = from_toml(experiment.Settings, given.config)
    else:
        settings = experiment.preset(given.size, given.data)
    data = [f"data={given.data}"] if given.data is not None else []
    return settings.change([*data, *given.set])


def show(given):
    """``fpdet list``."""
    if given.experiment is None:
        from fpdet.experiments.progress import duration

        for name, words in EXPERIMENTS.items():
            experiment = load(name)
            costs = []
            for size in sizes(name):
                units = experiment.units(experiment.preset(size))
                costs.append(f"{size} {duration(sum(unit.seconds for unit in units))}")
            print(f"{name}: {words}\n    one core: {', '.join(costs)}")
        print("\nfpdet list NAME shows the settings of an experiment, fpdet/experiments/configs the sizes")
        return 0
    try:
        one_of("experiment", given.experiment, tuple(EXPERIMENTS))
    except ConfigError as error:
        return bad_input(error)
    kind = load(given.experiment).Settings
    print((kind.__doc__ or "").strip())
    print("\nsettings (--set KEY=VALUE) and their defaults:")
    for field in fields(kind):
        value = field.default
        text = ",".join(map(str, value)) if isinstance(value, tuple) else value
        print(f"  {field.name}={text}")
    return 0


def report(given):
    """``fpdet report``."""
    from fpdet.experiments import compare, document
    from fpdet.experiments.runner import finish
    from fpdet.experiments.store import RunFolder

    try:
        if given.docs:
            print(document.write(given.folders))
            return 0
        if not given.folders:
            raise ConfigError("report: expected a run folder, got none")
        if len(given.folders) > 1:
            print(compare.text(compare.compare([RunFolder(path) for path in given.folders])))
            return 0
        folder = RunFolder(given.folders[0])
        finish(folder)
    except ConfigError as error:
        return bad_input(error)
    print(folder.path / "report.html")
    return 0
