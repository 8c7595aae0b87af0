"""fpdet.record and fpdet.compare: what is recorded, what is found, what is refused."""

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.modules import module as hooks

import fpdet
from fpdet.__main__ import main
from fpdet._recording import Recording, RecordingError


def network(width=4):
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(2, width, 3, padding=1),
        nn.BatchNorm2d(width),
        nn.ReLU(),
        nn.Conv2d(width, 4, 3),
        nn.Flatten(),
        nn.Linear(4 * 36, 5),
    )


def train(model, arithmetic=None, optimizer=fpdet.optim.SGD, hook=None):
    """One step, of torch or in a context."""
    x = torch.randn(3, 2, 8, 8, generator=torch.Generator().manual_seed(1))
    steps = optimizer(model.parameters(), lr=0.1, momentum=0.9)
    if hook:
        model[hook[0]].register_forward_hook(hook[1])
    with fpdet.arithmetic(arithmetic) if arithmetic else torch.enable_grad():
        nn.functional.cross_entropy(model(x), torch.arange(3)).backward()
        steps.step()


def recorded(arithmetic=None, threads=1, path=None, keep="tensors", width=4, **kwargs):
    model, count = network(width), torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        with fpdet.record(path, keep=keep) as recording:
            train(model, arithmetic, **kwargs)
    finally:
        torch.set_num_threads(count)
    return recording


# What is found.


def test_thread_counts_are_equal_in_fpdet():
    found = fpdet.compare(recorded("upward", 1), recorded("upward", 2))
    assert found.equal and found.first is None and found.cause is None
    assert len(found.pairs) > 20 and {pair.status for pair in found.pairs} == {"equal"}
    assert "every op has the same bits" in str(found) and "threads: 1 and 2" in str(found)


def test_control_roundings_differ_at_the_first_convolution():
    found = fpdet.compare(recorded("upward"), recorded("downward"))
    assert not found.equal and found.first == found.cause
    assert found.first.a.name == found.first.b.name == "fpdet.convolution"
    assert "arithmetic: upward" in str(found)


def test_torch_and_fpdet_differ_at_the_first_convolution():
    found = fpdet.compare(recorded(optimizer=torch.optim.SGD), recorded("toward_zero"))
    first = found.first
    assert (first.a.name, first.b.name) == ("aten.convolution", "fpdet.convolution")
    assert (first.a.module, first.a.phase, first.side, first.position) == ("0", "forward", "output", 0)
    assert first == found.cause
    assert 0 < first.elements <= first.of == 3 * 4 * 8 * 8 and first.ulps >= 1
    assert first.value_a != first.value_b
    partners = {(pair.a.name, pair.b.name, pair.a.module) for pair in found.pairs}
    assert ("aten.native_batch_norm", "fpdet.program:batch_norm", "1") in partners
    assert ("aten.addmm", "fpdet.matmul", "5") in partners
    assert any(a == "aten.convolution_backward" and b.startswith("fpdet.convolution") for a, b, _ in partners)
    assert found.only_a and found.only_b


@torch.library.custom_op("test_record::nudge", mutates_args=())
def nudge(x: torch.Tensor, place: int) -> torch.Tensor:
    """x, one element an ulp larger unless `place` is -1."""
    y = x.clone()
    if place >= 0:
        flat = y.view(-1)
        flat[place] = torch.nextafter(flat[place], torch.tensor(torch.inf))
    return y


nudge.register_autograd(lambda ctx, grad: (grad, None))


@pytest.mark.parametrize("layer", [0, 1, 3, 5])
@pytest.mark.parametrize("arithmetic", [None, "nearest_even"])
def test_a_planted_ulp_is_found_at_its_op(layer, arithmetic):
    runs = [recorded(arithmetic, hook=(layer, lambda *args, k=k: nudge(args[2], k))) for k in (-1, 7, -1)]
    assert fpdet.compare(runs[0], runs[2]).equal
    found = fpdet.compare(*runs[:2])
    assert found.first == found.cause and found.first.a.name == "test_record.nudge"
    assert (found.first.elements, found.first.ulps) == (1, 1)
    assert np.ravel_multi_index(found.first.place, found.first.a.outputs[0].shape) == 7
    assert [pair.status for pair in found.pairs[: found.first.a.index]] == ["equal"] * found.first.a.index


