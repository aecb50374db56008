"""Safetensors files whose bytes depend on their content alone."""

import json
from collections.abc import Mapping

from safetensors.torch import save
from torch import Tensor


def tensor_file(tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> bytes:
    """A safetensors file of `tensors` and `metadata`: equal bytes for equal content.

    The library sorts the tensors, but writes metadata in an order that it draws anew in every process; here its keys
    are sorted. A file is the length of its header (8 bytes, little-endian), the header, and the tensors.
    """
    data = save(dict(tensors), metadata=dict(metadata))
    end = 8 + int.from_bytes(data[:8], "little")
    header = json.loads(data[8:end])
    header["__metadata__"] = dict(sorted(metadata.items()))
    text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)  # tensors start on multiples of 8 bytes
    return len(text).to_bytes(8, "little") + text + data[end:]
