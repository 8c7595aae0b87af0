"""What becomes of a torch function inside ``with fpdet.arithmetic(...)``.

COVERED     fpdet's op in its place
EXACT       torch's own: it moves or compares values, and so does its derivative
EXACT_HERE  torch's own where no gradient is asked for; its derivative would add
ENGINE      runs autograd, whose additions the lower mode replaces

Everything else is uncovered, unless no operand is a floating-point tensor. Names are those of torch.overrides: one name
covers a function, the Tensor method and the operator alike.
"""

import builtins
import math
from functools import lru_cache
from types import FunctionType

import torch
from torch.nn import init
from torch.overrides import get_testing_overrides, resolve_name

from fpdet import _check, _ops, _padding, ops, random
from fpdet._context import ACCUMULATE
from fpdet.nn import functional as F

EXACT = frozenset(
    """
    __get__ __set__ __delete__ __len__ __repr__ __format__ __hash__ __contains__ __deepcopy__ __reduce_ex__
    __dir__ __setitem__ __bool__ __int__ __float__ __index__ __array__ __iter__ __setstate__ __reversed__
    __dlpack__ __dlpack_device__ __complex__ __nonzero__ __long__ __eq__ __ne__ __lt__ __le__ __gt__ __ge__ eq
    ne lt le gt ge equal isnan isinf isfinite isclose allclose is_nonzero isneginf isposinf isreal isin
    not_equal greater greater_equal less less_equal signbit __and__ __or__ __xor__ __invert__ logical_and
    logical_or logical_not logical_xor bitwise_and bitwise_or bitwise_not any all view view_as reshape
    reshape_as flatten unflatten ravel permute transpose transpose_ t t_ T movedim moveaxis swapaxes swapdims
    squeeze squeeze_ unsqueeze unsqueeze_ contiguous clone detach detach_ alias select narrow split
    split_with_sizes chunk tensor_split hsplit vsplit dsplit unbind cat concat concatenate stack hstack vstack
    dstack column_stack row_stack flip fliplr flipud rot90 roll tril triu tril_ triu_ diagonal diag diag_embed
    atleast_1d atleast_2d atleast_3d pixel_shuffle pixel_unshuffle channel_shuffle broadcast_shapes adjoint mT
    mH H positive neg neg_ negative abs abs_ absolute sign sgn sign_ floor ceil trunc round fix floor_ ceil_
    round_ trunc_ relu relu_ relu6 hardtanh hardtanh_ threshold threshold_ clamp clamp_ clip clip_ clamp_min
    clamp_max clamp_min_ clamp_max_ where masked_fill masked_fill_ masked_select sort argsort topk kthvalue
    argmax argmin msort max_unpool2d nonzero zeros ones empty full zeros_like ones_like empty_like full_like
    new_zeros new_ones new_empty new_full new_tensor tensor as_tensor asarray from_numpy scalar_tensor arange
    eye fill_ zero_ one_hot empty_strided zeros_ ones_ constant_ eye_ size dim ndimension numel nelement stride
    storage_offset element_size data_ptr is_contiguous is_floating_point is_complex is_signed is_same_size
    is_inference is_shared is_pinned is_set_to get_device type_as untyped_storage storage has_names item tolist
    numpy cpu pin_memory share_memory_ requires_grad_ retain_grad register_hook
    register_post_accumulate_grad_hook as_subclass set_ apply_ map_ is_tensor is_storage result_type can_cast
    is_coalesced dense_dim sparse_dim names _backward_hooks grad _version is_leaf broadcast_tensors_shapes
    numpy_T __torch_dispatch__ _is_view resolve_conj resolve_neg conj real
    """.split()
)
ASKING = frozenset(  # of EXACT, those that only ask about a tensor
    """
    __get__ __set__ __delete__ __len__ __repr__ __format__ __hash__ __dir__ __setstate__ __reduce_ex__ size dim
    ndimension numel nelement stride storage_offset element_size data_ptr is_contiguous is_floating_point is_complex
    is_signed is_same_size is_inference is_shared is_pinned is_set_to get_device untyped_storage storage has_names
    register_hook
    requires_grad_ retain_grad is_tensor is_storage result_type can_cast names grad is_leaf zeros_like ones_like
    empty_like
    """.split()
)
EXACT_HERE = frozenset(
    """
    max min amax amin maximum minimum fmax fmin cummax cummin aminmax median mode unique expand_copy nan_to_num
    as_strided bincount histc
    """.split()
)
ENGINE = frozenset(["backward", "grad"])

