"""What fpdet calls in the place of torch's functions inside ``with fpdet.arithmetic(...)``.

An adapter takes the context and torch's arguments. It is registered by name (torch.overrides' names: one covers a
function, the Tensor method and the operator), those of torch.nn.init as "init.NAME".
"""

import builtins
import math

import torch
from torch.nn import init

from fpdet import _ops, _padding, _programs, _stream, ops, random
from fpdet.nn import functional as F

COVERED = {}


def covered(*names):
    """Register an adapter (context, *torch's arguments) for torch's functions of these names."""

    def register(adapter):
        for name in names:
            COVERED[name] = adapter
        return adapter

    return register


def _promoted(a, b):
    """Two operands, at least one of them a floating-point tensor, in torch's common dtype; numbers as they are."""
    if not isinstance(b, torch.Tensor) or not isinstance(a, torch.Tensor) or a.dtype == b.dtype:
        return a, b
    if not b.is_floating_point() or (a.is_floating_point() and b.dim() == 0 and a.dim() > 0):
        dtype = a.dtype
    elif not a.is_floating_point() or (a.dim() == 0 and b.dim() > 0):
        dtype = b.dtype
    else:
        dtype = torch.promote_types(a.dtype, b.dtype)
    return a.to(dtype), b.to(dtype)


def _elementwise(name, function):
    def forward(context, a, b, *, alpha=1, out=None, **options):
        a, b = _promoted(a, b)
        if alpha != 1:
            options["alpha"] = alpha
        return _into(out, function(a, b, **options, **context.keywords()))

    def reflected(context, a, b, *, alpha=1):
        return forward(context, b, a, alpha=alpha)

    def in_place(context, a, b, **options):
        return a.copy_(forward(context, a, b, **options))

    return forward, reflected, in_place


def _into(out, y):
    return y if out is None else out.copy_(y)


for _name, _aliases in (
    ("add", ("add", "__add__")),
    ("sub", ("sub", "subtract", "__sub__")),
    ("mul", ("mul", "multiply", "__mul__")),
    ("div", ("div", "divide", "true_divide", "__truediv__", "__div__")),
):
    _forward, _reflected, _in_place = _elementwise(_name, getattr(ops, _name))
    covered(*_aliases)(_forward)
    covered(*(f"__r{alias[2:]}" for alias in _aliases if alias.startswith("__")))(_reflected)
    covered(*(f"__i{alias[2:]}" for alias in _aliases if alias.startswith("__")))(_in_place)
    covered(*(f"{alias}_" for alias in _aliases if not alias.startswith("__")))(_in_place)
covered("rsub")(COVERED["__rsub__"])


def _plain(function):
    """An fpdet function that takes torch's arguments as they are."""

    def adapter(context, *args, **kwargs):
        out = kwargs.pop("out", None)
        return _into(out, function(*args, **kwargs, **context.keywords()))

    return adapter


def _plain_in_place(function):
    def adapter(context, input, *args, **kwargs):
        return input.copy_(function(input, *args, **kwargs, **context.keywords()))

    return adapter


for _name in (*ops.NAMES_OF_FUNCTIONS, "pow", "lerp", "index_add", "scatter_add", "addmm", "baddbmm"):
    covered(_name)(_plain(getattr(ops, _name)))
    covered(f"{_name}_")(_plain_in_place(getattr(ops, _name)))
covered("__pow__")(_plain(ops.pow))
covered("__ipow__")(_plain_in_place(ops.pow))
for _name in "matmul mm bmm mv dot sum mean var std logsumexp gather index_select".split():
    covered(_name)(_plain(getattr(ops, _name)))
covered("__matmul__")(_plain(ops.matmul))
covered("__rmatmul__")(lambda context, a, b: ops.matmul(b, a, **context.keywords()))
covered("special_expm1")(_plain(ops.expm1))
for _name in F.__all__:
    if _name not in ("dropout", "scaled_dot_product_attention", "multi_head_attention_forward"):
        covered(_name)(_plain(getattr(F, _name)))


def _with_indices(pool):
    def adapter(context, *args, **kwargs):
        return pool(*args, **{**kwargs, "return_indices": True}, **context.keywords())

    return adapter


for _name in ("max_pool1d", "max_pool2d", "max_pool3d", "adaptive_max_pool2d"):
    covered(f"{_name}_with_indices")(_with_indices(getattr(F, _name)))


@covered("dropout")
def _dropout(context, input, p=0.5, training=True, inplace=False):
    if not training or p == 0:
        return input
    generator = _generator(context)
    return F.dropout(input, p, training, inplace, generator=generator, **context.keywords())


@covered("scaled_dot_product_attention")
def _dot_product_attention(context, *args, **kwargs):
    return F.scaled_dot_product_attention(*args, generator=context.generator, **kwargs, **context.keywords())


@covered("multi_head_attention_forward")
def _multi_head_attention(context, *args, **kwargs):
    return F.multi_head_attention_forward(*args, generator=context.generator, **kwargs, **context.keywords())


