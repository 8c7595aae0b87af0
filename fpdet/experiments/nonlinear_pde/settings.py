"""Settings of ``fpdet run nonlinear_pde``."""

from dataclasses import dataclass

from fpdet.experiments.config import ConfigError, Settings, at_least, distinct, not_empty, positive
from fpdet.experiments.machine import Variant


@dataclass(frozen=True)
class NonlinearSettings(Settings):
    """Gradient descent on BCE(sigmoid(mean of swish(K*I)), 1) + alpha/2 ||K||^2, I a checkerboard.

    Per learning rate and variant (FORMAT ROUNDING [ORDER [unfused]]) the run k = 1 and its twin with the update divided
    by `rescale` and multiplied back. tail: iterations at the end that the regime, the distance and the Lyapunov
    exponent are taken from. With a kernel of m^2 weights instead of 1024, alpha m^2 / 1024 and lr 1024 / m^2 give
    the same flow.
    """

    seed: int = 7
    image: int = 256
    kernel: int = 32
    beta: float = 1.0
    alpha: float = 20.0
    lr: tuple[float, ...] = (0.01, 0.03, 0.05, 0.07, 0.09, 0.1, 0.11, 0.13)
    iterations: int = 1000
    tail: int = 100
    rescale: int = 3
    controls: tuple[int, ...] = (1, 2, 4)
    control_lr: float = 0.07
    variants: tuple[str, ...] = ("float64 nearest_even sequential",)

    def check(self):
        at_least("kernel", self.kernel, 2)
        at_least("image", self.image, self.kernel)
        at_least("tail", self.tail, 2)
        at_least("iterations", self.iterations, 2 * self.tail)
        for name in ("beta", "alpha", "lr", "control_lr"):
            positive(name, getattr(self, name))
        at_least("rescale", self.rescale, 2)
        for k in self.controls:
            if k < 1 or k & (k - 1):
                raise ConfigError(f"controls: expected powers of two (exact scaling), got {k}")
        for name in ("lr", "variants", "controls"):
            distinct(name, getattr(self, name))
        not_empty("lr", self.lr)
        not_empty("variants", self.variants)
        for text in self.variants:
            Variant.parse(text)
