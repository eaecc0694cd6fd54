"""Words for figures of worlds; light to import, so that those who only tell of worlds need not load them."""

from __future__ import annotations


def format_density(trees_per_m2: float) -> str:
    """`1/25` for 0.04 trees per square metre, as the literature writes it; `0` for none."""
    if trees_per_m2 <= 0:
        return "0"
    return f"1/{1 / trees_per_m2:.0f}"


def format_range(low: float, high: float, unit: str) -> str:
    """`0.24-0.7 m`, or `0.6 m` where both ends are the same."""
    if low == high:
        return f"{low:g} {unit}"
    return f"{low:g}-{high:g} {unit}"
