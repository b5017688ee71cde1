"""``clearprop predict``: what it answers, for whatever it is given."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from clearprop.cli import main
from clearprop.cli.pictures import colour_gallery, gallery, picture
from clearprop.data import digits, write_idx
from clearprop.files import load, save
from clearprop.files.tensors import load_with_metadata
from clearprop.lens.layout import Span
from clearprop.models import ImageClassifier


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A trained network: a few epochs are enough for nine of ten digits."""
    folder = tmp_path_factory.mktemp("runs") / "digits"
    assert main(["train", "digits", "--epochs", "5", "--hidden", "64", "--quiet", "--output", str(folder)]) == 0
    return folder


@pytest.fixture
def images() -> np.ndarray:
    """Ten test images as they are in files: whole numbers from 0 to 16."""
    return np.round(digits("test")[:10][0][:, 0] * 16).astype(np.uint8)


@pytest.fixture
def labels() -> np.ndarray:
    return digits("test")[:10][1].astype(np.uint8)


def answers(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> list[dict]:
    capsys.readouterr()
    assert main(["predict", *map(str, arguments), "--json"]) == 0
    found: list[dict] = json.loads(capsys.readouterr().out)
    return found


def complaint(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> str:
    capsys.readouterr()
    assert main(["predict", *map(str, arguments)]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert "Traceback" not in err
    return err


def test_test_images_of_the_run(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["predict", str(run)]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    lines = out.splitlines()
    assert lines[-13].split() == ["image", "answer", "probability", "right", "answer"]
    assert lines[-12].startswith("test image ")
    assert lines[-1].endswith(" %")
    assert "█" in lines[0]
    assert "of 10 right" in lines[-1]


def test_json(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = answers(capsys, run, "--count", "50")
    assert len(found) == 50
    for one in found:
        probabilities = one["probabilities"]
        assert list(probabilities) == list("0123456789")
        assert sum(probabilities.values()) == pytest.approx(1, abs=1e-5)
        assert one["answer"] == max(probabilities, key=probabilities.get)
    assert sum(one["answer"] == one["right_answer"] for one in found) >= 40
    assert [one["image"] for one in found] != [one["image"] for one in answers(capsys, run, "--seed", "1")]


@pytest.mark.parametrize(
    "name", ["images-idx3-ubyte", "images-idx3-ubyte.gz", "images.npy", "fractions.npy", "four.npy"]
)
def test_files(run: Path, tmp_path: Path, images: np.ndarray, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / name
    if name.endswith(".npy"):
        array = {"fractions.npy": images / 16.0, "four.npy": images[:, np.newaxis]}.get(name, images)
        np.save(path, array)
    else:
        write_idx(path, images)
    found = answers(capsys, run / "weights.safetensors", path)
    assert [one["image"] for one in found] == [f"{path}[{index}]" for index in range(10)]
    usual = answers(capsys, run, save_npy(tmp_path / "usual.npy", images))
    assert [one["answer"] for one in found] == [one["answer"] for one in usual]
    assert all("right_answer" not in one for one in found)


def save_npy(path: Path, array: np.ndarray) -> Path:
    np.save(path, array)
    return path


def test_labels(
    run: Path, tmp_path: Path, images: np.ndarray, labels: np.ndarray, capsys: pytest.CaptureFixture[str]
) -> None:
    write_idx(tmp_path / "labels", labels)
    path = save_npy(tmp_path / "images.npy", images)
    found = answers(capsys, run, path, "--labels", tmp_path / "labels", "--count", "7")
    assert [one["right_answer"] for one in found] == [str(label) for label in labels[:7]]
    assert main(["predict", str(run), str(path), "--labels", str(tmp_path / "labels")]) == 0
    assert "of 10 right" in capsys.readouterr().out


def test_one_image_dark_on_bright(
    run: Path, tmp_path: Path, images: np.ndarray, capsys: pytest.CaptureFixture[str]
) -> None:
    straight = answers(capsys, run, save_npy(tmp_path / "one.npy", images[3]))
    inverted = answers(capsys, run, save_npy(tmp_path / "other.npy", 16 - images[3]), "--invert")
    assert straight[0]["probabilities"] == inverted[0]["probabilities"]
    assert straight[0]["image"].endswith("one.npy")


def test_pictures(run: Path, tmp_path: Path, images: np.ndarray, capsys: pytest.CaptureFixture[str]) -> None:
    pillow = pytest.importorskip("PIL.Image", reason="reading PNG files needs Pillow, an extra")
    pillow.fromarray((images[0] * 15.9375).astype(np.uint8)).save(tmp_path / "digit.png")
    found = answers(capsys, run, tmp_path / "digit.png")
    assert found[0]["answer"] == answers(capsys, run, save_npy(tmp_path / "one.npy", images[0]))[0]["answer"]
    (tmp_path / "broken.png").write_bytes(b"\x89PNG\r\n")
    assert "is damaged, or not a picture" in complaint(capsys, run, tmp_path / "broken.png")


def test_pictures_without_pillow(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "PIL", None)
    assert "pip install pillow" in complaint(capsys, run, tmp_path / "digit.png")


# Images in colour ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def colours(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network for photographs of 8×8 pixels that looks at their mean colour, and nothing else."""
    about = ImageClassifier(("red", "green", "blue"), 3, 8, 8, white=255.0)
    saved = about.saved("LinearClassifier", {"image": [3, 8, 8], "outputs": 3})
    model = saved.build()
    model.scores.weight.assign(np.repeat(np.eye(3, dtype=np.float32), 64, axis=0))
    path = tmp_path_factory.mktemp("runs") / "weights.safetensors"
    saved.save(path, model)
    return path


def test_photographs(colours: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pillow = pytest.importorskip("PIL.Image", reason="reading PNG files needs Pillow, an extra")
    for name, colour, suffix in (("green", (10, 200, 30), "png"), ("blue", (0, 20, 250), "jpg")):
        path = tmp_path / f"{name}.{suffix}"
        pillow.new("RGB", (8, 8), colour).save(path)
        assert answers(capsys, colours, path)[0]["answer"] == name
    pillow.new("L", (8, 8), 90).save(tmp_path / "grey.png")  # grey is as much red as green and blue
    found = answers(capsys, colours, tmp_path / "grey.png")[0]["probabilities"]
    assert list(found.values()) == pytest.approx([1 / 3] * 3)
    pillow.new("RGB", (9, 8), (1, 2, 3)).save(tmp_path / "wide.png")
    assert "has 8 × 9 pixels; the network takes 8 × 8" in complaint(capsys, colours, tmp_path / "wide.png")


@pytest.mark.parametrize("shape", [(2, 3, 8, 8), (2, 8, 8, 3), (3, 8, 8), (8, 8, 3)])
def test_arrays_in_colour(
    colours: Path, tmp_path: Path, shape: tuple[int, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    array = np.zeros(shape, np.uint8)
    where = shape.index(3)
    np.moveaxis(array, where, 0)[1] = 200  # all green, whichever axis the colours are
    found = answers(capsys, colours, save_npy(tmp_path / "green.npy", array))
    assert [one["answer"] for one in found] == ["green"] * (2 if len(shape) == 4 else 1)


def test_arrays_of_other_channels(colours: Path, run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    grey = save_npy(tmp_path / "grey.npy", np.zeros((5, 8, 8), np.uint8))
    assert "the network takes 3 channels: red, green and blue" in complaint(capsys, colours, grey)
    photographs = save_npy(tmp_path / "photographs.npy", np.zeros((5, 3, 8, 8), np.uint8))
    assert "the network takes 1 channel, brightness" in complaint(capsys, run, photographs)


def test_colours_in_the_terminal() -> None:
    lines = colour_gallery([np.zeros((3, 32, 32)), np.ones((3, 32, 32))], ["frog", "ship"], width=60)
    assert lines[0][0] == Span("▀", "#000000 on #000000")
    assert lines[0][17] == Span("▀", "#ffffff on #ffffff")
    assert ["".join(span.text for span in lines[-1]).split(), len(lines)] == [["frog", "ship"], 9]


# Bad input ------------------------------------------------------------------------------------------------------------


def test_a_run_that_is_none(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "cannot read" in complaint(capsys, tmp_path / "nowhere")
    assert "holds no weights.safetensors" in complaint(capsys, tmp_path)
    (tmp_path / "checkpoint.safetensors").touch()
    assert f"Try: clearprop train --resume {tmp_path}" in complaint(capsys, tmp_path)
    save(tmp_path / "weights.safetensors", load(run / "weights.safetensors"))
    assert "does not say what network its weights are of" in complaint(capsys, tmp_path)
    weights, metadata = load_with_metadata(run / "weights.safetensors")
    for change, words in (
        ({"builder": "os.system"}, "there is no network 'os.system'"),
        ({"arguments": {"hidden": [3]}}, "its network cannot be built"),
        ({"arguments": 3}, "its network cannot be built"),
        ({"extra": {}}, "which is no classifier of images"),
        ({"extra": {"image_classifier": {"class_names": None}}}, "does not say what images it takes"),
    ):
        record = json.loads(metadata["clearprop.model"]) | change
        save(tmp_path / "weights.safetensors", weights, {"clearprop.model": json.dumps(record)})
        assert words in complaint(capsys, tmp_path)
    content = bytearray((run / "weights.safetensors").read_bytes())
    content[-1] ^= 1
    (tmp_path / "weights.safetensors").write_bytes(content)
    assert "is damaged" in complaint(capsys, tmp_path)


def test_images_that_are_none(
    run: Path, tmp_path: Path, images: np.ndarray, capsys: pytest.CaptureFixture[str]
) -> None:
    cases = {
        "size": (np.zeros((3, 9, 9), np.uint8), "has 9 × 9 pixels; the network takes 8 × 8"),
        "shape": (np.zeros(64, np.uint8), "holds uint8 of shape (64,), not images"),
        "nan": (np.full((8, 8), np.nan), "must be finite"),
        "range": (images * 10, "the brightness of its pixels goes from 0 to 160, not from 0 to 16"),
        "fractions": (images.astype(float), "goes from 0 to 16, not from 0 to 1"),
        "empty": (np.zeros((0, 8, 8), np.uint8), "holds no images"),
        "text": (np.array([["a", "b"]]), "not images"),
    }
    for name, (array, words) in cases.items():
        assert words in complaint(capsys, run, save_npy(tmp_path / f"{name}.npy", array))
    save_npy(tmp_path / "pickled.npy", np.array([{}, {}], object))
    words = complaint(capsys, run, tmp_path / "pickled.npy")
    assert "is damaged, or not an array of numbers" in words
    assert "pickle.load" not in words
    (tmp_path / "text.npy").write_text("hello")
    assert "is damaged, or not an array of numbers" in complaint(capsys, run, tmp_path / "text.npy")
    (tmp_path / "text").write_text("hello")
    assert "is not an IDX file" in complaint(capsys, run, tmp_path / "text")
    assert "cannot read" in complaint(capsys, run, tmp_path / "missing.npy")


def test_labels_that_do_not_fit(
    run: Path, tmp_path: Path, images: np.ndarray, labels: np.ndarray, capsys: pytest.CaptureFixture[str]
) -> None:
    path = save_npy(tmp_path / "images.npy", images)
    for wrong, words in ((labels[:3], "labels of shape (3,), and there are 10 images"), (labels + 5, "from 0 to 9")):
        assert words in complaint(capsys, run, path, "--labels", save_npy(tmp_path / "labels.npy", wrong))
    assert "go with images of your own" in complaint(capsys, run, "--labels", tmp_path / "labels.npy")


# Pictures in the terminal ---------------------------------------------------------------------------------------------


def test_large_images_are_made_smaller() -> None:
    assert [len(line) for line in picture(np.ones((28, 28)))] == [14] * 7
    assert [len(line) for line in picture(np.ones((100, 60)))] == [15] * 13
    assert set("".join(picture(np.zeros((8, 8))))) == {" "}


def test_a_gallery_fits() -> None:
    lines = gallery([np.ones((28, 28))] * 9, ["7"] * 9, width=60)
    assert max(map(len, lines)) <= 60
    assert sum(line.count("7") for line in lines) == 9
