"""The GPU's rows: convolutions beside cuDNN, SGD beside torch's fused step, a ResNet-20 step; one JSON record.

    python -m benchmarks.gpu --out DIR [--quick] [--device cuda]

cuDNN's side is float32 with TF32 off and deterministic algorithms. torch does not let one name an algorithm: each way
to call it is profiled, and the fastest whose kernels are not Winograd's is the one compared with (an ordered sum cannot
follow Winograd); Winograd's time stands beside it. Times are medians of CUDA events around single calls after
a warm-up. With --device cpu the same code runs without a GPU, to see that it does; its numbers mean nothing.
"""

import argparse
import json
import statistics
import time
from contextlib import nullcontext
from pathlib import Path

import torch
import torch.nn.functional as torch_functional

import fpdet
import fpdet.nn
from benchmarks.pointwise import resnet50_parameters
from benchmarks.shapes import read
from fpdet.conformance.record import device_facts

ARITHMETICS = (
    "nearest_even blocked(512) auto fused",
    "toward_zero blocked(512) auto fused",
    "nearest_even sequential auto fused",
    "nearest_even blocked(512) auto unfused",
    "nearest_even pairwise auto fused",
    "nearest_even exact",
)
MATMUL = 8192
COPY_BYTES = 1 << 30


def seconds(call, device, repeats):
    """Median time of a call."""
    call()
    call()
    times = []
    for _ in range(repeats):
        if device.type == "cuda":
            start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
            start.record()
            call()
            end.record()
            end.synchronize()
            times.append(1e-3 * start.elapsed_time(end))
        else:
            start = time.perf_counter()
            call()
            times.append(time.perf_counter() - start)
    return statistics.median(times)


def kernel_names(call, device):
    """What a call launches (on a CPU: the ops)."""
    kind = torch.profiler.ProfilerActivity
    with torch.profiler.profile(activities=[kind.CUDA if device.type == "cuda" else kind.CPU]) as profile:
        call()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
    return sorted({event.key for event in profile.key_averages()})