_PROPERTY = type(torch.Tensor.shape.__get__)
_COVERED = {}


def covered(*names):
    """Register an adapter (context, *torch's arguments) for torch's functions of these names."""

    def register(adapter):
        for name in names:
            _COVERED[name] = adapter
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
covered("rsub")(_COVERED["__rsub__"])


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


@covered("dropout", "dropout1d")
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


@covered("expand", "broadcast_to", "expand_as", "view_as_expanded")
def _expand(context, input, *shape):
    if len(shape) == 1 and not isinstance(shape[0], int):
        shape = tuple(shape[0].shape) if isinstance(shape[0], torch.Tensor) else tuple(shape[0])
    ahead = len(shape) - input.dim()
    sizes = [n if n != -1 else input.shape[i - ahead] for i, n in enumerate(shape)]
    return ops.broadcast_to(input, sizes, **context.keywords())


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
        places = torch.arange(input.numel()).reshape(input.shape)
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


def _conversion(name):
    def adapter(context, input, *args, **kwargs):
        if name == "copy_":
            source = args[0]
            if source.is_floating_point():
                args = (_rounded(context, source, input.dtype), *args[1:])
            return torch.Tensor.copy_(input, *args, **kwargs)
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
    from fpdet import _programs, _stream

    arithmetic, stream = context.value, context.stream
    format, rounding = _programs._conversion(_ops.arithmetic_of_pass(arithmetic.text, _ops.FORWARD), dtype)
    draw = _stream.draw_from(stream, arithmetic.draws)
    return _ops.ops.round.default(x, format, rounding, draw, 0)


for _name in ("to", "type", "float", "double", "half", "bfloat16", "copy_"):
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


def _drawn(draw):
    def fresh(context, *size, generator=None, dtype=None, requires_grad=False, **options):
        options.pop("layout", None), options.pop("device", None), options.pop("pin_memory", None)
        size = options.pop("size", None) or _shape(size)
        dtype = dtype or torch.get_default_dtype()
        return draw(size, dtype=dtype, generator=_generator(context, generator)).requires_grad_(requires_grad)

    def like(context, input, *, dtype=None, requires_grad=False, **options):
        return draw(input.shape, dtype=dtype or input.dtype, generator=_generator(context)).requires_grad_(
            requires_grad
        )

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
    return _fill(input, random.uniform(input.shape, a, b, dtype=input.dtype, generator=_generator(context, generator)))


@covered("normal_")
def _normal_(context, input, mean=0.0, std=1.0, *, generator=None):
    return _fill(
        input, random.normal(input.shape, mean, std, dtype=input.dtype, generator=_generator(context, generator))
    )


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
    return _fill(input, random.integers(input.shape, low or 0, high, generator=_generator(context, generator)))


@covered("randint")
def _randint(context, low, high=None, size=None, *, generator=None, dtype=torch.int64, **options):
    if not isinstance(high, int):  # randint(high, size)
        low, high, size = 0, low, high if size is None else size
    return random.integers(tuple(size), low, high, dtype=dtype or torch.int64, generator=_generator(context, generator))


@covered("randperm")
def _randperm(context, n, *, generator=None, dtype=torch.int64, **options):
    return random.permutation(n, dtype=dtype or torch.int64, generator=_generator(context, generator))


@covered("bernoulli")
def _bernoulli(context, input, p=None, *, generator=None):
    chosen = input if p is None else torch.full_like(input, p)
    return random.bernoulli(chosen, generator=_generator(context, generator))


@covered("bernoulli_")
def _bernoulli_(context, input, p=0.5, *, generator=None):
    chosen = p.expand(input.shape) if isinstance(p, torch.Tensor) else torch.full(input.shape, float(p))
    return _fill(input, random.bernoulli(chosen, generator=_generator(context, generator)))


