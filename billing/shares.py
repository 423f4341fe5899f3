"""Sharing out a whole number so that the parts add up to it exactly."""

from __future__ import annotations

from collections.abc import Sequence


def share(total: int, weights: Sequence[int]) -> list[int]:
    """`total` in parts by `weights`, none of them negative: the largest remainders get what rounding down leaves.

    Of equal remainders the first gets it. Without any weight there are no parts to share by: all are 0.
    """
    whole = sum(weights)
    if not whole:
        return [0] * len(weights)
    parts = [total * weight // whole for weight in weights]
    by_remainder = sorted(range(len(weights)), key=lambda i: (-(total * weights[i] % whole), i))
    for i in by_remainder[: total - sum(parts)]:
        parts[i] += 1
    return parts


def rounded(exact: Sequence[int], unit: int) -> list[int]:
    """Whole `unit`s for amounts that may be negative: each within one of what it is, together the rounded sum.

    The sum is rounded half up. Where rounding down leaves some, those with the largest remainders get it.
    """
    total = (2 * sum(exact) + unit) // (2 * unit)
    parts = [each // unit for each in exact]
    by_remainder = sorted(range(len(exact)), key=lambda i: (-(exact[i] % unit), i))
    for i in by_remainder[: total - sum(parts)]:
        parts[i] += 1
    return parts
