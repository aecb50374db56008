"""Frames from files: extended XYZ, also compressed, databases, NumPy archives, HDF5, and what else ASE reads."""

import gzip
from collections.abc import Callable, Iterable
from io import StringIO
from pathlib import Path

import ase.db
import ase.io
from ase import Atoms
from ase.io.formats import filetype

from painn_ase.ase_outputs import IN_DATABASES, register_properties
from painn_ase.data.arrays import read_hdf5, read_npz
from painn_ase.errors import InputError, in_short
from painn_ase.files import split_index


def read_frames(paths: Path | str | Iterable[Path | str]) -> list[Atoms]:
    """All frames of extended XYZ files, ASE databases (.db), NumPy archives (.npz), HDF5 files (.h5, .hdf5) or other
    files that ASE reads, in order.

    FILE@::5 takes every fifth frame, FILE@0 the first: indices and slices as ASE has them.
    Key-value pairs and data of a database row are put into `info`. Raises `InputError` for files that are
    missing, unreadable or empty.
    """
    register_properties()  # else ASE's readers drop polarizabilities
    frames: list[Atoms] = []
    for given in [paths] if isinstance(paths, str | Path) else paths:
        path, index = split_index(str(given))
        if not Path(path).is_file():
            raise InputError(f"data: expected a file of structures; {path!r} does not exist")
        try:
            found = _reader(path)(path)
        except InputError:
            raise
        except Exception as error:  # ASE's readers raise whatever the malformed file leads them to
            what = in_short(f"{type(error).__name__}: {error}")
            raise InputError(f"data: ASE cannot read {path!r}: {what}") from error
        chosen = _chosen(found, index)
        if not chosen:
            raise InputError(f"data: {str(given)!r} holds no structures" + (f" of {len(found)}" if index else ""))
        frames += chosen
    return frames


def _chosen(frames: list[Atoms], index: str) -> list[Atoms]:
    """The frames that an index or slice of ASE names; all without one."""
    if not index:
        return frames
    if ":" not in index:
        number = int(index)
        return [frames[number]] if -len(frames) <= number < len(frames) else []
    return frames[slice(*(int(part) if part else None for part in index.split(":")))]


def _reader(path: Path | str) -> Callable[[Path | str], list[Atoms]]:
    readers: dict[str, Callable[[Path | str], list[Atoms]]] = {
        ".db": _read_database,
        ".gz": _read_compressed,
        ".npz": lambda name: read_npz(Path(name)),
        ".h5": lambda name: read_hdf5(Path(name)),
        ".hdf5": lambda name: read_hdf5(Path(name)),
    }
    return readers.get(Path(path).suffix, _read_any)


def _read_any(path: Path | str) -> list[Atoms]:
    return ase.io.read(path, ":")  # type: ignore[return-value]  # a list, since a slice is asked for


def _read_compressed(path: Path | str) -> list[Atoms]:
    """ASE's readers jump back and forth in a file; a compressed one would be decompressed anew at every jump."""
    with gzip.open(path, "rt", encoding="utf-8") as file:
        text = StringIO(file.read())
    return ase.io.read(text, ":", format=filetype(Path(path).stem, read=False))  # type: ignore[return-value]


def _read_database(path: Path | str) -> list[Atoms]:
    frames = []
    with ase.db.connect(path) as database:
        for row in database.select():
            atoms = row.toatoms()
            atoms.info.update(row.key_value_pairs)
            atoms.info.update({key: value for key, value in row.data.items() if key != IN_DATABASES})
            frames.append(atoms)
    return frames
