"""What the experiments compute with: machines, exact recurrences, operators, curvatures, nets, statistics, the page."""

import json
import math
from fractions import Fraction

import mpmath
import numpy as np
import pytest
import torch

from fpdet import core
from fpdet.experiments import document, elementary, nets, training
from fpdet.experiments.config import ConfigError
from fpdet.experiments.edge_of_stability.sharpness import hessian_product, largest_eigenvalue
from fpdet.experiments.heat import model as heat
from fpdet.experiments.ledger import measure
from fpdet.experiments.linear_pde import model as linear
from fpdet.experiments.machine import Machine, Variant
from fpdet.experiments.nonlinear_pde import model as nonlinear
from fpdet.experiments.nonlinear_pde.regime import lyapunov, regime
from fpdet.experiments.nonlinear_pde.settings import NonlinearSettings
from fpdet.experiments.variance import statistics

SMALL = NonlinearSettings(image=9, kernel=4, alpha=0.3125)


def normal(seed, *shape):
    return np.random.Generator(np.random.Philox(seed)).standard_normal(shape)


# ---- machines --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("words", ["float64 nearest_even", "float32 upward", "bfloat16 stochastic", "e5p8 to_odd"])
def test_machine_is_core(words):
    variant = Variant.parse(words)
    machine = Machine(variant, 3)
    x, y = machine.round(normal(1, 5, 7)), machine.round(normal(2, 5, 7))
    for operation in ("add", "mul", "div"):
        options = {"seed": 3, "counter": machine._count + 1} if variant.rounding == "stochastic" else {}
        expected = getattr(core, operation)(x, y, variant.format, variant.rounding, **options)
        assert np.array_equal(getattr(machine, operation)(x, y), expected)
    other = Machine(Variant.parse(words.replace(variant.rounding, "toward_zero")), 3)
    assert not np.array_equal(machine.mul(x, y), other.mul(x, y))  # negative control


def test_machine_correlates_in_its_order():
    image, kernel = normal(3, 6, 6), normal(4, 3, 3)
    windows = np.lib.stride_tricks.sliding_window_view(image, (3, 3)).reshape(16, 9)
    taps = np.broadcast_to(kernel.reshape(-1), (16, 9))
    found = {}
    for words in ("float64 nearest_even sequential", "float64 upward pairwise unfused", "float64 nearest_even exact"):
        variant = Variant.parse(words)
        found[words] = Machine(variant).correlate(image, kernel).reshape(-1)
        assert np.array_equal(
            found[words], core.dot(windows, taps, variant.order, "auto", variant.rounding, fused=variant.fused)
        )
    assert len({array.tobytes() for array in found.values()}) == 3


def test_variant_reads_back():
    for text in ("float64 nearest_even sequential", "bfloat16 stochastic pairwise unfused", "float32 upward exact"):
        assert str(Variant.parse(text)) == text
    assert Variant.parse("bfloat16 upward").unit_roundoff == 2.0**-8
    with pytest.raises(ConfigError, match="variants: expected 'FORMAT ROUNDING"):
        Variant.parse("float64 upward sequential fussed")


def test_elementary_functions_are_within_four_ulps():
    x = np.concatenate([-np.abs(normal(5, 300)) * 20, np.linspace(-700, 0, 301), [-0.0, -1e-300]])
    for mine, exact, points in (
        (elementary.exp_negative, mpmath.exp, x),
        (elementary.sigmoid, lambda v: 1 / (1 + mpmath.exp(-v)), np.concatenate([x, -x])),
        (elementary.log1p, mpmath.log1p, np.exp(x)),
    ):
        with mpmath.workdps(40):
            for value, at in zip(mine(points).tolist(), points.tolist(), strict=True):
                true = exact(mpmath.mpf(at))
                assert abs(value - true) <= 4 * max(math.ulp(float(true)), 5e-324)
    assert elementary.exp_negative(-1e9) == 0 and np.isnan(elementary.sigmoid(np.nan))


# ---- heat ------------------------------------------------------------------------------------------------


