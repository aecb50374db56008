"""The report page of a build, and its learning curve as a picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from painn_ase.files import write_atomically
from painn_ase.shown import page

PAGE, CURVE = "report.html", "learning.png"
_LABELS = {
    "forces": "honest force error / meV Å$^{-1}$",
    "frequencies": "mean deviation of frequencies / cm$^{-1}$",
}
_MARKS = {True: '<span class="yes">holds</span>', False: '<span class="no">fails</span>', None: "not judged"}


def learning_curve(rounds: Sequence[Mapping[str, Any]], goals: Mapping[str, float], path: Path) -> Path | None:
    """Draws the honest force error and the deviation of frequencies, as far as they were judged, against the frames;
    None without matplotlib."""
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError:
        return None
    points = {name: _points(rounds, name) for name in ("forces", "frequencies")}
    shown = [name for name, found in points.items() if found]
    figure = Figure(figsize=(0.3 + 3.0 * max(1, len(shown)), 2.8), dpi=200, layout="constrained")
    FigureCanvasAgg(figure)
    for axes, name in zip(figure.subplots(1, max(1, len(shown)), squeeze=False)[0], shown, strict=False):
        axes.plot(*zip(*points[name], strict=True), "o-", color="#0072B2", markersize=4)
        axes.set_ylim(0, 1.15 * max(goals[name], *(value for _, value in points[name])))
        axes.set_xlim(0, 1.1 * points[name][-1][0])
        axes.axhline(goals[name], color="#D55E00", linewidth=1, linestyle="--", label="asked")
        axes.set_xlabel("training frames", fontsize=8)
        axes.set_ylabel(_LABELS[name], fontsize=8)
        axes.tick_params(labelsize=7)
        axes.legend(frameon=False, fontsize=7)
    temporary = path.with_name("." + path.name)
    figure.savefig(temporary, format="png")
    temporary.replace(path)
    return path


def _points(rounds: Sequence[Mapping[str, Any]], name: str) -> list[tuple[int, float]]:
    """Frames and value of a criterion in the rounds that are done."""
    done = [r for r in rounds if r.get("done")]
    return [(r["frames"], c["value"]) for r in done for c in r["criteria"] if c["name"] == name and c["value"]]


def write_page(
    folder: Path,
    *,
    verdict: str,
    reasons: Sequence[str],
    rounds: Sequence[Mapping[str, Any]],
    facts: Sequence[str],
    use: str,
    pictures: Sequence[Path],
) -> Path:
    """Writes the page and returns its path.

    folder: of the build
    verdict: BELIEVE or NOT YET, and of what
    reasons: sentences
    rounds: what each found
    facts: sentences about what was built
    use: lines of Python
    pictures: within the folder
    """
    done = [r for r in rounds if r.get("done")]
    rows = "".join(
        f"<tr><td>{number}</td><td>{r['frames']}</td><td>{r['seconds']:.0f} s</td><td>"
        + "<br>".join(f"{escape(c['name'])} {_MARKS[c['holds']]}: {escape(c['text'])}" for c in r["criteria"])
        + "</td></tr>"
        for number, r in enumerate(done, start=1)
    )
    listed = "".join(f"<li>{escape(text)}</li>" for text in reasons)
    said = "".join(f"<li>{escape(text)}</li>" for text in facts)
    images = "".join(
        f'<p><a href="{escape(p)}"><img src="{escape(p)}" alt="{escape(p)}"></a></p>'
        for p in (path.relative_to(folder).as_posix() for path in pictures)
    )
    shown = "yes" if verdict.startswith("BELIEVE") else "no"
    parts = (
        f'<h1 class="{shown}">{escape(verdict)}</h1><ul>{listed}</ul><h2>Use</h2><pre>{escape(use)}</pre>',
        f"<h2>What was built</h2><ul>{said}</ul><h2>Rounds</h2><table><tr><th>round</th><th>frames</th><th>time</th>",
        f"<th>criteria</th></tr>{rows}</table>{images}<p>Every decision: log.txt. The request: build.toml.</p>",
    )
    write_atomically(folder / PAGE, page(verdict, parts))
    return folder / PAGE
