"""Networks composed of several kinds of layers, as people build them: weights and buffers go to PyTorch and back."""

from __future__ import annotations

from typing import Any

import numpy as np
from tests.reference.modules.cases import ModuleCase, numbers, whole


def residual_block(nn: Any) -> Any:
    """The basic block of He et al. 2015: two convolutions with normalization, and a shortcut that halves the image."""

    class Block(nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.conv1 = nn.Conv2d(2, 3, 3, stride=2, padding=1, bias=False)
            self.bn1 = nn.BatchNorm2d(3)
            self.conv2 = nn.Conv2d(3, 3, 3, padding=1, bias=False)
            self.bn2 = nn.BatchNorm2d(3)
            self.downsample = nn.Sequential(nn.Conv2d(2, 3, 1, stride=2, bias=False), nn.BatchNorm2d(3))

        def forward(self, x: Any) -> Any:
            relu = nn.functional.relu
            y = relu(self.bn1(self.conv1(x)))
            return relu(self.bn2(self.conv2(y)) + self.downsample(x))

    return Block()


def tagger(nn: Any) -> Any:
    """A label for every word: embedding, an LSTM in both directions, a linear layer."""

    class Tagger(nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.embed = nn.Embedding(7, 3)
            self.lstm = nn.LSTM(3, 2, batch_first=True, bidirectional=True)
            self.head = nn.Linear(4, 3)

        def forward(self, words: Any) -> Any:
            return self.head(self.lstm(self.embed(words))[0])

    return Tagger()


def language_model(nn: Any) -> Any:
    """Words, learned positions, a Transformer's encoder that sees the past alone, and the embedding once more."""

    class LanguageModel(nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.words = nn.Embedding(7, 4)
            self.places = nn.Embedding(5, 4)
            layer = nn.TransformerEncoderLayer(4, 2, 6, dropout=0.0, batch_first=True, norm_first=True)
            self.body = nn.TransformerEncoder(layer, 1, nn.LayerNorm(4))
            self.head = nn.Linear(4, 7, bias=False)

        def forward(self, words: Any, places: Any, future: Any) -> Any:
            return self.head(self.body(self.words(words) + self.places(places), future))

    return LanguageModel()


IMAGES = numbers(2, 2, 5, 5)
WORDS = whole(2, 4, high=7)

CASES = [
    ModuleCase("residual_block", inputs=(IMAGES,), make=residual_block, steps=2),
    ModuleCase("residual_block", inputs=(IMAGES,), make=residual_block, training=False),
    ModuleCase("tagger", inputs=(WORDS,), make=tagger),
    ModuleCase("language_model", inputs=(WORDS, np.arange(4), np.triu(np.ones((4, 4), bool), 1)), make=language_model),
]
