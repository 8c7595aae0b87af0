"""What a choice of rounding and order costs: every pass of convolution beside torch's own, in one run.

    python benchmarks/bench.py [--shapes FILE] [--arithmetic WORDS ...] [--threads N ...] [--json FILE]

Each row: layer, pass, arithmetic, time (median of interleaved rounds), GFLOP/s, ratio to torch (torch's time / ours:
above 1 is faster than torch; both at the better of the given thread counts), and the first digits of the result's
digest, so that a fast wrong kernel cannot hide. Tensors are float32, contiguous NCHW; nothing is cached between calls.
"""

import argparse
import json
import platform
import re
import statistics
from pathlib import Path

import torch
from rich.console import Console
from rich.progress import Progress
from rich.table import Table
from torch.utils.benchmark import Timer

import fpdet
from fpdet import _library  # noqa: F401  (registers the ops)

OPS = torch.ops.fpdet
HERE = Path(__file__).parent
DEFAULTS = ["nearest_even blocked(512)", "toward_zero blocked(512)", "nearest_even sequential", "nearest_even pairwise"]
PATTERN = re.compile(r"n(\d+)c(\d+)k(\d+)s(\d+)r(\d+)t(\d+)g(\d+)")


def read_shapes(path):
    """Descriptors of a shapes file: one a line, # starts a comment."""
    lines = (line.partition("#")[0].strip() for line in Path(path).read_text().splitlines())
    shapes = [line for line in lines if line]
    for shape in shapes:
        if not PATTERN.fullmatch(shape):
            raise SystemExit(f"{path}: expected n<N>c<C>k<K>s<size>r<kernel>t<stride>g<groups>, got {shape!r}")
    return shapes


def contenders(shape, words):
    """pass -> (multiply-adds, torch's call, {words: fpdet's call})."""
    n, c, k, size, r, stride, groups = map(int, PATTERN.fullmatch(shape).groups())
    generator = torch.Generator().manual_seed(0)
    x, w = torch.randn(n, c, size, size, generator=generator), torch.randn(k, c // groups, r, r, generator=generator)
    geometry = ([stride] * 2, [r // 2] * 2, [1, 1])
    y = torch.nn.functional.conv2d(x, w, None, *geometry, groups)
    grad = torch.randn(y.shape, generator=generator)
    texts = {each: str(fpdet.Arithmetic.parse(each)) for each in words}

    def backward(*mask):
        args = (grad, x, w, None, *geometry, False, [0, 0], groups, [*mask, False])
        return lambda: torch.ops.aten.convolution_backward(*args)

    ours = {
        "forward": lambda t: OPS.convolution(x, w, None, *geometry, groups, list(y.shape[2:]), t, None, 0, 0),
        "grad_input": lambda t: OPS.convolution_grad_input(grad, w, None, *geometry, groups, [size] * 2, t, None, 1, 0),
        "grad_weight": lambda t: OPS.convolution_grad_weight(grad, x, *geometry, groups, [r, r], t, None, 2),
    }
    theirs = {
        "forward": lambda: torch.nn.functional.conv2d(x, w, None, *geometry, groups),
        "grad_input": backward(True, False),
        "grad_weight": backward(False, True),
    }
    work = y.numel() * w[0].numel()
    for name, call in ours.items():
        yield (
            name,
            work,
            theirs[name],
            {each: (lambda text=text, call=call: call(text)) for each, text in texts.items()},
        )


def median_seconds(calls, threads, rounds):
    """Median of each call's time at each thread count; the rounds of all calls are interleaved."""
    timers = {
        (name, count): Timer("call()", globals={"call": call}, num_threads=count)
        for name, call in calls.items()
        for count in threads
    }
    times = {key: [] for key in timers}
    for _ in range(rounds):
        for key, timer in timers.items():
            times[key].append(timer.timeit(1).median)
    return {key: statistics.median(values) for key, values in times.items()}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shapes", default=HERE / "shapes" / "smoke.txt")
    parser.add_argument("--arithmetic", nargs="+", default=DEFAULTS, metavar="WORDS")
    parser.add_argument("--threads", nargs="+", type=int, default=[1, 2])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    shapes = read_shapes(options.shapes)
    rows = []
    with Progress(transient=True) as progress:
        task = progress.add_task("layers x passes", total=3 * len(shapes))
        for shape in shapes:
            for name, work, torch_call, ours in contenders(shape, options.arithmetic):
                seconds = median_seconds({"torch": torch_call, **ours}, options.threads, options.rounds)
                baseline = min(seconds["torch", count] for count in options.threads)
                for words, call in ours.items():
                    best = min(seconds[words, count] for count in options.threads)
                    rows.append(
                        {
                            "shape": shape,
                            "pass": name,
                            "arithmetic": words,
                            "seconds": best,
                            "gflops": 2e-9 * work / best,
                            "torch_seconds": baseline,
                            "ratio": baseline / best,
                            "digest": fpdet.digest(call())[:8],
                        }
                    )
                progress.advance(task)
    console = Console()
    table = Table("layer", "pass", "arithmetic", "ms", "GFLOP/s", "x torch", "digest")
    for row in rows:
        table.add_row(
            row["shape"], row["pass"], row["arithmetic"], f"{1e3 * row['seconds']:.2f}", f"{row['gflops']:.1f}",
            f"{row['ratio']:.2f}", row["digest"],
        )  # fmt: skip
    console.print(table)
    for words in options.arithmetic:
        for name in ("forward", "grad_input", "grad_weight"):
            ratios = [row["ratio"] for row in rows if row["arithmetic"] == words and row["pass"] == name]
            console.print(f"{words}, {name}: geometric mean {statistics.geometric_mean(ratios):.2f} x torch's speed")
    if options.json:
        machine = {"processor": platform.processor() or platform.machine(), "torch": torch.__version__}
        record = {"machine": machine, "threads": options.threads, "build": fpdet.build_info(), "rows": rows}
        options.json.write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
