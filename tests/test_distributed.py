"""Gradients summed over 1 to 4 workers: the same bits, or an error that names the parameter or the rank."""

import subprocess
import sys
from fractions import Fraction

import distributed_tasks as tasks
import pytest
import workers

SIZES = (1, 2, 3, 4)


@pytest.fixture(scope="module")
def scenarios():
    """size -> what each rank found, by scenario."""
    return {size: workers.run(tasks.all_scenarios, size) for size in SIZES}


def _digests(scenarios, name):
    """size -> the digests of its ranks."""
    return {size: {answer[name][0] for answer in scenarios[size]} for size in SIZES}


@pytest.mark.parametrize("name", ["everything", "downward", "micro-batches", "batch norm"])
def test_weights_do_not_depend_on_the_number_of_workers(scenarios, name):
    digests = _digests(scenarios, name)
    assert len(set.union(*digests.values())) == 1, digests
    losses = {answer[name][1] for size in SIZES for answer in scenarios[size]}
    assert name == "micro-batches" or len(losses) == 1


def test_micro_batches_join_the_same_sums(scenarios):
    assert _digests(scenarios, "micro-batches")[1] == _digests(scenarios, "everything")[1]


@pytest.mark.parametrize("name", ["plain", "sequential"])
def test_control_other_sums_depend_on_the_number_of_workers(scenarios, name):
    digests = _digests(scenarios, name)
    assert all(len(found) == 1 for found in digests.values())  # the ranks of one run agree
    assert digests[1] != digests[3]


def test_control_roundings_differ(scenarios):
    assert _digests(scenarios, "downward")[1] != _digests(scenarios, "everything")[1]


def test_one_worker_has_the_gradients_of_no_group_at_all():
    ((grouped, alone),) = workers.run(tasks.gradients_of_one, 1)
    tied = {"embedding.weight", "twice.weight", "twice.bias"}  # alone: autograd adds what is rounded
    assert {name for name in alone if grouped[name] != alone[name]} <= tied
    assert grouped["embedding.weight"] != alone["embedding.weight"]


def test_ranks_are_the_terms_in_turn():
    answers = workers.run(tasks.sum_of_ranks, 3, "toward_zero sequential")
    sums, lines, sent = answers[0]
    assert all(answer[0] == sums for answer in answers)
    assert sums[0] == [_toward_zero(column) for column in zip(*lines, strict=True)]
    reverse = workers.run(tasks.sum_of_ranks, 3, "toward_zero reverse")[0][0]
    assert reverse != sums
    assert sent == 2 * 2 * 17 * 4  # two pieces of 17 float32 out for the sum, and two for the result


def _toward_zero(terms):
    """In float32, first to last."""
    total = Fraction(0)
    for term in terms:
        total += Fraction(term)
        if total:
            exponent = 0
            while abs(total) / Fraction(2) ** exponent >= 2**24:
                exponent += 1
            while abs(total) / Fraction(2) ** exponent < 2**23:
                exponent -= 1
            quantum = Fraction(2) ** exponent
            total = int(total / quantum) * quantum
    return float(total)


REFUSED = {
    "penalty": ("GradientError", "w.weight", "does not end in a sum"),
    "factors": ("GradientError", "a", "rounded"),
    "positions": ("GradientError", "position.weight", "rounded"),
    "rounding": ("GradientError", "conv.weight", "upward exact"),
    "order": ("GradientError", "conv.weight", "nearest_even pairwise"),
    "float64": ("NotImplementedError", "weight", "float64"),
    "batch norm": ("NotImplementedError", "1", "SyncBatchNorm"),
    "torch": ("GradientError", "bias", "leaves no partial sums"),
}


@pytest.fixture(scope="module")
def refusals():
    return workers.run(tasks.refusals, 1)[0]


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_join_exactly_raises(refusals, name):
    kind, parameter, reason = REFUSED[name]
    message = refusals[name]
    assert message is not None and message.startswith(kind)
    assert parameter in message and reason in message, message


def test_registering_again_and_closing():
    ((first, second, closed),) = workers.run(tasks.lifetimes, 1)
    assert first == second == closed  # sums of ones: every order is exact


@pytest.mark.parametrize("victim", [0, 1])
def test_a_dead_worker_is_named(victim):
    answers = workers.run(tasks.dies, 3, victim, 1, silent=[victim])
    for rank, answer in enumerate(answers):
        if rank != victim:
            message, ranks = answer
            assert ranks == [victim] and "step 1" in message and f"rank {victim} of 3" in message


def test_resuming_after_a_crash_gives_the_same_digest(tmp_path):
    options = ("--checkpoint", str(tmp_path / "whole.pt"), "--steps", "3")
    (whole,) = workers.run(tasks.example, 1, *options)
    assert set(workers.run(tasks.example, 1, *options)) == {whole}  # finished already
    other = workers.run(tasks.example, 2, "--checkpoint", str(tmp_path / "seed.pt"), "--steps", "3", "--seed", "1")
    assert set(other) != {whole}

    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "3", "--master-port"]
    command += [str(workers.free_port()), "-m", "fpdet.distributed.example", "--die-rank", "1", "--die-step", "2"]
    options = ("--checkpoint", str(tmp_path / "crashed.pt"), "--steps", "3")
    crashed = subprocess.run([*command, *options], capture_output=True, text=True, timeout=120)
    assert crashed.returncode != 0
    cause = crashed.stderr.partition("Root Cause")[2]
    assert "rank      : 1" in cause, crashed.stderr
    assert "step 1:" in crashed.stdout and "step 2:" not in crashed.stdout
    assert set(workers.run(tasks.example, 2, *options)) == {whole}
