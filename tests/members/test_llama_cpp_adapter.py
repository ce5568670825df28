"""LoRA adapters: what PEFT saved is what llama.cpp computes, and who wears one disturbs nobody."""

from __future__ import annotations

import asyncio
import copy
import json
import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import tiny_llama
from local_models import SMOL, Run
from tiny_llama import TinyLlama

from coterie import Committee, shipped, weights
from coterie.errors import ConfigError, ModelFilesError
from coterie.house import House
from coterie.judges.length import Length
from coterie.members.llama_cpp import Adapter, LlamaCppMember, LlamaCppModel, header, native, write_gguf
from coterie.members.llama_cpp.adapter import find
from coterie.members.llama_cpp.native import NativeModel
from coterie.methods.best_of import BestOf
from coterie.types import Request, Sampling

FRANCE = Request.of("What is the capital of France?", Sampling(max_tokens=20))
TEXT = "The capital of France is Paris."
ALL = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
RANK, ALPHA = 4, 8.0

ROUNDING_NATS = 0.02
"""llama.cpp keeps keys and values in 16 bits; without any adapter the two differ by up to 0.005 at a token."""


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> TinyLlama:
    for module in ("torch", "transformers", "gguf", "safetensors", "xllamacpp"):
        pytest.importorskip(module)
    return tiny_llama.made(tmp_path_factory.mktemp("tiny"))


def module_of(name: str) -> str:
    """``self_attn.q_proj`` and the like: where a weight stands in a layer."""
    return f"{'self_attn' if name in ALL[:4] else 'mlp'}.{name}"


def shapes(width: int, key_width: int, inner: int) -> dict[str, tuple[int, int]]:
    """(inputs, outputs) of the seven weights of a layer."""
    return {
        "q_proj": (width, width), "k_proj": (width, key_width), "v_proj": (width, key_width), "o_proj": (width, width),
        "gate_proj": (width, inner), "up_proj": (width, inner), "down_proj": (inner, width),
    }  # fmt: skip


