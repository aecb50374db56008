"""Draws beyond_distances.png: the structures of examples/09_beyond_distances.py, in space."""

import runpy
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

HERE = Path(__file__).parent
PAIRS = runpy.run_path(str(HERE.parents[1] / "examples" / "09_beyond_distances.py"))["PAIRS"]
COLORS = {"C": "0.2", "O": "tab:red", "N": "tab:blue", "H": "0.7"}
# elevation and azimuth of the view, and half the width of the box in Å
VIEWS = {
    "rectangles": (25, -55, 0.9),
    "chains": (90, -90, 1.05),
    "opposed bonds": (30, -68, 0.85),
    "rings": (90, -90, 2.4),
}
OUTLINES = [[0, 1], [1, 2], [2, 3], [3, 0], [4, 5], [5, 6], [6, 7], [7, 4]]  # of the rectangles, in place of bonds

figure = Figure(figsize=(9, 4.9), dpi=130, layout="constrained")
figure.get_layout_engine().set(h_pad=0.1)
for k, (name, cutoff, atoms) in enumerate((name, cutoff, a) for name, (pair, cutoff) in PAIRS.items() for a in pair):
    elevation, azimuth, half = VIEWS[name]
    title = f"{name}, {'AB'[k % 2]}"
    axes = figure.add_subplot(2, 4, k + 1, projection="3d", proj_type="ortho", title=title)
    near = np.argwhere(np.triu(atoms.get_all_distances() < cutoff, 1))
    for line in OUTLINES if name == "rectangles" else near:
        axes.plot(*atoms.positions[line].T, color="0.6", zorder=0)
    axes.scatter(*atoms.positions.T, s=90, color=[COLORS[s] for s in atoms.symbols], depthshade=False)
    limits = (-half, half)
    axes.set(box_aspect=(1, 1, 1), xlim=limits, ylim=limits, zlim=limits)
    axes.view_init(elevation, azimuth)
    axes.set_axis_off()
figure.savefig(HERE / "beyond_distances.png")
