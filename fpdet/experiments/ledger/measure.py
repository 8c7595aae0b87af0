"""What one op adds: its float32 result against the exact one of the same operands.

Two yardsticks. The exact sum rounded once to float32 (order ``exact``): results that differ from it, and by how many
units in the last place. And the same op on the operands in float64, whose own error is some 2^-29 of float32's: the
relative error in the 2-norm, |y - exact| / |exact|.
"""

import copy
from dataclasses import dataclass

import torch

import fpdet
import fpdet.nn.functional as F

EXACT = "nearest_even exact"
WIDE = "nearest_even blocked(512) float64 fused"
PASSES = ("forward", "grad_input", "grad_weight")


@dataclass
class Seen:
    """Operands and results of one module in one step."""

    module: torch.nn.Module
    input: torch.Tensor = None
    output: torch.Tensor = None
    grad_output: torch.Tensor = None
    grad_input: torch.Tensor = None


class Watch:
    """Hooks on every leaf module that keep what passes through it; a context."""

    def __init__(self, model):
        self.seen = {}
        self._handles = []
        for name, module in model.named_modules():
            if name and not any(True for _ in module.children()):
                self.seen[name] = Seen(module)
                self._handles.append(module.register_forward_hook(self._forward(name)))
                if len(self.seen) > 1:  # the first module's input has no gradient
                    self._handles.append(module.register_full_backward_hook(self._leaving(name)))

    def _forward(self, name):
        def hook(module, inputs, output):
            seen = self.seen[name]
            seen.input, seen.output = inputs[0].detach(), output.detach()
            self._handles.append(output.register_hook(lambda grad: setattr(seen, "grad_output", grad)))

        return hook

    def _leaving(self, name):
        def hook(module, grad_input, grad_output):
            self.seen[name].grad_input = grad_input[0]  # its own, where the input has several consumers

        return hook

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for handle in self._handles:
            handle.remove()


def convolution_passes(seen, arithmetic, dtype=torch.float32):
    """{pass: result} of a convolution's operands under an arithmetic."""
    module = seen.module
    x = seen.input.to(dtype).requires_grad_(seen.grad_input is not None)
    w = module.weight.detach().to(dtype).requires_grad_()
    y = F.conv2d(x, w, None, module.stride, module.padding, module.dilation, module.groups, arithmetic=arithmetic)
    wanted = ("grad_input", "grad_weight") if x.requires_grad else ("grad_weight",)
    gradients = torch.autograd.grad(y, [x, w][-len(wanted) :], seen.grad_output.to(dtype))
    return {"forward": y.detach(), **dict(zip(wanted, gradients, strict=True))}


def module_passes(seen):
    """{pass: (float32 result of the run, float64 result)} of any other module on its operands."""
    twin = copy.deepcopy(seen.module).double()
    twin._forward_hooks.clear()
    twin._backward_hooks.clear()
    x = seen.input.double().requires_grad_(seen.grad_input is not None)
    y = twin(x)
    found = {"forward": (seen.output, y.detach())}
    wanted, names = [], []
    if x.requires_grad:
        wanted, names = [x], ["grad_input"]
    if getattr(seen.module, "weight", None) is not None:
        wanted, names = [*wanted, twin.weight], [*names, "grad_weight"]
    if wanted and seen.grad_output is not None:
        gradients = torch.autograd.grad(y, wanted, seen.grad_output.double())
        own = {
            "grad_input": seen.grad_input,
            "grad_weight": getattr(getattr(seen.module, "weight", None), "grad", None),
        }
        found.update({name: (own[name], g) for name, g in zip(names, gradients, strict=True)})
    return found


def error(result, wide, correct=None):
    """The row of one result: relative_error, and against the correctly rounded result wrong (share) and ulps (mean)."""
    row = {"relative_error": relative(result, wide), "wrong": None, "ulps": None}
    if correct is not None:
        distance = fpdet.ulp_distance(result, correct).double()
        row["wrong"], row["ulps"] = (distance > 0).double().mean().item(), distance.mean().item()
    return row


def relative(result, wide):
    """|result - wide| / |wide| in the 2-norm; 0 of 0 is 0."""
    size = wide.norm().item()
    far = (result.double() - wide).norm().item()
    return far / size if size else (0.0 if far == 0 else float("inf"))