@pytest.mark.parametrize("layer", [0, 1, 5])
def test_an_ulp_from_outside_is_found_where_it_enters(layer):
    """Changed behind torch's back: no op did it, so the next op's input is the first difference."""

    def hook(module, args, y):
        bits = y.detach().numpy().view(np.int32).reshape(-1)
        bits[7] += 1

    found = fpdet.compare(recorded("nearest_even"), recorded("nearest_even", hook=(layer, hook)))
    first = found.first
    assert first.side == "input" and (first.elements, first.ulps) == (1, 1) and first.of > 1
    assert np.ravel_multi_index(first.place, first.a.inputs[first.position].shape) == 7
    assert all(pair.status == "equal" for pair in found.pairs[: first.a.index])
    changed = first.a.inputs[first.position]
    assert [p.a.module for p in found.pairs if changed in p.a.outputs] == [str(layer)]


def test_an_op_of_one_run_alone_is_named():
    def hook(module, args, y):
        return torch.nextafter(y.detach(), torch.tensor(torch.inf)) + (y - y.detach())

    found = fpdet.compare(recorded(), recorded(hook=(0, hook)))
    assert [op.name for op in found.before] == ["aten.nextafter", "aten.sub", "aten.add"]
    assert found.first.side == "input" and found.first.ulps == 1
    assert "before it, without a partner: " in str(found)


def test_signs_of_zeros_differ_and_nans_do_not():
    def run(*values):
        x = torch.tensor(values)
        with fpdet.record(keep="tensors") as recording:
            x.sin()
            (torch.arange(3) * int(x[0] == 0)).cumsum(0)
        return recording

    nan = torch.tensor(0x7FC00001, dtype=torch.int32).view(torch.float32).item()
    assert fpdet.compare(run(0.0, float("nan")), run(0.0, nan)).equal
    zeros = fpdet.compare(run(0.0, 1.0), run(-0.0, 1.0)).first
    assert (zeros.elements, zeros.ulps, zeros.place) == (1, 0, (0,))
    whole = fpdet.compare(run(0.0), run(1.0))
    assert fpdet.compare(run(1.0, float("nan")), run(1.0, 2.0)).first.ulps == 2**63 - 1
    numbers = [pair for pair in whole.pairs if pair.a.name == "aten.cumsum"]
    assert numbers[0].status == "follows"


def test_digests_alone_say_which_op():
    found = fpdet.compare(recorded("upward", keep="digests"), recorded("downward", keep="digests"))
    assert found.first.a.name == "fpdet.convolution" and found.first.elements is None
    assert 'keep="tensors"' in str(found)


# What is recorded.


@pytest.mark.parametrize("arithmetic", [None, "nearest_even"])
def test_phases_and_modules(arithmetic):
    ops = recorded(arithmetic).ops
    assert [op.index for op in ops] == list(range(len(ops)))
    assert {op.phase for op in ops} == {"forward", "backward", "optimizer"}
    forward = [op.module for op in ops if op.phase == "forward" and "conv" in op.name]
    backward = [op.module for op in ops if op.phase == "backward" and "conv" in op.name]
    assert forward == ["0", "3"] and list(dict.fromkeys(backward)) == ["3", "0"]
    norm = [(op.phase, op.module) for op in ops if "batch_norm" in op.name]
    assert norm == [("forward", "1"), ("backward", "1")]


@pytest.mark.parametrize("inside", [True, False])
def test_inside_and_around_a_context_are_the_same(inside):
    around = recorded("upward")
    model = network()
    x = torch.randn(3, 2, 8, 8, generator=torch.Generator().manual_seed(1))
    steps = fpdet.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    contexts = [fpdet.record(), fpdet.arithmetic("upward")]
    first, second = reversed(contexts) if inside else contexts
    with first, second, torch.enable_grad():
        y = model(x)
        loss = nn.functional.cross_entropy(y, torch.arange(3))
        (loss + 0 * y.sum()).backward()  # y is used twice: autograd adds
        steps.step()
    recording = contexts[0]._mode.writer.recording
    assert (recording.header["arithmetic"] is not None) == inside
    assert not any(op.name in ("aten.add", "aten.convolution") for op in recording.ops)
    sums = [op for op in recording.ops if op.phase == "backward" and op.name == "fpdet.add"]
    assert sums and all(op.arithmetic.startswith("upward") for op in sums)
    names = [op.name for op in around.ops if op.phase == "forward" and op.module]
    assert [op.name for op in recording.ops if op.phase == "forward" and op.module] == names


