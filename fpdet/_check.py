"""Checks of tensors before any work; wrong input raises the type that torch raises."""

import torch
from torch.autograd import forward_ad

from fpdet import _library  # noqa: F401  (registers the C++ ops)

DTYPES = (torch.float64, torch.float32, torch.bfloat16, torch.float16)
DEVICES = ("cpu", "cuda", "meta")
_PLAIN, _STRIDED = frozenset(DTYPES), torch.strided
_EXACT_TYPES = {torch.Tensor, torch.nn.Parameter}


def unwatched():
    """Whether no compiler, tracer, mode or transform of torch sees the ops that are called now."""
    return not (
        torch.compiler.is_compiling()
        or torch._C._are_functorch_transforms_active()
        or torch._C._is_torch_function_mode_enabled()
        or torch._C._get_tracing_state()
    )


def plain(input, weight, bias):
    """Whether `tensors` accepts these and only eager autograd stands between them and a CPU kernel."""
    # Autocast of any device: to ask for one takes longer than all else here.
    if not unwatched() or forward_ad._current_level >= 0 or torch._C._is_any_autocast_enabled():
        return False
    if type(input) not in _EXACT_TYPES or input.dtype not in _PLAIN:
        return False
    dtype = input.dtype
    for tensor in (input, weight) if bias is None else (input, weight, bias):
        if not (type(tensor) in _EXACT_TYPES and tensor.is_cpu and tensor.layout is _STRIDED and tensor.dtype is dtype):
            return False
    return True


def has_cuda():
    """Whether this build has kernels for NVIDIA GPUs."""
    return torch.ops.fpdet.cuda_architectures() != ""


def tensors(op, **named):
    """One device and one dtype that fpdet computes in; tensors are given by argument name.

    Raises:
        TypeError: not a tensor.
        NotImplementedError: a dtype, device, layout, autocast or forward-mode AD that fpdet lacks.
        RuntimeError: dtypes or devices differ.
    """
    first_name, first = next(iter(named.items()))
    for name, tensor in named.items():
        if tensor is None and name == "bias":
            continue
        if not isinstance(tensor, torch.Tensor):
            raise TypeError(f"{op}(): {name}: expected a Tensor, got {type(tensor).__name__}")
        if tensor.dtype not in DTYPES:
            expected = ", ".join(str(dtype) for dtype in DTYPES)
            raise NotImplementedError(f"{op}(): {name}: expected one of {expected}, got {tensor.dtype}")
        if tensor.dtype != first.dtype:
            raise RuntimeError(f"{op}(): {name}: expected {first.dtype} as {first_name} has, got {tensor.dtype}")
        if tensor.device.type not in DEVICES:
            raise NotImplementedError(
                f"{op}(): {name}: expected a tensor on the CPU or a CUDA device, got one on {tensor.device}; "
                "move it with .cpu()"
            )
        if tensor.device.type == "cuda" and not has_cuda():
            raise NotImplementedError(
                f"{op}(): {name}: expected a tensor on the CPU, got one on {tensor.device}: this fpdet was built "
                "without CUDA kernels (build it where nvcc is, or with FPDET_CUDA=1 to see why not)"
            )
        if tensor.device != first.device:
            raise RuntimeError(
                f"{op}(): {name}: expected device {first.device} as {first_name} has, got {tensor.device}"
            )
        if tensor.layout != torch.strided:
            raise NotImplementedError(
                f"{op}(): {name}: expected a dense tensor, got layout {tensor.layout}; use .to_dense()"
            )
        if forward_ad._current_level >= 0 and forward_ad.unpack_dual(tensor).tangent is not None:
            raise NotImplementedError(
                f"{op}(): {name}: forward-mode AD is not supported, expected a tensor without tangent; "
                "use reverse mode (torch.autograd.grad)"
            )
    if torch.is_autocast_enabled(first.device.type if first.device.type != "meta" else "cpu"):
        raise NotImplementedError(
            f"{op}(): torch.autocast is not supported; call it under torch.autocast(..., enabled=False) "
            "with operands of the dtype you want"
        )


def nothing_unusual():
    """Neither autocast nor forward-mode AD is on: `is_plain` then says all that `tensors` would."""
    return forward_ad._current_level < 0 and not torch.is_autocast_enabled("cpu")


def is_plain(a, b):
    """Two dense CPU tensors of one dtype that fpdet computes in: a short form of `tensors` for many."""
    dtype = a.dtype
    return (
        dtype in _PLAIN and dtype is b.dtype and a.is_cpu and b.is_cpu and a.layout is _STRIDED and b.layout is _STRIDED
    )


def tuple_of_ints(op, name, value, count):
    """An int or a sequence of one or `count` ints, as a list of `count`."""
    try:
        values = [value] if isinstance(value, int) else list(value)
    except TypeError:
        values = [None]
    if isinstance(value, str) or any(isinstance(v, bool | float) or not _is_int(v) for v in values):
        raise TypeError(f"{op}(): {name}: expected an int or {count} ints, got {value!r}")
    if len(values) == 1:
        values = values * count
    if len(values) != count:
        raise RuntimeError(
            f"{op}(): {name}: expected a single integer value or a list of {count} values "
            f"to match the convolution dimensions, got {name}={values}"
        )
    return values


def _is_int(value):
    return isinstance(value, int | torch.SymInt) or hasattr(value, "__index__")


def at_least(op, name, values, low):
    """Raise RuntimeError where one of `values` is below `low`."""
    if any(value < low for value in values):
        word = {0: "non-negative", 1: "positive"}[low]
        raise RuntimeError(f"{op}(): {name}: expected {word} numbers, got {values}")


def batch_offset(op, value):
    """Return `value` if it can be the number of a first sample."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{op}(): batch_offset: expected an int, got {value!r}")
    if not 0 <= value < 2**32:
        raise ValueError(f"{op}(): batch_offset: expected an int in [0, 2^32), got {value}")
    return value


def axis(op, dim, tensor):
    """`dim` as a non-negative axis of `tensor`.

    Raises:
        TypeError: no int.
        IndexError: out of range.
    """
    if isinstance(dim, bool) or not isinstance(dim, int):
        raise TypeError(f"{op}(): dim: expected an int, got {dim!r}")
    rank = max(tensor.dim(), 1)
    if not -rank <= dim < rank:
        raise IndexError(f"Dimension out of range (expected to be in range of [{-rank}, {rank - 1}], but got {dim})")
    return dim % rank


def axes(op, dim, tensor):
    """None (all), an int or ints, as sorted non-negative axes without repetition."""
    if dim is None or (isinstance(dim, list | tuple) and not dim):
        return list(range(tensor.dim()))
    found = [axis(op, d, tensor) for d in ([dim] if isinstance(dim, int) else dim)]
    if len(set(found)) != len(found):
        raise RuntimeError(f"{op}(): dim: expected each dimension once, got {dim}")
    return sorted(found)
