"""Files: tensors in the safetensors format, whole or not at all; downloads; the folder for what was downloaded.

Nothing here knows of tensors: arrays are NumPy's. `clearprop.save` and `clearprop.load` make tensors of them.
"""

from clearprop.files.atomic import atomic_write
from clearprop.files.tensors import load, load_metadata, save

__all__ = ["atomic_write", "load", "load_metadata", "save"]
