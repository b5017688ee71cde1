"""Files: tensors in the safetensors format, whole or not at all; downloads.

Arrays here are NumPy's; `clearprop.load` is `load_tensors`, which makes tensors of them.
"""

from clearprop.files.atomic import atomic_write
from clearprop.files.tensors import load, load_metadata, load_tensors, save

__all__ = ["atomic_write", "load", "load_metadata", "load_tensors", "save"]
