"""Writing files so that a crash at any moment leaves either the old content or the new."""

import os
from pathlib import Path


def write_atomically(path: Path, content: bytes | str) -> None:
    """Replaces `path` by `content` in one step: temporary file, fsync, rename."""
    data = content.encode() if isinstance(content, str) else content
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with open(temporary, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
