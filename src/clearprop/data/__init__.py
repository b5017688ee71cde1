"""Data: datasets, the files they come in, checks, and loaders that hand out batches.

>>> from clearprop.data import DataLoader, digits
>>> images, labels = next(iter(DataLoader(digits("train"), batch_size=32, shuffle=True)))
>>> images.shape, labels.shape
((32, 1, 8, 8), (32,))
"""

from clearprop.data.checks import check_finite, check_labels
from clearprop.data.cifar import cifar10
from clearprop.data.collating import PadCollate, pad_sequence, padding_mask
from clearprop.data.datasets import ArrayDataset, digits, mnist, split
from clearprop.data.draws import Draws
from clearprop.data.idx import read_idx, write_idx
from clearprop.data.images import ImageDataset, ImageFolder
from clearprop.data.loader import DataLoader
from clearprop.data.mixing import CutMix, MixUp
from clearprop.data.selections import ConcatDataset, Subset, random_split
from clearprop.data.subwords import BPETokenizer, WordPieceTokenizer
from clearprop.data.text import TextDataset, read_text, text_file, tiny_shakespeare
from clearprop.data.tokenizer import CharTokenizer, Tokenizer
from clearprop.data.transforms import Compose, Cutout, Normalize, RandomCrop, RandomHorizontalFlip, ToFloat
from clearprop.data.words import NearWords, WordText

__all__ = [
    "ArrayDataset",
    "BPETokenizer",
    "CharTokenizer",
    "Compose",
    "ConcatDataset",
    "CutMix",
    "Cutout",
    "DataLoader",
    "Draws",
    "ImageDataset",
    "ImageFolder",
    "MixUp",
    "NearWords",
    "Normalize",
    "PadCollate",
    "RandomCrop",
    "RandomHorizontalFlip",
    "Subset",
    "TextDataset",
    "ToFloat",
    "Tokenizer",
    "WordPieceTokenizer",
    "WordText",
    "check_finite",
    "check_labels",
    "cifar10",
    "digits",
    "mnist",
    "pad_sequence",
    "padding_mask",
    "random_split",
    "read_idx",
    "read_text",
    "split",
    "text_file",
    "tiny_shakespeare",
    "write_idx",
]
