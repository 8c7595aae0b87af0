"""Settings of ``fpdet run sources``."""

import math
from dataclasses import dataclass

from fpdet.experiments.config import ConfigError, Settings, at_least, distinct, not_empty, one_of, positive
from fpdet.experiments.data import DATASETS

SOURCES = ("rescale", "rounding", "order", "seed")


@dataclass(frozen=True)
class Config(Settings):
    """Settings of ``fpdet run sources``; every one can be given as ``--set name=value``.

    Members of a source: the baseline plus one per entry below. `rescales` holds the k of the paper; `stochastic_seeds`
    adds stochastic members to the source rounding. `learning_rate` and its decay factors are powers of two, so that
    learning_rate*k has no rounding of its own: what rescale injects is rounding, not another learning rate.
    """

    data: str = "digits"
    train_images: int = 1000
    test_images: int = 797
    channels: tuple[int, ...] = (6, 6, 6, 6)
    batch: int = 16
    steps: int = 320
    learning_rate: float = 0.25
    momentum: float = 0.9
    nesterov: bool = True
    weight_decay: float = 5e-4
    baseline: str = "nearest_even blocked(512) auto fused"
    sources: tuple[str, ...] = SOURCES
    rescales: tuple[int, ...] = (3, 5, 7, 9, 11)
    controls: tuple[int, ...] = (1, 2, 4)
    roundings: tuple[str, ...] = ("toward_zero", "upward", "downward")
    stochastic_seeds: tuple[int, ...] = (1, 2)
    orders: tuple[str, ...] = ("sequential", "reverse", "pairwise", "shuffled(1)", "shuffled(2)", "shuffled(3)")
    exact: bool = True
    data_seeds: tuple[int, ...] = (1, 2, 3, 4, 5)
    record_every: int = 1
    bootstrap: int = 10000

    def check(self):
        one_of("data", self.data, DATASETS)
        for source in self.sources:
            one_of("sources", source, SOURCES)
        for name in ("train_images", "test_images", "batch", "steps", "record_every", "bootstrap"):
            at_least(name, getattr(self, name), 1)
        at_least("batch", self.batch, 2)  # batch norm needs two
        at_least("train_images", self.train_images, self.batch)
        for name in ("stochastic_seeds", "data_seeds"):
            at_least(name, getattr(self, name), 0)
        for name in ("channels", "rescales", "controls"):
            at_least(name, getattr(self, name), 1)
        not_empty("channels", self.channels)
        for k in self.controls:
            if k & (k - 1):
                raise ConfigError(f"controls: expected powers of two (exact scaling), got {k}")
        for name in ("rescales", "controls", "roundings", "stochastic_seeds", "orders", "data_seeds", "sources"):
            distinct(name, getattr(self, name))
        if self.seed in self.data_seeds:
            raise ConfigError(f"data_seeds: expected seeds other than seed={self.seed}, got {self.data_seeds}")
        if 1 in self.rescales:
            raise ConfigError("rescales: expected k other than 1 (that is the baseline), got 1")
        positive("learning_rate", self.learning_rate)
        for name in ("momentum", "weight_decay"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value >= 0):
                raise ConfigError(f"{name}: expected a number >= 0, got {value}")
