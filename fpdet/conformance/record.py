"""The conformance command: table on the screen, record in a file."""

import json
import re
import time
from collections import Counter
from pathlib import Path

import torch

from fpdet._build import build_info
from fpdet.conformance.matrix import cases
from fpdet.conformance.mutants import MUTANTS, flagged
from fpdet.conformance.runner import GOLDEN, golden, run


def device_facts(device):
    """The GPU's name and driver, None for a CPU."""
    if device.type != "cuda":
        return {"gpu": None, "driver": None}
    version = Path("/proc/driver/nvidia/version")
    found = re.search(r"\b\d{3}\.\d+(\.\d+)?\b", version.read_text()) if version.exists() else None
    driver = found[0] if found else f"CUDA {torch._C._cuda_getDriverVersion()}"
    return {"gpu": torch.cuda.get_device_name(device), "driver": driver}


def make_record(device, expected):
    """Run every case on the device; the record as it is written."""
    start = time.perf_counter()
    digests = {case.name: run(case, device) for case in cases()}
    mismatches = [name for name, found in digests.items() if found != expected.get(name)]
    return {
        **device_facts(device),
        "cuda": torch.version.cuda,
        "torch": torch.__version__,
        "commit": build_info()["commit"],
        "cases": len(digests),
        "mismatches": mismatches,
        "digests": digests,
        "seconds": round(time.perf_counter() - start, 1),
    }


def is_digest(text):
    """Whether a case gave bits, and not an error."""
    return re.fullmatch(r"[0-9a-f]{64}", text) is not None


def table(record):
    """Lines: cases and mismatches by op, then the first mismatches."""
    all_cases = Counter(name.split()[1] for name in record["digests"])
    wrong = Counter(name.split()[1] for name in record["mismatches"])
    lines = [f"{'op':14}{'cases':>7}{'mismatches':>12}"]
    lines += [f"{op:14}{count:7}{wrong[op]:12}" for op, count in all_cases.items()]
    lines.append(f"{'all':14}{record['cases']:7}{len(record['mismatches']):12}   {record['seconds']} s")
    lines += [f"  {name}: {record['digests'][name][:60]}" for name in record["mismatches"][:10]]
    return lines


def mutant_lines(device, expected):
    """(line, was it noticed) for each planted error."""
    every = cases()
    for mutant in MUTANTS:
        met, noticed = flagged(mutant, every, expected, device)
        verdict = "flagged" if noticed else "NOT FLAGGED"
        yield f"{mutant.__name__:20} {verdict}: {noticed} of {met} cases", noticed > 0


def main(device="cuda", out=".", record=False, mutants=False):
    """The exit status: 0 where the device agrees in every case (and every planted error is flagged), else 1."""
    device = torch.device(device)
    if device.type == "cuda" and not torch.cuda.is_available():
        raise ValueError("device: expected cpu, or cuda where torch sees a GPU: torch.cuda.is_available() is False")
    if record:
        digests = {case.name: run(case, device) for case in cases()}
        failed = [name for name, found in digests.items() if not is_digest(found)]
        if failed:
            raise ValueError(f"{failed[0]}: expected a digest to record, got {digests[failed[0]]}")
        GOLDEN.write_text(json.dumps(digests, indent=0) + "\n")
        print(f"{len(digests)} digests in {GOLDEN}")
        return 0
    expected = golden()
    result = make_record(device, expected)
    print(*table(result), sep="\n")
    name = re.sub(r"\W+", "-", result["gpu"] or "cpu").lower()
    path = Path(out) / f"conformance-{name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(result, indent=1) + "\n")
    print(path)
    agreed = not result["mismatches"] and set(result["digests"]) == set(expected)
    if mutants:
        for line, noticed in mutant_lines(device, expected):
            print(line)
            agreed = agreed and noticed
    return 0 if agreed else 1