TINY = shapes(tiny_llama.WIDTH, tiny_llama.WIDTH * tiny_llama.KEY_HEADS // tiny_llama.HEADS, tiny_llama.INNER)


def saved(
    place: Path,
    modules: tuple[str, ...] = ALL,
    *,
    of: dict[str, tuple[int, int]] = TINY,
    layers: int = 2,
    size: float = 0.1,
    **settings: Any,
) -> Path:
    """A folder as PEFT would have left it, with random matrices; `settings` differ from the usual ones."""
    import torch
    from safetensors.torch import save_file

    source = torch.Generator().manual_seed(5)
    tensors = {}
    for layer in range(layers):
        for name in modules:
            inputs, outputs = of[name]
            stem = f"base_model.model.model.layers.{layer}.{module_of(name)}"
            tensors[f"{stem}.lora_A.weight"] = size * torch.randn(RANK, inputs, generator=source)
            tensors[f"{stem}.lora_B.weight"] = size * torch.randn(outputs, RANK, generator=source)
    place.mkdir(parents=True, exist_ok=True)
    save_file(tensors, place / "adapter_model.safetensors")
    config = {"peft_type": "LORA", "r": RANK, "lora_alpha": ALPHA, "target_modules": list(modules), "bias": "none"}
    (place / "adapter_config.json").write_text(json.dumps(config | settings))
    return place


def merged(model: Any, folder: Path, scale: float = 1.0) -> Any:
    """A copy of `model` with the adapter's change added to its weights by hand: ``W + alpha / r * B A``."""
    from safetensors.torch import load_file

    changed = copy.deepcopy(model)
    tensors = load_file(folder / "adapter_model.safetensors")
    for name, a in tensors.items():
        if "lora_A" in name:
            module = changed.get_submodule(name.removeprefix("base_model.model.").removesuffix(".lora_A.weight"))
            module.weight.data += scale * ALPHA / len(a) * tensors[name.replace("lora_A", "lora_B")] @ a
    return changed


def torch_logprobs(model: Any, tokens: list[int]) -> Any:
    """Of every token after every beginning of `tokens`: (length, vocabulary)."""
    import torch

    with torch.no_grad():
        return torch.log_softmax(model(torch.tensor([tokens])).logits[0], -1).numpy()


def llama_logprobs(model: NativeModel, tokens: list[int]) -> Any:
    """The same out of llama.cpp, token by token."""
    import numpy as np

    rows = []
    with model.context() as context:
        context.rollback(0)
        for token in tokens:
            context.feed([token])
            rows.append(context.logprobs())
    return np.stack(rows)


@contextmanager
def loaded(path: Path, adapter: Adapter | None = None) -> Iterator[NativeModel]:
    model = native.load(path, 128, 1, adapter)
    try:
        yield model
    finally:
        model.close()


def sentence(model: NativeModel) -> list[int]:
    return [*model.vocabulary.begin, *model.vocabulary.encode(TEXT)]


# ---- the same numbers as PEFT -------------------------------------------------------------------


def test_the_tiny_model_is_one_model_in_both_forms(tiny: TinyLlama) -> None:
    with loaded(tiny.gguf) as model:
        tokens = sentence(model)
        assert abs(llama_logprobs(model, tokens) - torch_logprobs(tiny.torch, tokens)).max() < ROUNDING_NATS


@pytest.mark.parametrize("precision", ["f16", "f32"])
@pytest.mark.parametrize("modules", [*((name,) for name in ALL), ALL], ids="+".join)
def test_a_converted_adapter_computes_what_its_merged_weights_do(
    tiny: TinyLlama, tmp_path: Path, modules: tuple[str, ...], precision: Any
) -> None:
    folder = saved(tmp_path / "peft", modules)
    target = tmp_path / "adapter.gguf"
    write_gguf(folder, target, tiny.gguf, precision=precision)
    with loaded(tiny.gguf, Adapter(str(target))) as model:
        tokens = sentence(model)
        expected = torch_logprobs(merged(tiny.torch, folder), tokens)
        assert abs(expected - torch_logprobs(tiny.torch, tokens)).max() > 10 * ROUNDING_NATS
        assert abs(llama_logprobs(model, tokens) - expected).max() < ROUNDING_NATS


@pytest.mark.filterwarnings("ignore::FutureWarning")  # PEFT asks transformers by an old name
def test_ranks_and_alphas_of_single_modules_are_peft_s(tiny: TinyLlama, tmp_path: Path) -> None:
    peft = pytest.importorskip("peft", reason="PEFT comes with the extra train")
    torch = pytest.importorskip("torch")
    settings = peft.LoraConfig(
        r=4, lora_alpha=8, use_rslora=True, target_modules=["q_proj", "k_proj", "down_proj"],
        rank_pattern={"k_proj": 2}, alpha_pattern={r"layers\.1\.self_attn\.q_proj": 3, "down_proj": 5},
    )  # fmt: skip
    own = peft.get_peft_model(copy.deepcopy(tiny.torch), settings).eval()
    torch.manual_seed(8)
    for name, weight in own.named_parameters():
        if "lora_" in name:
            torch.nn.init.normal_(weight, std=0.15)
    own.to(torch.bfloat16).save_pretrained(tmp_path / "peft")
    write_gguf(tmp_path / "peft", tmp_path / "adapter.gguf", tiny.gguf)
    read_back = peft.PeftModel.from_pretrained(copy.deepcopy(tiny.torch), tmp_path / "peft").eval()
    with loaded(tiny.gguf, Adapter(str(tmp_path / "adapter.gguf"))) as model:
        tokens = sentence(model)
        expected = torch_logprobs(read_back, tokens)
        assert abs(expected - torch_logprobs(tiny.torch, tokens)).max() > 10 * ROUNDING_NATS
        assert abs(llama_logprobs(model, tokens) - expected).max() < ROUNDING_NATS


def test_sessions_and_scores_wear_the_adapter_at_its_scale(tiny: TinyLlama, tmp_path: Path) -> None:
    folder = saved(tmp_path / "peft")
    write_gguf(folder, folder / "adapter.gguf", tiny.gguf)

    async def look(model: LlamaCppModel) -> tuple[list[int], list[int], Any, float]:
        async with model.session(FRANCE) as session:
            row, score = await session.next(), await session.score(" Paris")
            (scored,) = (await model.score(FRANCE, ["Paris"])).scores
            assert scored.logprob == score.logprob
            return [*session.tokens], [*session.encode(" Paris")], row, score.logprob

    async def compare() -> None:
        async with House() as house:
            _, _, bare, bare_score = await look(await member(tiny).open(house))
            for scale in (1.0, -0.5, 0.0):
                worn = await member(tiny, adapter=str(folder), adapter_scale=scale).open(house)
                prompt, said, row, score = await look(worn)
                expected = torch_logprobs(merged(tiny.torch, folder, scale), [*prompt, *said])[len(prompt) - 1 :]
                assert abs(row - expected[0]).max() < ROUNDING_NATS
                summed = math.fsum(expected[at][token] for at, token in enumerate(said))
                assert score == pytest.approx(summed, abs=ROUNDING_NATS * len(said))
                assert (bool((row == bare).all()), score == bare_score) == (scale == 0, scale == 0)

    asyncio.run(compare())


def test_what_is_written_is_written_with_the_adapter_too(tiny: TinyLlama, tmp_path: Path) -> None:
    folder = saved(tmp_path / "peft")
    write_gguf(folder, folder / "adapter.gguf", tiny.gguf)
    ask = replace(FRANCE, sampling=Sampling(max_tokens=1, top_logprobs=5))

    async def compare() -> None:
        async with House() as house:
            model = await member(tiny, adapter=str(folder), adapter_scale=0.7).open(house)
            (token,) = (await model.generate(ask, None)).logprobs or ()
            async with model.session(ask) as session:
                likeliest = sorted(await session.next(), reverse=True)[:5]
            assert [logprob for _, logprob in token.top] == pytest.approx(likeliest, abs=ROUNDING_NATS)

    asyncio.run(compare())


# ---- converting ---------------------------------------------------------------------------------


def test_heads_stand_in_the_model_s_file_and_in_its_configuration(tiny: TinyLlama, tmp_path: Path) -> None:
    folder = saved(tmp_path / "peft")
    for name, model in (("file", tiny.gguf), ("folder", tiny.folder)):
        write_gguf(folder, tmp_path / name, model)
    assert (tmp_path / "file").read_bytes() == (tmp_path / "folder").read_bytes()
    found = header.read(tmp_path / "file")
    assert found.metadata == {
        "general.architecture": "llama",
        "general.type": "adapter",
        "adapter.type": "lora",
        "adapter.lora.alpha": ALPHA,
    }
    assert found.shapes["blk.1.attn_k.weight.lora_a"] == (tiny_llama.WIDTH, RANK)
    assert found.shapes["blk.1.attn_k.weight.lora_b"] == (RANK, tiny_llama.WIDTH // 2)
    assert len(found.shapes) == 2 * len(ALL) * 2


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"use_dora": True}, "'use_dora': True"),
        ({"init_lora_weights": "pissa_niter_4"}, "'init_lora_weights': 'pissa_niter_4'"),
        ({"alora_invocation_tokens": [5]}, r"'alora_invocation_tokens': \[5\]"),
        ({"layer_replication": [[0, 1], [0, 1]]}, "layer_replication"),
        ({"peft_type": "IA3"}, "'peft_type': 'IA3'"),
        ({"lora_alpha": 0}, "lora_alpha .* is 0; it must be above 0"),
        ({"lora_alpha": None}, "lora_alpha .* is None"),
    ],
)
def test_what_is_no_plain_lora_is_refused(tiny: TinyLlama, tmp_path: Path, settings: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        write_gguf(saved(tmp_path, ("q_proj",), **settings), tmp_path / "adapter.gguf", tiny.gguf)
    assert not (tmp_path / "adapter.gguf").exists()


@pytest.mark.parametrize(
    "name",
    [
        "base_model.model.lm_head.lora_A.weight",
        "base_model.model.model.layers.0.self_attn.q_proj.lora_magnitude_vector",
        "base_model.model.model.layers.0.self_attn.q_proj.bias",
        "base_model.model.model.layers.0.mlp.experts.lora_A.weight",
        "base_model.model.model.embed_tokens.lora_embedding_A",
    ],
)
def test_tensors_of_other_kinds_are_named(tiny: TinyLlama, tmp_path: Path, name: str) -> None:
    put(saved(tmp_path, ("q_proj",)), name, (RANK, tiny_llama.WIDTH))
    with pytest.raises(ConfigError, match=f"no form for '{name}'"):
        write_gguf(tmp_path, tmp_path / "adapter.gguf", tiny.gguf)


@pytest.mark.parametrize("shape", [None, (tiny_llama.WIDTH, RANK + 1), (RANK,)])
def test_halves_that_are_no_pair_are_damage(tiny: TinyLlama, tmp_path: Path, shape: tuple[int, ...] | None) -> None:
    put(saved(tmp_path, ("q_proj",)), "base_model.model.model.layers.1.self_attn.q_proj.lora_B.weight", shape)
    with pytest.raises(ModelFilesError, match=r"damaged: its 'model\.layers\.1\.self_attn\.q_proj' has"):
        write_gguf(tmp_path, tmp_path / "adapter.gguf", tiny.gguf)


def test_an_adapter_without_matrices_is_refused(tiny: TinyLlama, tmp_path: Path) -> None:
    with pytest.raises(ModelFilesError, match="is empty"):
        write_gguf(saved(tmp_path, ()), tmp_path / "adapter.gguf", tiny.gguf)


def test_numbers_too_large_for_sixteen_bits_are_said_and_fit_into_thirty_two(tiny: TinyLlama, tmp_path: Path) -> None:
    saved(tmp_path, ("q_proj",), size=1e5)
    with pytest.raises(ConfigError, match="not finite in 'f16'"):
        write_gguf(tmp_path, tmp_path / "adapter.gguf", tiny.gguf)
    write_gguf(tmp_path, tmp_path / "adapter.gguf", tiny.gguf, precision="f32")


def test_an_adapter_of_a_deeper_model_leaves_what_was_there(tiny: TinyLlama, tmp_path: Path) -> None:
    target = tmp_path / "adapter.gguf"
    target.write_text("as before")
    with pytest.raises(ConfigError, match=r"does not fit.*it adapts 'blk\.2\.attn_q\.weight'"):
        write_gguf(saved(tmp_path / "peft", ("q_proj",), layers=3), target, tiny.gguf)
    assert target.read_text() == "as before"
    assert {path.name for path in tmp_path.iterdir()} == {"adapter.gguf", "peft"}


@pytest.mark.parametrize("missing", ["adapter_config.json", "adapter_model.safetensors"])
def test_files_that_are_missing_or_torn_are_named(tiny: TinyLlama, tmp_path: Path, missing: str) -> None:
    path = saved(tmp_path, ("q_proj",)) / missing
    path.write_bytes(b"[1")
    with pytest.raises(ModelFilesError, match=missing):
        write_gguf(tmp_path, tmp_path / "adapter.gguf", tiny.gguf)
    path.unlink()
    with pytest.raises(ModelFilesError, match=missing):
        write_gguf(tmp_path, tmp_path / "adapter.gguf", tiny.gguf)


def test_a_place_that_cannot_be_written_is_named(tiny: TinyLlama, tmp_path: Path) -> None:
    with pytest.raises(ModelFilesError, match=r"cannot write the adapter .*nowhere"):
        write_gguf(saved(tmp_path, ("q_proj",)), tmp_path / "nowhere" / "adapter.gguf", tiny.gguf)


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"model_type": "gemma3_text", "num_attention_heads": 4}, "of the kind 'gemma3_text'"),
        ({"model_type": "llama"}, "how many heads it has: they are None and None"),
        ({"model_type": "llama", "num_attention_heads": 5}, "64 outputs, which are not 5 heads"),
    ],
)
def test_a_model_that_cannot_be_the_adapter_s_is_refused(tmp_path: Path, config: dict[str, Any], said: str) -> None:
    for module in ("torch", "safetensors"):
        pytest.importorskip(module)
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(ConfigError, match=said):
        write_gguf(saved(tmp_path / "peft", ("q_proj",)), tmp_path / "adapter.gguf", tmp_path)


