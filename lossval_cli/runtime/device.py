"""Which device the tensors live on."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from lossval_cli.errors import DeviceError

if TYPE_CHECKING:
    import torch


def pick_device(name: str) -> torch.device:
    """`auto`, `cpu`, `cuda` or `cuda:N` -> a device that is there; DeviceError says what is there instead."""
    import torch

    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if name == "auto":
        return torch.device("cuda" if count else "cpu")
    check_device_name(name)
    device = torch.device(name)
    if device.type == "cuda" and (device.index or 0) >= count:
        there = f"cuda:0 to cuda:{count - 1}" if count > 1 else "cuda:0" if count else "no CUDA device"
        raise DeviceError(f"device {name} is not available (found {there}): use --device auto or cpu")
    return device


def check_device_name(name: str) -> None:
    """Raise DeviceError where no device can have this name."""
    if not re.fullmatch(r"auto|cpu|cuda(:\d+)?", name):
        raise DeviceError(f"device {name!r} is unknown: use auto, cpu, cuda or cuda:N")