def _along(function):
    """torch.softmax's third argument is the dtype, torch.nn.functional.softmax's is not."""

    def adapter(context, input, dim=None, third=None, dtype=None, _stacklevel=3):
        dtype = third if isinstance(third, torch.dtype) else dtype
        return function(input, dim, dtype=dtype, **context.keywords())

    return adapter


covered("softmax")(_along(F.softmax))
covered("log_softmax")(_along(F.log_softmax))


@covered("pad")
def _pad(context, input, pad, mode="constant", value=None):
    if mode == "constant":
        return torch.nn.functional.pad(input, pad, mode, value)
    return _padding.padded(input, list(pad), mode, context.value)


# Copies: torch says which element goes where, the gradients of copies are summed.


@covered("expand", "broadcast_to", "expand_as")
def _expand(context, input, *shape):
    if len(shape) == 1 and not isinstance(shape[0], int):
        shape = tuple(shape[0].shape) if isinstance(shape[0], torch.Tensor) else tuple(shape[0])
    ahead = len(shape) - input.dim()
    sizes = [n if n != -1 else input.shape[i - ahead] for i, n in enumerate(shape)]
    return ops.broadcast_to(input, sizes, **context.keywords())


@covered("where")
def _where(context, condition, *branches):
    """Branches that are tensors, broadcast before: their gradients are sums."""
    if not branches:
        return torch.where(condition)
    shape = torch.broadcast_shapes(condition.shape, *(b.shape for b in branches if isinstance(b, torch.Tensor)))
    wide = [
        ops.broadcast_to(b, shape, **context.keywords()) if isinstance(b, torch.Tensor) and b.requires_grad else b
        for b in branches
    ]
    return torch.where(condition, *wide)


@covered("broadcast_tensors")
def _broadcast_tensors(context, *tensors):
    if len(tensors) == 1 and isinstance(tensors[0], list | tuple):
        tensors = tensors[0]
    shape = torch.broadcast_shapes(*(t.shape for t in tensors))
    return tuple(ops.broadcast_to(t, shape, **context.keywords()) for t in tensors)


def _copies(name):
    def adapter(context, input, *args, **kwargs):
        if not (input.requires_grad and torch.is_grad_enabled()):
            return getattr(torch.Tensor, name)(input, *args, **kwargs)
        places = torch.arange(input.numel(), device=input.device).reshape(input.shape)
        places = getattr(torch.Tensor, name)(places, *args, **kwargs)
        return ops.getitem(input.reshape(-1), places, **context.keywords())

    return adapter


for _name in ("repeat", "tile", "repeat_interleave", "unfold", "take", "take_along_dim"):
    covered(_name)(_copies(_name))


@covered("__getitem__")
def _getitem(context, input, index):
    parts = index if isinstance(index, tuple) else (index,)
    if builtins.any(isinstance(part, torch.Tensor | list) for part in parts):
        mask = builtins.any(isinstance(p, torch.Tensor) and p.dtype in (torch.bool, torch.uint8) for p in parts)
        if not (mask and len(parts) == 1):  # a mask picks each element once: exact
            return ops.getitem(input, index, **context.keywords())
    return input[index]


# Conversions round by the context's rounding.


@covered("copy_")
def _copy_(context, input, source, non_blocking=False):
    if source.is_floating_point():
        source = ops.broadcast_to(_rounded(context, source, input.dtype), input.shape, **context.keywords())
    return input.copy_(source, non_blocking)


def _conversion(name):
    def adapter(context, input, *args, **kwargs):
        dtype = {
            "half": torch.float16,
            "bfloat16": torch.bfloat16,
            "float": torch.float32,
            "double": torch.float64,
        }.get(name)
        for value in (*args, *kwargs.values()):
            if isinstance(value, torch.dtype):
                dtype = value
            elif isinstance(value, torch.Tensor):
                dtype = value.dtype
        if dtype is not None and dtype.is_floating_point and input.is_floating_point():
            input = _rounded(context, input, dtype)
        return getattr(torch.Tensor, name)(input, *args, **kwargs)

    return adapter


_HOLDS = {  # dtype -> those whose every value it holds
    torch.float64: (torch.float64, torch.float32, torch.bfloat16, torch.float16),
    torch.float32: (torch.float32, torch.bfloat16, torch.float16),
    torch.bfloat16: (torch.bfloat16,),
    torch.float16: (torch.float16,),
}


def _rounded(context, x, dtype):
    """x, rounded so that conversion to dtype is exact."""
    if x.dtype in _HOLDS.get(dtype, ()) or dtype not in _HOLDS or x.dtype not in _HOLDS:
        return x
    arithmetic, stream = context.value, context.stream
    format, rounding = _programs._conversion(_ops.arithmetic_of_pass(arithmetic.text, _ops.FORWARD), dtype)
    draw = _stream.draw_from(stream, arithmetic.draws)
    return _ops.ops.round.default(x, format, rounding, draw, 0)


for _name in ("to", "type", "float", "double", "half", "bfloat16", "type_as"):
    covered(_name)(_conversion(_name))


# Drawn from the context's counter-based generator. A generator that is named gives its seed.

RANDOM = frozenset(
    "rand randn rand_like randn_like randint randperm bernoulli bernoulli_ uniform_ normal_ random_".split()
)


