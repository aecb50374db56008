"""Draws beyond_distances.png: the structures of examples/09_beyond_distances.py, in space."""

import runpy
from pathlib import Path

from matplotlib.figure import Figure

HERE = Path(__file__).parent
PAIRS = runpy.run_path(str(HERE.parents[1] / "examples" / "09_beyond_distances.py"))["PAIRS"]
COLORS = {"C": "0.2", "O": "tab:red", "N": "tab:blue", "H": "0.7"}

figure = Figure(figsize=(9, 2.4), dpi=130, layout="constrained")
for k, (name, atoms) in enumerate((name, atoms) for name, (pair, _) in PAIRS.items() for atoms in pair):
    planar = len(atoms) == 4
    axes = figure.add_subplot(1, 4, k + 1, projection="3d", proj_type="ortho", title=f"{name}, {'AB'[k % 2]}")
    for line in ([0, 1, 2, 3],) if planar else ([0, 1, 2, 3, 0], [4, 5, 6, 7, 4]):
        axes.plot(*atoms.positions[line].T, color="0.6")
    axes.scatter(*atoms.positions.T, s=90, color=[COLORS[s] for s in atoms.symbols], depthshade=False)
    axes.set(box_aspect=(1, 1, 1), xlim=(-0.9, 0.9), ylim=(-0.9, 0.9), zlim=(-0.9, 0.9))
    axes.view_init(*((90, -90) if planar else (25, -55)))
    axes.set_axis_off()
figure.savefig(HERE / "beyond_distances.png")
