"""Settings of ``fpdet run heat``."""

from dataclasses import dataclass
from fractions import Fraction

from fpdet.experiments.config import ConfigError, Settings, at_least, distinct, not_empty
from fpdet.experiments.machine import Variant


@dataclass(frozen=True)
class HeatSettings(Settings):
    """Forward Euler for the heat equation on `points` points, hat of height `peak`, both ends held at zero.

    profile_ratios: r = dt/dx^2, as decimals, whose profiles are drawn; the paper has 0.4 and 0.8. ratios: those whose
    growth per step is measured. variants: FORMAT ROUNDING [ORDER [unfused]]; order plays no part here.
    """

    points: int = 31
    peak: float = 1.5
    steps: int = 200
    profile_ratios: tuple[str, ...] = ("0.4", "0.8")
    profile_steps: tuple[int, ...] = (0, 5, 20, 50)
    ratios: tuple[str, ...] = (
        "0.1",
        "0.2",
        "0.3",
        "0.4",
        "0.45",
        "0.49",
        "0.5",
        "0.502",
        "0.51",
        "0.55",
        "0.6",
        "0.7",
        "0.8",
    )
    variants: tuple[str, ...] = ("float64 nearest_even",)

    def check(self):
        at_least("points", self.points, 3)
        at_least("steps", self.steps, 2)
        if self.points % 2 == 0:
            raise ConfigError(f"points: expected an odd number, so that the hat has a peak, got {self.points}")
        for name in ("profile_ratios", "ratios"):
            for text in getattr(self, name):
                try:
                    good = Fraction(text) > 0
                except ValueError:
                    good = False
                if not good:
                    raise ConfigError(f"{name}: expected positive decimals, got {text!r}")
        for name in ("profile_ratios", "ratios", "variants", "profile_steps"):
            distinct(name, getattr(self, name))
            not_empty(name, getattr(self, name))
        at_least("profile_steps", self.profile_steps, 0)
        if max(self.profile_steps) > self.steps:
            raise ConfigError(f"profile_steps: expected at most steps={self.steps}, got {max(self.profile_steps)}")
        for text in self.variants:
            Variant.parse(text)