# The upper mode.

# Functions of module torch whose arguments are not those of torch.nn.functional's of that name, which call them.
_OTHER_ARGUMENTS = (
    "embedding",
    "batch_norm",
    "layer_norm",
    "group_norm",
    "instance_norm",
    "binary_cross_entropy_with_logits",
)


def _index():
    """torch function -> (kind, adapter, name)."""
    found = {}
    for function in get_testing_overrides():
        name = function.__name__
        if type(function) is _PROPERTY:  # `call` knows them; and the compiler could not read the table
            continue
        if name in _COVERED:
            found[function] = ("covered", _COVERED[name], name)
        elif name in EXACT or name.startswith("is_"):
            found[function] = ("exact", None, name)
        elif name in EXACT_HERE:
            found[function] = ("exact here", None, name)
        elif name in ENGINE:
            found[function] = ("engine", None, name)
    return found


@lru_cache(maxsize=1)
def table():
    """torch function -> (kind, adapter, name), of all functions that torch lets a mode see."""
    found = _index()
    questions = {name for name in dir(torch.Tensor) if name.startswith("is_")}
    for name in sorted(EXACT | EXACT_HERE | questions):  # some methods are not in torch's list
        function = getattr(torch.Tensor, name, None)
        if callable(function) and type(function) is not _PROPERTY:
            found.setdefault(function, ("exact here" if name in EXACT_HERE else "exact", None, name))
    for name in _OTHER_ARGUMENTS:
        found.pop(getattr(torch, name), None)
    for module in (torch, torch.Tensor):
        for name in sorted(RANDOM):
            if hasattr(module, name):
                found[getattr(module, name)] = ("covered", _COVERED[name], name)
    for name in ("uniform_", "normal_", "kaiming_uniform_", "kaiming_normal_"):
        found[getattr(init, name)] = ("covered", _COVERED[f"init.{name}"], name)
    for function in (torch.autograd.backward, torch.autograd.grad):
        found[function] = ("engine", None, function.__name__)
    for name in ("constant_", "ones_", "zeros_", "eye_"):
        found[getattr(init, name)] = ("exact", None, name)
    for name in (
        "zeros",
        "ones",
        "empty",
        "full",
        "tensor",
        "arange",
        "eye",
        "as_tensor",
        "from_numpy",
        "scalar_tensor",
    ):
        found[getattr(torch, name)] = ("exact", None, name)
    return found


TABLE = table()
MISSING = ("missing", None, None)


def floats(values):
    """Whether a floating-point tensor is among the values, or in lists of theirs."""
    for value in values:
        if isinstance(value, torch.Tensor):
            if value.is_floating_point() or value.is_complex():
                return True
        elif isinstance(value, list | tuple) and floats(value):
            return True
    return False


def _wants_gradient(values):
    for value in values:
        if isinstance(value, torch.Tensor):
            if value.requires_grad:
                return True
        elif isinstance(value, list | tuple) and _wants_gradient(value):
            return True
    return False


def call(context, function, args, kwargs):
    """A torch function, inside the context."""
    if type(function) is _PROPERTY or isinstance(function, torch._ops.OpOverload):
        return function(*args, **kwargs)  # the compiler cannot look up the one; the lower mode judges the other
    kind, adapter, name = TABLE.get(function, MISSING)
    if kind == "engine":
        return _engine(context, function, args, kwargs)
    if kind == "covered" and (name in RANDOM or floats(args) or floats(kwargs.values())):
        with torch._C.DisableTorchFunction(), trusted(context):
            return adapter(context, *args, **kwargs)
    if kind in ("exact", "covered"):
        with trusted(context):
            return function(*args, **kwargs)
    gradient = torch.is_grad_enabled() and _wants_gradient((*args, *kwargs.values()))
    arithmetic_free = not (floats(args) or floats(kwargs.values()))
    if not arithmetic_free and not (kind == "exact here" and not gradient):
        context.uncovered(name_of(function))
    with trusted(context):
        return function(*args, **kwargs)


