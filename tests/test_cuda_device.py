"""On a GPU: bits, streams, graphs, layouts, errors. All skip where there is none."""

import pytest
import torch

import fpdet
import fpdet._library
from fpdet import _stream
from fpdet.conformance import matrix, runner

OPS = torch.ops.fpdet
pytestmark = pytest.mark.skipif(
    not torch.cuda.is_available() or OPS.cuda_architectures() == "", reason="no GPU, or built without CUDA kernels"
)
WORDS = "nearest_even blocked(16) auto fused"
GEOMETRY = ([1, 1], [1, 1], [1, 1], 1)


def forward(x, w, words=WORDS, draw=None, bias=None):
    return OPS.convolution(x, w, bias, *GEOMETRY, list(x.shape[2:]), words, draw, 0, 0)


@pytest.fixture(scope="module")
def operands():
    generator = torch.Generator().manual_seed(0)
    return torch.randn(3, 70, 19, 18, generator=generator), torch.randn(65, 70, 3, 3, generator=generator)


@pytest.mark.parametrize("number", range(10))
def test_a_tenth_of_the_conformance_cases(number):
    expected = runner.golden()
    wrong = [c.name for c in matrix.cases()[number::50] if runner.run(c, torch.device("cuda")) != expected[c.name]]
    assert not wrong


def test_layouts_and_expanded_operands(operands):
    x, w = operands
    y = forward(x, w)
    dense = forward(x.cuda().to(memory_format=torch.channels_last), w.cuda())
    gaps = torch.empty(3, 70, 19, 40, device="cuda")[..., ::2][..., :18].copy_(x)
    assert torch.equal(dense.cpu(), y) and torch.equal(forward(gaps, w.cuda()).cpu(), y)
    wide = x[:, :1].expand(-1, 70, -1, -1)
    assert torch.equal(forward(wide.cuda()[:, :1].expand(-1, 70, -1, -1), w.cuda()).cpu(), forward(wide, w))


def test_another_stream(operands):
    x, w = (t.cuda() for t in operands)
    torch.cuda.synchronize()
    stream = torch.cuda.Stream()
    with torch.cuda.stream(stream):
        torch.cuda._sleep(50_000_000)
        x = x + 1  # on the stream: another stream's kernel would read it too early
        y = forward(x, w)
    stream.synchronize()
    assert torch.equal(y.cpu(), forward(operands[0] + 1, operands[1]))


@pytest.mark.parametrize("words", [WORDS, "nearest_even exact", "upward shuffled(3,vary=call) auto fused"])
def test_graph_capture_and_replay(operands, words):
    x, w = (t.cuda() for t in operands)
    stream = _stream.new(5).cuda()

    def call():
        return forward(x, w, words, _stream.stream_advance(stream))

    side = torch.cuda.Stream()
    with torch.cuda.stream(side):
        call()
    side.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        y = call()
    for counter in (1, 2):
        graph.replay()
        assert torch.equal(y.cpu(), forward(*operands, words, torch.tensor([5, counter])))


def test_graph_replays_draw_new_random_bits(operands):
    x, w = (t.cuda() for t in operands)
    words, stream = "stochastic sequential auto fused", _stream.new(5).cuda()
    graph = torch.cuda.CUDAGraph()
    forward(x, w, words, stream.clone())
    with torch.cuda.graph(graph):
        y = forward(x[:1, :4], w[:2, :4], words, _stream.stream_advance(stream))
    for counter in (0, 1):
        graph.replay()
        x1, w1 = operands[0][:1, :4], operands[1][:2, :4]
        assert torch.equal(y.cpu(), forward(x1, w1, words, torch.tensor([5, counter])))


@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="one GPU")
def test_a_device_that_is_not_the_current_one(operands):
    x, w = (t.to("cuda:1") for t in operands)
    with torch.cuda.device(0):
        y = forward(x, w)
        assert torch.cuda.current_device() == 0
    assert y.device.index == 1 and torch.equal(y.cpu(), forward(*operands))


def test_nothing_waits_for_the_device(operands):
    x, w = (t.cuda() for t in operands)
    forward(x, w)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.cuda, "synchronize", lambda *_: pytest.fail("synchronised"))
        torch.cuda.set_sync_debug_mode("error")
        try:
            for words in (WORDS, "nearest_even exact", "nearest_even pairwise auto fused"):
                forward(x, w, words)
        finally:
            torch.cuda.set_sync_debug_mode("default")


