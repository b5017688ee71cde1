"""Networks that are ready to train, and classifiers of images that were trained and saved."""

from clearprop.models.classifier import ImageClassifier
from clearprop.models.mlp import image_mlp, mlp
from clearprop.models.shift import RandomShift

__all__ = ["ImageClassifier", "RandomShift", "image_mlp", "mlp"]