def peaks(device, quick):
    """Multiply-adds of large matrix products (2 operations each) and copies, as torch reaches them."""
    n, count = (256, 1 << 16) if quick else (MATMUL, COPY_BYTES // 4)
    found = {}
    for name, dtype in (("float32", torch.float32), ("float64", torch.float64)):
        a = torch.randn(n, n, device=device, dtype=dtype)
        found[f"{name}_tflops"] = 2e-12 * n**3 / seconds(lambda a=a: a @ a, device, 5)
    x = torch.ones(count, device=device)
    y = torch.empty_like(x)
    found["copy_gbs"] = 8e-9 * count / seconds(lambda: y.copy_(x), device, 9)
    return found


# ---- convolutions ------------------------------------------------------------------------------------


def fpdet_calls(problem, tensors, text):
    """{pass: call} of fpdet's ops."""
    x, w, grad = tensors
    ops = torch.ops.fpdet
    geometry = (list(problem.stride), list(problem.padding), list(problem.dilation), problem.groups)
    out, size, kernel = list(problem.out), list(problem.size), list(problem.kernel)
    return {
        "forward": lambda: ops.convolution(x, w, None, *geometry, out, text, None, 0, 0),
        "grad_input": lambda: ops.convolution_grad_input(grad, w, None, *geometry, size, text, None, 1, 0),
        "grad_weight": lambda: ops.convolution_grad_weight(grad, x, *geometry, kernel, text, None, 2),
    }


def cudnn(benchmark=False):
    """cuDNN's flags of every row, as a context: they may be frozen outside of one."""
    return torch.backends.cudnn.flags(enabled=True, benchmark=benchmark, deterministic=True, allow_tf32=False)


def torch_calls(problem, tensors):
    """{pass: {way: (call, cudnn.benchmark)}} of torch's."""
    x, w, grad = tensors
    geometry = (problem.stride, problem.padding, problem.dilation)

    def backward(mask):
        return torch.ops.aten.convolution_backward(
            grad, x, w, None, *map(list, geometry), False, [0, 0], problem.groups, mask
        )

    plain = {
        "forward": lambda: torch_functional.conv2d(x, w, None, *geometry, problem.groups),
        "grad_input": lambda: backward([True, False, False]),
        "grad_weight": lambda: backward([False, True, False]),
    }

    ways = {
        name: {f"cudnn benchmark={value}": (call, value) for value in (True, False)} for name, call in plain.items()
    }
    if problem.groups == 1:
        flat = w.reshape(w.shape[0], -1)

        def by_matmul():
            columns = torch_functional.unfold(x, problem.kernel, problem.dilation, problem.padding, problem.stride)
            return flat @ columns

        ways["forward"]["unfold and matmul"] = (by_matmul, False)
    return ways


def baseline(ways, device, repeats):
    """Of one pass: every way's time and kernels, the fastest without Winograd, the fastest of all."""
    measured = []
    for way, (call, benchmark) in ways.items():
        with cudnn(benchmark):
            taken = seconds(call, device, repeats)
            names = kernel_names(call, device)
        winograd = any("winograd" in name.lower() for name in names)
        measured.append({"way": way, "seconds": taken, "kernels": names, "winograd": winograd})
    ordered = [row for row in measured if not row["winograd"]]
    winograd = [row["seconds"] for row in measured if row["winograd"]]
    return {
        "ways": measured,
        "seconds": min((row["seconds"] for row in ordered), default=None),
        "winograd_seconds": min(winograd, default=None),
    }


def convolutions(device, quick, measured_peaks):
    """A row for each layer and pass."""
    lists = ("smoke",) if quick else ("resnet18", "cifar_resnet")
    repeats = 2 if quick else 7
    for problem in (problem for name in lists for problem in read(name)):
        if problem.channels_last:
            continue
        generator = torch.Generator().manual_seed(0)
        tensors = [torch.randn(shape, generator=generator).to(device) for shape in problem.shapes]
        theirs = torch_calls(problem, tensors)
        base = {name: baseline(ways, device, repeats) for name, ways in theirs.items()}
        for text in ARITHMETICS:
            for name, call in fpdet_calls(problem, tensors, text).items():
                taken = seconds(call, device, repeats)
                tflops = 2e-12 * problem.multiply_adds / taken
                wide = "float64" if "exact" in text else "float32"
                yield {
                    "problem": str(problem),
                    "pass": name,
                    "arithmetic": text,
                    "seconds": taken,
                    "tflops": tflops,
                    "of_peak": tflops / measured_peaks[f"{wide}_tflops"],
                    "speed": base[name]["seconds"] / taken if base[name]["seconds"] else None,
                    "beside_winograd": base[name]["winograd_seconds"] / taken
                    if base[name]["winograd_seconds"]
                    else None,
                    "baseline": base[name],
                }


# ---- SGD, a training step ----------------------------------------------------------------------------


def sgd(device, quick, measured_peaks):
    """ResNet-50's parameters, momentum and weight decay on."""
    shapes = resnet50_parameters()[: 4 if quick else None]
    settings = {"lr": 1e-4, "momentum": 0.9, "weight_decay": 1e-4}
    elements = sum(torch.Size(shape).numel() for shape in shapes)
    rows = {}
    for name in ("fpdet", "torch fused"):
        params = [torch.randn(shape, device=device).requires_grad_() for shape in shapes]
        for p in params:
            p.grad = torch.randn_like(p)
        if name == "fpdet":
            optimizer = fpdet.optim.SGD(params, **settings, arithmetic="nearest_even sequential auto fused")
        else:
            optimizer = torch.optim.SGD(params, **settings, fused=True)
        rows[name] = seconds(optimizer.step, device, 3 if quick else 21)
    bandwidth = 20e-9 * elements / rows["fpdet"]  # parameter and buffer read and written, gradient read
    return {
        "elements": elements,
        "seconds": rows,
        "speed": rows["torch fused"] / rows["fpdet"],
        "of_copy": bandwidth / measured_peaks["copy_gbs"],
    }


class Block(torch.nn.Module):
    """Two 3x3 convolutions and a shortcut without parameters (He et al., 2016, CIFAR's option A)."""

    def __init__(self, inputs, outputs, stride):
        super().__init__()
        nn = torch.nn
        self.first = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.second = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.norms = nn.ModuleList([nn.BatchNorm2d(outputs), nn.BatchNorm2d(outputs)])
        self.stride, self.more = stride, outputs - inputs

    def forward(self, x):
        """The block's output."""
        y = self.norms[1](self.second(torch.relu(self.norms[0](self.first(x)))))
        x = torch_functional.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, 0, self.more))
        return torch.relu(x + y)


