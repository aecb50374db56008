"""docs/accuracy.md and its figure, made of the results that accuracy.py stored.

python benchmarks/accuracy_page.py
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from accuracy_tasks import TASKS

ROOT = Path(__file__).resolve().parent.parent
RESULTS, PAGE = ROOT / "benchmarks" / "results", ROOT / "docs" / "accuracy.md"
FIGURE = ROOT / "docs" / "images" / "accuracy_curves.png"
KINDS = ("painn", "ictp")


def render() -> None:
    """Writes docs/accuracy.md and its figure from the results that are there."""
    results = stored_results()
    PAGE.write_text(page(results))
    if results:
        _draw(results)
    print(f"{PAGE.relative_to(ROOT)}: {len(results)} results")


def stored_results() -> dict[str, Any]:
    """What was measured, by task; of a second network under the task's name and the network's."""
    places = {
        (name if kind == "painn" else f"{name}, {kind}"): stored_at(name, kind) for name in TASKS for kind in KINDS
    }
    return {key: json.loads(path.read_text()) for key, path in places.items() if path.is_file()}


def stored_at(name: str, kind: str) -> Path:
    return RESULTS / f"accuracy_{name}{'' if kind == 'painn' else '_' + kind}.json"


def page(results: dict[str, Any]) -> str:
    """The page, in Markdown."""
    sections = [_section([r for r in results.values() if r["task"] == name]) for name in TASKS]
    parts = [_INTRODUCTION, _summary(results), *(section for section in sections if section)]
    if results:
        parts.append("## Training curves\n\n![validation error by CPU time](images/accuracy_curves.png)")
    missing = [name for name in TASKS if not any(r["task"] == name for r in results.values())]
    if missing:
        parts.append("Not measured yet: " + ", ".join(missing) + ".")
    return "\n\n".join(parts) + "\n"


_INTRODUCTION = """# Accuracy on published data

