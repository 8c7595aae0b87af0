"""Settings of ``fpdet run variance``."""

from dataclasses import dataclass

from fpdet._arithmetic import Arithmetic
from fpdet.experiments import nets
from fpdet.experiments.config import ConfigError, Settings, at_least, distinct, not_empty, one_of, positive
from fpdet.experiments.data import DATASETS


@dataclass(frozen=True)
class VarianceSettings(Settings):
    """The grid of Table 1: every k of `rescales` (1 among them) with every seed of `seeds`; a seed draws the
    weights, the batches and the augmentation.

    Beside it, all at the first seed: roundings, shuffled orders, stochastic rounding of what is computed and of the
    update; exact sums with rounded updates; rounded sums with updates kept in float64. network: what is computed under
    an arithmetic, the convolutions (the rest is torch's, in deterministic mode) or the whole of a step. A run's
    accuracy is its mean over the last `last_epochs`. lr and its factors (a tenth each in the paper) are powers of two
    where k is to inject rounding alone.
    """

    data: str = "digits"
    train_images: int = 1000
    test_images: int = 797
    net: str = "resnet8"
    width: int = 4
    activation: str = "relu"
    beta: float = 5.0
    network: str = "convolutions"
    arithmetic: str = "nearest_even blocked(512) auto fused"
    batch: int = 32
    epochs: int = 4
    last_epochs: int = 1
    augment: bool = True
    lr: float = 0.125
    decay_at: tuple[int, ...] = (2,)
    decay: float = 0.125
    momentum: float = 0.9
    nesterov: bool = True
    weight_decay: float = 5e-4
    rescales: tuple[int, ...] = (1, 3, 5, 7, 9, 11)
    seeds: tuple[int, ...] = (1, 2, 3, 4, 5, 6)
    controls: tuple[int, ...] = (1, 2)
    roundings: tuple[str, ...] = ("toward_zero", "upward", "downward")
    order_seeds: tuple[int, ...] = (1, 2, 3, 4, 5)
    stochastic_seeds: tuple[int, ...] = (1, 2)
    stochastic_bits: int = 32
    exact: bool = True
    bootstrap: int = 10000

    def check(self):
        one_of("data", self.data, DATASETS)
        nets.check(self.net, self.activation)
        one_of("network", self.network, nets.COMPUTED)
        for name in ("train_images", "test_images", "width", "epochs", "last_epochs", "bootstrap"):
            at_least(name, getattr(self, name), 1)
        at_least("batch", self.batch, 2)
        at_least("train_images", self.train_images, self.batch)
        at_least("epochs", self.epochs, self.last_epochs)
        for name in ("lr", "decay"):
            positive(name, getattr(self, name))
        for name in ("momentum", "weight_decay"):
            at_least(name, getattr(self, name), 0)
        for name in ("rescales", "seeds", "controls", "roundings", "order_seeds", "stochastic_seeds"):
            distinct(name, getattr(self, name))
        for name in ("seeds", "order_seeds", "stochastic_seeds"):
            at_least(name, getattr(self, name), 0)
        not_empty("seeds", self.seeds)
        if self.rescales[:1] != (1,):
            raise ConfigError(f"rescales: expected 1 (the baseline) first, got {self.rescales}")
        for k in self.controls:
            if k < 1 or k & (k - 1):
                raise ConfigError(f"controls: expected powers of two (exact scaling), got {k}")
        base = Arithmetic.parse(self.arithmetic)
        for rounding in self.roundings:
            base.replace(rounding=rounding)
