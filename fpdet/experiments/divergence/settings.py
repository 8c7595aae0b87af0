"""Settings of ``fpdet run divergence``."""

from dataclasses import dataclass

from fpdet.experiments import nets
from fpdet.experiments.config import ConfigError, Settings, at_least, distinct, not_empty, one_of, positive
from fpdet.experiments.data import DATASETS


@dataclass(frozen=True)
class DivergenceSettings(Settings):
    """Plain SGD (no momentum) of one net at several learning rates, twins that differ in the last bit.

    lr: highest first. A twin is compared every `every` * lr[0]/lr iterations ("scaled iteration": equal training time),
    `snapshots` times, or until `max_steps`. rescale: k of the paper's no-op. Learning rates that are powers of two
    leave lr*k exact; controls: powers of two, at lr[0] only. ulp: a twin whose weights start one unit in the last
    place off, the same perturbation at every learning rate. network: what is computed under the arithmetic, the
    convolutions (the rest is torch's, in deterministic mode) or the whole of a step.
    """

    data: str = "digits"
    train_images: int = 1000
    test_images: int = 100
    net: str = "resnet8"
    width: int = 4
    activation: str = "swish"
    beta: float = 5.0
    network: str = "convolutions"
    arithmetic: str = "nearest_even blocked(512) auto fused"
    batch: int = 32
    augment: bool = False
    weight_decay: float = 5e-4
    lr: tuple[float, ...] = (0.0625, 0.015625)
    every: int = 1
    snapshots: int = 40
    max_steps: int = 100000
    rescale: int = 3
    controls: tuple[int, ...] = (1, 2)
    ulp: bool = True

    def check(self):
        one_of("data", self.data, DATASETS)
        nets.check(self.net, self.activation)
        one_of("network", self.network, nets.COMPUTED)
        for name in ("train_images", "test_images", "width", "every", "snapshots", "max_steps"):
            at_least(name, getattr(self, name), 1)
        at_least("batch", self.batch, 2)
        at_least("train_images", self.train_images, self.batch)
        at_least("rescale", self.rescale, 2)
        positive("lr", self.lr)
        not_empty("lr", self.lr)
        distinct("lr", self.lr)
        for lr in self.lr:
            if lr > self.lr[0] or (self.lr[0] / lr) % 1:
                raise ConfigError(f"lr: expected the highest first and the others whole parts of it, got {self.lr}")
        for k in self.controls:
            if k < 1 or k & (k - 1):
                raise ConfigError(f"controls: expected powers of two (exact scaling), got {k}")

    def stride(self, lr):
        """Iterations between two snapshots."""
        return self.every * round(self.lr[0] / lr)

    def steps(self, lr):
        """Iterations of a run."""
        return max(self.stride(lr), min(self.snapshots * self.stride(lr), self.max_steps))
