"""A few conformance cases of every kernel, few enough for compute-sanitizer, which runs this as a program."""

import sys

import torch

from fpdet.conformance.matrix import LARGE, WITH_ORDER, cases
from fpdet.conformance.runner import golden, run


def chosen():
    """One case of each op with each order, those that tiles take first; ops without an order have one."""
    picked = {}
    for case in sorted(cases(), key=lambda case: case.shape not in LARGE):
        picked.setdefault((case.op, case.order if case.op in WITH_ORDER else ""), case)
    return list(picked.values())


def main():
    """The number of mismatches as the exit status."""
    expected = golden()
    device = torch.device(sys.argv[1] if len(sys.argv) > 1 else "cuda")
    wrong = [case.name for case in chosen() if run(case, device) != expected[case.name]]
    print(f"{len(chosen())} cases, {len(wrong)} mismatches", *wrong, sep="\n")
    return min(len(wrong), 100)


if __name__ == "__main__":
    sys.exit(main())
