"""Model folders that are damaged or meant to do harm: functions that spoil a sound folder, by name.

`python tests/hostile_models.py FOLDER ...` loads each folder in a forked process with an address space of 1 GB beyond
what Python and PyTorch take anyway, a time limit, and a hook that sees every file opened and every piece of code run.
It prints one JSON line for each: what `load_model` said, memory, time, and what the hook saw.
"""

import contextlib
import json
import os
import struct
import sys
from pathlib import Path

HEADER, WEIGHTS = "model.json", "weights.safetensors"
ROOM, SECONDS = 2**30, 30  # bytes of address space, seconds


def header(folder, change):
    path = folder / HEADER
    content = json.loads(path.read_text(encoding="utf-8"))
    change(content)
    path.write_text(json.dumps(content), encoding="utf-8")


def network(folder, **options):
    header(folder, lambda h: h["model"]["representation"].update(options))


def text(folder, old, new):
    path = folder / HEADER
    content = path.read_text(encoding="utf-8")
    assert old in content
    path.write_text(content.replace(old, new, 1), encoding="utf-8")


def raw(folder, content, name=HEADER):
    (folder / name).write_bytes(content)


def table(folder, change, data=None):
    """Changes the table at the head of the weights file, and the data behind it if given."""
    path = folder / WEIGHTS
    content = path.read_bytes()
    length = struct.unpack("<Q", content[:8])[0]
    entries = json.loads(content[8 : 8 + length])
    entries = change(entries) or entries
    encoded = json.dumps(entries).encode()
    path.write_bytes(struct.pack("<Q", len(encoded)) + encoded + (content[8 + length :] if data is None else data))


def tensors(folder, change):
    from safetensors.torch import load_file, save_file

    values = load_file(folder / WEIGHTS)
    save_file(change(values) or values, folder / WEIGHTS)


def entry(folder, **changes):
    table(folder, lambda t: t["heads.energy.network.0.weight"].update(changes))


def rename(folder, old, new):
    table(folder, lambda t: {new if name == old else name: value for name, value in t.items()})


def poison(folder, value):
    def change(values):
        values["heads.energy.network.0.weight"][0, 0] = value

    tensors(folder, change)


def cut(folder, name, size):
    path = folder / name
    path.write_bytes(path.read_bytes()[:size])


def link(folder, name, target):
    (folder / name).unlink()
    (folder / name).symlink_to(target)


def moved_out(folder, name):
    """The right file, but behind a link that leads out of the folder."""
    outside = folder.parent / f"{folder.name}-{name}"
    (folder / name).rename(outside)
    (folder / name).symlink_to(outside)


def fifo(folder, name):
    (folder / name).unlink()
    os.mkfifo(folder / name)


def directory(folder, name):
    (folder / name).unlink()
    (folder / name).mkdir()


def sparse(folder, name, size):
    """A file that claims `size` bytes and takes none of the disk."""
    with open(folder / name, "r+b") as file:
        file.truncate(size)


def consistent_giant(folder):
    """Header and weights agree on a network of 20 GB, whose file takes no disk: one big hole."""
    import torch

    from painn_ase.model import Model

    network(folder, features=4096, interactions=30)
    description = json.loads((folder / HEADER).read_text(encoding="utf-8"))["model"]
    with torch.device("meta"):
        state = Model.from_config(description).float().state_dict()
    entries, end = {}, 0
    for name, tensor in state.items():
        size = tensor.numel() * tensor.element_size()
        kind = {torch.float32: "F32", torch.float64: "F64"}[tensor.dtype]
        entries[name] = {"dtype": kind, "shape": list(tensor.shape), "data_offsets": [end, end + size]}
        end += size
    encoded = json.dumps(entries).encode()
    raw(folder, struct.pack("<Q", len(encoded)) + encoded, WEIGHTS)
    sparse(folder, WEIGHTS, 8 + len(encoded) + end)


def half_precision(folder):
    tensors(folder, lambda values: {name: v.half() for name, v in values.items()})


def one_of_another_precision(folder):
    def change(values):
        values["heads.energy.network.0.weight"] = values["heads.energy.network.0.weight"].float()

    tensors(folder, change)


