"""The largest eigenvalue of a Hessian by Lanczos iteration on Hessian-vector products."""

import numpy as np
import torch


def hessian_product(loss, parameters):
    """v -> H v for the Hessian of `loss()` with respect to `parameters`, by double backward; float64 in and out."""
    gradients = torch.autograd.grad(loss(), parameters, create_graph=True)
    flat = torch.cat([gradient.reshape(-1) for gradient in gradients])

    def product(vector):
        found = torch.autograd.grad(flat, parameters, vector.to(flat.dtype), retain_graph=True)
        return torch.cat([part.reshape(-1) for part in found]).double()

    return product


def largest_eigenvalue(product, size, steps, seed):
    """The largest eigenvalue (Ritz value) after `steps` Lanczos steps with full reorthogonalisation, in float64.

    It grows with `steps` towards the eigenvalue from below, but for rounding. NaN where a product is not finite.
    """
    generator = np.random.Generator(np.random.Philox(key=[seed, 0x1A2C]))
    vector = torch.from_numpy(generator.standard_normal(size))
    basis, diagonal, off = [vector / vector.norm()], [], []
    for _ in range(min(steps, size)):
        image = product(basis[-1])
        if not torch.isfinite(image).all():
            return float("nan")
        diagonal.append(float(image @ basis[-1]))
        for _ in range(2):  # twice is enough
            for other in basis:
                image = image - (image @ other) * other
        norm = float(image.norm())
        if norm <= 1e-12 * max(map(abs, diagonal)):
            break
        off.append(norm)
        basis.append(image / norm)
    count = len(diagonal)
    matrix = np.diag(diagonal) + np.diag(off[: count - 1], 1) + np.diag(off[: count - 1], -1)
    return float(np.linalg.eigvalsh(matrix)[-1])
