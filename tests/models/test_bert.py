"""BERT: the numbers of the reference implementation, masks, files of others, and what does not fit."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy
from tests.models import tiny_bert

import clearprop as cp
from clearprop.errors import DataError, FileError, RangeError, ShapeError, UsageError
from clearprop.models import Bert, BertConfig

IDS = [[2, 5, 6, 7, 8, 3], [2, 11, 30, 3, 0, 0]]
MASK = [[1, 1, 1, 1, 1, 1], [1, 1, 1, 1, 0, 0]]
SEGMENTS = [[0, 0, 0, 1, 1, 1], [0, 0, 0, 0, 0, 0]]
SMALL = {"vocab_size": 20, "hidden_size": 8, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 16}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tiny_bert.write(tmp_path / "model")


@pytest.fixture
def bert(folder: Path) -> Bert:
    return Bert.from_pretrained(folder)


def small(**settings: Any) -> Bert:
    cp.random.seed(0)
    return Bert(BertConfig(**(SMALL | settings))).eval()


# Numbers ---------------------------------------------------------------------------------------------------------

# Of transformers 5.23 on PyTorch 2.13, `BertModel.from_pretrained` of the very files that `tiny_bert.write` makes.
FIRST = [1.4386792, 0.943545, 0.316915, -0.1891367, -1.406736, -0.6117154, -1.3602943, 1.3364627]
LAST_OF_SECOND = [0.80216, 1.6437126, 0.0366232, -0.0340749, -1.4975711, -1.1284705, -0.6780914, 0.3097575]
POOLED = [
    [-0.9944426, 0.783636, 0.7644386, -0.9780861, 0.9994721, -0.9997207],
    [-0.9955254, 0.8360718, 0.6827209, -0.9697366, 0.9993188, -0.9996784],
]
OTHER_ACTIVATIONS = {
    "gelu_new": [1.5234214, 0.9077609, 0.369689, -0.2063207],
    "relu": [1.4708681, 0.8899227, 0.3989009, -0.1537882],
}


def test_the_reference_implementation_gives_the_same(bert: Bert) -> None:
    for run in (bert, cp.compile(bert)):
        output = run(cp.asarray(IDS), cp.asarray(MASK), cp.asarray(SEGMENTS))
        np.testing.assert_allclose(output.last_hidden_state[0, 0, :8].numpy(), FIRST, atol=2e-6)
        np.testing.assert_allclose(output.last_hidden_state[1, 3, :8].numpy(), LAST_OF_SECOND, atol=2e-6)
        np.testing.assert_allclose(output.pooler_output[:, :6].numpy(), POOLED, atol=2e-6)


@pytest.mark.parametrize("name", OTHER_ACTIVATIONS)
def test_other_activations(tmp_path: Path, name: str) -> None:
    bert = Bert.from_pretrained(tiny_bert.write(tmp_path / "model", config={"hidden_act": name}))
    np.testing.assert_allclose(bert(IDS)[0][0, 0, :4].numpy(), OTHER_ACTIVATIONS[name], atol=2e-6)


def test_gradients_of_the_reference_implementation(bert: Bert) -> None:
    (bert(IDS, MASK, SEGMENTS).pooler_output ** 2).sum().backward()
    queries = bert.layers[0].attention.in_proj_weight.grad
    np.testing.assert_allclose(queries[:4, 0].numpy(), [-0.0002273, -0.0000831, 0.0000988, 0.0001918], atol=2e-7)
    word = bert.embeddings.words.weight.grad[5, :4].numpy()
    np.testing.assert_allclose(word, [0.0031972, 0.0020631, -0.0004219, -0.0023972], atol=2e-7)


def test_a_training_step_runs_whole() -> None:
    model = small()

    @cp.compile
    def step(ids: Any, mask: Any) -> Any:
        loss = (model.train()(ids, mask).pooler_output ** 2).sum()
        loss.backward()
        return loss

    step(cp.asarray(IDS) % 20, cp.asarray(MASK))
    assert "computed by NumPy" not in step.report()


# Masks -----------------------------------------------------------------------------------------------------------


def test_padding_changes_nothing(bert: Bert) -> None:
    alone = bert([[2, 11, 30, 3]])
    beside = bert(IDS, MASK)
    np.testing.assert_allclose(beside[0][1, :4].numpy(), alone[0][0].numpy(), atol=1e-5)
    as_booleans = bert(IDS, np.array(MASK, bool))
    np.testing.assert_array_equal(beside[0].numpy(), as_booleans[0].numpy())
    other_padding = bert([IDS[0], [2, 11, 30, 3, 17, 9]], MASK)
    np.testing.assert_array_equal(other_padding[0][1, :4].numpy(), beside[0][1, :4].numpy())


def test_every_token_sees_both_directions(bert: Bert) -> None:
    before, after = bert([[2, 5, 6, 3]])[0].numpy(), bert([[2, 5, 9, 3]])[0].numpy()
    assert (abs(before - after).max(axis=-1) > 1e-3).all()


def test_a_mask_that_hides_a_whole_text(bert: Bert) -> None:
    with pytest.raises(DataError, match="attention_mask hides every key from every query of example 1"):
        bert(IDS, [[1] * 6, [0] * 6])


# Sizes -----------------------------------------------------------------------------------------------------------


def test_sizes_of_the_paper() -> None:
    """Section 3: BERT-base has 110 million parameters, of which the table of words is 23 million."""
    config = BertConfig()
    count = config.vocab_size + config.max_position_embeddings + config.type_vocab_size
    layer = Bert(BertConfig(vocab_size=1, max_position_embeddings=1, type_vocab_size=1, num_hidden_layers=1))
    in_layer = sum(parameter.size for parameter in layer.layers[0].parameters())
    rest = sum(parameter.size for parameter in layer.parameters()) - in_layer - 3 * config.hidden_size
    assert in_layer == 7_087_872
    assert 12 * in_layer + count * config.hidden_size + rest == 109_482_240


def test_first_values_are_those_of_the_paper() -> None:
    values = small(hidden_size=64, num_attention_heads=4)
    assert abs(values.layers[0].intermediate.weight.value.numpy().std() - 0.02) < 0.003
    assert all((p.value.numpy() == 0).all() for name, p in values.named_parameters() if name.endswith("bias"))


def test_without_a_pooler() -> None:
    output = Bert(BertConfig(**SMALL), pooler=False)([[1, 2]])
    assert output.pooler_output is None
    assert output.last_hidden_state.shape == (1, 2, 8)


# Files of others -------------------------------------------------------------------------------------------------


def old_name(name: str) -> str:
    """As in files of BERT for a task, of 2018."""
    return "bert." + name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta")


def test_old_names_and_the_last_layer_of_a_task(tmp_path: Path, bert: Bert) -> None:
    path = tiny_bert.write(tmp_path / "old", renamed=old_name)
    stored = safetensors.numpy.load_file(path / "model.safetensors")
    others = {"cls.predictions.bias": np.zeros(40, np.float32), "bert.embeddings.position_ids": np.arange(16)[None]}
    safetensors.numpy.save_file(stored | others, path / "model.safetensors")
    np.testing.assert_array_equal(Bert.from_pretrained(path)(IDS)[0].numpy(), bert(IDS)[0].numpy())


def test_a_file_without_a_pooler(folder: Path) -> None:
    stored = safetensors.numpy.load_file(folder / "model.safetensors")
    kept = {name: array for name, array in stored.items() if not name.startswith("pooler")}
    safetensors.numpy.save_file(kept, folder / "model.safetensors")
    assert Bert.from_pretrained(folder).pooler is None


def test_it_is_in_evaluation_mode(bert: Bert) -> None:
    assert not any(module.training for module in bert.modules())


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"model_type": "gpt2"}, "is of the architecture 'gpt2', not 'bert'"),
        ({"model_type": None}, "is of the architecture None, not 'bert'"),
        ({"position_embedding_type": "relative_key"}, "position_embedding_type is 'relative_key'"),
        ({"is_decoder": True}, "is_decoder is True"),
        ({"hidden_act": "swish"}, "hidden_act='swish'"),
        ({"hidden_size": "wide"}, "hidden_size='wide'"),
        ({"hidden_dropout_prob": 1.5}, "hidden_dropout_prob=1.5"),
        ({"num_attention_heads": 5}, "hidden_size=32 cannot be divided into 5 heads"),
        ({"num_hidden_layers": 3}, "do not fit its config.json"),
        ({"hidden_size": 64}, "do not fit its config.json"),
        ({"vocab_size": 41}, r"embeddings.words.weight has shape \(41, 32\), the value has shape \(40, 32\)"),
    ],
)
def test_another_network(tmp_path: Path, content: dict[str, Any], message: str) -> None:
    with pytest.raises(FileError, match=message):
        Bert.from_pretrained(tiny_bert.write(tmp_path / "model", config=content))


def test_broken_files(folder: Path) -> None:
    weights, config = folder / "model.safetensors", folder / "config.json"
    content = weights.read_bytes()
    weights.write_bytes(content[: len(content) // 2])
    with pytest.raises(FileError, match="damaged"):
        Bert.from_pretrained(folder)
    weights.unlink()
    with pytest.raises(FileError, match=r"cannot read .*model.safetensors"):
        Bert.from_pretrained(folder)
    (folder / "pytorch_model.bin").write_bytes(b"?")
    with pytest.raises(FileError, match="only pickled weights"):
        Bert.from_pretrained(folder)
    config.write_text('{"model_type": "bert"')
    with pytest.raises(FileError, match=r"config.json is damaged"):
        Bert.from_pretrained(folder)
    config.write_text(json.dumps(["bert"]))
    with pytest.raises(FileError, match="holds no object"):
        Bert.from_pretrained(folder)
    config.write_bytes(b"\xff\xfe")
    with pytest.raises(FileError, match="damaged"):
        Bert.from_pretrained(folder)
    with pytest.raises(FileError, match="cannot read"):
        Bert.from_pretrained(folder / "nowhere")


def test_weights_of_another_network(folder: Path) -> None:
    safetensors.numpy.save_file({"h.0.attn.weight": np.ones((2, 2), np.float32)}, folder / "model.safetensors")
    with pytest.raises(FileError, match=r"do not fit(.|\n)*missing: (.|\n)*unexpected: h.0.attn.weight"):
        Bert.from_pretrained(folder)


def test_queries_without_keys(folder: Path) -> None:
    stored = safetensors.numpy.load_file(folder / "model.safetensors")
    del stored["encoder.layer.1.attention.self.key.weight"]
    safetensors.numpy.save_file(stored, folder / "model.safetensors")
    with pytest.raises(FileError, match=r"missing: layers.1.attention.in_proj_weight"):
        Bert.from_pretrained(folder)


# Wrong input -----------------------------------------------------------------------------------------------------


def test_input_that_does_not_fit() -> None:
    model = small(max_position_embeddings=4)
    with pytest.raises(ShapeError, match=r"shape \(1, 5\), and there are positions for 4 tokens"):
        model([[1, 2, 3, 4, 5]])
    with pytest.raises(ShapeError, match="at least one token"):
        model(np.zeros((2, 0), np.int64))
    with pytest.raises(ShapeError, match=r"must be \(N, T\)"):
        model([1, 2, 3])
    with pytest.raises(ShapeError, match=r"attention_mask has shape \(1, 2\), input_ids \(1, 3\)"):
        model([[1, 2, 3]], [[1, 1]])
    with pytest.raises(ShapeError, match="token_type_ids has shape"):
        model([[1, 2, 3]], None, [[1, 1]])
    with pytest.raises(RangeError, match="20, which is not one of 0 to 19"):
        model([[1, 20, 3]])
    with pytest.raises(RangeError, match="2, which is not one of 0 to 1"):
        model([[1, 2, 3]], None, [[0, 1, 2]])
    with pytest.raises(RangeError, match="-1"):
        cp.compile(model)(cp.asarray([[1, -1, 3]]))


@pytest.mark.parametrize("setting", ["vocab_size", "num_hidden_layers", "max_position_embeddings", "hidden_size"])
def test_sizes_that_cannot_be(setting: str) -> None:
    with pytest.raises(UsageError, match=f"{setting}=0"):
        BertConfig(**{setting: 0})
