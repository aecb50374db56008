"""How the kernel's C++ sources are compiled: read by setup.py and by whoever builds them into another program."""

import platform

UNITS = ("domain", "engine", "fragments", "network", "painn", "painn_domain", "rounds", "topology", "workspace")
# No -ffast-math: linked in, it would change the rounding mode of the whole process, and NaN checks would vanish.
FLAGS = (
    "-std=c++17",
    "-O3",
    "-g0",  # Python asks for symbols of its own build, ten times the library
    "-Wall",
    "-Wextra",
    "-fno-math-errno",
    "-fno-trapping-math",
    "-ffp-contract=fast",
    "-fvisibility=hidden",
)
_INSTRUCTION_SETS: dict[str, tuple[str, ...]] = {
    "portable": (),
    "avx2": ("-mavx2", "-mfma"),
    "avx512": ("-mavx512f", "-mavx512dq", "-mavx512bw", "-mavx512vl", "-mavx2", "-mfma", "-mprefer-vector-width=512"),
}


def instruction_sets() -> dict[str, tuple[str, ...]]:
    """Flags of each instruction set that has a file kernels_<name>.cpp, on this machine."""
    x86 = platform.machine().lower() in ("x86_64", "amd64")
    return _INSTRUCTION_SETS if x86 else {"portable": ()}
