"""What a foreign file is, seen from its first bytes, its names and its texts; nothing in it is built or executed.

A refusal that only says which name was not allowed helps nobody. Here the codes whose files people have are told
apart, so that the refusal says what the file is and what would work.
"""

import io
import pickletools
import re
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from painn_ase.errors import InputError, ModelError
from painn_ase.importers.dialects import DIALECTS

_MOST = 64 * 2**20  # bytes of a pickle that are looked at
_PICKLES = 4  # one after the other, in torch's old format: magic number, version, system, object
_CURATOR = "{'model': state dict, 'num_layer': ..., 'node_size': ..., 'cutoff': ...} (docs/importing.md)"
_LABEL = "or label structures with it and train a network here (docs/reference-data.md)"

# by the package that its pickles name: what it is, and the ASE calculator that runs its files
_CODES = {
    "mace": ("MACE", "mace.calculators.MACECalculator"),
    "cace": ("CACE", "cace.calculators.CACECalculator"),
    "allegro": ("Allegro", "nequip.ase.NequIPCalculator"),
    "nequip": ("NequIP", "nequip.ase.NequIPCalculator"),
    "fairchem": ("fairchem", "fairchem.core.FAIRChemCalculator"),
    "ocpmodels": ("fairchem (ocpmodels)", "fairchem.core.OCPCalculator of fairchem 1"),
    "chgnet": ("CHGNet", "chgnet.model.dynamics.CHGNetCalculator"),
    "matgl": ("MatGL", "matgl.ext.ase.PESCalculator"),
    "orb_models": ("Orb", "orb_models.forcefield.calculator.ORBCalculator"),
    "sevenn": ("SevenNet", "sevenn.calculator.SevenNetCalculator"),
    "torchmdnet": ("TorchMD-Net", "its own ASE calculator"),
    "torchani": ("TorchANI", "the model's ase() calculator"),
    "aimnet": ("AIMNet", "aimnet.calculators.AIMNet2ASE"),
    "deepmd": ("DeePMD-kit", "deepmd.calculator.DP"),
    "mattersim": ("MatterSim", "mattersim.forcefield.MatterSimCalculator"),
    "graph_pes": ("graph-pes", "the model's ase_calculator()"),
    "metatomic": ("metatomic", "metatomic.torch.ase_calculator.MetatomicCalculator"),
    "metatensor": ("metatomic", "metatomic.torch.ase_calculator.MetatomicCalculator"),
    "spainn": ("SPaiNN (excited states on SchNetPack)", "SPaiNN itself"),
    "e3nn": ("a network of e3nn", "the code that trained it"),
}
# texts that only this code's state dicts hold, for files that name no class
_TENSORS = {
    "mace": "products.0.symmetric_contractions",
    "nequip": "chemical_embedding",
    "ocpmodels": "message_layers.0.x_proj.0.weight",
    "torchmdnet": "representation_model.",
}
_STARTS = {
    b"\x89HDF\r\n\x1a\n": "an HDF5 file",
    b"GIF8": "a picture",
    b"\x89PNG": "a picture",
    b"%PDF": "a PDF document",
    b"\x1f\x8b": "a gzip archive; unpack it first",
    b"BZh": "a bzip2 archive; unpack it first",
    b"\xfd7zXZ": "an xz archive; unpack it first",
    b"version https://git-lfs": "a pointer of Git LFS, not the file itself; fetch it with git lfs pull",
}
_OLD_TORCH = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."  # the magic number of torch.save before 1.6
_PACKAGES = {  # by a part of the names of the archive's entries
    "aotinductor": "a compiled PyTorch package (AOTInductor), whose network is code",
    ".data/extern_modules": "a packaged PyTorch model (torch.package), whose network is code",
}
_FLAVOURS = {
    ".json": "JSON, not weights; a description of the network goes to --hyperparameters",
    ".pb": "a frozen TensorFlow graph (DeePMD-kit); use deepmd.calculator.DP",
    ".onnx": "an ONNX graph, whose network is code; import the checkpoint it was made from",
    ".keras": "a Keras model, which is no PaiNN of a code that is read",
    ".xml": "XML, as GAP potentials are; use quippy.potential.Potential",
    ".toml": "a configuration, not a checkpoint; give the file with the weights",
    ".yaml": "a configuration, not a checkpoint; give the file with the weights",
    ".yml": "a configuration, not a checkpoint; give the file with the weights",
}


