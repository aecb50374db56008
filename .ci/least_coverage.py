"""Fails if the last run of the tests executed less than PERCENT of the lines of a file, and names the file.

python .ci/least_coverage.py 75

A file that wraps an optional library is not judged where the library is absent. The builder of the LAMMPS plugin
compiles for minutes; `make lammps` runs its tests.
"""

import importlib.util
import sys

from coverage import Coverage

OPTIONAL = {
    "painn_ase/neighbors/torch_cluster.py": "torch_cluster",
    "painn_ase/engines/openmm.py": "openmmml",
    "painn_ase/engines/torch_sim.py": "torch_sim",
}
ELSEWHERE = ("painn_ase/lammps/build.py",)


def main(percent: float) -> int:
    measured = Coverage()
    measured.load()
    absent = {file: library for file, library in OPTIONAL.items() if importlib.util.find_spec(library) is None}
    low = []
    for file in sorted(measured.get_data().measured_files()):
        if file.endswith(ELSEWHERE):
            continue
        for name, library in absent.items():
            if file.endswith(name):
                print(f"{name}: not judged, for {library} is not installed (make torch-cluster, make lammps)")
                break
        else:
            _, lines, _, missing, _ = measured.analysis2(file)
            share = 100 * (1 - len(missing) / len(lines)) if lines else 100.0
            if share < percent:
                low.append(f"{file}: {share:.0f} % of {len(lines)} lines, expected at least {percent:g} %")
    print("\n".join(low) or f"every file judged has at least {percent:g} % of its lines executed")
    return bool(low)


if __name__ == "__main__":
    sys.exit(main(float(sys.argv[1])))
