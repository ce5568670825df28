"""Fusing models out of GGUF files: where a model's weights can be had when there is no hub."""

from __future__ import annotations

from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch", reason="the generative fuser needs the extra torch")
pytest.importorskip("gguf", reason="GGUF files need the extra torch")
pytest.importorskip("peft", reason="adapters need the extra train")

import torch

from coterie.fusers.generative.loading import Source, model_of, tokenizer_of
from coterie.training.corpus import Data, DataFile
from coterie.training.fusing import FuserTask, train
from coterie.training.fusing_settings import FuserTraining
from fuser_examples import naming, write

TinyLlama = Any
"""What `members/tiny_llama.py` makes: that folder is not on the path of these tests."""


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> TinyLlama:
    return import_module("members.tiny_llama").made(tmp_path_factory.mktemp("tiny"))


def test_a_gguf_file_gives_the_models_weights_and_may_be_saved(tiny: TinyLlama, tmp_path: Path) -> None:
    model = model_of(Source(str(tiny.gguf)), torch.float32)
    ids = torch.arange(3, 40)[None]
    with torch.inference_mode():
        torch.testing.assert_close(model(input_ids=ids).logits, tiny.torch(input_ids=ids).logits, rtol=1e-3, atol=1e-3)
    model.save_pretrained(tmp_path)
    assert "quantization_config" not in (tmp_path / "config.json").read_text()


def test_its_tokenizer_reads_and_writes_text(tiny: TinyLlama) -> None:
    tokenizer = tokenizer_of(Source(str(tiny.gguf)))
    ids = tokenizer("hello", add_special_tokens=False)["input_ids"]
    assert tokenizer.decode(ids).strip() == "hello"
    assert tokenizer.eos_token_id == 2


def test_an_adapter_trained_on_one_is_written_for_llama_cpp_too(tiny: TinyLlama, tmp_path: Path) -> None:
    data = Data((DataFile(str(write(naming(24), tmp_path / "made.jsonl"))),), held_out=0.3)
    settings = FuserTraining(
        base=str(tiny.gguf), lora=True, rank=2, epochs=1, batch=4, accumulate=1, evaluations=1, prompt_tokens=300
    )
    card = train(FuserTask(settings, data, tmp_path / "lora", device="cpu"))
    assert card is not None
    assert (card["base"], card["for_llama_cpp"]) == ("model.gguf", True)
    assert (tmp_path / "lora" / "adapter.gguf").is_file()
    assert "`llama_cpp` member takes it too" in (tmp_path / "lora" / "README.md").read_text()
    whole = train(FuserTask(replace(settings, lora=False), data, tmp_path / "whole", device="cpu"))
    assert whole is not None
    assert (whole["adapter"], whole["for_llama_cpp"]) == (False, False)
    model = model_of(Source(str(tmp_path / "whole")), torch.float32)
    assert model.config.vocab_size == len(tokenizer_of(Source(str(tmp_path / "whole"))))
