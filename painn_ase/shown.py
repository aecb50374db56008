"""How results show themselves: one line at a prompt, the whole text or a curve in a notebook."""

from collections.abc import Iterable
from html import escape

import numpy as np
from numpy.typing import ArrayLike

_WIDTH, _HEIGHT = 560, 150  # of a curve, in pixels
_POINTS = 1500  # that a curve is drawn with at most
_STYLE = (
    "body{font:16px/1.5 sans-serif;max-width:60em;margin:2em auto;padding:0 1em;color:#222}img{max-width:100%}"
    "table{border-collapse:collapse;margin:1em 0}td,th{padding:.2em .8em .2em 0;text-align:left;vertical-align:top}"
    "th{font-weight:600}.yes{color:#00734d}.no{color:#b0342d}pre{background:#f3f3f3;padding:.8em;overflow-x:auto}"
)


class Shown:
    """Objects that a notebook shows as the text they print, in place of all their fields."""

    def _repr_html_(self) -> str:
        return f"<pre>{escape(str(self))}</pre>"


def page(title: str, parts: Iterable[str]) -> str:
    """An HTML page that needs nothing beside it; the `title` is text, the `parts` are HTML."""
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title><style>{_STYLE}'
        f"</style></head><body>{''.join(parts)}</body></html>\n"
    )


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
