"""pictograph-vision describe: the embedding is that of the model, the words are those of the vocabulary, and docs/search.md lists all of them."""
import base64
import json
import re
import subprocess

import numpy as np
import onnxruntime
import pytest
import yaml
from PIL import Image, ImageFilter
from skimage import data

from tools import BUILD, ROOT

MODEL = ROOT / "build" / "deps" / "models" / "efficientnet_lite0.onnx"


def vision(*words):
    done = subprocess.run([BUILD / "src" / "vision" / "pictograph-vision", *map(str, words)], capture_output=True, text=True, timeout=60)
    answer = json.loads(done.stdout)
    return answer.get("result", answer)


def describe(path):
    answer = vision("describe", MODEL, path)
    return np.frombuffer(base64.urlsafe_b64decode(answer["embedding"] + "=" * (-len(answer["embedding"]) % 4)), "<f4"), answer


def photograph(width, height):
    """Smooth shapes and some texture."""
    y, x = np.mgrid[0:height, 0:width] / max(width, height)
    image = np.stack([np.sin(9 * x + 3 * y), np.sin(17 * x * y + 1), np.cos(12 * y - 5 * x)], -1) * 80 + 128
    image += np.random.default_rng(7).normal(0, 14, image.shape)
    return Image.fromarray(np.clip(image, 0, 255).astype(np.uint8))


@pytest.mark.parametrize("size", [(224, 224), (500, 300), (333, 512)])
def test_embedding_is_the_models(tmp_path, size):
    image = photograph(*size)
    image.save(tmp_path / "a.jpg", quality=95)
    found, _ = describe(tmp_path / "a.jpg")
    pixels = np.asarray(Image.open(tmp_path / "a.jpg").convert("RGB").resize((224, 224), Image.BILINEAR), np.float32)
    features = onnxruntime.InferenceSession(str(MODEL)).run(None, {"images": pixels.transpose(2, 0, 1)[None]})[0][0, :1280]
    cosine = float(found @ (features / np.linalg.norm(features)))
    print(f"{size}: cosine {cosine:.6f}")  # two resamplings and two JPEG decoders differ by a level here and there
    assert found.shape == (1280,) and abs(np.linalg.norm(found) - 1) < 1e-5 and cosine > (0.999 if size == (224, 224) else 0.99)


def test_classifying_says_how_sure_the_model_is(tmp_path):
    """Sums of the softmax over the classes behind each word, one model and one resampling of ours aside."""
    Image.fromarray(data.chelsea()).resize((224, 224)).save(tmp_path / "a.jpg", quality=95)
    pixels = np.asarray(Image.open(tmp_path / "a.jpg").convert("RGB"), np.float32)
    logits = onnxruntime.InferenceSession(str(MODEL)).run(None, {"images": pixels.transpose(2, 0, 1)[None]})[0][0, 1280:].astype(float)
    chances = np.exp(logits - logits.max()) / np.exp(logits - logits.max()).sum()
    expected = {"animal": chances[[*range(51), *range(52, 69), *range(70, 398)]].sum(), "cat": chances[281:286].sum(), "dog": chances[151:269].sum()}
    asked = json.dumps([{"word": word} for word in ("the dogs", "Cat", "animals", "gryphon")])
    answer = vision("classify", MODEL, tmp_path / "a.jpg", asked, "top_k=3", "confidence_threshold=0")
    assert [word["class"] for word in answer["words"]] == ["dog", "cat", "animal", None] and answer["engine"] == "efficientnet_lite0"
    assert [found["class"] for found in answer["found"]] == sorted(expected, key=lambda word: -expected[word])
    assert all(abs(found["confidence"] - expected[found["class"]]) < 0.01 and found["category"] == "objects" for found in answer["found"])
    assert [found["class"] for found in vision("classify", MODEL, tmp_path / "a.jpg", "[]")["found"]] == ["animal"]
    assert vision("classify", MODEL, tmp_path / "a.jpg", asked, "confidence_threshold=1")["found"] == []


def words(path):
    return set(describe(path)[1]["attributes"])