# ---- finding and refusing -----------------------------------------------------------------------


def test_an_adapter_is_a_file_or_lies_in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "adapter.gguf"
    path.touch()
    monkeypatch.chdir(tmp_path.parent)
    for name in (path, tmp_path, Path(tmp_path.name), Path(tmp_path.name, "adapter.gguf")):
        assert find(str(name)) == path


def test_an_adapter_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelFilesError, match=r"no adapter '.*nowhere': neither a \.gguf file nor a folder"):
        find(str(tmp_path / "nowhere"))
    with pytest.raises(ModelFilesError, match="no adapter"):
        find(str(tmp_path))
    (tmp_path / "adapter_config.json").touch()
    with pytest.raises(ModelFilesError, match=r"in PEFT's form: .*write_gguf"):
        find(str(tmp_path))
    with pytest.raises(ConfigError, match="no part called 'coterie/unheard-of'"):
        find("coterie/unheard-of")


def test_shipped_adapters_are_found_by_name() -> None:
    with_adapter = [name for name in shipped.names() if (shipped.HERE / name[8:] / "adapter.gguf").is_file()]
    if not with_adapter:
        pytest.skip("no adapter comes with this package")
    for name in with_adapter:
        assert find(name) == shipped.HERE / name.removeprefix("coterie/") / "adapter.gguf"


