"""Full-batch training of one net, its twin and its control, side by side."""

import torch

import fpdet.optim
from fpdet.experiments import nets
from fpdet.experiments.edge_of_stability.sharpness import hessian_product, largest_eigenvalue
from fpdet.experiments.store import number
from fpdet.experiments.training import flat_weights, relative_l1, step_arithmetic


def run(settings, batches, given, on_step):
    """(result, {}) of one net, lr and weight decay."""
    net, width = settings.split(given["net"], settings.activation)
    targets = torch.nn.functional.one_hot(batches.train_labels, 10).to(torch.float32)

    def make(rescale):
        model = nets.build(
            net, width, *batches.shape, settings.activation, settings.beta, settings.seed, settings.arithmetic
        )
        optimizer = fpdet.optim.SGD(
            model.parameters(),
            lr=given["lr"],
            weight_decay=given["weight_decay"],
            arithmetic=step_arithmetic(settings.arithmetic),
            rescale=rescale,
        )
        return model.train(), optimizer

    def loss_of(model):
        return 0.5 * (model(batches.train_images) - targets).square().sum(1).mean()

    members = [make(k) for k in (1, settings.rescale, settings.control)]
    model = members[0][0]
    size = sum(p.numel() for p in model.parameters())
    losses, distances, control, sharpness = [], [], [], []
    for step in range(settings.steps):
        if step % settings.every == 0:
            product = hessian_product(lambda: loss_of(model), list(model.parameters()))
            sharpness.append(number(largest_eigenvalue(product, size, settings.lanczos, settings.seed)))
        for each, optimizer in members:
            optimizer.zero_grad()
            loss = loss_of(each)
            loss.backward()
            optimizer.step()
            if each is model:
                losses.append(number(loss.item()))
        weights = [flat_weights(each) for each, _ in members]
        distances.append(number(relative_l1(weights[1], weights[0])))
        control.append(torch.equal(weights[2].view(torch.int32), weights[0].view(torch.int32)))
        on_step((step + 1) / settings.steps)
    return {
        **given,
        "parameters": size,
        "losses": losses,
        "sharpness": sharpness,
        "relative_l1": distances,
        "control_equal": all(control) or not all(isinstance(loss, float) for loss in losses),
        "torch_ops": nets.torch_ops(model),
    }, {}