def test_recomputation_is_a_phase_of_its_own():
    layers = nn.Sequential(nn.Conv2d(2, 2, 3), nn.Conv2d(2, 2, 3))
    x = torch.ones(1, 2, 5, 5, requires_grad=True)
    with fpdet.record() as recording:
        torch.utils.checkpoint.checkpoint(layers, x, use_reentrant=False).sum().backward()
    found = [(op.phase, op.module) for op in recording.ops if op.name.startswith("aten.convolution")]
    # Recomputation ends with the last tensor that was to be saved: the input of the second convolution.
    assert found[:2] == [("forward", "0"), ("forward", "1")] and ("recompute", "0") in found
    assert [module for phase, module in found if phase == "backward"] == ["1", "0"]


def test_what_is_overwritten_is_not_read():
    with fpdet.record() as recording:
        torch.empty(3).uniform_(0, 1, generator=torch.Generator().manual_seed(0)).mul_(2)
    uniform, mul = recording.ops
    assert uniform.inputs == () and mul.inputs == uniform.outputs != mul.outputs


def test_a_compiled_region_calls_ops_as_before():
    convolution = fpdet.nn.Conv2d(2, 3, 3)
    x = torch.ones(1, 2, 5, 5)
    expected = convolution(x)
    with fpdet.record() as recording:
        compiled = torch.compile(convolution, backend="aot_eager", fullgraph=True)(x)
    assert torch.equal(compiled, expected)
    assert [op.name for op in recording.ops if "conv" in op.name] == ["fpdet.convolution"]


def test_the_state_of_torch_is_restored_when_a_run_fails():
    before = torch._C._len_torch_dispatch_stack(), len(hooks._global_forward_hooks)
    recorder, model = fpdet.record(), network()
    with pytest.raises(ZeroDivisionError), fpdet.arithmetic("upward"), recorder as recording:
        model(torch.ones(1, 2, 8, 8))
        raise ZeroDivisionError
    assert (torch._C._len_torch_dispatch_stack(), len(hooks._global_forward_hooks)) == before
    assert recording.end is None and len(recording.ops) > 3
    with pytest.raises(RuntimeError, match="use a new one"), recorder:
        pass


def test_modes_entered_inside_may_leave_after():
    """The recorder goes below the modes that are there, and takes itself alone away."""
    with fpdet.arithmetic("upward"):
        with fpdet.record() as outer, fpdet.arithmetic("downward"), fpdet.record() as inner:
            nn.functional.linear(torch.ones(1, 2), torch.full((1, 2), 0.1))
        assert torch._C._len_torch_dispatch_stack() == 1
        nn.functional.linear(torch.ones(1, 2), torch.ones(1, 2))
    assert [op.name for op in outer.ops] == [op.name for op in inner.ops]
    assert outer.ops[-1].arithmetic.startswith("downward")


def test_time_of_recording_is_told():
    end = recorded().end
    assert 0 < end["hashing"] < end["seconds"]


# On disk.


def test_a_file_holds_what_memory_holds(tmp_path):
    recorded("upward", path=tmp_path / "a")
    kept, read = recorded("upward"), Recording.load(tmp_path / "a")
    assert fpdet.compare(kept, str(tmp_path / "a")).equal
    assert read.models == kept.models and read.ops == kept.ops and read.end["seconds"] > 0
    for tensor in {t for op in read.ops for t in (*op.inputs, *op.outputs)}:
        assert fpdet.digest(read.tensor(tensor))[:32] == tensor.digest
        assert torch.equal(read.tensor(tensor), kept.tensor(tensor))


@pytest.mark.parametrize("dtype", ["float64", "float16", "bfloat16", "int64", "uint8", "bool", "complex64"])
def test_tensors_of_every_dtype_are_kept(tmp_path, dtype):
    values = torch.arange(6).reshape(2, 3).t().to(getattr(torch, dtype))
    with fpdet.record(tmp_path / "a", keep="tensors") as recording:
        for x in (values, values[0, 0], values[:0]):
            x.clone()
    read = Recording.load(tmp_path / "a")
    for op, x in zip(read.ops, (values, values[0, 0], values[:0]), strict=True):
        assert torch.equal(read.tensor(op.outputs[0]), x) and read.tensor(op.outputs[0]).dtype == x.dtype
    assert read.ops == recording.ops


