"""How measurements are printed."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def milliseconds(seconds: Sequence[float]) -> str:
    """Return the best, the median and the 95th percentile of times in s."""
    low, middle, high = (1e3 * float(q) for q in np.percentile(seconds, [0, 50, 95]))
    return f"{low:.2f} ms at best, {middle:.2f} median, {high:.2f} at the 95th percentile"


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Return the lines of a table: the first column to the left, the others to the right."""
    widths = [max(len(row[k]) for row in rows) for k in range(len(rows[0]))]
    return [
        "  ".join(
            cell.ljust(w) if k == 0 else cell.rjust(w)
            for k, (cell, w) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    ]