@pytest.mark.parametrize("scale", [math.inf, math.nan])
def test_a_scale_that_is_no_number_is_refused(scale: float) -> None:
    with pytest.raises(ConfigError, match=f"adapter_scale of 'm' is {scale!r}"):
        LlamaCppMember("m", "model.gguf", adapter="a.gguf", adapter_scale=scale)


def test_members_with_different_adapters_are_different_models() -> None:
    plain = LlamaCppMember("m", "model.gguf")
    worn = replace(plain, adapter="coterie/x")
    assert [spec.card.model for spec in (plain, worn, replace(worn, adapter_scale=0.5))] == [
        "model.gguf",
        "model.gguf + coterie/x",
        "model.gguf + 0.5 * coterie/x",
    ]


UNFIT: dict[str, tuple[dict[str, Any], dict[str, tuple[int, int]], str]] = {
    "architecture": (
        {"general.architecture": "gemma3"},
        {},
        "it was made for the architecture 'gemma3', and the model's is 'llama'",
    ),
    "model": ({"general.type": "model"}, {}, "its general.type is 'model', not 'adapter'"),
    "control vector": ({"adapter.type": "control"}, {}, "its adapter.type is 'control', not 'lora'"),
    "inputs": ({}, {"blk.0.ffn_up.weight": (32, 96)}, "it has 32 inputs for 'blk.0.ffn_up.weight', .* has 64"),
    "outputs": ({}, {"blk.0.ffn_up.weight": (64, 64)}, "it has 64 outputs for 'blk.0.ffn_up.weight', .* has 96"),
    "depth": ({}, {"blk.7.ffn_up.weight": (64, 96)}, "it adapts 'blk.7.ffn_up.weight', which the model does not"),
}


