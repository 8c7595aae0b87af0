"""``with fpdet.arithmetic(...)``: whole networks, unmodified, are a function of seed and Arithmetic."""

import threading
import warnings

import pytest
import torch
from nets import FAMILIES, batch
from torch import nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

import fpdet
from fpdet import random
from fpdet._context import UncoveredOpError


def train(name, arithmetic="nearest_even", seed=5, steps=2, backward_inside=True, wrap=lambda f: f, samples=6):
    """The digest of parameters, buffers and losses after some steps of training from scratch."""
    losses = []

    def loss_of(model, x, t):
        return F.cross_entropy(model(x), t)

    with fpdet.arithmetic(arithmetic, seed=seed):
        model = FAMILIES[name]()
    optimizer = fpdet.optim.SGD(model.parameters(), lr=0.125, momentum=0.5, arithmetic="nearest_even sequential")
    context = fpdet.arithmetic(arithmetic, seed=seed)
    compute = wrap(loss_of)
    for step in range(steps):
        x, t = batch(name, step, samples)
        optimizer.zero_grad()
        with context:
            loss = compute(model, x, t)
            if backward_inside:
                loss.backward()
        if not backward_inside:
            loss.backward()
        optimizer.step()
        losses.append(loss.detach())
    return fpdet.digest([*model.state_dict().values(), *losses])


@pytest.fixture(scope="module")
def digests():
    torch_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield {name: train(name) for name in FAMILIES}
    torch.set_num_threads(torch_threads)


@pytest.mark.parametrize("name", FAMILIES)
def test_training_is_the_same_on_any_number_of_threads(name, digests, threads):
    for count in (2, 3):
        threads(count)
        assert train(name) == digests[name]


@pytest.mark.parametrize("name", FAMILIES)
def test_training_is_the_same_with_backward_after_the_block(name, digests):
    """Under nearest_even: what autograd adds itself is torch's nearest_even there."""
    assert train(name, backward_inside=False) == digests[name]


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize("instruction_set", torch.ops.fpdet.instruction_sets.default())
def test_training_is_the_same_on_any_instruction_set(name, instruction_set, digests):
    before = torch.ops.fpdet.set_instruction_set.default(instruction_set)
    try:
        assert train(name) == digests[name]
    finally:
        torch.ops.fpdet.set_instruction_set.default(before)


@pytest.mark.parametrize("name", FAMILIES)
def test_control_seed_order_and_rounding_change_the_bits(name, digests):
    found = {digests[name], train(name, seed=6), train(name, "nearest_even pairwise"), train(name, "toward_zero")}
    assert len(found) == 4


@pytest.mark.parametrize("name", FAMILIES)
def test_values_are_torchs_up_to_rounding(name):
    with fpdet.arithmetic("nearest_even", seed=1):
        model = FAMILIES[name]().eval()
    x, t = batch(name)
    expected = F.cross_entropy(model(x), t)
    expected_grads = torch.autograd.grad(expected, list(model.parameters()))
    with fpdet.arithmetic("nearest_even"):
        loss = F.cross_entropy(model(x), t)
        grads = torch.autograd.grad(loss, list(model.parameters()))
    torch.testing.assert_close(loss, expected, rtol=1e-5, atol=1e-5)
    for a, b in zip(grads, expected_grads, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["resnet", "vgg", "mlp"])
def test_a_slice_of_the_batch_is_inferred_alone_as_in_the_batch(name):
    with fpdet.arithmetic("nearest_even", seed=1):
        model = FAMILIES[name]().eval()
        x, _ = batch(name)
        whole = model(x)
        for i in range(x.shape[0]):
            assert torch.equal(model(x[i : i + 1]), whole[i : i + 1])


def test_coverage_of_the_five_families_has_no_gap():
    for name, family in FAMILIES.items():
        x, _ = batch(name)
        found = fpdet.coverage(family(), x)
        assert not found.gaps, found
        assert any(status == "fpdet" for _, status, _ in found)