def test_attributes(tmp_path):
    path = tmp_path / "a.jpg"

    def of(image, **options):
        image.save(path, **{"quality": 92, **options})
        return words(path)

    base = photograph(600, 400)
    assert {"landscape"} == of(base) & {"landscape", "portrait", "square", "panorama", "dark", "bright", "grayscale", "blurry", "plain background"}
    assert "portrait" in of(base.transpose(Image.TRANSPOSE)) and "square" in of(base.resize((401, 400)))
    assert {"landscape", "panorama"} <= of(base.resize((900, 300)))
    assert "dark" in of(base.point(lambda v: v // 4)) and "bright" in of(base.point(lambda v: 200 + v // 5))
    assert "grayscale" in of(base.convert("L").convert("RGB")) and "low-contrast" in of(base.point(lambda v: 110 + v // 10))
    for radius in (4, 12):
        assert "blurry" in of(base.filter(ImageFilter.GaussianBlur(radius)))
    framed = Image.new("RGB", (600, 400), (230, 230, 235))
    framed.paste(base.resize((200, 200)), (200, 100))
    assert "plain background" in of(framed)
    assert "blurry" not in of(Image.new("RGB", (300, 300), (90, 90, 90)))  # nothing to be sharp
    assert "high-resolution" in of(base.resize((3600, 2400))) and "low-resolution" in of(base.resize((200, 150)))
    colours = {"red": (220, 20, 20), "orange": (250, 150, 20), "yellow": (240, 230, 30), "green": (30, 160, 40), "cyan": (20, 220, 230), "blue": (30, 60, 210), "purple": (140, 40, 200),
               "pink": (250, 130, 190), "brown": (110, 65, 25), "black": (8, 8, 8), "gray": (128, 128, 128), "white": (250, 250, 250)}
    for name, colour in colours.items():
        assert of(Image.new("RGB", (200, 200), colour)) & set(colours) == {name}
    # a turned photograph has the shape that people see
    exif = Image.Exif()
    exif[0x0112] = 6
    assert "portrait" in of(base, exif=exif)


def test_words_are_listed():
    vocabulary = vision("vocabulary")
    page = (ROOT / "docs" / "search.md").read_text()
    listed = page[page.index("## The vocabulary"):page.index("## The model")]
    assert set(re.findall(r"`([^`]+)`", listed)) == {word for words in vocabulary.values() for word in words}
    assert f"**Objects** ({len(vocabulary['objects'])})" in page
    counts = {category: len(words) for category, words in vocabulary.items()}
    assert yaml.safe_load((ROOT / "api" / "limits.yaml").read_text())["search"]["labels"] == {**counts, "src": "ours"}
    assert "{objects} objects, {scenes} scenes and {attributes} attributes".format(**counts) in (ROOT / "api" / "common.yaml").read_text()
    for words in vocabulary.values():
        assert len(set(words)) == len(words) and all(word == word.lower().strip() for word in words)


def test_classes_of_the_words():
    """Ranges stay within the 1,000 classes, rise, and every word has at least one class."""
    table = (ROOT / "src" / "vision" / "vocabulary.c").read_text()
    table = re.sub(r'"\s*\n\s*"', "", table)
    rows = re.findall(r'\{"([^"]+)", "([^"]+)"\}', table)
    assert len(rows) > 250
    for word, classes in rows:
        last = -1
        for item in classes.split(","):
            first, *more = map(int, item.split("-"))
            end = more[0] if more else first
            if not 0 <= first <= end < 1000:
                raise AssertionError(f"{word}: {item}")
            last = max(last, end)
        assert last >= 0


def test_failures(tmp_path):
    (tmp_path / "no.onnx").write_bytes(b"rubbish")
    photograph(64, 64).save(tmp_path / "a.jpg")
    photograph(64, 64).save(tmp_path / "a.png")
    (tmp_path / "cut.jpg").write_bytes((tmp_path / "a.jpg").read_bytes()[:200])

    def fails(*words, method="describe"):
        done = subprocess.run([BUILD / "src" / "vision" / "pictograph-vision", method, *map(str, words)], capture_output=True, text=True, timeout=60)
        assert done.returncode != 0
        return done.stdout + done.stderr

    assert "model" in fails(tmp_path / "no.onnx", tmp_path / "a.jpg") and "model" in fails(tmp_path / "absent.onnx", tmp_path / "a.jpg")
    assert "only JPEG" in fails(MODEL, tmp_path / "a.png")
    assert fails(MODEL, tmp_path / "cut.jpg")
    assert "'words'" in fails(MODEL, tmp_path / "a.jpg", "{}", method="classify")
    assert "words[1]" in fails(MODEL, tmp_path / "a.jpg", '[{"word": "a"}, {"shape": "box"}]', method="classify")