def test_heat_exact_steps_are_the_recurrence():
    u = [Fraction(float(value)) for value in heat.hat(7, 1.5)]
    r = Fraction("0.4")
    for numerators, denominator in heat.exact_steps(heat.hat(7, 1.5), r, 6):
        assert [Fraction(n, denominator) for n in numerators] == u
        u = [u[0], *(b + r * (a - 2 * b + c) for a, b, c in zip(u, u[1:], u[2:], strict=False)), u[-1]]


def test_heat_step_of_an_unfused_float64_machine_is_numpy():
    u, r = normal(6, 31), 0.4
    expected = u.copy()
    expected[1:-1] += r * (u[:-2] - 2 * u[1:-1] + u[2:])
    words = "float64 nearest_even sequential"
    assert np.array_equal(heat.step(Machine(Variant.parse(words + " unfused")), u, r), expected)
    assert not np.array_equal(heat.step(Machine(Variant.parse(words)), u, r), expected)


def test_heat_limit_is_where_the_factor_is_one():
    r = heat.limit(31)
    assert 0.5 < r < 0.51 and heat.amplification(r, 31) == (pytest.approx(1, abs=1e-15), 29)
    assert heat.expected("0.5", 31, 1.5, 200) == "stable" and heat.expected("0.8", 31, 1.5, 200) == "unstable"
    assert heat.expected("0.501", 31, 1.5, 20) is None  # too early to tell


# ---- one layer -------------------------------------------------------------------------------------------


def test_linear_operator_is_what_the_flow_applies():
    image = linear.checkerboard(10)
    kernel = np.arange(-8.0, 8.0).reshape(4, 4)  # integers: every sum is exact
    machine = Machine(Variant.parse("float64 nearest_even"))
    applied = machine.correlate(image, machine.correlate(image, kernel))
    matrix = linear.operator(image, 4)
    assert np.array_equal(matrix @ kernel.reshape(-1), applied.reshape(-1))
    eigenvalues, coupling = linear.spectrum(matrix, 4)
    assert coupling == 0 and eigenvalues[2, 2] == eigenvalues.max() == 49 * 16
    assert linear.bounds(eigenvalues, -0.5, 1.0, 1e-3) == (0.25 * 49 * 16, pytest.approx(2000, abs=1e-9))
    assert linear.full_image_bound(image, -0.5, 1.0) == 0.25 * 100**2  # not the operator's


def test_paper_bounds():
    """alpha_min = 0.25 * 225^2 * 32^2 for the paper's image and kernel, not 0.25 * 256^4."""
    image = linear.checkerboard(256)
    assert linear.full_image_bound(image, -0.5, 1.0) == 0.25 * 256.0**4
    small = linear.operator(image[:64, :64], 32)
    assert linear.spectrum(small, 32)[0].max() == 33.0**2 * 32**2


def torch_loss(k):
    image = torch.from_numpy(linear.checkerboard(SMALL.image))[None, None]
    z = torch.nn.functional.conv2d(image, k.view(1, 1, 4, 4))
    f = (z * torch.sigmoid(SMALL.beta * z)).mean()
    return torch.nn.functional.softplus(-f) + 0.5 * SMALL.alpha * k.square().sum()


def test_nonlinear_step_is_the_gradient_of_the_loss():
    k = torch.from_numpy(normal(7, 4, 4)).requires_grad_()
    (slope,) = torch.autograd.grad(torch_loss(k), k)
    net = nonlinear.Net(Machine(Variant.parse("float64 nearest_even")), SMALL, 0.5)
    (moved,), (f,), _ = net.step(k.detach().numpy()[None])
    np.testing.assert_allclose(moved, (k - 0.5 * slope).detach().numpy(), rtol=0, atol=1e-14)
    assert nonlinear.loss(f, k.detach().numpy(), SMALL.alpha) == pytest.approx(torch_loss(k).item(), abs=1e-14)


def test_stacked_twins_have_the_bits_they_have_alone():
    k = normal(13, 2, 4, 4)
    variant = Variant.parse("float32 upward pairwise")
    start = Machine(variant).round(k)
    both = nonlinear.Net(Machine(variant), SMALL, 0.5, (1, 3)).step(start)[0]
    alone = [
        nonlinear.Net(Machine(variant), SMALL, 0.5, (r,)).step(start[i : i + 1])[0][0] for i, r in enumerate((1, 3))
    ]
    assert np.array_equal(both, np.stack(alone))
    swapped = nonlinear.Net(Machine(variant), SMALL, 0.5, (3, 1)).step(start)[0]
    assert not np.array_equal(both, swapped)  # negative control