def test_control_coverage_names_a_gap():
    found = fpdet.coverage(lambda x: torch.cumsum(torch.fft.fft(x).real, 0), torch.ones(4), backward=False)
    assert "torch.cumsum" in found.gaps and "torch.fft.fft" in found.gaps
    assert "2 not covered" in str(found)


# What is not covered.


def test_an_uncovered_op_raises_and_says_how_to_allow_it():
    with fpdet.arithmetic("nearest_even"), pytest.raises(UncoveredOpError, match=r"torch.cumsum.*on_missing"):
        torch.cumsum(torch.ones(3), 0)


def test_warn_warns_and_allow_leaves_it_to_torch():
    with fpdet.arithmetic("nearest_even", on_missing="warn"), pytest.warns(UserWarning, match="cumsum"):
        torch.cumsum(torch.ones(3), 0)
    with warnings.catch_warnings(), fpdet.arithmetic("nearest_even", on_missing="allow"):
        warnings.simplefilter("error")
        assert torch.equal(torch.cumsum(torch.ones(3), 0), torch.tensor([1.0, 2.0, 3.0]))


def test_integers_are_nobodys_business():
    with fpdet.arithmetic("nearest_even"):
        assert torch.cumsum(torch.arange(4), 0).tolist() == [0, 1, 3, 6]


def test_a_derivative_that_adds_is_refused_where_it_is_not_covered():
    x = torch.ones(3, requires_grad=True)
    with fpdet.arithmetic("nearest_even"):
        assert torch.amax(x.detach()) == 1
        with pytest.raises(UncoveredOpError, match="amax"):
            torch.amax(x)


def test_an_optimizer_of_torch_is_covered_as_far_as_its_ops_are():
    def stepped(rounding):
        p = nn.Parameter(torch.ones(3))
        p.grad = torch.full((3,), -(2.0**-25))
        with fpdet.arithmetic(rounding):
            torch.optim.SGD([p], lr=1.0, foreach=False).step()
        return p.detach()[0].item()

    assert stepped("nearest_even") == 1.0 and stepped("upward") == 1.0 + 2.0**-23
    p = nn.Parameter(torch.ones(3))
    p.grad = torch.ones(3)
    with fpdet.arithmetic("nearest_even"), pytest.raises(UncoveredOpError):
        torch.optim.Adam([p], foreach=False).step()


@pytest.mark.parametrize(("wrong", "error"), [("nearest", ValueError), (3, TypeError)])
def test_bad_words_raise(wrong, error):
    with pytest.raises(error):
        fpdet.arithmetic(wrong)
    with pytest.raises(error):
        fpdet.arithmetic("nearest_even", on_missing=wrong)


def test_names_left_to_torch_are_torchs():
    import fpdet._exact_names as names

    known = {f.__name__ for f in torch.overrides.get_testing_overrides()}
    known |= {name for module in (torch, torch.Tensor, type(torch.Tensor.grad), F, nn.init) for name in dir(module)}
    known |= {"names", "has_names"}  # of torch before 2.13
    assert not (names.EXACT | names.EXACT_HERE | names.BROADCASTING | names.ASKING) - known
    assert names.ASKING <= names.EXACT and names.BROADCASTING <= names.EXACT
    assert all(hasattr(torch.ops.aten, name) for name in names.BELOW)


def test_the_gradient_of_a_broadcast_branch_is_the_contexts_sum():
    def gradient(rounding):
        shift = torch.tensor(0.0, requires_grad=True)
        with fpdet.arithmetic(f"{rounding} sequential"):
            y = torch.where(torch.ones(2, dtype=torch.bool), shift, torch.zeros(2))
        y.backward(torch.tensor([1.0, 2.0**-25]))
        return shift.grad.item()

    assert gradient("nearest_even") == 1.0 and gradient("upward") == 1.0 + 2.0**-23


@pytest.mark.parametrize(
    "refused",
    [
        lambda x, s: x.masked_fill(x > 0, s),
        lambda x, s: torch.clamp(x, s),
        lambda x, s: F.unfold(x.reshape(1, 1, 2, 2), 2),
        lambda x, s: F.dropout1d(x.reshape(1, 2, 2)),
    ],
)
def test_what_would_add_or_means_something_else_is_refused(refused):
    x, s = torch.ones(4), torch.tensor(0.5, requires_grad=True)
    with fpdet.arithmetic("nearest_even", seed=1), pytest.raises(UncoveredOpError):
        refused(x, s)


