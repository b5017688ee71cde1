"""Where tensors live: so far, on the CPU."""

from __future__ import annotations

from typing import Any

from clearprop.errors import UsageError

CPU = "cpu"
"""The only device so far."""


def check_device(device: Any) -> None:
    """Raise UsageError unless the device is one that we have; None stands for the default."""
    if device not in (None, CPU):
        raise UsageError(f"device {device!r} is not known", hint=f'device="{CPU}", the only one so far')
