"""Tokenizers: one interface, texts that come back, and tokens that there are not."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clearprop.data import BPETokenizer, CharTokenizer, Tokenizer, WordPieceTokenizer
from clearprop.errors import ClearpropError, DataError, FileError, UsageError

TEXT = "the newest boat was lower than the lowest of the newer boats, wasn't it?\n" * 20
END = "<|end|>"

CHAR = CharTokenizer.train(TEXT, special_tokens=[END])
BPE = BPETokenizer.train(TEXT, vocab_size=300, special_tokens=[END])
WORDPIECE = WordPieceTokenizer.train(TEXT, vocab_size=120, special_tokens=["[UNK]", END])
ALL = pytest.mark.parametrize("tokenizer", [CHAR, BPE, WORDPIECE], ids=["char", "bpe", "wordpiece"])


def tokens(tokenizer: Tokenizer, text: str) -> list[str]:
    return [tokenizer.id_to_token(number) for number in tokenizer.encode(text)]


# What all can do --------------------------------------------------------------------------------------------


@ALL
def test_tokens_are_numbers_below_the_size_of_the_vocabulary(tokenizer: Tokenizer) -> None:
    numbers = tokenizer.encode(TEXT)
    assert numbers.dtype == np.int64
    assert numbers.ndim == 1
    assert numbers.min() >= 0
    assert numbers.max() < tokenizer.vocab_size == len(tokenizer)
    assert all(tokenizer.token_to_id(tokenizer.id_to_token(number)) == number for number in range(len(tokenizer)))


@ALL
def test_a_special_token_is_one_token_and_no_text(tokenizer: Tokenizer) -> None:
    number = tokenizer.token_to_id(END)
    numbers = tokenizer.encode(f"the boat{END}the")
    assert (numbers == number).sum() == 1
    assert END in tokenizer.special_tokens
    assert tokenizer.decode([number]) == ""
    assert tokenizer.decode([number], skip_special_tokens=False) == END
    assert END not in tokenizer.decode(numbers)
    assert tokenizer.encode("").shape == (0,)
    assert tokenizer.decode([]) == ""


@ALL
def test_a_saved_tokenizer_is_the_same(tokenizer: Tokenizer, tmp_path: Path) -> None:
    path = tmp_path / "tokenizer.json"
    tokenizer.save(path)
    json.loads(path.read_text())
    loaded = type(tokenizer).load(path)
    assert loaded.vocab_size == tokenizer.vocab_size
    assert loaded.special_tokens == tokenizer.special_tokens
    np.testing.assert_array_equal(loaded.encode(TEXT + END), tokenizer.encode(TEXT + END))
    loaded.save(tmp_path / "again.json")
    assert (tmp_path / "again.json").read_bytes() == path.read_bytes()


@pytest.mark.parametrize(
    ("kind", "settings"),
    [(CharTokenizer, {}), (BPETokenizer, {"vocab_size": 280}), (WordPieceTokenizer, {"vocab_size": 100})],
)
def test_training_on_texts_and_files_is_the_same_every_time(kind: Any, settings: Any, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text(TEXT)
    (tmp_path / "b.txt").write_text("über den Wolken")
    sources: list[Any] = [
        [TEXT, "über den Wolken"],
        [tmp_path / "a.txt", tmp_path / "b.txt"],
        (text for text in (TEXT, "über den Wolken")),
    ]
    saved = []
    for source in [*sources, *([TEXT, "über den Wolken"] for _ in range(4))]:
        kind.train(source, **settings).save(tmp_path / "tokenizer.json")
        saved.append((tmp_path / "tokenizer.json").read_bytes())
    assert len(set(saved)) == 1
    assert kind.train(tmp_path / "a.txt", **settings).vocab_size > 0


@ALL
@pytest.mark.parametrize("number", [-1, 10_000])
def test_a_number_that_is_no_token(tokenizer: Tokenizer, number: int) -> None:
    name = type(tokenizer).__name__
    with pytest.raises(DataError, match=f"{name}.decode: {number} at index 1 is none of its {len(tokenizer)} tokens"):
        tokenizer.decode([0, number])
    with pytest.raises(DataError, match=f"{name}: {number} is none of its"):
        tokenizer.id_to_token(number)


@ALL
@pytest.mark.parametrize("numbers", [[[1, 2]], [0.5], ["a"]])
def test_what_are_no_numbers_of_tokens(tokenizer: Tokenizer, numbers: Any) -> None:
    with pytest.raises(DataError, match="decode: tokens of dtype") as caught:
        tokenizer.decode(numbers)
    assert "row" in caught.value.hint


@ALL
def test_what_is_no_text_and_no_token(tokenizer: Tokenizer) -> None:
    with pytest.raises(UsageError, match="encode takes a text, not a list"):
        tokenizer.encode(["the"])  # type: ignore[arg-type]
    with pytest.raises(DataError, match="there is no token '<pad>'"):
        tokenizer.token_to_id("<pad>")


@ALL
@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"{}", b"\xff", b'{"model": {"type": "BPE"}}', b'{"model": 3}'])
def test_a_damaged_file_is_an_error_that_names_it(tokenizer: Tokenizer, content: bytes, tmp_path: Path) -> None:
    (tmp_path / "bad.json").write_bytes(content)
    with pytest.raises(FileError, match=rf"bad.json holds no {type(tokenizer).__name__}"):
        type(tokenizer).load(tmp_path / "bad.json")
    with pytest.raises(FileError, match=r"cannot read .*missing.json"):
        type(tokenizer).load(tmp_path / "missing.json")


def test_the_file_of_another_kind_is_an_error(tmp_path: Path) -> None:
    for tokenizer in (CHAR, BPE, WORDPIECE):
        tokenizer.save(tmp_path / "tokenizer.json")
        for kind in {CharTokenizer, BPETokenizer, WordPieceTokenizer} - {type(tokenizer)}:
            with pytest.raises(FileError, match=f"holds no {kind.__name__}"):
                kind.load(tmp_path / "tokenizer.json")


@pytest.mark.parametrize("kind", [CharTokenizer, BPETokenizer, WordPieceTokenizer])
def test_what_cannot_be_trained_on(kind: Any, tmp_path: Path) -> None:
    settings = {} if kind is CharTokenizer else {"vocab_size": 300}
    (tmp_path / "text.txt").write_text(TEXT)
    (tmp_path / "image.png").write_bytes(b"\x89PNG")
    with pytest.raises(UsageError, match=r"text.txt' is the name of a file") as caught:
        kind.train(str(tmp_path / "text.txt"), **settings)
    assert "pathlib.Path" in caught.value.hint
    with pytest.raises(DataError, match=r"image.png is not text in UTF-8"):
        kind.train(tmp_path / "image.png", **settings)
    with pytest.raises(FileError, match=r"cannot read .*missing.txt"):
        kind.train(tmp_path / "missing.txt", **settings)
    with pytest.raises(UsageError, match="5 is no text"):
        kind.train([5], **settings)
    with pytest.raises(UsageError, match="5 is no text"):
        kind.train(5, **settings)
    with pytest.raises(UsageError, match="special_tokens is '<end>'"):
        kind.train(TEXT, special_tokens="<end>", **settings)
    with pytest.raises(UsageError, match="'' is not a special token"):
        kind.train(TEXT, special_tokens=[""], **settings)


# Characters -------------------------------------------------------------------------------------------------


@given(st.text())
def test_characters_come_back(text: str) -> None:
    if text:
        tokenizer = CharTokenizer.train(text)
        assert tokenizer.decode(tokenizer.encode(text)) == text
        assert tokenizer.vocab_size == len(set(text))


def test_an_unknown_character_is_named_with_its_place() -> None:
    with pytest.raises(DataError, match=r"'東' \(U\+6771\) at index 4 is none of the \d+ characters") as caught:
        CHAR.encode("the 東京")
    assert "unk_token" in caught.value.hint
    with pytest.raises(DataError, match=r"'X' \(U\+0058\) at index 10 is none"):
        CHAR.encode(f"the{END}X")
    with pytest.raises(DataError, match=r"'\\ud800' \(U\+D800\) at index 0"):
        CHAR.encode("\ud800")


def test_an_unknown_character_becomes_the_token_for_it() -> None:
    tokenizer = CharTokenizer("abc", special_tokens=["<pad>"], unk_token="<unk>")
    assert tokenizer.special_tokens == ("<unk>", "<pad>")
    assert tokens(tokenizer, "aXb<pad>東") == ["a", "<unk>", "b", "<pad>", "<unk>"]
    assert tokenizer.decode(tokenizer.encode("aXb"), skip_special_tokens=False) == "a<unk>b"


def test_a_special_token_may_hold_any_character() -> None:
    tokenizer = CharTokenizer.train("a|b", special_tokens=["(.*)", "||"])
    assert tokens(tokenizer, "a|||b(.*)") == ["a", "||", "|", "b", "(.*)"]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: CharTokenizer(["a", "bc"]), "'bc' is not a character"),
        (lambda: CharTokenizer([1]), "1 is not a character"),
        (lambda: CharTokenizer("aa"), "a token occurs twice"),
        (lambda: CharTokenizer("ab", special_tokens=["<x>", "<x>"]), "a token occurs twice"),
        (lambda: CharTokenizer("ab", special_tokens=["a"]), "a token occurs twice"),
        (lambda: CharTokenizer.train(""), "CharTokenizer.train: there is no text"),
    ],
)
def test_characters_that_make_no_tokenizer(make: Any, message: str) -> None:
    with pytest.raises(ClearpropError, match=message) as caught:
        make()
    assert caught.value.hint


# Byte-pair encoding -----------------------------------------------------------------------------------------


@given(st.text())
def test_any_text_comes_back_from_bytes(text: str) -> None:
    if END not in text:
        assert BPE.decode(BPE.encode(text)) == text


def test_frequent_pairs_become_tokens() -> None:
    assert 256 < BPE.vocab_size <= 300
    assert "the" in tokens(BPE, "the newest")
    assert len(BPE.encode(TEXT)) < len(TEXT) / 2
    assert len(BPE.encode("qqqq")) == 4  # never seen: bytes


def test_a_vocabulary_smaller_than_the_bytes_is_an_error() -> None:
    with pytest.raises(UsageError, match="vocab_size is 256; the bytes and special tokens are 257 alone"):
        BPETokenizer.train(TEXT, vocab_size=256, special_tokens=[END])


def test_half_a_character_is_named() -> None:
    for tokenizer in (BPE, WORDPIECE):
        with pytest.raises(DataError, match=r"'\\udc00' at index 3 is half a character"):
            tokenizer.encode("the\udc00")
    with pytest.raises(DataError, match="half a character"):
        BPETokenizer.train("\ud800", vocab_size=300)


def test_a_tokenizer_that_drops_what_it_does_not_know_is_refused(tmp_path: Path) -> None:
    BPE.save(tmp_path / "tokenizer.json")
    content = json.loads((tmp_path / "tokenizer.json").read_text())
    content["pre_tokenizer"] = {"type": "Whitespace"}
    (tmp_path / "tokenizer.json").write_text(json.dumps(content))
    with pytest.raises(FileError, match="it drops what it does not know"):
        BPETokenizer.load(tmp_path / "tokenizer.json")


# WordPiece --------------------------------------------------------------------------------------------------


def test_words_are_taken_apart_into_the_longest_pieces() -> None:
    tokenizer = WordPieceTokenizer.train("low lower lowest newest widest " * 20, vocab_size=60)
    assert tokens(tokenizer, "lowest low") == ["lowest", "low"]
    assert tokens(tokenizer, "slow") == ["s", "##low"] or tokens(tokenizer, "slow")[0] == "s"
    assert tokens(tokenizer, "lowlow, Low") == ["low", "##l", "##o", "##w", "[UNK]", "[UNK]"]


def test_every_word_of_known_characters_can_be_made() -> None:
    known = sorted({character for character in TEXT if character.isalpha()})
    word = "".join(known)
    assert "[UNK]" not in tokens(WORDPIECE, f"{word} {word[::-1]}")
    assert WORDPIECE.decode(WORDPIECE.encode(word)) == word


def test_lowercase_takes_capitals_and_accents_away() -> None:
    tokenizer = WordPieceTokenizer.train("the cafe", vocab_size=60, lowercase=True)
    assert tokenizer.decode(tokenizer.encode("THE CAFÉ")) == "the cafe"
    assert tokens(WordPieceTokenizer.train("the cafe", vocab_size=60), "THE cafe")[0] == "[UNK]"


def test_a_vocabulary_smaller_than_the_characters_is_an_error() -> None:
    with pytest.raises(UsageError, match=r"vocab_size is 10; the 3 characters .* are 11 alone"):
        WordPieceTokenizer.train("abc", vocab_size=10)
    assert WordPieceTokenizer.train("abc", vocab_size=11).vocab_size == 11
    with pytest.raises(DataError, match=r"WordPieceTokenizer.train: there is no text"):
        WordPieceTokenizer.train(" \n ", vocab_size=100)


def test_without_the_library_the_error_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    with pytest.raises(UsageError, match="need the library tokenizers") as caught:
        BPETokenizer.train(TEXT, vocab_size=300)
    assert "pip install 'clearprop[text]'" in caught.value.hint


# Tokenizers of others --------------------------------------------------------------------------------------------


def test_a_file_that_asks_for_padding_and_cutting_gives_all_tokens_and_no_others(tmp_path: Path) -> None:
    WORDPIECE.save(tmp_path / "tokenizer.json")
    content = json.loads((tmp_path / "tokenizer.json").read_text())
    content["truncation"] = {"max_length": 5, "strategy": "LongestFirst", "stride": 0, "direction": "Right"}
    content["padding"] = {
        "strategy": {"Fixed": 5},
        "direction": "Right",
        "pad_to_multiple_of": None,
        "pad_id": 0,
        "pad_type_id": 0,
        "pad_token": "[UNK]",
    }
    (tmp_path / "tokenizer.json").write_text(json.dumps(content))
    loaded = WordPieceTokenizer.load(tmp_path / "tokenizer.json")
    for text in (TEXT, "boat", ""):
        np.testing.assert_array_equal(loaded.encode(text), WORDPIECE.encode(text))


def test_a_vocabulary_of_bert(tmp_path: Path) -> None:
    path = tmp_path / "vocab.txt"
    path.write_bytes("[PAD]\n[UNK]\n[CLS]\n[SEP]\nthe\nboat\n##s\n\u2028\nü\n".encode())
    tokenizer = WordPieceTokenizer.from_vocabulary(path, lowercase=True)
    assert tokenizer.special_tokens == ("[PAD]", "[UNK]", "[CLS]", "[SEP]")
    assert tokens(tokenizer, "The BOATS[SEP]Ü, boat") == ["the", "boat", "##s", "[SEP]", "[UNK]", "[UNK]", "boat"]
    cased = WordPieceTokenizer.from_vocabulary(path, lowercase=False)
    assert tokens(cased, "The boats ü") == ["[UNK]", "boat", "##s", "ü"]
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    assert WordPieceTokenizer.from_vocabulary(path, lowercase=True).vocab_size == tokenizer.vocab_size == 9


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"[UNK]\nthe\nthe\n", "has a token twice"),
        (b"the\nboat\n", r"has no token \[UNK\]"),
        (b"", r"has no token \[UNK\]"),
        (b"[UNK]\n\xff\n", "not text in UTF-8: byte 6"),
    ],
)
def test_what_is_no_vocabulary_of_bert(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "vocab.txt").write_bytes(content)
    with pytest.raises(FileError, match=message):
        WordPieceTokenizer.from_vocabulary(tmp_path / "vocab.txt", lowercase=True)
