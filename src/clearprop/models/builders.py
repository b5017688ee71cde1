"""Networks by name: what a file of weights may say that it is of. A file never runs code of whoever wrote it."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from clearprop.models.mlp import image_mlp, mlp
from clearprop.models.resnet import ResNet
from clearprop.nn import Module

BUILDERS: Mapping[str, Callable[..., Module]] = {"ResNet": ResNet, "image_mlp": image_mlp, "mlp": mlp}
