"""How results show themselves: one line at a prompt, the whole text or a curve in a notebook."""

from html import escape

import numpy as np
from numpy.typing import ArrayLike

_WIDTH, _HEIGHT = 560, 150  # of a curve, in pixels
_POINTS = 1500  # that a curve is drawn with at most


class Shown:
    """Objects that a notebook shows as the text they print, in place of all their fields."""

    def _repr_html_(self) -> str:
        return f"<pre>{escape(str(self))}</pre>"


def curve(x: ArrayLike, y: ArrayLike, title: str, x_label: str, y_label: str) -> str:
    """A small line plot as HTML; nothing has to be installed or switched on for it."""
    xs, ys = (np.asarray(values, dtype=float) for values in (x, y))
    step = max(1, len(xs) // _POINTS)
    xs, ys = xs[::step], ys[::step]
    low, high = min(0.0, ys.min()), max(0.0, ys.max())
    across, up = _WIDTH / ((xs[-1] - xs[0]) or 1.0), _HEIGHT / ((high - low) or 1.0)
    points = " ".join(f"{(a - xs[0]) * across:.1f},{(high - b) * up:.1f}" for a, b in zip(xs, ys, strict=True))
    ends = f"{xs[0]:g} to {xs[-1]:g} {x_label}; {low:.3g} to {high:.3g} {y_label}"
    return (
        f'<div><b>{escape(title)}</b><br><svg width="{_WIDTH}" height="{_HEIGHT + 4}" viewBox="0 -2 {_WIDTH} '
        f'{_HEIGHT + 4}"><polyline points="{points}" fill="none" stroke="currentColor"/></svg><br>'
        f"<small>{escape(ends)}</small></div>"
    )
