"""Experiments that ``python -m fpdet run NAME`` runs; `EXPERIMENTS` names them."""

EXPERIMENTS = {
    "sources": "how much of the spread in test accuracy comes from rounding, from order, and from the seed",
}