CHILD = """
import sys, torch, fpdet
with fpdet.record(sys.argv[1], keep="tensors"):
    x = torch.linspace(0, 1, 100)
    while True:
        x = torch.sin(x + 0.5)
"""


def test_a_killed_run_can_be_read(tmp_path):
    path = tmp_path / "killed"
    child = subprocess.Popen([sys.executable, "-c", CHILD, str(path)])
    try:
        deadline = time.monotonic() + 60
        while not path.exists() or path.stat().st_size < 20000:
            assert time.monotonic() < deadline and child.poll() is None
            time.sleep(0.01)
    finally:
        os.kill(child.pid, signal.SIGKILL)
        child.wait()
    read = Recording.load(path)
    assert read.end is None and len(read.ops) > 20
    assert read.tensor(read.ops[-1].outputs[0]).shape == (100,)
    with fpdet.record(keep="tensors") as whole:
        x = torch.linspace(0, 1, 100)
        for _ in range(len(read.ops)):
            x = torch.sin(x + 0.5)
    found = fpdet.compare(path, whole)
    assert found.first is None and not found.only_a and found.only_b
    assert "cut off" in str(found)


def test_a_torn_last_line_is_left_out_and_a_damaged_one_is_not(tmp_path):
    path = tmp_path / "a"
    whole = recorded(path=path, keep="digests")
    raw = path.read_bytes()
    lines = raw.split(b"\n")
    path.write_bytes(b"\n".join(lines[:-3]) + b"\n" + lines[-3][:-7])
    torn = Recording.load(path)
    assert torn.ops == whole.ops[:-1] and torn.end is None
    for broken, words in (
        (b"\n".join([*lines[:5], lines[5][:-9], *lines[6:]]), "line 6: expected a line"),
        (b"", "empty"),
        (raw.replace(b'"format":1', b'"format":2', 1), "format 1, got 2"),
        (b'{"kind":"op"}\n', "line 1"),
        (b"some text\n", "line 1"),
    ):
        path.write_bytes(broken)
        with pytest.raises(RecordingError, match=words):
            fpdet.compare(path, whole)
    with pytest.raises(RecordingError, match="found none"):
        fpdet.compare(tmp_path / "b", whole)


# What is refused.


def test_another_model_is_refused(tmp_path):
    a, b = recorded(), recorded(width=6)
    with pytest.raises(
        RecordingError, match=r"Sequential with 8 .* first that only one of them has is 0.weight, float32"
    ):
        fpdet.compare(a, b)
    assert fpdet.compare(a, recorded()).equal
    model = network(6)
    with fpdet.record(tmp_path / "a", model) as named:
        model[2](torch.ones(1))
    assert named.models == b.models
    with pytest.raises(RecordingError, match="expected a recording of the model"):
        fpdet.compare(a, tmp_path / "a")


def test_bad_arguments(tmp_path):
    with pytest.raises(ValueError, match="keep: expected one of digests, tensors"):
        fpdet.record(keep="all")
    with pytest.raises(TypeError, match=r"model: expected a torch.nn.Module, got str"):
        fpdet.record(model="resnet")
    with pytest.raises(TypeError, match="b: expected a recording or the path of one, got int"):
        fpdet.compare(recorded(), 3)
    (tmp_path / "a").write_text("mine")
    before = torch._C._len_torch_dispatch_stack(), len(hooks._global_forward_hooks)
    with pytest.raises(FileExistsError), fpdet.record(tmp_path / "a"):
        pass
    assert (tmp_path / "a").read_text() == "mine"
    assert (torch._C._len_torch_dispatch_stack(), len(hooks._global_forward_hooks)) == before


def test_command_line(tmp_path, capsys):
    for name, arithmetic in (("a", "upward"), ("b", "upward"), ("c", "downward")):
        recorded(arithmetic, path=tmp_path / name)
    a, b, c = (str(tmp_path / name) for name in "abc")
    assert main(["compare", a, b]) == 0
    assert "every op has the same bits" in capsys.readouterr().out
    assert main(["compare", a, c]) == 1
    assert "first difference: #" in capsys.readouterr().out
    assert main(["compare", a, str(tmp_path / "d")]) == 2
    assert "fpdet: error: " in capsys.readouterr().err
    assert json.loads((tmp_path / "a").read_text().splitlines()[0])["kind"] == "header"
