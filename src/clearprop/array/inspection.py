"""What this namespace can do: asked by programs that work with any library that follows the array API standard."""

from __future__ import annotations

from clearprop import dtypes
from clearprop.array.data_types import KINDS, letters
from clearprop.array.devices import CPU, check_device
from clearprop.dtypes import DTYPES, DType
from clearprop.errors import UsageError

API_VERSION = "2024.12"
"""The version of the standard that the namespace follows."""

_VERSIONS = ("2021.12", "2022.12", "2023.12", API_VERSION)
_MAX_DIMENSIONS = 64  # NumPy's, from version 2.0 on
_NOT_IN_THE_STANDARD = (dtypes.float16,)


def check_api_version(api_version: str | None) -> None:
    """Raise UsageError unless the namespace follows that version of the standard; None stands for the newest."""
    if api_version not in (None, *_VERSIONS):
        raise UsageError(f"version {api_version!r} of the array API is not supported", hint=f'"{API_VERSION}"')


class ArrayNamespaceInfo:
    """The inspection functions of the standard. Complex numbers are still to come, and no answer names them."""

    def capabilities(self) -> dict[str, bool | int | None]:
        """Masks as indices and shapes that depend on values are supported; the number of axes has a limit."""
        return {"boolean indexing": True, "data-dependent shapes": True, "max dimensions": _MAX_DIMENSIONS}

    def default_device(self) -> str:
        """Where new tensors are."""
        return CPU

    def devices(self) -> list[str]:
        """All devices that there are."""
        return [CPU]

    def default_dtypes(self, *, device: str | None = None) -> dict[str, DType]:
        """The dtypes of Python's floats, of its integers, and of positions."""
        check_device(device)
        return {"real floating": dtypes.DEFAULT_FLOAT, "integral": dtypes.DEFAULT_INT, "indexing": dtypes.int64}

    def dtypes(self, *, device: str | None = None, kind: str | tuple[str, ...] | None = None) -> dict[str, DType]:
        """By their names the dtypes of some kinds (see `isdtype`), by default all, of those that the standard knows.

        Raises:
            UsageError: if there is no such kind.
        """
        check_device(device)
        kinds = tuple(KINDS) if kind is None else (kind,) if isinstance(kind, str) else kind
        wanted = "".join(map(letters, kinds))
        known = [dtype for dtype in DTYPES.values() if dtype not in _NOT_IN_THE_STANDARD]
        return {dtype.name: dtype for dtype in known if dtype.dtype.kind in wanted}


def __array_namespace_info__() -> ArrayNamespaceInfo:  # noqa: N807
    """What this namespace can do.

    >>> import clearprop as cp
    >>> info = cp.__array_namespace_info__()
    >>> info.capabilities()["boolean indexing"], info.default_dtypes()["real floating"], info.devices()
    (True, clearprop.float32, ['cpu'])
    >>> info.dtypes(kind="real floating")
    {'float32': clearprop.float32, 'float64': clearprop.float64}
    """
    return ArrayNamespaceInfo()
