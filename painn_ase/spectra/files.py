"""Spectra on disk: CSV to read with anything, HDF5 to lose nothing."""

import csv
import json
from collections.abc import Mapping
from io import StringIO
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from painn_ase.errors import InputError
from painn_ase.files import write_atomically

_ARRAYS = ("wavenumbers", "intensity", "standard_error", "samples")
_HDF5 = (".h5", ".hdf5")
_FORMAT = "painn-ase spectrum 1"

Fields = Mapping[str, Any]  # the fields of one Spectrum


def write(path: str | PathLike[str], spectra: Mapping[str, Fields]) -> None:
    """Write the named spectra, in one step; the suffix of `path` chooses the format. CSV holds one, named ""."""
    target = Path(path)
    if target.suffix in _HDF5:
        write_atomically(target, _hdf5(spectra))
    elif target.suffix == ".csv":
        if set(spectra) != {""}:
            raise InputError(f"{target}: a CSV file holds one spectrum; save several to a .h5 file, or each on its own")
        write_atomically(target, _csv(spectra[""]))
    else:
        raise InputError(f"{target}: expected a file name that ends in .csv, .h5 or .hdf5")


def read(path: str | PathLike[str]) -> dict[str, dict[str, Any]]:
    """Fields of every spectrum in a file that `write` made."""
    source = Path(path)
    if not source.is_file():
        raise InputError(f"{source}: no such file")
    if source.suffix in _HDF5:
        return _read_hdf5(source)
    if source.suffix == ".csv":
        return {"": _read_csv(source)}
    raise InputError(f"{source}: expected a file name that ends in .csv, .h5 or .hdf5")


def _csv(fields: Fields) -> str:
    unit = fields["unit"]
    columns = {"wavenumber / cm⁻¹": fields["wavenumbers"], f"intensity / {unit}": fields["intensity"]}
    if fields["standard_error"] is not None:
        columns[f"standard error / {unit}"] = fields["standard_error"]
    text = StringIO()
    text.write(f"# {_FORMAT}\n# kind: {fields['kind']}\n# unit: {unit}\n")
    for key, value in fields["metadata"].items():
        text.write(f"# {json.dumps({key: value}, ensure_ascii=False)}\n")
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(columns)
    rows.writerows(zip(*(column.tolist() for column in columns.values()), strict=True))
    return text.getvalue()


def _read_csv(path: Path) -> dict[str, Any]:
    lines = path.read_text(encoding="utf-8").splitlines()
    header = [line[2:] for line in lines if line.startswith("# ")]
    if not header or header[0] != _FORMAT:
        raise InputError(
            f"{path}: not a spectrum written by this package; for a table of numbers use "
            "Spectrum(*np.loadtxt(path, delimiter=',', unpack=True), unit=..., kind=...)"
        )
    metadata: dict[str, Any] = {}
    for line in header[3:]:
        metadata |= json.loads(line)
    rows = list(csv.reader(line for line in lines if not line.startswith("#")))
    table = np.array(rows[1:], dtype=float).T
    return {
        "wavenumbers": table[0],
        "intensity": table[1],
        "standard_error": table[2] if len(table) > 2 else None,
        "kind": header[1].removeprefix("kind: "),
        "unit": header[2].removeprefix("unit: "),
        "metadata": metadata,
    }


def _hdf5(spectra: Mapping[str, Fields]) -> bytes:
    import h5py

    with h5py.File("spectra.h5", "w", driver="core", backing_store=False) as file:  # in memory
        file.attrs["format"] = _FORMAT
        for name, fields in spectra.items():
            group = file.create_group(name or "spectrum")
            group.attrs["name"] = name
            for key in ("kind", "unit"):
                group.attrs[key] = fields[key]
            group.attrs["metadata"] = json.dumps(dict(fields["metadata"]), ensure_ascii=False)
            for key in _ARRAYS:
                if fields[key] is not None:
                    group[key] = fields[key]
            group["wavenumbers"].attrs["unit"] = "cm⁻¹"
            group["intensity"].attrs["unit"] = fields["unit"]
        file.flush()
        return bytes(file.id.get_file_image())


def _read_hdf5(path: Path) -> dict[str, dict[str, Any]]:
    import h5py

    try:
        file = h5py.File(path, "r")
    except OSError as error:
        raise InputError(f"{path}: not a readable HDF5 file ({error})") from None
    with file:
        if file.attrs.get("format") != _FORMAT:
            raise InputError(f"{path}: an HDF5 file, but not one with spectra written by this package")
        found = {}
        for group in file.values():
            fields: dict[str, Any] = {key: group[key][()] for key in _ARRAYS if key in group}
            fields |= {key: group.attrs[key] for key in ("kind", "unit")}
            fields["metadata"] = json.loads(group.attrs["metadata"])
            found[str(group.attrs["name"])] = fields
        return found