def integers(folder):
    import torch

    def change(values):
        values["heads.energy.network.0.weight"] = values["heads.energy.network.0.weight"].to(torch.int64)

    tensors(folder, change)


def pickled(folder):
    """A file that pickle would run, under the names a careless loader looks for."""
    import pickle

    class Evil:
        def __reduce__(self):
            return (os.system, (f"touch {folder}/ran",))

    for name in (WEIGHTS, HEADER, "model.pt", "pytorch_model.bin"):
        raw(folder, pickle.dumps(Evil()), name)


def script_in_names(folder):
    network(folder, kind="__import__('os').system('touch ran')")
    raw(folder, b"raise SystemExit('ran')", "painn.py")


DAMAGE = {
    "header missing": lambda f: (f / HEADER).unlink(),
    "header truncated": lambda f: cut(f, HEADER, 200),
    "header empty": lambda f: raw(f, b""),
    "header of zeros": lambda f: raw(f, bytes(4096)),
    "header not UTF-8": lambda f: raw(f, (f / HEADER).read_bytes().replace(b"painn_ase", b"p\xff\xfeinn")),
    "header in UTF-16": lambda f: raw(f, (f / HEADER).read_text(encoding="utf-8").encode("utf-16")),
    "header with a lone surrogate": lambda f: text(f, '"provenance": {}', '"provenance": {"x": "\\ud800"}'),
    "header a list": lambda f: raw(f, b"[1, 2]"),
    "header a number": lambda f: raw(f, b"7"),
    "header nested 100000 deep": lambda f: raw(f, b"[" * 100_000 + b"]" * 100_000),
    "header nested 500 deep": lambda f: text(f, '"errors": {}', '"errors": {"x": ' + "[" * 500 + "]" * 500 + "}"),
    "header of 1 GB": lambda f: sparse(f, HEADER, 2**30),
    "header of a million empty objects": lambda f: raw(f, b"[" + b"{}," * 1_300_000 + b"{}]"),
    "header a pipe": lambda f: fifo(f, HEADER),
    "header a device": lambda f: link(f, HEADER, "/dev/zero"),
    "header a folder": lambda f: directory(f, HEADER),
    "header a link to another file": lambda f: link(f, HEADER, "/etc/passwd"),
    "header a link to itself": lambda f: link(f, HEADER, HEADER),
    "header moved out behind a link": lambda f: moved_out(f, HEADER),
    "name twice in the header": lambda f: text(f, '"version": 1', '"version": 1, "version": 1'),
    "NaN in the header": lambda f: text(f, '"cutoff": 4.0', '"cutoff": NaN'),
    "infinite number": lambda f: text(f, '"cutoff": 4.0', '"cutoff": 1e999'),
    "whole number of 4000 digits": lambda f: text(f, '"version": 1', '"version": ' + "9" * 4000),
    "whole number of 100000 digits": lambda f: text(f, '"version": 1', '"version": ' + "9" * 100_000),
    "version a text": lambda f: header(f, lambda h: h.update(version="1")),
    "version true": lambda f: header(f, lambda h: h.update(version=True)),
    "version negative": lambda f: header(f, lambda h: h.update(version=-1)),
    "version of the future": lambda f: header(f, lambda h: h.update(version=2)),
    "other format": lambda f: header(f, lambda h: h.update(format="pickle")),
    "other units": lambda f: header(f, lambda h: h["units"].update(energy="kcal/mol")),
    "other properties": lambda f: header(f, lambda h: h.update(properties=["energy", "charges"])),
    "cutoff that contradicts": lambda f: header(f, lambda h: h.update(cutoff=40.0)),
    "provenance a list": lambda f: header(f, lambda h: h.update(provenance=[1])),
    "errors a text": lambda f: header(f, lambda h: h.update(errors="none")),
    "description missing": lambda f: header(f, lambda h: h.pop("model")),
    "description a list": lambda f: header(f, lambda h: h.update(model=[1, 2])),
    "representation missing": lambda f: header(f, lambda h: h["model"].pop("representation")),
    "representation a number": lambda f: header(f, lambda h: h["model"].update(representation=3)),
    "unknown representation": lambda f: network(f, kind="transformer"),
    "kind a list": lambda f: network(f, kind=["painn"]),
    "unknown head": lambda f: header(f, lambda h: h["model"]["heads"].update(magic={})),
    "head under another name": lambda f: header(f, lambda h: h["model"]["heads"].update(other={"kind": "energy"})),
    "no heads": lambda f: header(f, lambda h: h["model"].update(heads={})),
    "a thousand heads": lambda f: header(
        f, lambda h: h["model"].update(heads={f"h{k}": {"kind": "energy"} for k in range(1000)})
    ),
    "a hundred thousand layers": lambda f: header(
        f, lambda h: h["model"]["heads"]["energy"].update(hidden=[1] * 100_000)
    ),
    "a layer of 10^30": lambda f: header(f, lambda h: h["model"]["heads"]["energy"].update(hidden=[10**30])),
    "a layer of -3": lambda f: header(f, lambda h: h["model"]["heads"]["dipole"].update(hidden=[-3])),
    "a truth value as text": lambda f: header(f, lambda h: h["model"]["heads"]["energy"].update(mean="false")),
    "epsilon as text": lambda f: network(f, epsilon="1e-8"),
    "elements missing": lambda f: header(f, lambda h: h["model"].pop("elements")),
    "element 0": lambda f: header(f, lambda h: h["model"].update(elements=[0, 1])),
    "elements beyond the embeddings": lambda f: network(f, embeddings=5),
    "cutoff negative": lambda f: network(f, cutoff=-5.0),
    "cutoff zero": lambda f: network(f, cutoff=0),
    "cutoff 1e300": lambda f: network(f, cutoff=1e300),
    "cutoff a list": lambda f: network(f, cutoff=[5.0]),
    "features 1e9": lambda f: network(f, features=10**9),
    "features 1.5": lambda f: network(f, features=1.5),
    "features negative": lambda f: network(f, features=-16),
    "interactions 1e9": lambda f: network(f, interactions=10**9),
    "radial functions 1e12": lambda f: network(f, radial={"kind": "bessel", "count": 10**12}),
    "radial functions 1e30": lambda f: network(f, radial={"kind": "bessel", "count": 10**30}),
    "radial functions -1": lambda f: network(f, radial={"kind": "bessel", "count": -1}),
    "radial functions a text": lambda f: network(f, radial="bessel"),
    "unknown radial functions": lambda f: network(f, radial={"kind": "../../bessel"}),
    "repulsion of power 1e9": lambda f: network(f, repulsion={"strength": 1.0, "sigma": 1.0, "power": 1e9}),
    "an option of a million characters": lambda f: network(f, **{"x" * 1_000_000: 1}),
    "other size than the weights": lambda f: network(f, features=32),
    "weights missing": lambda f: (f / WEIGHTS).unlink(),
    "weights empty": lambda f: raw(f, b"", WEIGHTS),
    "weights truncated in the table": lambda f: cut(f, WEIGHTS, 500),
    "weights truncated in the data": lambda f: cut(f, WEIGHTS, (f / WEIGHTS).stat().st_size - 9),
    "weights with bytes to spare": lambda f: sparse(f, WEIGHTS, (f / WEIGHTS).stat().st_size + 64),
    "weights of 1 TB": lambda f: sparse(f, WEIGHTS, 2**40),
    "weights of 20 GB, as described": consistent_giant,
    "weights a pipe": lambda f: fifo(f, WEIGHTS),
    "weights a device": lambda f: link(f, WEIGHTS, "/dev/zero"),
    "weights a random device": lambda f: link(f, WEIGHTS, "/dev/urandom"),
    "weights a folder": lambda f: directory(f, WEIGHTS),
    "weights a link to nothing": lambda f: link(f, WEIGHTS, "nowhere"),
    "weights moved out behind a link": lambda f: moved_out(f, WEIGHTS),
    "weights beside the folder": lambda f: link(f, WEIGHTS, "../../../../../../../etc/shadow"),
    "weights a pickle": pickled,
    "weights a text": lambda f: raw(f, b"import os\n" * 100, WEIGHTS),
    "table of 2^60 bytes": lambda f: raw(f, struct.pack("<Q", 2**60) + b"{}", WEIGHTS),
    "table of 2^64 - 1 bytes": lambda f: raw(f, b"\xff" * 8 + b"{}", WEIGHTS),
    "table of no bytes": lambda f: raw(f, bytes(64), WEIGHTS),
    "table a list": lambda f: table(f, lambda t: [1, 2]),
    "table nested": lambda f: table(f, lambda t: t | {"__metadata__": json.loads("[" * 200 + "]" * 200)}),
    "tensor of type F16": lambda f: entry(f, dtype="F16"),
    "tensor of an unknown type": lambda f: entry(f, dtype="OBJECT"),
    "tensor of a type that is a list": lambda f: entry(f, dtype=[1] * 10_000),
    "tensor of 10^18 rows": lambda f: entry(f, shape=[10**18, 16]),
    "tensor of negative size": lambda f: entry(f, shape=[-1, 16]),
    "tensor without a shape": lambda f: entry(f, shape=None),
    "tensor of fractional size": lambda f: entry(f, shape=[8.0, 16]),
    "tensor transposed": lambda f: entry(f, shape=[16, 8]),
    "tensor far behind the end": lambda f: entry(f, data_offsets=[2**40, 2**40 + 1024]),
    "tensor with negative offsets": lambda f: entry(f, data_offsets=[-1024, 0]),
    "tensor offsets exchanged": lambda f: entry(f, data_offsets=[1024, 0]),
    "tensors that overlap": lambda f: entry(f, data_offsets=[0, 1024]),
    "tensor missing": lambda f: tensors(f, lambda v: v.pop("heads.energy.scale") and None),
    "tensor too many": lambda f: rename(f, "__metadata__", "extra"),
    "tensor called like a path": lambda f: rename(f, "heads.energy.scale", "../../../../etc/passwd"),
    "tensor called with escapes": lambda f: rename(f, "heads.energy.scale", "\x1b[2J\x00\n"),
    "weights of NaN": lambda f: poison(f, float("nan")),
    "weights infinite": lambda f: poison(f, float("-inf")),
    "weights in half precision": half_precision,
    "weights of mixed precision": one_of_another_precision,
    "weights of integers": integers,
    "code in a name": script_in_names,
}
"""What to do to a folder, by name of the damage."""


