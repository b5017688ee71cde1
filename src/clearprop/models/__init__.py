"""Networks that are ready to train, and classifiers of images that were trained and saved."""

from clearprop.models.bert import Bert, BertOutput
from clearprop.models.char_rnn import CharRNN
from clearprop.models.classifier import ImageClassifier
from clearprop.models.cnn import CNN
from clearprop.models.gpt import GPT
from clearprop.models.lenet import LeNet1989
from clearprop.models.linear import LinearClassifier
from clearprop.models.mlp import image_mlp, mlp
from clearprop.models.ntm import NTM
from clearprop.models.pretrained import BertConfig
from clearprop.models.resnet import ResNet
from clearprop.models.sampling import chances, sample, stream
from clearprop.models.seq2seq import Seq2Seq
from clearprop.models.sequence import SequenceClassifier, SequenceTagger
from clearprop.models.shift import RandomShift
from clearprop.models.texts import BertClassifier, SentenceEncoder
from clearprop.models.word2vec import CBOW, SkipGram, WordVectors, negative_sampling

__all__ = [
    "Bert",
    "BertClassifier",
    "BertConfig",
    "BertOutput",
    "CBOW",
    "CNN",
    "CharRNN",
    "GPT",
    "ImageClassifier",
    "LeNet1989",
    "LinearClassifier",
    "NTM",
    "RandomShift",
    "ResNet",
    "SentenceEncoder",
    "Seq2Seq",
    "SequenceClassifier",
    "SequenceTagger",
    "SkipGram",
    "WordVectors",
    "chances",
    "image_mlp",
    "mlp",
    "negative_sampling",
    "sample",
    "stream",
]