def test_nonlinear_curvature_is_the_hessian():
    k = torch.from_numpy(normal(8, 4, 4))
    hessian = torch.autograd.functional.hessian(lambda v: torch_loss(v.view(4, 4)), k.reshape(-1))
    s = float((k.numpy() * linear.checkerboard(4)).sum())
    eigenvalues = np.linalg.eigvalsh(hessian.numpy())
    np.testing.assert_allclose(eigenvalues[:-1], SMALL.alpha, rtol=1e-12)
    assert eigenvalues[-1] == pytest.approx(float(nonlinear.curvature(s, SMALL)), rel=1e-12)


def test_nonlinear_minima_are_where_the_gradient_vanishes():
    found = nonlinear.minima(SMALL)
    assert len(found) == 2 and found[0][0] < 0 < found[1][0]
    for s, bend in found:
        k = torch.from_numpy(linear.checkerboard(4) * (s / 16)).requires_grad_()
        (slope,) = torch.autograd.grad(torch_loss(k), k)
        assert slope.abs().max() < 1e-14 and bend > SMALL.alpha
    assert nonlinear.onset(SMALL) == 2 / min(bend for _, bend in found)


@pytest.mark.parametrize(
    "losses, distance, word",
    [
        ([1.0] * 60, 1e-16, "converges"),
        ([1.0, 2.0] * 30, 1e-16, "oscillates"),
        ([1.0, 2.0] * 30, 1.0, "amplifies"),
        ([1.0] * 60, 1.0, "amplifies"),
        ([2.0**t for t in range(60)], 1e-16, "diverges"),
        ([1.0] * 59 + [math.nan], 1e-16, "diverges"),
    ],
)
def test_regimes(losses, distance, word):
    assert regime(losses, [distance] * 60, 2.0**-53, 20) == word


def test_lyapunov_exponent_of_a_constant_curvature():
    assert lyapunov([3.0] * 10, 1.0, 0.5, 5) == pytest.approx(math.log(2))
    assert lyapunov([1.5] * 10, 1.0, 0.25, 5) == pytest.approx(math.log(0.75))  # across the wave


# ---- nets ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "net, width, count", [("resnet56", 16, 855770), ("resnet20", 16, 272474), ("vgg16", 64, 14724042)]
)
def test_parameter_counts(net, width, count):
    model = nets.build(net, width, 3, 32, "relu", 1.0, 0, "nearest_even")
    assert sum(parameter.numel() for parameter in model.parameters()) == count


def test_nets_depend_on_the_seed_alone():
    def weights(seed):
        return training.flat_weights(nets.build("resnet8", 2, 1, 8, "swish", 5.0, seed, "nearest_even"))

    state = torch.get_rng_state()
    first = weights(1)
    torch.manual_seed(5)
    assert torch.equal(weights(1), first) and not torch.equal(weights(2), first)
    torch.set_rng_state(state)
    model = nets.build("vgg16", 1, 1, 8, "relu", 1.0, 0, "nearest_even")
    assert model.eval()(torch.ones(2, 1, 8, 8)).shape == (2, 10)
    assert "max pooling" in nets.torch_ops(model) and "x sigmoid(beta x)" not in nets.torch_ops(model)


def test_augmented_images_are_crops_of_their_own():
    images = torch.arange(2 * 8 * 8, dtype=torch.float32).view(2, 1, 8, 8) + 1
    first, again, other = (training.augmented(images, 1, step) for step in (0, 0, 1))
    assert torch.equal(first, again) and not torch.equal(first, other)
    for image, crop in zip(images, first, strict=True):
        assert {*crop.reshape(-1).tolist()} <= {0.0, *image.reshape(-1).tolist()}


def test_lanczos_finds_the_largest_eigenvalue():
    matrix = torch.from_numpy(normal(9, 30, 30))
    matrix = matrix + matrix.T
    exact = float(np.linalg.eigvalsh(matrix.numpy())[-1])
    assert largest_eigenvalue(lambda v: matrix @ v, 30, 30, 0) == pytest.approx(exact, rel=1e-12)
    assert largest_eigenvalue(lambda v: matrix @ v, 30, 5, 0) < exact
    assert math.isnan(largest_eigenvalue(lambda v: v * math.nan, 30, 5, 0))