def _without_check(function):
    """The same function of torch.autograd, which does not ask modes again."""
    names = {**function.__globals__, "has_torch_function": lambda arguments: False}
    return FunctionType(function.__code__, names, function.__name__, function.__defaults__, function.__closure__)


_RUN = {f: _without_check(f) for f in (torch.autograd.backward, torch.autograd.grad)}


def _engine(context, function, args, kwargs):
    """Autograd runs inside the upper mode, so that what it recomputes (torch.utils.checkpoint) is fpdet's again."""
    if torch.compiler.is_compiling() or (function not in _RUN and function is not torch.Tensor.backward):
        return function(*args, **kwargs)
    with context.again():
        if function in _RUN:
            return _RUN[function](*args, **kwargs)
        return _tensor_backward(*args, **kwargs)


def _tensor_backward(tensor, gradient=None, retain_graph=None, create_graph=False, inputs=None):
    _RUN[torch.autograd.backward](tensor, gradient, retain_graph, create_graph, inputs=inputs)


def name_of(function):
    known = resolve_name(function)
    return known or ".".join(
        (getattr(function, "__module__", None) or "torch", getattr(function, "__name__", str(function)))
    )


class trusted:
    """While the upper mode answers for what is called, the lower one lets it pass."""

    def __init__(self, context):
        self.context = context

    def __enter__(self):
        self.context._trusted += 1

    def __exit__(self, *error):
        self.context._trusted -= 1


# The lower mode.

BELOW = frozenset(
    """
    view _unsafe_view reshape detach detach_ alias clone copy_ _to_copy expand permute t transpose unsqueeze
    squeeze select slice select_backward slice_backward split split_with_sizes unbind stack cat neg abs relu
    relu_ threshold_backward where masked_fill masked_fill_ zeros_like ones_like full_like empty_like new_zeros
    new_ones new_empty new_full new_empty_strided empty empty_strided zeros ones full fill_ zero_ scalar_tensor
    lift_fresh lift_fresh_copy is_same_size copy fill zero eq ne lt le gt ge isnan isinf isfinite equal
    _local_scalar_dense amax amin max min argmax argmin maximum minimum clamp clamp_min clamp_max sign sgn sort
    topk gather scatter index index_select flip roll constant_pad_nd tril triu diagonal diagonal_backward
    as_strided as_strided_ unfold repeat value_selecting_reduction_backward hardtanh_backward hardtanh set_
    resize_ record_stream view_as_real hardtanh_ threshold any all nonzero max_pool2d_with_indices ceil floor
    round trunc
    """.split()
)


def below(context, op, args, kwargs):
    """An op that arrives below autograd."""
    if context._trusted or op.namespace != "aten" or _is_compiling(args):
        return op(*args, **kwargs)
    name = op.overloadpacket.__name__
    known = (
        name in BELOW or name.removesuffix("_copy").removesuffix("_scatter") in BELOW
    )  # so compiled graphs call views
    if name in ("add", "add_") and _addition(args, kwargs):
        total = _accumulated(context, *args)
        return total if name == "add" else args[0].copy_(total)
    if not known and (floats(args) or floats(kwargs.values())):
        context.uncovered(f"{op}, called below autograd,")
    return op(*args, **kwargs)


def _is_compiling(args):
    return torch.compiler.is_compiling() or torch._C._get_dispatch_mode(torch._C._TorchDispatchModeKey.FAKE) is not None


def _addition(args, kwargs):
    """Two tensors of one shape and dtype that fpdet adds, by factor 1."""
    if kwargs.get("alpha", 1) != 1 or len(args) != 2:
        return False
    a, b = args
    return (
        isinstance(a, torch.Tensor)
        and isinstance(b, torch.Tensor)
        and a.dtype in _check.DTYPES
        and a.dtype == b.dtype
        and a.shape == b.shape
        and a.device.type == "cpu"
    )


def _accumulated(context, a, b):
    from fpdet import _stream

    arithmetic = context.value
    text = _ops.arithmetic_of_pass(arithmetic.text, _ops.GRAD_INPUT)
    draw = _stream.stream_advance(context.stream) if arithmetic.draws else None
    return _ops.ops.add.default(a, b, text, draw, ACCUMULATE)
