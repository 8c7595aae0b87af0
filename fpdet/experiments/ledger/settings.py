"""Settings of ``fpdet run ledger``."""

from dataclasses import dataclass

from fpdet._arithmetic import Arithmetic
from fpdet.experiments import nets
from fpdet.experiments.config import ConfigError, Settings, at_least, distinct, not_empty, one_of, positive
from fpdet.experiments.data import DATASETS


@dataclass(frozen=True)
class LedgerSettings(Settings):
    """One training under `arithmetic`; at the steps `at` every op's result is held against the exact one of its
    operands.

    alternatives: arithmetics that the same operands are put through, to see which would mend what.
    """

    data: str = "digits"
    train_images: int = 1000
    test_images: int = 100
    net: str = "resnet8"
    width: int = 4
    activation: str = "relu"
    beta: float = 1.0
    arithmetic: str = "nearest_even sequential auto fused"
    alternatives: tuple[str, ...] = ("nearest_even blocked(512)", "nearest_even pairwise", "nearest_even exact")
    batch: int = 32
    steps: int = 100
    at: tuple[int, ...] = (1, 10, 100)
    lr: float = 0.125
    momentum: float = 0.9
    weight_decay: float = 5e-4

    def check(self):
        one_of("data", self.data, DATASETS)
        nets.check(self.net, self.activation)
        for name in ("train_images", "test_images", "width", "steps"):
            at_least(name, getattr(self, name), 1)
        at_least("batch", self.batch, 2)
        at_least("train_images", self.train_images, self.batch)
        positive("lr", self.lr)
        for name in ("momentum", "weight_decay"):
            at_least(name, getattr(self, name), 0)
        not_empty("at", self.at)
        distinct("at", self.at)
        if min(self.at) < 1 or max(self.at) > self.steps:
            raise ConfigError(f"at: expected steps from 1 to {self.steps}, got {self.at}")
        for text in (self.arithmetic, *self.alternatives):
            if Arithmetic.parse(text).draws:
                raise ConfigError(f"arithmetic, alternatives: expected arithmetics that draw nothing, got {text!r}")
        distinct("alternatives", (self.arithmetic, *self.alternatives))