@dataclass(frozen=True)
class Clues:
    """What can be seen in a file without building anything from it."""

    start: bytes = b""
    entries: tuple[str, ...] = ()  # of a zip archive
    names: tuple[str, ...] = ()  # globals of its pickle, in order
    texts: frozenset[str] = frozenset()  # strings of its pickle

    def has(self, part: str) -> bool:
        """Whether a text contains `part`."""
        return any(part in text for text in self.texts)

    def package(self, name: str) -> bool:
        """Whether a name or an entry belongs to the top-level package `name`."""
        if any(found.partition(".")[0] == name for found in self.names):
            return True
        return any(name in re.split(r"[/.]", entry) for entry in self.entries)


def refuse_strangers(path: Path, dialect: str, described: bool = False) -> None:
    """Raises an error that says what `path` is and what would work, if it is known to be no file of `dialect`.

    `described`: hyperparameters come beside it, so a state dict is expected. `InputError` where they are missing,
    `ModelError` for files of other codes. Files that are not recognised pass: reading them says more.
    """
    clues = look(path)
    if path.suffix == ".safetensors" or (clues.entries and all(entry.endswith(".npy") for entry in clues.entries)):
        if dialect == "curator":
            raise ModelError(f"{path}: weights alone do not say what the network is; save with torch.save {_CURATOR}")
        if not described:
            raise InputError(
                f"{path}: weights alone do not say what the network is; give its hyperparameters "
                "(--hyperparameters FILE, docs/importing.md)"
            )
        return
    what = _folder(path) if path.is_dir() else _other_file(path, clues) or _other_code(clues, dialect, described)
    if what is not None:
        raise ModelError(f"{path}: this is {what}")


def _other_file(path: Path, clues: Clues) -> str | None:
    """What the file is if torch.save did not write it, or wrote code."""
    if not clues.start.startswith((b"PK", b"\x80")):
        kinds = [kind for start, kind in _STARTS.items() if clues.start.startswith(start)]
        return kinds[0] if kinds else _FLAVOURS.get(path.suffix)
    if any(entry.endswith("/constants.pkl") or "/code/" in entry for entry in clues.entries):
        return _torchscript(clues)
    code = _code(clues)
    for part, kind in _PACKAGES.items():
        if any(part in entry for entry in clues.entries):
            return f"{kind}; {f'use {code[1]}, {_LABEL}' if code else 'import the checkpoint it was made from'}"
    return None


def _other_code(clues: Clues, dialect: str, described: bool) -> str | None:
    """What the checkpoint is if it is not of `dialect`, as far as its names and texts tell."""
    other = None if described else _other_network(clues)
    if other is not None:
        return other
    found, code = _dialect(clues), _code(clues)
    if code is not None and (found is None or code[0].startswith("SPaiNN")):
        return f"{_article(code[0])} file, not a PaiNN that is read here; use {code[1]}, {_LABEL}"
    if "pytorch-lightning_version" in clues.texts:
        return _lightning(found)
    if found is not None and found != dialect:
        return _other_dialect(found, dialect)
    if clues.start.startswith(b"\x80") and not clues.start.startswith(_OLD_TORCH):
        return "a Python pickle that torch.save did not write; save the network's state dict with torch.save"
    return None


def look(path: Path) -> Clues:
    """The clues that can be had; a damaged file gives few of them."""
    try:
        with open(path, "rb") as file:
            start = file.read(32)
        if not start.startswith(b"PK"):
            data = path.read_bytes() if start.startswith(b"\x80") and path.stat().st_size < _MOST else b""
            return Clues(start, (), *_scan(data))
        with zipfile.ZipFile(path) as archive:
            entries = tuple(archive.namelist())
            pickles = [e for e in archive.infolist() if e.filename.rpartition("/")[2] == "data.pkl"]
            small = [e for e in pickles if e.file_size < _MOST and e.compress_type == zipfile.ZIP_STORED]
            return Clues(start, entries, *_scan(archive.read(small[0]) if small else b""))
    except Exception:  # whatever is wrong with the file, the reader after us says it
        return Clues()


