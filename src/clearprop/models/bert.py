"""BERT: a Transformer encoder that reads a text in both directions at once.

J. Devlin, M.-W. Chang, K. Lee, K. Toutanova, "BERT: Pre-training of deep bidirectional Transformers for language
understanding", 2018, https://arxiv.org/abs/1810.04805; its layers are those of A. Vaswani et al., "Attention is all you
need", 2017, whose equations are numbered here. In the shapes N is the batch, T the longest text in it, H the width.
"""

from __future__ import annotations

import os
from typing import Any, NamedTuple, Self

from clearprop.array import add, expand_dims, logical_not, not_equal
from clearprop.errors import ShapeError
from clearprop.functional.attention import check_something_seen
from clearprop.models.pretrained import BertConfig, load_weights, read_config, read_weights
from clearprop.models.tokens import check_tokens
from clearprop.nn import Dropout, Embedding, LayerNorm, Linear, Module, ModuleList, MultiheadAttention, init
from clearprop.tensor import Tensor, as_tensor


class BertOutput(NamedTuple):
    """What the encoder makes of a text.

    Attributes:
        last_hidden_state: (N, T, H), a vector for each token, T_i in the paper.
        pooler_output: (N, H), one for the whole text, made of that of its first token, C; None without a pooler.
    """

    last_hidden_state: Tensor
    pooler_output: Tensor | None


class BertEmbeddings(Module):
    """Figure 2: the input is the sum of three embeddings, of the token, of its segment and of its position."""

    def __init__(self, config: BertConfig) -> None:
        width = config.hidden_size
        self.words = Embedding(config.vocab_size, width)
        self.positions = Embedding(config.max_position_embeddings, width)
        self.segments = Embedding(config.type_vocab_size, width)
        self.norm = LayerNorm(width, config.layer_norm_eps)
        self.dropout = Dropout(config.hidden_dropout_prob)

    def forward(self, input_ids: Tensor, token_type_ids: Tensor | None) -> Tensor:
        """(N, T), (N, T) -> (N, T, H)."""
        segments = self.segments.weight[0] if token_type_ids is None else self.segments(token_type_ids)
        x = add(add(self.words(input_ids), self.positions.weight[: input_ids.shape[1]]), segments)
        return self.dropout(self.norm(x))


class BertLayer(Module):
    """Attention, then a network for each token, each as LayerNorm(x + Sublayer(x)) (Vaswani et al., section 3.1)."""

    def __init__(self, config: BertConfig) -> None:
        width, eps = config.hidden_size, config.layer_norm_eps
        self.attention = MultiheadAttention(
            width, config.num_attention_heads, config.attention_probs_dropout_prob, batch_first=True
        )
        self.attention_norm = LayerNorm(width, eps)
        self.intermediate = Linear(width, config.intermediate_size)
        self.activation = config.activation
        self.output = Linear(config.intermediate_size, width)
        self.output_norm = LayerNorm(width, eps)
        self.dropout = Dropout(config.hidden_dropout_prob)

    def forward(self, x: Tensor, padding: Tensor | None) -> Tensor:
        """(N, T, H), and where there is padding, (N, T) -> (N, T, H)."""
        attended, _ = self.attention(x, x, x, key_padding_mask=padding)  # equation 1, in several heads
        x = self.attention_norm(add(x, self.dropout(attended)))
        inner = self.output(self.activation(self.intermediate(x)))  # equation 2, with GELU instead of ReLU
        return self.output_norm(add(x, self.dropout(inner)))


class Bert(Module):
    """The encoder of BERT.

    Args:
        config: its sizes; in the paper L, H and A are ``num_hidden_layers``, ``hidden_size`` and
            ``num_attention_heads``.
        pooler: whether there is a layer that makes one vector of a text.

    >>> import clearprop as cp
    >>> config = BertConfig(vocab_size=100, hidden_size=8, num_hidden_layers=2, num_attention_heads=2)
    >>> output = Bert(config).eval()([[2, 31, 42, 3], [2, 53, 3, 0]], attention_mask=[[1, 1, 1, 1], [1, 1, 1, 0]])
    >>> output.last_hidden_state.shape, output.pooler_output.shape
    ((2, 4, 8), (2, 8))
    """

    def __init__(self, config: BertConfig, *, pooler: bool = True) -> None:
        self.config = config
        self.embeddings = BertEmbeddings(config)
        self.layers = ModuleList(BertLayer(config) for _ in range(config.num_hidden_layers))
        self.pooler = Linear(config.hidden_size, config.hidden_size) if pooler else None
        self.apply(lambda module: _draw(module, config.initializer_range))

    def forward(self, input_ids: Any, attention_mask: Any = None, token_type_ids: Any = None) -> BertOutput:
        """Texts as numbers of tokens.

        Args:
            input_ids: (N, T) integers.
            attention_mask: (N, T), 1 or True for tokens, 0 or False for padding; by default everything is a token.
            token_type_ids: (N, T), the segment of each token, 0 or 1; by default 0.

        Raises:
            ShapeError: a mask of another shape, texts without tokens, or longer than there are positions.
            RangeError: a token that is not in the vocabulary.
            DataError: a mask, where it is known, that hides a whole text.
        """
        tokens = check_tokens("Bert", input_ids)
        segments = None if token_type_ids is None else as_tensor(token_type_ids)
        mask = None if attention_mask is None else not_equal(as_tensor(attention_mask), 0)
        self._check_shapes(tokens, attention_mask=mask, token_type_ids=segments)
        if mask is not None:
            check_something_seen("Bert", "attention_mask", expand_dims(mask, -2))
        x = self.embeddings(tokens, segments)
        for layer in self.layers:
            x = layer(x, None if mask is None else logical_not(mask))
        return BertOutput(x, None if self.pooler is None else self.pooler(x[:, 0]).tanh())

    @classmethod
    def from_pretrained(cls, folder: str | os.PathLike[str]) -> Self:
        """The encoder whose ``config.json`` and ``model.safetensors`` are in a folder, as Hugging Face lays them out.

        The weights may be those of BERT with a last layer for some task, which is left out. The network is in
        evaluation mode.

        Raises:
            FileError: a file is missing, damaged, or of another architecture.
        """
        config = read_config(folder)
        weights = read_weights(folder)
        model = cls(config, pooler="pooler.weight" in weights)
        load_weights(model, weights, folder)
        return model.eval()

    def _check_shapes(self, tokens: Tensor, **others: Tensor | None) -> None:
        most = self.config.max_position_embeddings
        if tokens.shape[1] > most:
            raise ShapeError(
                f"Bert: input_ids have shape {tokens.shape}, and there are positions for {most} tokens",
                hint=f"input_ids[:, :{most}]",
            )
        for name, other in others.items():
            if other is not None and other.shape != tokens.shape:
                raise ShapeError(
                    f"Bert: {name} has shape {other.shape}, input_ids {tokens.shape}; they must be equal",
                    hint="a number for each token",
                )


def _draw(module: Module, std: float) -> None:
    """First values: normal for all matrices and tables, 0 for the biases."""
    for name, parameter in module.named_parameters(recurse=False):
        if parameter.ndim == 2:
            init.normal_(parameter, std=std)
        elif name.endswith("bias"):
            init.zeros_(parameter)
