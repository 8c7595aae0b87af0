"""A long call answers Ctrl-C within a second; on the slow path it warns before it starts."""

import signal
import subprocess
import sys
import time
import warnings

import pytest
import torch

import fpdet
import fpdet.nn.functional as F

PROGRAM = """
import sys, torch, fpdet, fpdet.nn.functional as F
torch.set_num_threads(2)
x, w = torch.ones(64, 64, 64, 64), torch.ones(64, 64, 3, 3)
if "{which}" == "backward":
    w.requires_grad_()
    arithmetic = fpdet.PassArithmetic(grad_weight="{arithmetic}")
    y = F.conv2d(x, w, padding=1, arithmetic=arithmetic)
print("begin", flush=True)
try:
    if "{which}" == "forward":
        F.conv2d(x, w, padding=1, arithmetic="{arithmetic}")
    else:
        y.sum().backward()
except KeyboardInterrupt:
    print("KeyboardInterrupt", flush=True)
    sys.exit(7)
"""


SLOW = "to_odd kahan"
KERNEL = "stochastic sequential seed=1"  # the slowest that has one


@pytest.mark.parametrize("which", ["forward", "backward"])
@pytest.mark.parametrize("arithmetic", [SLOW, KERNEL])
def test_ctrl_c(which, arithmetic):
    source = PROGRAM.format(which=which, arithmetic=arithmetic)
    program = subprocess.Popen([sys.executable, "-W", "ignore", "-c", source], stdout=subprocess.PIPE, text=True)
    assert program.stdout.readline() == "begin\n"
    time.sleep(1)  # deep inside the op, which would take many seconds
    assert program.poll() is None
    program.send_signal(signal.SIGINT)
    start = time.monotonic()
    output, _ = program.communicate(timeout=20)
    assert (program.returncode, output) == (7, "KeyboardInterrupt\n")
    assert time.monotonic() - start < 10  # one second, and leave for a loaded machine


def test_a_long_call_warns_once(monkeypatch):
    monkeypatch.setattr("fpdet._slow.LONG", 1e-9)
    monkeypatch.setattr("fpdet._slow._warned", set())
    x, w = torch.ones(1, 1, 3), torch.ones(1, 1, 2)
    with pytest.warns(UserWarning, match=r"nearest fast arithmetic is 'stochastic blocked\(512\) auto fused bits=8'"):
        F.conv1d(x, w, arithmetic="stochastic neumaier auto bits=8")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        F.conv1d(x, w, arithmetic="stochastic neumaier auto bits=8")
        F.conv1d(x, w, arithmetic=fpdet.Arithmetic())  # control: a fast one never warns