def _scan(data: bytes) -> tuple[tuple[str, ...], frozenset[str]]:
    """Names and texts of a pickle, from its instructions alone."""
    names: dict[str, None] = {}
    texts: dict[str, None] = {}
    file = io.BytesIO(data)
    try:
        for _ in range(_PICKLES):
            _scan_one(file, names, texts)
    except Exception:  # the end, or a damaged pickle: what was seen so far is a clue
        pass
    return tuple(names), frozenset(texts)


def _scan_one(file: io.BytesIO, names: dict[str, None], texts: dict[str, None]) -> None:
    last: list[str] = []
    memo: dict[int, str] = {}
    argument: Any
    for opcode, argument, _ in pickletools.genops(file):
        if opcode.name == "GLOBAL":
            names[".".join(argument.split(" ", 1))] = None
        elif opcode.name == "STACK_GLOBAL":
            names[".".join(last[-2:])] = None
        elif isinstance(argument, str) and "UNICODE" in opcode.name:
            texts[argument] = None
            last = [*last[-1:], argument]
        elif opcode.name in ("MEMOIZE", "BINPUT", "LONG_BINPUT"):
            memo[len(memo) if argument is None else argument] = last[-1] if last else ""
        elif opcode.name in ("BINGET", "LONG_BINGET"):
            last = [*last[-1:], memo.get(argument, "")]


def _folder(path: Path) -> str:
    if (path / "model.json").is_file() and (path / "weights.safetensors").is_file():
        return f"a model of this package already: PaiNNCalculator({str(path)!r}), or --model {path}"
    if (path / "state.pt").is_file() and (path / "model.json").is_file():
        return f"a MatGL model folder, not a PaiNN that is read here; use {_CODES['matgl'][1]}, {_LABEL}"
    return "a folder, which cannot be read as a checkpoint; expected the file with the weights in it"


def _torchscript(clues: Clues) -> str:
    code = _code(clues)
    if code is None:
        return (
            "a deployed TorchScript model, whose network is code and not read; import the checkpoint it was made from "
            "(SchNetPack: best_model)"
        )
    return f"a deployed TorchScript model of {code[0]}, whose network is code and not read; use {code[1]}, {_LABEL}"


def _dialect(clues: Clues) -> str | None:
    for name, dialect in DIALECTS.items():
        if all(clues.has(part) for part in dialect.tensors):
            return name
    return None


def _code(clues: Clues) -> tuple[str, str] | None:
    """The foreign code that wrote the file: title, and the calculator that runs it."""
    for package, code in _CODES.items():
        if clues.package(package):
            return code
    for package, text in _TENSORS.items():
        if clues.has(text):
            return _CODES[package]
    return None


def _lightning(dialect: str | None) -> str:
    what = "a Lightning checkpoint, which keeps the state of a training"
    if dialect == "schnetpack":
        return f"{what} of SchNetPack; import the best_model that the training wrote beside it"
    if dialect == "curator":
        return (
            f"{what} of curator (best_model_*.ckpt); load it with curator and save the network with torch.save as "
            f"{_CURATOR}"
        )
    return f"{what} of a network that is no PaiNN of {_listed()}; use the code that wrote it, {_LABEL}"


def _other_dialect(found: str, dialect: str) -> str:
    return f"a checkpoint of {found}, not of {dialect}; import it with: painn-ase import {found} FILE FOLDER"


def _other_network(clues: Clues) -> str | None:
    """Networks other than PaiNN of the codes whose PaiNN is read, by the class at the root of the pickle."""
    roots = [name for name in clues.names if name.partition(".")[0] in ("nff", "schnetpack", "curator")]
    root = roots[0] if roots else ""
    kind = root.rpartition(".")[2]
    if root.startswith("nff.") and kind[:1].isupper() and kind != "Painn":
        return f"NeuralForceField's {kind} ({root}), not its Painn; use nff.io.ase.NeuralFF with it, {_LABEL}"
    representations = [n for n in clues.names if n.startswith("schnetpack.representation.")]
    if representations and not any(n.endswith(".PaiNN") for n in representations):
        kind = representations[0].rpartition(".")[2]
        return f"SchNetPack's {kind}, not its PaiNN; use schnetpack.interfaces.SpkCalculator with it, {_LABEL}"
    return None


def _listed() -> str:
    return ", ".join(DIALECTS)


def _article(name: str) -> str:
    return f"{'an' if name[:1] in 'AEIO' else 'a'} {name}"
