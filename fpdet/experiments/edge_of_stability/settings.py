"""Settings of ``fpdet run edge_of_stability``."""

from dataclasses import dataclass

from fpdet.experiments import nets
from fpdet.experiments.config import ConfigError, Settings, at_least, distinct, not_empty, one_of, positive
from fpdet.experiments.data import DATASETS


@dataclass(frozen=True)
class EdgeSettings(Settings):
    """Full-batch gradient descent on 1/2 mean |f - one-hot|^2 of nets without batch norm.

    Every net of `nets` ("plainD:WIDTH") with every lr and weight decay: the loss, the sharpness (largest eigenvalue of
    the Hessian without the decay's share, by `lanczos` Lanczos steps every `every` iterations), and the distance of a
    twin that is rescaled by `rescale`. control: a power of two, which must never differ.
    """

    data: str = "digits"
    train_images: int = 200
    test_images: int = 100
    nets: tuple[str, ...] = ("plain2:8",)
    activation: str = "tanh"
    beta: float = 1.0
    arithmetic: str = "nearest_even blocked(512) auto fused"
    lr: tuple[float, ...] = (0.125,)
    weight_decay: tuple[float, ...] = (0.0,)
    steps: int = 200
    every: int = 5
    lanczos: int = 10
    tail: int = 50
    rescale: int = 3
    control: int = 2

    def check(self):
        one_of("data", self.data, DATASETS)
        for name in ("train_images", "test_images", "steps", "every", "tail"):
            at_least(name, getattr(self, name), 1)
        at_least("lanczos", self.lanczos, 2)
        at_least("steps", self.steps, self.tail)
        at_least("weight_decay", self.weight_decay, 0)
        at_least("rescale", self.rescale, 2)
        positive("lr", self.lr)
        if self.control < 1 or self.control & (self.control - 1):
            raise ConfigError(f"control: expected a power of two (exact scaling), got {self.control}")
        for name in ("nets", "lr", "weight_decay"):
            not_empty(name, getattr(self, name))
            distinct(name, getattr(self, name))
        for net in self.nets:
            self.split(net, self.activation)

    @staticmethod
    def split(text, activation):
        """(net, width) of "NET:WIDTH"."""
        net, colon, width = text.partition(":")
        if not colon or not width.isdecimal() or int(width) < 1:
            raise ConfigError(f"nets: expected NET:WIDTH, e.g. plain3:8, got {text!r}")
        nets.check(net, activation)
        return net, int(width)