def resnet20():
    """For images of 32 x 32 and ten classes."""
    nn = torch.nn
    layers, channels = [nn.Conv2d(3, 16, 3, 1, 1, bias=False), nn.BatchNorm2d(16), nn.ReLU()], 16
    for width in (16, 32, 64):
        for number in range(3):
            layers.append(Block(channels, width, 2 if number == 0 and width > 16 else 1))
            channels = width
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10))


def training_step(device, quick):
    """Seconds of a step at batch 128: torch's deterministic mode, fpdet's convolutions and SGD, everything fpdet's."""
    batch = 2 if quick else 128
    x, target = torch.randn(batch, 3, 32, 32, device=device), torch.arange(batch, device=device) % 10
    found = {}
    whole = fpdet.arithmetic(fpdet.Arithmetic())
    for name, context in (("torch", nullcontext()), ("convolutions", nullcontext()), ("whole network", whole)):
        torch.manual_seed(0)
        model = resnet20().to(device)
        if name == "torch":
            optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9, fused=True)
        else:
            optimizer = fpdet.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
        if name == "convolutions":
            fpdet.convert(model, fpdet.Arithmetic(), only=("Conv2d",))

        def step(model=model, optimizer=optimizer, context=context):
            optimizer.zero_grad()
            with context:
                torch_functional.cross_entropy(model(x), target).backward()
            optimizer.step()

        found[name] = seconds(step, device, 2 if quick else 21)
    return {
        "batch": batch,
        "seconds": found,
        "times_torch": {name: found[name] / found["torch"] for name in ("convolutions", "whole network")},
    }


def record(device, quick):
    """Everything, as it is written."""
    torch.backends.cuda.matmul.allow_tf32 = False
    measured_peaks = peaks(device, quick)
    with cudnn():
        step = training_step(device, quick)
    return {
        **device_facts(device),
        "cuda": torch.version.cuda,
        "cudnn": torch.backends.cudnn.version(),
        "torch": torch.__version__,
        "commit": fpdet.build_info()["commit"],
        "peaks": measured_peaks,
        "sgd": sgd(device, quick, measured_peaks),
        "resnet20_step": step,
        "convolutions": list(convolutions(device, quick, measured_peaks)),
    }


def main(arguments=None):
    """Write DIR/gpu-bench.json and print the rows."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu", description=__doc__.splitlines()[0])
    parser.add_argument("--out", default=".", metavar="DIR")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--quick", action="store_true", help="one small list, few repeats")
    given = parser.parse_args(arguments)
    result = record(torch.device(given.device), given.quick)
    folder = Path(given.out)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "gpu-bench.json").write_text(json.dumps(result, indent=1) + "\n")
    for row in result["convolutions"]:
        speed = f"{row['speed']:.2f}" if row["speed"] else "-"
        print(
            f"{row['problem']:34} {row['pass']:12} {row['arithmetic']:40} {1e3 * row['seconds']:9.3f} ms"
            f" {row['tflops']:7.2f} TFLOP/s  {speed} of cuDNN"
        )
    print(json.dumps({key: result[key] for key in ("peaks", "sgd", "resnet20_step")}, indent=1))


if __name__ == "__main__":
    main()
