"""The cases of modules by topic. After a change: ``python -m tests.reference.modules.record TOPIC``."""

from tests.reference.modules.cases import ModuleCase
from tests.reference.modules.topics import (
    activations,
    attention,
    convolution,
    embedding,
    linear,
    losses,
    networks,
    normalization,
    pooling,
    recurrent,
    transformer,
)

TOPICS: dict[str, list[ModuleCase]] = {
    "activations": activations.CASES,
    "attention": attention.CASES,
    "convolution": convolution.CASES,
    "embedding": embedding.CASES,
    "linear": linear.CASES,
    "losses": losses.CASES,
    "networks": networks.CASES,
    "normalization": normalization.CASES,
    "pooling": pooling.CASES,
    "recurrent": recurrent.CASES,
    "transformer": transformer.CASES,
}
