"""What an experiment is to the harness: settings, units of work that finish one by one, and what is shown of them."""

from dataclasses import dataclass, field

from fpdet.experiments.config import preset


@dataclass(frozen=True)
class Unit:
    """A piece of work that is kept as soon as it has finished.

    Args:
        name: distinguishes it within its group.
        group: what it belongs to; part of the file name.
        seconds: a guess, for the time left.
        given: what `Experiment.compute` needs to know of it.
        needs: indices of the earlier units whose (result, record) it asks for; it starts when they have finished.
    """

    name: str
    group: str
    seconds: float = 1.0
    given: dict = field(default_factory=dict, hash=False)
    needs: tuple[int, ...] = ()

    @property
    def cost_class(self):
        """Units of one class are expected to take as long as their guesses say relative to each other."""
        return self.group


class Experiment:
    """Base class; a subclass sets `name`, `about`, `Settings` and the methods below.

    What `figures` and `sections` show comes from the summary and the tables alone, as they were read back from the run
    folder's files: so every figure can be made again from committed files.
    """

    name = ""
    about = ""
    Settings = None

    def preset(self, size, data=None):
        """The settings of a size."""
        return preset(self.name, self.Settings, size, data)

    def prepare(self, settings, root):
        """What all units share, e.g. data; raises before a folder is made."""
        return None

    def units(self, settings):
        """The units, in the order in which they start; raises for a setting that cannot be run."""
        raise NotImplementedError

    def compute(self, settings, unit, prepared, done, on_step):
        """Do one unit, maybe in another process: nothing but what is returned goes back.

        Args:
            done: `done(index)` is the (result, record) of a unit that `unit.needs` names.
            on_step: called with the share that is done, in [0, 1].

        Returns:
            (result, record): a JSON-ready dict, and a dict of tensors.
        """
        raise NotImplementedError

    def summarise(self, settings, units, results, records):
        """(summary, tables): a JSON-ready dict, and {name: list of dicts of equal keys}. `records(index)` loads one."""
        raise NotImplementedError

    def figures(self, summary, tables):
        """{name: matplotlib Figure}."""
        raise NotImplementedError

    def sections(self, summary, tables):
        """[(heading, text or (headings, rows))] for the report and for docs/experiments.md; text is plain."""
        raise NotImplementedError

    def show(self, console, summary):
        """Print more than the verdict on the terminal."""

    def verdict(self, summary):
        """(whether the controls held, one sentence)."""
        raise NotImplementedError

    def write_report(self, folder, units, results, summary, tables):
        """Plots and report.html."""
        from fpdet.experiments import page, plots

        pictures = plots.rendered(self.figures(summary, tables))
        for name, (png, svg) in pictures.items():
            folder.write(f"plots/{name}.png", png)
            folder.write(f"plots/{name}.svg", svg)
        text = page.page(
            f"fpdet: {self.name}",
            self.about,
            self.verdict(summary),
            {name: png for name, (png, _) in pictures.items()},
            self.sections(summary, tables),
            folder.settings,
        )
        folder.write("report.html", text.encode())