def test_mixed_devices_raise(operands):
    x, w = operands
    for a, b in ((x.cuda(), w), (x, w.cuda())):
        with pytest.raises(RuntimeError, match="device"):
            fpdet.nn.functional.conv2d(a, b, padding=1, arithmetic=WORDS)


def test_out_of_memory_is_an_error_and_leaves_no_trace(operands):
    x, w = operands
    most = torch.cuda.get_device_properties(0).total_memory
    small = torch.ones(1, 1, 1, 1, device="cuda")
    with pytest.raises(RuntimeError, match="out of memory"):
        size = [1 + most // 4, 1]
        OPS.convolution(small, small, None, [1, 1], [most // 8, 0], [1, 1], 1, size, WORDS, None, 0, 0)
    torch.cuda.synchronize()  # a sticky error would be thrown here
    assert torch.equal(forward(x.cuda(), w.cuda()).cpu(), forward(x, w))


def test_more_than_2_to_31_elements():
    count = 2**31 + 1027
    if torch.cuda.mem_get_info()[0] < 5 * count:
        pytest.skip("not enough memory")
    x = torch.zeros(1, count, device="cuda", dtype=torch.bfloat16)
    x[0, -5:] = torch.tensor([1.0, 3.0, 1.0078125, -2.0, 448.0])
    y = OPS.round(x, "float8_e5m2", "upward", None, 0)
    assert y[0, -5:].tolist() == [1.0, 3.0, 1.25, -2.0, 448.0] and not y[0, :-5].any()


def test_training_step_on_the_gpu_equals_the_cpus(operands):
    def trained(device):
        torch.manual_seed(0)
        layers = [torch.nn.Conv2d(3, 20, 3, padding=1), torch.nn.Conv2d(20, 20, 3, stride=2)]
        model = torch.nn.Sequential(*layers).to(device)
        fpdet.convert(model, fpdet.Arithmetic("toward_zero", "blocked(32)"))
        optimizer = fpdet.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, arithmetic="upward sequential")
        for i in range(3):
            x = torch.linspace(-1, 1, 2 * 3 * 12 * 12).reshape(2, 3, 12, 12).to(device) * (i + 1)
            y = model(x)
            y.backward(torch.ones_like(y))
            optimizer.step()
            optimizer.zero_grad()
        return fpdet.digest(model)

    assert trained("cuda") == trained("cpu")


INDEXING = {
    "adaptive_avg_pool2d": lambda x: fpdet.nn.functional.adaptive_avg_pool2d(x, (2, 3), arithmetic=WORDS),
    "max_pool2d": lambda x: fpdet.nn.functional.max_pool2d(x, 3, 2, 1, arithmetic=WORDS),
    "nearest": lambda x: fpdet.nn.functional.interpolate(x, scale_factor=2, arithmetic=WORDS),
    "bilinear": lambda x: fpdet.nn.functional.interpolate(x, size=(5, 7), mode="bilinear", arithmetic=WORDS),
    "getitem": lambda x: fpdet.ops.getitem(x, ([0, 2, 0], slice(None), [1, 1, 1]), arithmetic=WORDS),
    "index_select": lambda x: fpdet.ops.index_select(x, 1, torch.tensor([3, 3, 0], device=x.device), arithmetic=WORDS),
    "index_add": lambda x: fpdet.ops.index_add(x, 0, torch.tensor([1, 1], device=x.device), x[:2], arithmetic=WORDS),
    "reflect": lambda x: fpdet.nn.Conv2d(4, 3, 3, padding=2, padding_mode="reflect", arithmetic=WORDS).to(x)(x),
}


@pytest.mark.parametrize("name", INDEXING)
def test_indices_and_the_sums_of_their_gradients(name):
    def results(device):
        torch.manual_seed(1)
        x = torch.randn(3, 4, 9, 8).to(device).requires_grad_()
        y = INDEXING[name](x)
        y.backward(torch.linspace(-1, 1, y.numel()).to(device).reshape(y.shape))
        return fpdet.digest([y.detach(), x.grad])

    assert results("cuda") == results("cpu")


def test_random_numbers_on_the_gpu():
    def drawn(device):
        generator = fpdet.random.Generator(3)
        uniform = fpdet.random.uniform((5, 7), generator=generator, device=device)
        normal = fpdet.random.normal((5, 7), generator=generator, device=device)
        order = fpdet.random.permutation(31, generator=generator, device=device)
        assert {uniform.device.type, normal.device.type, order.device.type} == {device}
        return fpdet.digest([uniform, normal, order])

    assert drawn("cuda") == drawn("cpu")
