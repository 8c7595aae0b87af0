"""Settings of ``fpdet run linear_pde``."""

from dataclasses import dataclass

from fpdet.experiments.config import ConfigError, Settings, at_least, distinct, not_empty, positive
from fpdet.experiments.machine import Variant


@dataclass(frozen=True)
class LinearSettings(Settings):
    """K <- K - lr (alpha K + (a/2) (sum of patches + beta (K*I)*I)) on a checkerboard, a held fixed.

    alphas: weight decays, as multiples of the lower bound ("1.0min") or of the upper ("1.05max"), or numbers. window:
    iterations over which the growth per step of each frequency is measured.
    """

    seed: int = 7
    image: int = 256
    kernel: int = 32
    a: float = -0.5
    beta: float = 1.0
    lr: float = 1e-8
    iterations: int = 1000
    window: int = 20
    alphas: tuple[str, ...] = ("1.1e7", "1.2e7", "1.3e7", "1.9e8", "2.0e8", "2.1e8", "2.2e8")
    variants: tuple[str, ...] = ("float64 nearest_even sequential",)

    def check(self):
        at_least("kernel", self.kernel, 2)
        at_least("image", self.image, self.kernel)
        if self.kernel % 2:
            raise ConfigError(
                f"kernel: expected an even size (the checkerboard is then a wave of it), got {self.kernel}"
            )
        at_least("window", self.window, 1)
        at_least("iterations", self.iterations, self.window + 1)
        positive("lr", self.lr)
        if not self.a < 0:
            raise ConfigError(f"a: expected a number below 0 (label 1: anti-diffusive), got {self.a}")
        for name in ("alphas", "variants"):
            distinct(name, getattr(self, name))
            not_empty(name, getattr(self, name))
        for text in self.alphas:
            self.alpha(text, 1.0, 1.0)
        for text in self.variants:
            Variant.parse(text)

    @staticmethod
    def alpha(text, least, most):
        """The weight decay that `text` says, given both bounds."""
        scale = {"min": least, "max": most}.get(text[-3:])
        try:
            found = float(text) if scale is None else float(text[:-3]) * scale
        except ValueError:
            raise ConfigError(f"alphas: expected a number, or one before min or max, got {text!r}") from None
        positive("alphas", found)
        return found
