"""fpdet.nn's modules and convert: torch's values, parameters, hooks, state_dict."""

import copy
import io
import pickle

import pytest
import torch

import fpdet
from fpdet import nn

NAMES = ["Conv1d", "Conv2d", "Conv3d", "ConvTranspose1d", "ConvTranspose2d", "ConvTranspose3d"]
EXACT = fpdet.Arithmetic(order="exact")


def spatial(name):
    return int(name[-2])


def integers(shape, dtype=torch.float64):
    """Small integers: every sum is exact, so every arithmetic agrees with torch."""
    count = torch.Size(shape).numel()
    return ((torch.arange(count) * 7 + 3) % 11 - 5).to(dtype).view(shape)


def pair(name, **options):
    torch.manual_seed(0)
    ours = getattr(nn, name)(4, 6, 3, dtype=torch.float64, **options)
    theirs = getattr(torch.nn, name)(4, 6, 3, dtype=torch.float64, **options)
    with torch.no_grad():
        ours.weight.copy_(integers(ours.weight.shape))
        ours.bias.copy_(integers(ours.bias.shape))
    theirs.load_state_dict(ours.state_dict())
    return ours, theirs


def same_results(ours, theirs, x):
    results = []
    for module in (ours, theirs):
        leaf = x.clone().requires_grad_()
        y = module(leaf)
        grads = torch.autograd.grad(y, [leaf, *module.parameters()], integers(y.shape))
        results.append([y, *grads])
    for a, b in zip(*results, strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize("batch", [(), (2,)])
@pytest.mark.parametrize("name", NAMES)
def test_equal_torch_on_integers(name, batch):
    ours, theirs = pair(name, stride=2, padding=1, groups=2)
    same_results(ours, theirs, integers((*batch, 4, *(7, 6, 5)[: spatial(name)])))


@pytest.mark.parametrize("mode", ["reflect", "replicate", "circular"])
@pytest.mark.parametrize("name", NAMES[:3])
def test_padding_modes(name, mode):
    for batch in ((), (2,)):
        for padding in (2, "same"):
            ours, theirs = pair(name, padding=padding, padding_mode=mode)
            same_results(ours, theirs, integers((*batch, 4, *(7, 6, 5)[: spatial(name)])))


@pytest.mark.parametrize("padding", ["same", "valid"])
def test_padding_words(padding):
    for kernel in (3, 4):
        torch.manual_seed(0)
        options = {"padding": padding, "dilation": 2, "dtype": torch.float64}
        ours = nn.Conv2d(4, 6, kernel, **options)
        theirs = torch.nn.Conv2d(4, 6, kernel, **options)
        with torch.no_grad():
            for p, q in zip(ours.parameters(), theirs.parameters(), strict=True):
                p.copy_(integers(p.shape))
                q.copy_(p)
        same_results(ours, theirs, integers((2, 4, 9, 10)))


def test_output_size():
    ours, theirs = pair("ConvTranspose2d", stride=2)
    x = integers((1, 4, 5, 5))
    assert torch.equal(ours(x, output_size=[12, 11]), theirs(x, output_size=[12, 11]))
    with pytest.raises(ValueError, match="output size"):
        ours(x, output_size=[20, 20])


def model():
    torch.manual_seed(0)
    layers = [torch.nn.Conv2d(3, 4, 3), torch.nn.ReLU(), torch.nn.ConvTranspose2d(4, 2, 3)]
    return torch.nn.Sequential(*layers)


def test_convert_and_back_keeps_objects():
    net = model()
    parameters, state = list(net.parameters()), fpdet.digest(net)
    seen = []
    net[0].register_forward_hook(lambda *_: seen.append(1))
    assert fpdet.convert(net, EXACT) is net
    assert type(net[0]) is nn.Conv2d and type(net[2]) is nn.ConvTranspose2d
    assert net[0].arithmetic == EXACT
    net(torch.randn(1, 3, 6, 6))
    assert seen == [1]
    fpdet.convert(net, "upward sequential")
    assert str(net[0].arithmetic) == "upward sequential auto fused"
    assert fpdet.convert(net, None) is net
    assert type(net[0]) is torch.nn.Conv2d and type(net[2]) is torch.nn.ConvTranspose2d
    assert all(a is b for a, b in zip(net.parameters(), parameters, strict=True))
    assert fpdet.digest(net) == state
    assert not [key for key in vars(net[0]) if "arithmetic" in key]


def test_convert_changes_bits():
    net, x = model(), torch.randn(2, 3, 8, 8)
    up = fpdet.convert(net, "upward sequential")(x)
    down = fpdet.convert(net, "downward sequential")(x)
    assert fpdet.digest(up) != fpdet.digest(down)


def test_root_module_converts():
    conv = torch.nn.Conv1d(2, 2, 3)
    assert type(fpdet.convert(conv, EXACT)) is nn.Conv1d


def test_state_dict_is_torch_s():
    net = fpdet.convert(model(), EXACT)
    assert list(net.state_dict()) == list(model().state_dict())
    model().load_state_dict(net.state_dict())
    drawing = fpdet.convert(model(), "stochastic sequential")
    drawing.load_state_dict(model().state_dict())
    assert "0.stream" in drawing.state_dict()


def test_stream_only_where_something_is_drawn():
    for text, drawn in [
        ("stochastic sequential", True),
        ("upward shuffled(3,vary=call)", True),
        ("upward shuffled(3)", False),
        ("upward exact | upward exact | stochastic exact", True),
    ]:
        conv = nn.Conv2d(2, 2, 3, arithmetic=text)
        assert ("stream" in conv.state_dict()) == drawn
    conv = nn.Conv2d(2, 2, 3, arithmetic="stochastic sequential seed=9")
    assert conv.stream.tolist() == [9, 0]
    conv(torch.randn(1, 2, 4, 4))
    assert conv.stream.tolist() == [9, 1]
    conv.arithmetic = None
    assert "stream" not in conv.state_dict()


def test_streams_differ_between_layers_and_replay():
    net = fpdet.convert(model(), "stochastic sequential seed=9")
    assert net[0].stream[0] != net[2].stream[0]
    x, saved = torch.randn(2, 3, 8, 8), copy.deepcopy(net.state_dict())
    first, second = net(x), net(x)
    assert fpdet.digest(first) != fpdet.digest(second)
    net.load_state_dict(saved)
    assert fpdet.digest(net(x)) == fpdet.digest(first)


def test_slice_of_a_batch_replays():
    x, w = torch.randn(4, 3, 8, 8), torch.randn(2, 3, 3, 3)
    arithmetic = fpdet.Arithmetic("stochastic", "sequential", seed=3)
    whole = nn.functional.conv2d(x, w, arithmetic=arithmetic)
    part = nn.functional.conv2d(x[2:], w, arithmetic=arithmetic, batch_offset=2)
    assert torch.equal(whole[2:], part)
    assert not torch.equal(whole[2:], nn.functional.conv2d(x[2:], w, arithmetic=arithmetic))


def test_copy_and_pickle():
    net, x = fpdet.convert(model(), "stochastic sequential seed=9"), torch.randn(1, 3, 6, 6)
    twins = [copy.deepcopy(net), pickle.loads(pickle.dumps(net))]
    file = io.BytesIO()
    torch.save(net, file)
    file.seek(0)
    twins.append(torch.load(file, weights_only=False))
    want = fpdet.digest(net(x))
    for twin in twins:
        assert twin[0].arithmetic == net[0].arithmetic
        assert fpdet.digest(twin(x)) == want


@pytest.mark.parametrize("norm", ["old", "parametrization"])
def test_weight_norm_survives(norm):
    net, x = model(), torch.randn(1, 3, 6, 6)
    apply = torch.nn.utils.weight_norm if norm == "old" else torch.nn.utils.parametrizations.weight_norm
    apply(net[0])
    names = list(net.state_dict())
    fpdet.convert(net, "upward sequential")
    assert isinstance(net[0], nn.Conv2d)
    assert list(net.state_dict()) == names
    y = net(x)
    y.sum().backward()
    assert all(p.grad is not None for p in net.parameters())
    assert fpdet.digest(y) == fpdet.digest(net(x))
    if norm != "old":  # torch's old weight_norm cannot be copied once it has run
        assert fpdet.digest(copy.deepcopy(net)(x)) == fpdet.digest(y)
    fpdet.convert(net, None)
    assert not isinstance(net[0], nn.Conv2d) and isinstance(net[0], torch.nn.Conv2d)
    net(x)


def test_convert_refuses():
    class Own(torch.nn.Conv2d):
        def forward(self, x):
            return x

    net = torch.nn.Sequential(torch.nn.Conv2d(1, 1, 1), Own(1, 1, 1))
    with pytest.raises(NotImplementedError, match=r"'1'.*Own"):
        fpdet.convert(net, EXACT)
    assert type(net[0]) is torch.nn.Conv2d
    with pytest.raises(NotImplementedError, match="LazyConv2d"):
        fpdet.convert(torch.nn.LazyConv2d(1, 1), EXACT)
    with pytest.raises(TypeError, match="model"):
        fpdet.convert("net", EXACT)
    with pytest.raises(TypeError, match="arithmetic"):
        fpdet.convert(net, 3)


def test_repr_names_the_arithmetic():
    assert "arithmetic='nearest_even exact'" in repr(nn.Conv2d(1, 1, 1, arithmetic=EXACT))
    assert repr(nn.Conv2d(1, 1, 1)) == repr(torch.nn.Conv2d(1, 1, 1))
