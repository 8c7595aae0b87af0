"""The members of the experiment: the baseline, its controls, and per source the runs that vary that source alone."""

from dataclasses import dataclass, replace

from fpdet._arithmetic import Arithmetic
from fpdet.experiments.data import SHAPES
from fpdet.experiments.sources.model import multiply_adds

BASELINE = "baseline"
CONTROL = "control"
EXACT = "exact"

# Guesses for the estimate printed before the first member has run; the time left comes from what was measured.
SECONDS_PER_STEP = 3e-3
NANOSECONDS = {"fast": 1.0, "stochastic": 100.0, "exact": 30.0}  # per multiply-add of a convolution


@dataclass(frozen=True)
class Member:
    """One training run. `source` is what it varies; everything else is the baseline's."""

    name: str
    source: str
    arithmetic: str  # of the convolutions
    step_arithmetic: str  # of the SGD update
    rescale: int
    data_seed: int
    seconds: float = 1.0

    @property
    def group(self):
        return self.source

    @property
    def needs(self):
        return () if self.source == BASELINE else (0,)

    @property
    def cost_class(self):
        chosen = Arithmetic.parse(self.arithmetic)
        if chosen.order == "exact":
            return "exact"
        return "stochastic" if chosen.rounding == "stochastic" else "fast"


def members(config):
    """The runs of a Config, baseline first.

    Raises:
        ValueError: an unknown word in one of its arithmetics.
    """
    base = Arithmetic.parse(config.baseline)
    plain = Member(BASELINE, BASELINE, str(base), str(_step(base)), 1, config.seed)
    found = [plain]

    def add(name, source, conv=base, step=None, rescale=1, data_seed=config.seed):
        step = _step(base) if step is None else step
        found.append(Member(name, source, str(conv), str(step), rescale, data_seed))

    for k in config.controls:
        add(f"k={k}" + (" (twin)" if k == 1 else ""), CONTROL, rescale=k)
    if "rescale" in config.sources:
        for k in config.rescales:
            add(f"k={k}", "rescale", rescale=k)
    if "rounding" in config.sources:
        for rounding in config.roundings:
            conv = base.replace(rounding=rounding)
            add(rounding, "rounding", conv, _step(conv))
        for seed in config.stochastic_seeds:
            conv = base.replace(rounding="stochastic", seed=seed)
            add(f"stochastic({seed})", "rounding", conv, _step(conv))
    if "order" in config.sources:
        for order in config.orders:
            add(order, "order", base.replace(order=order))
    if config.exact:
        add("exact", EXACT, Arithmetic(base.rounding, "exact"))
    if "seed" in config.sources:
        for seed in config.data_seeds:
            add(f"seed {seed}", "seed", data_seed=seed)
    macs_forward, macs_step = multiply_adds(config, *SHAPES[config.data])
    return [replace(each, seconds=_guess_seconds(config, each, macs_step, macs_forward)) for each in found]


def _step(arithmetic):
    """The Arithmetic of the SGD update: the same rounding; an update sums nothing, so its order is the default."""
    return (
        Arithmetic(arithmetic.rounding)
        if arithmetic.rounding != "stochastic"
        else Arithmetic("stochastic", seed=arithmetic.seed)
    )


def describe(member):
    """What distinguishes a member, in one line."""
    if member.source == "seed":
        return f"batches drawn from seed {member.data_seed}"
    if member.source in ("rescale", CONTROL):
        return f"step d/{member.rescale}, then lr*{member.rescale}"
    return member.arithmetic


def _guess_seconds(config, member, macs_step, macs_forward):
    """A first estimate of a member's seconds."""
    work = config.steps * config.batch * macs_step + config.test_images * macs_forward
    return config.steps * SECONDS_PER_STEP + work * NANOSECONDS[member.cost_class] * 1e-9