def look_at(folder: Path) -> dict:
    """What comes of loading `folder`, with everything that was opened or run meanwhile."""
    from painn_ase import load_model
    from painn_ase.errors import ModelError

    opened, ran = [], []
    code = ("exec", "compile", "import", "os.system", "os.exec", "os.fork", "os.posix_spawn", "subprocess.Popen",
            "pickle.find_class", "marshal.loads", "socket.connect", "ctypes.dlopen")  # fmt: skip

    def watch(event, arguments):
        if event == "open" and isinstance(arguments[0], str | os.PathLike):
            opened.append(str(arguments[0]))
        elif event in code:
            ran.append(f"{event} {arguments[:1]}")

    sys.addaudithook(watch)
    try:
        load_model(folder)
        kind, said = "loaded", ""
    except ModelError as error:
        kind, said = "refused", str(error)
    except BaseException as error:
        kind, said = type(error).__name__, str(error)
    outside = [name for name in opened if not name.startswith(f"{folder}/")]
    return {"kind": kind, "said": said, "outside": outside, "ran": ran[:5], "marker": (folder / "ran").exists()}


def main(folders: list[str]) -> None:
    import resource
    import signal
    import time

    from painn_ase import load_model
    from painn_ase.errors import ModelError

    load_model(folders[0])  # a sound one: what is imported on first use is imported here
    for odd in ("x", folders[1]):
        with contextlib.suppress(ModelError):
            load_model(odd)
    taken = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    for folder in folders:
        began = time.monotonic()
        answer, mouth = os.pipe()
        child = os.fork()
        if child == 0:
            resource.setrlimit(resource.RLIMIT_AS, (taken + ROOM,) * 2)
            signal.alarm(SECONDS)
            with os.fdopen(mouth, "w") as out:
                json.dump(look_at(Path(folder)), out)
            os._exit(0)
        os.close(mouth)
        with os.fdopen(answer) as source:
            said = source.read()
        _, status, used = os.wait4(child, 0)
        found = json.loads(said) if said else {"kind": f"died with status {status}", "said": ""}
        found |= {"megabytes": used.ru_maxrss / 1024, "seconds": time.monotonic() - began, "folder": folder}
        print(json.dumps(found), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
