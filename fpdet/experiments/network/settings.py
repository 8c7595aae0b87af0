"""Settings of ``fpdet run network``."""

from dataclasses import dataclass

from fpdet.experiments import nets
from fpdet.experiments.config import Settings, at_least, not_empty, one_of, positive
from fpdet.experiments.data import DATASETS


@dataclass(frozen=True)
class NetworkSettings(Settings):
    """A net trained inside ``with fpdet.arithmetic(...)`` from one seed, in many ways that must give the same bits.

    ways: numbers of threads; then "backward after" (the block), instruction sets by name, and "compile BACKEND".
    controls: other arithmetics, which must give other bits. torch_threads: numbers of threads for torch's own
    deterministic mode; nothing is required of those. short: steps of the ways that are slow (portable kernels).
    """

    data: str = "digits"
    train_images: int = 1000
    test_images: int = 100
    net: str = "resnet20"
    width: int = 16
    activation: str = "relu"
    beta: float = 1.0
    arithmetic: str = "nearest_even blocked(512) auto fused"
    batch: int = 16
    augment: bool = False
    lr: float = 0.0625
    momentum: float = 0.875
    weight_decay: float = 5e-4
    steps: int = 100
    short: int = 2
    threads_tried: tuple[int, ...] = (1, 2, 3)
    ways: tuple[str, ...] = ("backward after", "avx2", "avx512", "portable", "compile aot_eager")
    controls: tuple[str, ...] = ("nearest_even pairwise", "toward_zero")
    torch_threads: tuple[int, ...] = (1, 2, 3)

    def check(self):
        one_of("data", self.data, DATASETS)
        nets.check(self.net, self.activation)
        for name in ("train_images", "test_images", "width", "steps", "short"):
            at_least(name, getattr(self, name), 1)
        at_least("batch", self.batch, 2)
        at_least("train_images", self.train_images, self.batch)
        positive("lr", (self.lr,))
        not_empty("threads_tried", self.threads_tried)
