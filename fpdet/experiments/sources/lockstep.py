"""Trains the members of the experiment in lockstep with the baseline.

Members start from equal weights and see equal batches, drawn from a seed by a counter-based generator: step t of every
member sees what step t of the baseline saw (only the source ``seed`` draws other batches). A member is therefore a
deterministic function of the Config and can run alone: the baseline runs first and keeps its weights of every recorded
step; a later member is compared with them step by step while it trains, as if both ran side by side. Runs that are done
are kept one by one, so an interrupted experiment goes on with the first member that is missing.
"""

import torch
from torch.nn import functional

import fpdet.optim
from fpdet.experiments.sources import model as nets
from fpdet.experiments.store import number
from fpdet.experiments.training import (
    batch_indices,
    first_difference,
    flat_weights,
    predict,
    relative_l1,
    weights_digest,
)

DECAY = ((0.5, 0.25), (0.75, 0.0625))  # from this share of the steps on, this factor (powers of two)


def schedule(config, step):
    """The learning rate of a step, a power of two times the Config's."""
    factor = 1.0
    for share, smaller in DECAY:
        if step >= share * config.steps:
            factor = smaller
    return config.learning_rate * factor


def train(config, member, batches, baseline=None, on_step=None):
    """Train one member; compare it with the baseline's recorded weights.

    Args:
        baseline: the (weights, digests) of the baseline, or None if this is it.
        on_step: called with the number of steps done.

    Returns:
        (result, record): a JSON-ready dict, and a dict of tensors: final weights, predictions, and for the baseline the
        weights of every recorded step.
    """
    channels, size = batches.shape
    net = nets.build(config, channels, size, member.arithmetic, config.seed)
    optimizer = fpdet.optim.SGD(
        net.parameters(),
        lr=config.learning_rate,
        momentum=config.momentum,
        nesterov=config.nesterov and config.momentum > 0,
        weight_decay=config.weight_decay,
        arithmetic=member.step_arithmetic,
        rescale=member.rescale,
    )
    losses, steps, distances, digests, kept = [], [], [], [], []
    net.train()
    for step, indices in enumerate(batch_indices(config.train_images, config.batch, config.steps, member.data_seed)):
        optimizer.param_groups[0]["lr"] = schedule(config, step)
        optimizer.zero_grad()
        loss = functional.cross_entropy(net(batches.train_images[indices]), batches.train_labels[indices])
        loss.backward()
        optimizer.step()
        losses.append(number(loss.item()))
        weights = flat_weights(net)
        digests.append(weights_digest(weights))
        if step % config.record_every == 0 or step == config.steps - 1:
            if baseline is None:
                kept.append(weights)
            distances.append(0.0 if baseline is None else number(relative_l1(weights, baseline[0][len(steps)])))
            steps.append(step + 1)
        if on_step:
            on_step(step + 1)
    predictions = predict(net, batches.test_images)
    correct = int((predictions == batches.test_labels).sum())
    result = {
        "name": member.name,
        "source": member.source,
        "arithmetic": member.arithmetic,
        "step_arithmetic": member.step_arithmetic,
        "rescale": member.rescale,
        "data_seed": member.data_seed,
        "test_correct": correct,
        "test_accuracy": 100.0 * correct / len(predictions),
        "finite": all(isinstance(loss, float) for loss in losses) and bool(torch.isfinite(weights).all()),
        "first_difference": first_difference(digests, digests if baseline is None else baseline[1]),
        "steps": steps,
        "losses": losses,
        "relative_l1": distances,
        "digests": digests,
    }
    record = {"weights": weights, "predictions": predictions}
    if baseline is None:
        record["recorded"] = torch.stack(kept)
    return result, record