# Autograd's own additions.


def test_gradients_that_meet_are_added_by_the_context():
    def grads(arithmetic, inside):
        x = torch.tensor([1.0], requires_grad=True)
        with fpdet.arithmetic(arithmetic):
            y = x.mul(1.0) + x.mul(2.0**-25)
            if inside:
                y.backward()
        if not inside:
            y.backward()
        return x.grad.item()

    assert grads("nearest_even", True) == grads("nearest_even", False) == 1.0
    assert grads("upward", True) == 1.0 + 2.0**-23
    assert grads("upward", False) == 1.0  # torch's, after the block: docs/semantics.md


def test_accumulation_into_grad_is_the_contexts():
    p = nn.Parameter(torch.tensor([1.0]))
    p.grad = torch.tensor([2.0**-25])
    with fpdet.arithmetic("upward"):
        (p * 1.0).backward()
    assert p.grad.item() == 1.0 + 2.0**-23


# Nesting, exceptions, threads.


def test_the_inner_context_wins_and_the_outer_comes_back():
    x = torch.tensor([1.0])
    tiny = torch.tensor([2.0**-25])
    with fpdet.arithmetic("upward"):
        assert (x + tiny).item() == 1.0 + 2.0**-23
        with fpdet.arithmetic("downward"):
            assert (x + tiny).item() == 1.0
            assert (x - tiny).item() < 1.0
        assert (x + tiny).item() == 1.0 + 2.0**-23
        with pytest.raises(RuntimeError, match="on purpose"), fpdet.arithmetic("downward"):
            raise RuntimeError("on purpose")
        assert (x + tiny).item() == 1.0 + 2.0**-23
    assert (x + tiny).item() == 1.0
    assert torch._C._len_torch_function_stack() == 0 and torch._C._len_torch_dispatch_stack() == 0


def test_fpdets_own_functions_use_the_context_unless_they_name_an_arithmetic():
    x, w = torch.tensor([[1.0, 2.0**-25]]), torch.ones(1, 2)
    with fpdet.arithmetic("upward sequential"):
        assert fpdet.nn.functional.linear(x, w).item() == 1.0 + 2.0**-23
        assert fpdet.nn.functional.linear(x, w, arithmetic="downward").item() == 1.0
    assert fpdet.nn.functional.linear(x, w).item() == 1.0


