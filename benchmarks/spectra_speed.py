"""Time and memory to turn a long dipole, polarizability and velocity series into all spectra.

    python benchmarks/spectra_speed.py [--frames 1000000] [--json result.json]

Prints one line per spectrum, and the peak memory of the process with the input arrays in it.
"""

import argparse
import json
import platform
import resource
import sys
import time
from collections.abc import Callable

import numpy as np
import scipy

from painn_ase.spectra import infrared, power_spectrum, raman
from painn_ase.units import BOLTZMANN, ELEMENTARY_CHARGE


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--frames", type=int, default=1_000_000)
    parser.add_argument("--atoms", type=int, default=9, help="atoms in the velocity series (ethanol has 9)")
    parser.add_argument("--resolution", type=float, default=4.0, help="cm⁻¹")
    parser.add_argument("--json", help="also write the numbers here")
    options = parser.parse_args()

    rng = np.random.default_rng(0)
    dipoles = rng.normal(size=(options.frames, 3))
    half = rng.normal(size=(options.frames, 3, 3))
    polarizabilities = half + half.transpose(0, 2, 1)
    del half
    velocities = rng.normal(size=(options.frames, options.atoms, 3)) * np.sqrt(300 * BOLTZMANN / ELEMENTARY_CHARGE / 12)
    common = {"timestep": 0.5, "temperature": 300.0, "resolution": options.resolution}
    given = (dipoles.nbytes + polarizabilities.nbytes + velocities.nbytes) / 1e9
    seconds = {
        "infrared": _time(lambda: infrared(dipoles, **common)),
        "raman": _time(lambda: raman(polarizabilities, **common)),
    }
    memory = _peak_memory()
    seconds["infrared + raman"] = sum(seconds.values())
    seconds["power"] = _time(lambda: power_spectrum(velocities, np.full(options.atoms, 12.0), **common))
    result = {
        "frames": options.frames,
        "atoms": options.atoms,
        "resolution / cm⁻¹": options.resolution,
        "seconds": {name: round(value, 3) for name, value in seconds.items()},
        "peak memory of the process / GB": round(memory, 3),
        "of which input arrays / GB": round(given, 3),
        "machine": f"{platform.machine()}, {platform.system()}, Python {platform.python_version()}",
        "versions": f"numpy {np.__version__}, scipy {scipy.__version__}",
    }
    for name, value in seconds.items():
        print(f"{name:18s} {value:7.2f} s")
    print(f"peak memory        {memory:7.2f} GB, of which {given:.2f} GB are the input")
    if options.json:
        with open(options.json, "w", encoding="utf-8") as file:
            json.dump(result, file, indent=2, ensure_ascii=False)


def _time(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def _peak_memory() -> float:
    """Peak resident memory of this process in GB (Linux counts kilobytes, macOS bytes)."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1e9 if sys.platform == "darwin" else 1e6)


if __name__ == "__main__":
    main()
