"""What the conformance suite finds on ASE's own calculators and on ours: writes the table in docs/reliability.md.

python benchmarks/check_ase_calculators.py [--calls 10000]
"""

import argparse
from pathlib import Path

import ase
import numpy as np

from painn_ase.files import write_atomically
from painn_ase.model_files import bundled_models
from painn_ase.testing import CHECKS, Report, check_calculator
from painn_ase.testing.subjects import NAMED, find_calculator

PAGE = Path(__file__).parents[1] / "docs" / "reliability.md"
BEGIN, END = "<!-- begin: benchmarks/check_ase_calculators.py -->", "<!-- end -->"
WORDS = {"pass": "pass", "fail": "**fail**", "not applicable": "n/a"}


def table(reports: dict[str, Report]) -> str:
    """A row per check, a column per calculator, and below it what the failures were."""
    found = {name: {row.check: row for row in report.rows} for name, report in reports.items()}
    lines = ["| check | " + " | ".join(reports) + " |", "|---" * (len(reports) + 1) + "|"]
    for check in ("accepts the structure", *CHECKS):
        words = [WORDS[rows[check].status] if check in rows else "" for rows in found.values()]
        lines.append(f"| {check} | " + " | ".join(words) + " |")
    counts = [report.as_dict()["counts"] for report in reports.values()]
    totals = [f"{c['pass']} / {c['fail']} / {c['not applicable']}" for c in counts]
    lines += ["| pass / fail / n/a | " + " | ".join(totals) + " |", "", "What failed:", ""]
    for name, rows in found.items():
        for row in rows.values():
            if row.status == "fail":
                said = " ".join(str(row).split()) or "no words"
                where = f" ({row.structure})" if row.structure else ""
                lines.append(f"- {name}, {row.check}{where}: {said.rstrip(':')}")
    return "\n".join(lines)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--calls", type=int, default=0, help="also check memory over this many calls")
    calls = options.parse_args().calls
    reports = {}
    for name in (*NAMED, *bundled_models()):
        calc, structures = find_calculator(name)
        with np.errstate(all="ignore"):
            reports[name] = check_calculator(calc, structures, calls=calls)
        print(reports[name], end="\n\n", flush=True)
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    _, _, after = rest.partition(END)
    note = (
        f"ASE {ase.__version__}; memory over {calls} calls." if calls else f"ASE {ase.__version__}; without `memory`."
    )
    write_atomically(PAGE, f"{before}{BEGIN}\n{note}\n\n{table(reports)}\n{END}{after}")


if __name__ == "__main__":
    main()
