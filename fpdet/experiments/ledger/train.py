"""The training whose errors are booked."""

import torch
from torch.nn import functional

import fpdet.nn
import fpdet.optim
from fpdet.experiments import nets
from fpdet.experiments.ledger import measure
from fpdet.experiments.store import number
from fpdet.experiments.training import batch_indices, flat_weights, step_arithmetic, weights_digest


def run(settings, batches, watched, on_step):
    """Train, with the ledger if `watched`; returns (result, {})."""
    model = nets.build(
        settings.net,
        settings.width,
        *batches.shape,
        settings.activation,
        settings.beta,
        settings.seed,
        settings.arithmetic,
    )
    optimizer = fpdet.optim.SGD(
        model.parameters(),
        lr=settings.lr,
        momentum=settings.momentum,
        weight_decay=settings.weight_decay,
        arithmetic=step_arithmetic(settings.arithmetic),
    )
    losses, rows = [], []
    model.train()
    for step, indices in enumerate(
        batch_indices(settings.train_images, settings.batch, settings.steps, settings.seed), 1
    ):
        batch = batches.train_images[indices], batches.train_labels[indices]
        if watched and step in settings.at:
            with measure.Watch(model) as watch:
                losses.append(_train_step(model, optimizer, batch))
            rows += [{"step": step, **row} for row in book(settings, model, optimizer, watch.seen)]
        else:
            losses.append(_train_step(model, optimizer, batch))
        optimizer.step()
        on_step(step / settings.steps)
    return {
        "watched": watched,
        "losses": losses,
        "rows": rows,
        "digest_of_weights": weights_digest(flat_weights(model)),
        "torch_ops": nets.torch_ops(model),
    }, {}


def _train_step(model, optimizer, batch):
    optimizer.zero_grad()
    loss = functional.cross_entropy(model(batch[0]), batch[1])
    loss.backward()
    return number(loss.item())


def book(settings, model, optimizer, seen):
    """The rows of one step: every module and pass, then the update that is about to be taken."""
    rows = []
    for name, each in seen.items():
        if isinstance(each.module, fpdet.nn.Conv2d):
            rows += _convolution(settings, name, each)
        else:
            rows += [
                _row(name, kind, "torch", measure.error(own, wide))
                for kind, (own, wide) in measure.module_passes(each).items()
            ]
    return rows + _update(settings, model, optimizer)


def _convolution(settings, name, seen):
    wide = measure.convolution_passes(seen, measure.WIDE, torch.float64)
    correct = measure.convolution_passes(seen, measure.EXACT)
    own = {"forward": seen.output, "grad_input": seen.grad_input, "grad_weight": seen.module.weight.grad}
    rows = []
    for text in (settings.arithmetic, *settings.alternatives):
        found = measure.convolution_passes(seen, text)
        for kind, result in found.items():
            row = _row(name, kind, text, measure.error(result, wide[kind], correct[kind]))
            row["same"] = fpdet.digest(result) == fpdet.digest(own[kind]) if text == settings.arithmetic else None
            rows.append(row)
    return rows


def _update(settings, model, optimizer):
    """The SGD step on copies, in float32 and in float64: its error against the weights, and against the step taken."""
    rows = []
    for name, parameter in model.named_parameters():
        buffer = optimizer.state[parameter].get("momentum_buffer")
        results = []
        for dtype in (torch.float32, torch.float64):
            copy = torch.nn.Parameter(parameter.detach().to(dtype, copy=True))
            copy.grad = parameter.grad.to(dtype, copy=True)
            step = fpdet.optim.SGD(
                [copy],
                lr=settings.lr,
                momentum=settings.momentum,
                weight_decay=settings.weight_decay,
                arithmetic=step_arithmetic(settings.arithmetic),
            )
            if buffer is not None:
                step.state[copy]["momentum_buffer"] = buffer.to(dtype, copy=True)
            step.step()
            results.append(copy.detach())
        narrow, wide = results
        before = parameter.detach().double()
        text = str(step_arithmetic(settings.arithmetic))
        rows.append(_row(name, "update, of the weight", text, measure.error(narrow, wide)))
        rows.append(_row(name, "update, of the step", text, measure.error(narrow.double() - before, wide - before)))
    return rows


def _row(layer, kind, arithmetic, found):
    return {
        "layer": layer,
        "pass": kind,
        "arithmetic": arithmetic,
        **{key: None if value is None else number(value) for key, value in found.items()},
        "same": None,
    }
