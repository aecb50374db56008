"""The device that a configuration names."""

import torch

from painn_ase.errors import InputError


def choose_device(name: str) -> torch.device:
    """The device called `name`. Raises `InputError` when this machine or this PyTorch does not have it."""
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        message = str(error).splitlines()[0]
        raise InputError(f"[run] device: {name!r} cannot be used ({message}); 'cpu' always can") from None
    return device
