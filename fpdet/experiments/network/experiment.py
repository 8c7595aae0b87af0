"""The experiment ``network``: every way of computing one training gives one digest; torch's own mode beside it."""

import torch

from fpdet.experiments import plots
from fpdet.experiments.data import SHAPES
from fpdet.experiments.experiment import Experiment, Unit
from fpdet.experiments.nets import multiply_adds
from fpdet.experiments.network import train
from fpdet.experiments.network.settings import NetworkSettings
from fpdet.experiments.training import first_difference, load

SLOW = "portable"  # about a hundred times as slow: `short` steps


class Network(Experiment):
    """One unit: one training from the seed."""

    name = "network"
    about = (
        "A whole net trained under one Arithmetic: the same bits on any number of threads, with any kernels, compiled"
    )
    Settings = NetworkSettings

    def prepare(self, settings, root):
        return load(settings, root)

    def units(self, settings):
        macs = multiply_adds(train.make(settings, SHAPES[settings.data]), *SHAPES[settings.data])
        step = 0.15 + 3 * settings.batch * macs * 0.15e-9
        found = []

        def add(name, group, arithmetic, threads=1, way="", kernels=None, steps=settings.steps, factor=1.0):
            given = {"arithmetic": arithmetic, "threads": threads, "way": way, "kernels": kernels, "steps": steps}
            found.append(Unit(name, group, factor * steps * step, {"name": name, "group": group, **given}))

        for threads in settings.threads_tried:
            add(f"{threads} thread{'s' * (threads > 1)}", "fpdet", settings.arithmetic, threads)
        present = torch.ops.fpdet.instruction_sets.default()
        for way in settings.ways:
            if way == SLOW:
                add(f"{way} kernels", "fpdet", settings.arithmetic, kernels=way, steps=settings.short, factor=100.0)
            elif way in ("avx2", "avx512", "baseline"):
                if way in present:
                    add(f"{way} kernels", "fpdet", settings.arithmetic, kernels=way)
            else:
                add(way, "fpdet", settings.arithmetic, way=way)
        for words in settings.controls:
            add(f"{words} (control)", "control", words)
        for threads in settings.torch_threads:
            add(f"torch deterministic, {threads} thread{'s' * (threads > 1)}", "torch", None, threads)
        return found

    def compute(self, settings, unit, prepared, done, on_step):
        return train.run(settings, prepared, unit.given, on_step)

    def summarise(self, settings, units, results, records):
        first = results[0]["digests"]
        torch_first = next((r["digests"] for u, r in zip(units, results, strict=True) if u.group == "torch"), None)
        rows = []
        for unit, result in zip(units, results, strict=True):
            base = torch_first if unit.group == "torch" else first
            compared = min(len(base), len(result["digests"]))
            rows.append(
                {
                    "way": unit.name,
                    "group": unit.group,
                    "steps": len(result["digests"]),
                    "digest": result["digests"][-1],
                    "differs_after": first_difference(result["digests"][:compared], base[:compared]),
                    "loss": result["losses"][-1],
                    "inference": result["inference"],
                }
            )
        summary = {
            "data": settings.data,
            "net": settings.net,
            "width": settings.width,
            "arithmetic": settings.arithmetic,
            "batch": settings.batch,
            "steps": settings.steps,
            "trained": first[-1],
            "digests": first,
            "rows": rows,
        }
        losses = [
            {"way": result["name"], "step": step, "loss": loss}
            for result in results
            for step, loss in enumerate(result["losses"], 1)
        ]
        return summary, {"losses": losses}

    def figures(self, summary, tables):
        groups = {row["way"]: row["group"] for row in summary["rows"]}
        colours = {group: plots.colour(i) for i, group in enumerate(("fpdet", "control", "torch"))}
        with plots.styled():
            figure, (axis,) = plots.figure(1, width=6.4, height=3.6)
            shown = set()
            for way, group in groups.items():
                rows = [row for row in tables["losses"] if row["way"] == way]
                label = None if group in shown else group
                shown.add(group)
                axis.plot([r["step"] for r in rows], [r["loss"] for r in rows], color=colours[group], label=label)
            plots.dress(axis, "Training loss of every way", "step", "loss", legend=True)
            return {"losses": figure}

    def sections(self, summary, tables):
        rows = [
            (
                row["way"],
                row["group"],
                row["steps"],
                row["digest"][:16],
                "never" if row["differs_after"] is None else f"after step {row['differs_after']}",
            )
            for row in summary["rows"]
        ]
        text = (
            f"{summary['net']} of width {summary['width']} on {summary['data']}, batch {summary['batch']}, arithmetic "
            f"{summary['arithmetic']}. Digest of all weights and running statistics after {summary['steps']} steps: "
            f"{summary['trained']}. fpdet's ways and the controls are compared with the first way, torch's own with "
            "its first."
        )
        return [("What ran", text), ("Ways", (("way", "group", "steps", "digest", "differs from the first"), rows))]

    def verdict(self, summary):
        for row in summary["rows"]:
            if row["group"] == "fpdet" and row["differs_after"] is not None:
                return False, f"{row['way']} differs after step {row['differs_after']}: a bug"
            if row["group"] == "control" and row["differs_after"] is None:
                return False, f"{row['way']} gives the same bits: nothing here can be trusted"
            if row["inference"] is not None and row["inference"]["batch"] != row["inference"]["alone"]:
                return False, f"{row['way']}: an image alone gives other scores than in its batch"
        ways = sum(row["group"] == "fpdet" for row in summary["rows"])
        moved = [row["way"] for row in summary["rows"] if row["group"] == "torch" and row["differs_after"] is not None]
        torch_text = (
            f"torch's deterministic mode: {', '.join(moved)} differ" if moved else "torch's own did not differ here"
        )
        return True, f"{ways} ways, one digest {summary['trained']}; the controls differ; {torch_text}"


EXPERIMENT = Network()