def _generator(context, named=None):
    if isinstance(named, torch.Generator):
        known = context._generators.get(id(named))
        if known is None or known[0] is not named or known[1] != named.initial_seed():
            known = (named, named.initial_seed(), random.Generator(named.initial_seed() % 2**64))
            context._generators[id(named)] = known
        return known[2]
    if context.generator is None:
        raise RuntimeError(
            "generator: inside fpdet.arithmetic() without seed= nothing is drawn but roundings; "
            "expected fpdet.arithmetic(..., seed=...)"
        )
    return context.generator


def _shape(size):
    return tuple(size[0]) if len(size) == 1 and not isinstance(size[0], int) else size


def _device(options):
    """The one that a factory of torch was told, or its default."""
    return options.get("device") or torch.get_default_device()


def _drawn(draw):
    def fresh(context, *size, generator=None, dtype=None, requires_grad=False, **options):
        size = options.pop("size", None) or _shape(size)
        where = {"dtype": dtype or torch.get_default_dtype(), "device": _device(options)}
        return draw(size, generator=_generator(context, generator), **where).requires_grad_(requires_grad)

    def like(context, input, *, dtype=None, requires_grad=False, **options):
        where = {"dtype": dtype or input.dtype, "device": options.get("device") or input.device}
        return draw(input.shape, generator=_generator(context), **where).requires_grad_(requires_grad)

    return fresh, like


for _name, _draw in (("rand", random.uniform), ("randn", random.normal)):
    _fresh, _like = _drawn(_draw)
    covered(_name)(_fresh)
    covered(f"{_name}_like")(_like)


def _fill(tensor, values):
    with torch.no_grad():
        return tensor.copy_(values)


@covered("uniform_")
def _uniform_(context, input, a=0.0, b=1.0, *, generator=None, **named):
    a, b = named.get("from", a), named.get("to", b)
    where = {"dtype": input.dtype, "device": input.device}
    return _fill(input, random.uniform(input.shape, a, b, generator=_generator(context, generator), **where))


@covered("normal_")
def _normal_(context, input, mean=0.0, std=1.0, *, generator=None):
    where = {"dtype": input.dtype, "device": input.device}
    return _fill(input, random.normal(input.shape, mean, std, generator=_generator(context, generator), **where))


def _kaiming_std(tensor, a, mode, nonlinearity):
    """As torch.nn.init (He et al., arXiv:1502.01852), in float64."""
    return init.calculate_gain(nonlinearity, a) / math.sqrt(init._calculate_correct_fan(tensor, mode))


@covered("init.kaiming_uniform_")
def _kaiming_uniform_(context, tensor, a=0, mode="fan_in", nonlinearity="leaky_relu", generator=None):
    bound = math.sqrt(3.0) * _kaiming_std(tensor, a, mode, nonlinearity)
    return _uniform_(context, tensor, -bound, bound, generator=generator)


@covered("init.kaiming_normal_")
def _kaiming_normal_(context, tensor, a=0, mode="fan_in", nonlinearity="leaky_relu", generator=None):
    return _normal_(context, tensor, 0.0, _kaiming_std(tensor, a, mode, nonlinearity), generator=generator)


@covered("init.uniform_")
def _init_uniform_(context, tensor, a=0.0, b=1.0, generator=None):
    return _uniform_(context, tensor, a, b, generator=generator)


@covered("init.normal_")
def _init_normal_(context, tensor, mean=0.0, std=1.0, generator=None):
    return _normal_(context, tensor, mean, std, generator=generator)


@covered("random_")
def _random_(context, input, low=None, high=None, *, generator=None, **named):
    low, high = named.get("from", low), named.get("to", high)
    if high is None:
        low, high = (0, low) if low is not None else (0, 2**32 if input.dtype == torch.int64 else 2**24)
    draws = {"generator": _generator(context, generator), "device": input.device}
    return _fill(input, random.integers(input.shape, low or 0, high, **draws))


@covered("randint")
def _randint(context, low, high=None, size=None, *, generator=None, dtype=torch.int64, **options):
    if not isinstance(high, int):  # randint(high, size)
        low, high, size = 0, low, high if size is None else size
    where = {"dtype": dtype or torch.int64, "device": _device(options)}
    return random.integers(tuple(size), low, high, generator=_generator(context, generator), **where)


@covered("randperm")
def _randperm(context, n, *, generator=None, dtype=torch.int64, **options):
    where = {"dtype": dtype or torch.int64, "device": _device(options)}
    return random.permutation(n, generator=_generator(context, generator), **where)


@covered("bernoulli")
def _bernoulli(context, input, p=None, *, generator=None):
    chosen = input if p is None else torch.full_like(input, p)
    return random.bernoulli(chosen, generator=_generator(context, generator))


@covered("bernoulli_")
def _bernoulli_(context, input, p=0.5, *, generator=None):
    chosen = p if isinstance(p, torch.Tensor) else torch.tensor(float(p), device=input.device)
    chosen = chosen.expand(input.shape)
    return _fill(input, random.bernoulli(chosen, generator=_generator(context, generator)))