Models of this package trained from scratch on data of others, and tested on frames they never saw. Every number comes
from a result in `benchmarks/results/`; `python benchmarks/accuracy_page.py` writes this page from them, and
`python benchmarks/accuracy.py TASK --minutes 20` makes a result anew. Budgets are CPU minutes on one thread (wall
minutes on a GPU), minutes against the days that published models train for. *Published values are recalled from their
papers, not measured here*, and belong to the data and splits named there, which resemble ours."""


def _summary(results: dict[str, Any]) -> str:
    head = ("task", "energy MAE, meV/atom", "force MAE, meV/Å", "force RMSE, meV/Å", "other MAE", "network", "training")
    rows = ["| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
    for r in results.values():
        e = r["errors"]
        others = [
            f"{p} {v['mae']:.3g} {v['unit']}" for p, v in e.items() if p in ("stress", "dipole", "polarizability")
        ]
        cells = [TASKS[r["task"]].title, _number(e, "energy per atom", "mae"), _number(e, "forces", "mae")]
        cells += [
            _number(e, "forces", "rmse"),
            ", ".join(others),
            _name(r),
            r["state"],
        ]
        rows.append("| " + " | ".join(cells) + " |")
    return "\n".join(rows)


def _number(errors: dict[str, Any], name: str, kind: str) -> str:
    return f"{errors[name][kind]:.3g}" if name in errors else ""


def _name(r: dict[str, Any]) -> str:
    """The network of a result, in a word or two."""
    network = r["training"]["model"]["representation"]
    rank = network.get("max_rank", 2)
    rank = f", rank {rank}" if rank != 2 else ""
    sizes = f" (F = {network['features']}, T = {network['interactions']}{rank})" if "features" in network else ""
    return {"painn": "PaiNN", "ictp": "ICTP"}[network["kind"]] + sizes


def _section(results: list[dict[str, Any]]) -> str:
    """What was measured for one task, network by network, beside what others published."""
    if not results:
        return ""
    task = TASKS[results[0]["task"]]
    lines = [f"## {task.title}", "", f"{task.level}. {task.split}.", ""]
    for r in results:
        run, rate = r["training"]["run"], r["training"]["optimizer"]["learning_rate"]
        loss = r["training"]["loss"].get("kind", "squared")
        passed = ", ".join(f"{mark} after {minutes:.3g}" for mark, minutes in r.get("passed", {}).items())
        lines.append(
            f"- {_name(r)}: seed {run['seed']}, batches of {run['batch_size']}, learning rate {rate:g}, {loss} loss, "
            f"{r['state']}, {r['parameters']:,} parameters; {r['machine']}, {r['versions']}, commit {r['commit']}"
            + ("; yz and xz of stresses put right in all but elastic frames" if r.get("exchanged") else "")
            + (f"; force MAE of the validation frames, meV/Å, by minutes: {passed}" if passed else "")
        )
    lines += ["", "| network | test error | MAE | RMSE | unit |", "|---|---|---|---|---|"]
    for r in results:
        for p, e in r["errors"].items():
            lines.append(f"| {_name(r)} | {p} | {e['mae']:.4g} | {e['rmse']:.4g} | {e['unit']} |")
    if task.neighbours:
        kind = "RMSE" if results[0]["task"].startswith("acac") else "MAE"
        lines += ["", f"| force {kind}, meV/Å | |", "|---|---|"]
        lines += [f"| this package, {_name(r)} | {r['errors']['forces'][kind.lower()]:.3g} |" for r in results]
        lines += [f"| {who} (recalled from its paper) | {value} |" for who, value in task.neighbours]
    return "\n".join(lines)


_SHORT = {
    "ethanol_methanol": "ethanol",
    "acac_300K": "acetylacetone, 300 K",
    "acac_600K": "acetylacetone, 600 K",
    "mlearn_Si": "Si",
    "mlearn_Ge": "Ge",
    "mlearn_Mo": "Mo",
    "sio2": "SiO₂",
    "water_monomer": "H₂O (CCSD)",
}
_PANELS = {
    "molecules": ("ethanol_methanol", "acac_300K", "acac_600K"),
    "solids": ("mlearn_Si", "mlearn_Ge", "mlearn_Mo", "sio2"),
    "water monomer": ("water_monomer",),
}


def _draw(results: dict[str, Any]) -> None:
    """Validation errors by CPU time: a panel per kind of system, a colour per task, a line style per network."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

    figure = Figure(figsize=(9.6, 3.6), dpi=160, layout="constrained")
    FigureCanvasAgg(figure)
    styles = {"PaiNN": "--", "ICTP": "-"}
    for axes, (title, tasks) in zip(figure.subplots(1, len(_PANELS)), _PANELS.items(), strict=True):
        quantity = "polarizability" if title == "water monomer" else "forces"
        unit, factor = ("10⁻³ Å³", 1000) if quantity == "polarizability" else ("meV/Å", 1)
        for k, task in enumerate(tasks):
            for r in (r for r in results.values() if r["task"] == task):
                key = next(name for name in r["curve"] if name.startswith(f"{quantity} MAE"))
                epochs, values = np.array(r["curve"]["epoch"]), factor * np.array(r["curve"][key])
                axes.loglog(
                    r["minutes"] * epochs / epochs[-1],
                    values,
                    styles[_name(r).split()[0]],
                    color=f"C{k}",
                    linewidth=1.3,
                )
            axes.plot([], [], color=f"C{k}", label=_SHORT[task])
        axes.set(title=title, xlabel="CPU minutes", ylabel=f"validation MAE of {quantity} / {unit}")
        networks = [Line2D([], [], color="0.3", linestyle=style, label=name) for name, style in styles.items()]
        handles = axes.get_legend_handles_labels()[0] + networks
        axes.legend(handles=handles, frameon=False, fontsize=7, loc="lower left")
    figure.savefig(FIGURE)


if __name__ == "__main__":
    render()
