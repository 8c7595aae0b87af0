"""The GPU's benchmark runs unattended: here on a CPU, where its numbers mean nothing."""

import json

import pytest
import torch

from benchmarks import gpu


def test_record_has_every_row(tmp_path, capsys):
    gpu.main(["--device", "cpu", "--quick", "--out", str(tmp_path)])
    record = json.loads((tmp_path / "gpu-bench.json").read_text())
    assert {"gpu", "driver", "cuda", "cudnn", "torch", "commit", "peaks", "sgd", "resnet20_step"} < set(record)
    rows = record["convolutions"]
    found = {(row["pass"], row["arithmetic"]) for row in rows}
    assert found == {(p, a) for p in ("forward", "grad_input", "grad_weight") for a in gpu.ARITHMETICS}
    assert all(row["seconds"] > 0 and row["of_peak"] > 0 and row["baseline"]["ways"] for row in rows)
    assert record["sgd"]["speed"] > 0 and min(record["resnet20_step"]["times_torch"].values()) > 0
    assert len(capsys.readouterr().out.splitlines()) > len(rows)


def test_runs_where_torch_has_frozen_its_flags(monkeypatch):
    frozen = torch.backends.flags_frozen.__globals__  # torch.backends itself may be a wrapper
    monkeypatch.setitem(frozen, "__allow_nonbracketed_mutation_flag", False)
    with pytest.raises(RuntimeError, match="not allowed to set"):
        torch.backends.cudnn.deterministic = True
    with gpu.cudnn(benchmark=True):
        assert torch.backends.cudnn.benchmark and torch.backends.cudnn.deterministic


def test_winograd_is_told_apart(monkeypatch):
    monkeypatch.setattr(gpu, "seconds", lambda call, *_: call())
    monkeypatch.setattr(gpu, "kernel_names", lambda call, _: ["winograd_nonfused"] if call() < 2 else ["implicit_gemm"])
    base = gpu.baseline(
        {"a": (lambda: 1, False), "b": (lambda: 2, True), "c": (lambda: 3, False)}, torch.device("cpu"), 1
    )
    assert base["seconds"] == 2 and base["winograd_seconds"] == 1


def test_resnet20_has_its_parameters():
    assert sum(p.numel() for p in gpu.resnet20().parameters()) == 269_722
