"""Networks that are ready to train, and classifiers of images that were trained and saved."""

from clearprop.models.classifier import ImageClassifier
from clearprop.models.mlp import mlp

__all__ = ["ImageClassifier", "mlp"]