def test_hessian_products_go_through_fpdet():
    model = nets.build("plain2:2".split(":")[0], 2, 1, 8, "tanh", 1.0, 0, "nearest_even").double()
    x, parameters = torch.from_numpy(normal(10, 3, 1, 8, 8)), list(model.parameters())
    product = hessian_product(lambda: model(x).square().sum(), parameters)
    size = sum(parameter.numel() for parameter in parameters)
    a, b = torch.from_numpy(normal(11, size)), torch.from_numpy(normal(12, size))
    assert float(a @ product(b)) == pytest.approx(float(b @ product(a)), rel=1e-10)  # a Hessian is symmetric


def test_ledger_sees_one_ulp():
    y = torch.tensor([1.0, 2.0, 3.0, 4.0])
    moved = y.clone()
    moved[2] = torch.nextafter(moved[2], torch.tensor(9.0))
    assert measure.error(y, y.double(), y) == {"relative_error": 0.0, "wrong": 0.0, "ulps": 0.0}
    row = measure.error(moved, y.double(), y)
    assert row["wrong"] == row["ulps"] == 0.25 and 0 < row["relative_error"] < 1e-7


def test_spread_and_pairs():
    row = statistics.spread([1.0, 2.0, 3.0, 4.0, 5.0, 6.0], 2000, 0)
    assert row["sd"] == pytest.approx(3.5**0.5) and row["sd_paper"] == pytest.approx((35 / 12) ** 0.5)
    assert row["low"] < row["sd"] < row["high"] and round(row["relative_error"], 2) == 0.32
    assert statistics.spread([2.0] * 6, 100, 0)["high"] == 0 and statistics.spread([2.0], 9, 0)["sd"] is None
    a, b = np.array([[0.9, 0.1], [0.2, 0.8]]), np.array([[0.8, 0.2], [0.6, 0.4]])
    found = statistics.pairs([a, b], np.array([0, 1]))
    assert found["disagreement"] == 0.5 and found["ensemble_gain"] == 25 and 0 < found["correlation"] < 1
    assert statistics.pairs([a, a], np.array([0, 1]))["correlation"] == 1


# ---- the page --------------------------------------------------------------------------------------------


def test_numbers_of_the_page_come_from_the_files(tmp_path):
    (tmp_path / "run").mkdir()
    summary = {"a": {"b": 0.25}, "rows": [{"k": 3, "name": "x y", "v": 1.5}, {"k": 5, "name": "z", "v": "nan"}]}
    (tmp_path / "run" / "summary.json").write_text(json.dumps(summary))
    text = "b <!-- = run a.b {:.1%} -->stale<!-- / -->, <!-- = run rows[name=x y;k=3].v {:g} --><!-- / -->."
    done = document.filled(text, tmp_path)
    assert done.count("<!-- / -->") == 2 and ">25.0%<" in done and ">1.5<" in done
    assert document.filled(done, tmp_path) == done
    assert document.lookup(summary, "rows[1].v") == "nan"
    for path in ("a.c", "rows[7].v", "rows[name=q].v", "a[x=1]"):
        with pytest.raises(ConfigError, match="expected a number at"):
            document.lookup(summary, path)


def test_page_is_what_the_committed_files_say():
    page = document.DOCS / "experiments.md"
    text = page.read_text()
    assert document.filled(text, document.DOCS / "experiments") == text, "run: python -m fpdet report --docs"
    runs = {path.parent.name for path in (document.DOCS / "experiments").glob("*/summary.json")}
    assert runs and all(f"<!-- run {run} -->" in text for run in runs)
    for file in (document.DOCS / "experiments").rglob("*"):
        if file.suffix in (".csv", ".json"):
            assert file.stat().st_size < 300_000, file


def test_page_with_an_edited_number_is_noticed():
    text = (document.DOCS / "experiments.md").read_text()
    edited = (
        text.replace(" {:.2%} -->", " {:.2%} -->9", 1) if " {:.2%} -->" in text else text.replace("|---|", "|--|", 1)
    )
    assert edited != text and document.filled(edited, document.DOCS / "experiments") != edited
