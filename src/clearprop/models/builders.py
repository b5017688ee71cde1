"""Networks by name: what a file of weights may say that it is of. A file never runs code of whoever wrote it."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from clearprop.models.char_rnn import CharRNN
from clearprop.models.cnn import CNN
from clearprop.models.gpt import GPT
from clearprop.models.lenet import LeNet1989
from clearprop.models.linear import LinearClassifier
from clearprop.models.mlp import image_mlp, mlp
from clearprop.models.ntm import NTM
from clearprop.models.resnet import ResNet
from clearprop.models.seq2seq import Seq2Seq
from clearprop.models.sequence import SequenceClassifier, SequenceTagger
from clearprop.models.texts import BertClassifier
from clearprop.models.word2vec import CBOW, SkipGram
from clearprop.nn import Module

BUILDERS: Mapping[str, Callable[..., Module]] = {
    "BertClassifier": BertClassifier,
    "CBOW": CBOW,
    "CharRNN": CharRNN,
    "GPT": GPT,
    "CNN": CNN,
    "LeNet1989": LeNet1989,
    "LinearClassifier": LinearClassifier,
    "NTM": NTM,
    "ResNet": ResNet,
    "Seq2Seq": Seq2Seq,
    "SequenceClassifier": SequenceClassifier,
    "SequenceTagger": SequenceTagger,
    "SkipGram": SkipGram,
    "image_mlp": image_mlp,
    "mlp": mlp,
}
