"""What train.toml reads, of the labelled files: python models/organic/gather.py runs/organic/labelled runs/organic"""

import shutil
import sys
from pathlib import Path


def main(source: Path, target: Path) -> None:
    for part in ("train", "validation", "test", "visited"):
        parts = sorted(source.glob(f"{part}-*.extxyz"))
        if parts:
            with open(target / f"{part}.extxyz", "wb") as whole:
                for path in parts:
                    with open(path, "rb") as file:
                        shutil.copyfileobj(file, whole)
            print(f"{part}.extxyz: {len(parts)} files")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