@pytest.mark.parametrize("why", UNFIT)
def test_an_adapter_that_does_not_fit_is_refused_with_the_reason(tiny: TinyLlama, tmp_path: Path, why: str) -> None:
    metadata, changed, said = UNFIT[why]
    path = adapter_file(tmp_path / "own.gguf", changed or {"blk.0.ffn_up.weight": (64, 96)}, **metadata)
    with pytest.raises(ModelFilesError, match=rf"own\.gguf' does not fit the model .*model\.gguf': {said}"):
        opened(member(tiny, adapter=str(path)))


@pytest.mark.parametrize("content", [b"", b"GGUF and then nonsense", b"GGUF\x03\0\0\0" + b"\xff" * 40, b"no adapter"])
def test_a_file_that_is_no_adapter_is_refused(tiny: TinyLlama, tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "own.gguf"
    path.write_bytes(content)
    with pytest.raises(ModelFilesError, match=r"own\.gguf' is no GGUF file"):
        opened(member(tiny, adapter=str(path)))


def test_a_torn_adapter_is_refused(tiny: TinyLlama, tmp_path: Path) -> None:
    path = adapter_file(tmp_path / "own.gguf", {"blk.0.ffn_up.weight": (64, 96)})
    path.write_bytes(path.read_bytes()[:-500])
    with pytest.raises(ModelFilesError, match=r"and the adapter '.*own\.gguf': is it whole\?"):
        opened(member(tiny, adapter=str(path)))


def test_an_adapter_that_changes_nothing_is_no_proof_of_the_binding(tiny: TinyLlama, tmp_path: Path) -> None:
    path = adapter_file(tmp_path / "own.gguf", {"blk.0.ffn_up.weight": (64, 96)}, size=0.0)
    assert "the adapter changes nothing at scale 1.0" in opened(member(tiny, adapter=str(path)))
    assert opened(member(tiny, adapter=str(path), adapter_scale=0.0)) == ""


def test_an_adapter_that_begins_inside_the_text_leaves_the_token_level_functions_out(
    tiny: TinyLlama, tmp_path: Path
) -> None:
    phrase: dict[str, Any] = {"adapter.alora.invocation_tokens": [100, 101]}
    path = adapter_file(tmp_path / "own.gguf", {"blk.0.ffn_up.weight": (64, 96)}, **phrase)
    assert "is an activated LoRA" in opened(member(tiny, adapter=str(path)))


# ---- with SmolLM2 -------------------------------------------------------------------------------


@pytest.mark.local_model
def test_members_with_and_without_an_adapter_sit_in_one_committee(smol_spec: LlamaCppMember, tmp_path: Path) -> None:
    for module in ("gguf", "safetensors", "torch"):
        pytest.importorskip(module)
    folder = saved(tmp_path, ("q_proj", "k_proj", "v_proj"), of=shapes(576, 192, 1536), layers=30, size=0.07)
    write_gguf(folder, folder / "adapter.gguf", weights.path(SMOL))
    plain = replace(smol_spec, name="plain", context_tokens=256, slots=1)
    worn = replace(plain, name="worn", adapter=str(folder), adapter_scale=0.5)

    def ask(*members: LlamaCppMember) -> dict[str, str]:
        names = tuple(spec.name for spec in members)
        with Committee(members, {"default": BestOf(names, Length())}) as committee:
            answer = committee.ask("What is the capital of France?", sampling=Sampling(max_tokens=12))
        assert not answer.failures
        return {candidate.author: candidate.text for candidate in answer.candidates}

    together = ask(plain, worn)
    assert together["plain"] != together["worn"]
    assert together == ask(plain) | ask(worn)


@pytest.mark.local_model
def test_equal_adapters_share_an_engine_and_others_do_not(
    smol: LlamaCppModel, smol_spec: LlamaCppMember, house: House, on_loop: Run[LlamaCppModel], tmp_path: Path
) -> None:
    pytest.importorskip("gguf")
    path = adapter_file(tmp_path / "adapter.gguf", {"blk.3.attn_q.weight": (576, 576)})
    small = replace(smol_spec, context_tokens=64, slots=1, adapter=str(tmp_path))
    first = on_loop(small.open(house))
    assert (
        on_loop(replace(small, name="again", adapter=str(path), system="Be brief.").open(house)).engine is first.engine
    )
    assert first.engine is not smol.engine
    assert first.why_no_likelihood == ""


# ---- what the tests have in common --------------------------------------------------------------


def member(tiny: TinyLlama, **settings: Any) -> LlamaCppMember:
    return LlamaCppMember("tiny", str(tiny.gguf), context_tokens=256, shots=(), **settings)


def opened(spec: LlamaCppMember) -> str:
    """Why the open member has no token-level functions; it can be opened and closed."""

    async def open_it() -> str:
        async with House() as house:
            return (await spec.open(house)).why_no_likelihood

    return asyncio.run(open_it())


def put(folder: Path, name: str, shape: tuple[int, ...] | None) -> None:
    """Replace or add one tensor of the adapter in `folder`; without a shape, take it away."""
    import torch
    from safetensors.torch import load_file, save_file

    path = folder / "adapter_model.safetensors"
    tensors = load_file(path)
    tensors.pop(name, None)
    save_file(tensors if shape is None else tensors | {name: torch.ones(shape)}, path)


def adapter_file(path: Path, changed: dict[str, tuple[int, int]], *, size: float = 0.2, **metadata: Any) -> Path:
    """An adapter written by hand: random matrices for the weights in `changed`, each of (inputs, outputs)."""
    import gguf
    import numpy as np

    source = np.random.default_rng(2)
    told = {"general.type": "adapter", "adapter.type": "lora"} | metadata
    writer = gguf.GGUFWriter(path, told.pop("general.architecture", "llama"))
    writer.add_float32("adapter.lora.alpha", ALPHA)
    for key, value in told.items():
        if isinstance(value, str):
            writer.add_string(key, value)
        else:
            writer.add_key_value(key, value, gguf.GGUFValueType.ARRAY, gguf.GGUFValueType.UINT32)
    for name, (inputs, outputs) in changed.items():
        for side, shape in (("a", (RANK, inputs)), ("b", (outputs, RANK))):
            matrix = size * source.standard_normal(shape, dtype=np.float32)
            writer.add_tensor(f"{name}.lora_{side}", matrix.astype(np.float16))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path