def test_threads_have_their_own_contexts():
    found, barrier = {}, threading.Barrier(4)

    def work(i, rounding):
        with fpdet.arithmetic(rounding):
            for _ in range(20):
                barrier.wait()
                found.setdefault(i, set()).add((torch.tensor([1.0]) + 2.0**-25).item())

    roundings = ["upward", "downward", "upward", "nearest_even"]
    workers = [threading.Thread(target=work, args=pair) for pair in enumerate(roundings)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    up = 1.0 + 2.0**-23
    assert found == {0: {up}, 1: {1.0}, 2: {up}, 3: {1.0}}


# What is drawn.


def draws(seed):
    with fpdet.arithmetic("nearest_even", seed=seed):
        return [
            torch.rand(3, 4),
            torch.randn(3, 4),
            torch.randperm(9),
            torch.randint(0, 7, (5,)),
            torch.empty(4).uniform_(-1, 2),
            F.dropout(torch.ones(40), 0.5),
            nn.Linear(3, 2).weight.detach(),
        ]


def test_what_is_drawn_depends_on_the_seed_alone():
    torch.manual_seed(1)
    first = draws(3)
    state = torch.get_rng_state()
    torch.manual_seed(2)
    again = draws(3)
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert not any(torch.equal(a, b) for a, b in zip(first, draws(4), strict=True))
    torch.manual_seed(1)
    assert torch.equal(torch.get_rng_state(), state), "torch's generator was moved"


def test_without_a_seed_nothing_is_drawn():
    with fpdet.arithmetic("nearest_even"), pytest.raises(RuntimeError, match="seed"):
        torch.rand(3)


def test_a_context_goes_on_drawing_where_its_state_was_taken():
    context = fpdet.arithmetic("stochastic", seed=3)
    x = torch.linspace(0.1, 1, 50)
    with context:
        x / 3
    state = context.state_dict()
    with context:
        expected = x / 3, torch.rand(4)
    other = fpdet.arithmetic("stochastic", seed=9)
    other.load_state_dict(state)
    with other:
        assert torch.equal(x / 3, expected[0]) and torch.equal(torch.rand(4), expected[1])
    with context:
        assert not torch.equal(x / 3, expected[0])


def test_distributions_are_what_they_say():
    generator = random.Generator(1)
    u = random.uniform((100_000,), -1, 3, generator=generator)
    assert u.min() >= -1 and u.max() < 3 and abs(u.mean() - 1) < 0.02
    z = random.normal((100_000,), generator=generator)
    assert abs(z.mean()) < 0.02 and abs(z.std() - 1) < 0.02 and abs((z.abs() > 1.96).float().mean() - 0.05) < 0.005
    k = random.integers((70_000,), -3, 4, generator=generator)
    assert torch.bincount(k + 3, minlength=7).sub(10_000).abs().max() < 500
    assert sorted(random.permutation(1000, generator=generator).tolist()) == list(range(1000))


def test_a_sliced_batch_draws_what_the_batch_draws():
    whole = random.uniform((6, 5), generator=random.Generator(1))
    assert torch.equal(random.uniform((2, 5), generator=random.Generator(1), batch_offset=4), whole[4:])
    assert not torch.equal(random.uniform((2, 5), generator=random.Generator(1)), whole[4:])


# Conversions.


def test_narrowing_rounds_by_the_context_and_widening_is_exact():
    x = torch.tensor([1 + 2.0**-9, -1 - 2.0**-9])
    with fpdet.arithmetic("upward"):
        assert x.to(torch.bfloat16).tolist() == [1 + 2.0**-7, -1.0]
        assert x.bfloat16().float().tolist() == [1 + 2.0**-7, -1.0]
        assert x.type_as(torch.zeros(1, dtype=torch.bfloat16)).tolist() == [1 + 2.0**-7, -1.0]
    assert x.to(torch.bfloat16).tolist() == [1.0, -1.0]


def test_a_module_is_moved_and_converted_inside_the_block():
    model = nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3))
    weight = model[0].weight.detach().clone()
    with fpdet.arithmetic("upward"):
        assert torch.equal(model.to("cpu").double().float()[0].weight, weight)
        assert torch.equal(model.to(torch.bfloat16)[0].weight, fpdet.round(weight, "bfloat16", "upward"))
        assert model.to("meta")[0].weight.is_meta


# Ways around it.


def checkpointed(name, arithmetic, through):
    with fpdet.arithmetic(arithmetic, seed=2):
        model = FAMILIES[name]()
        x, t = batch(name)
        y = through(model, x)
        F.cross_entropy(y, t).backward()
    return fpdet.digest([p.grad for p in model.parameters()])


def test_checkpointing_gives_the_same_gradients():
    plain = checkpointed("mlp", "toward_zero pairwise", lambda model, x: model(x))
    again = checkpointed("mlp", "toward_zero pairwise", lambda model, x: checkpoint(model, x, use_reentrant=False))
    assert again == plain


@pytest.mark.parametrize(("name", "arithmetic"), [("vgg", "nearest_even"), ("mlp", "stochastic")])
def test_checkpointing_what_draws_needs_its_contexts(name, arithmetic):
    def replayed(model, x):
        return checkpoint(model, x, use_reentrant=False, context_fn=fpdet.checkpoint_contexts)

    assert checkpointed(name, arithmetic, replayed) == checkpointed(name, arithmetic, lambda model, x: model(x))
    with pytest.raises(RuntimeError, match="checkpoint_contexts"):
        checkpointed(name, arithmetic, lambda model, x: checkpoint(model, x, use_reentrant=False))
