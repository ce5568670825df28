"""What every metric promises, whichever it is: on its own terms, with tiny networks behind those that have one."""

from __future__ import annotations

import logging
import math
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from coterie.errors import ConfigError, MissingExtra, MissingWeights
from coterie.evaluation.metrics import NAMES, Metric, OpenMetric, Pair, build

pytest.importorskip("torch", reason="metrics with a network need the extra torch")
pytest.importorskip("rouge_score", reason="ROUGE needs the extra eval")
pytest.importorskip("sacrebleu", reason="BLEU needs the extra eval")

from metric_models import aligner, bart, bert, gpt2

TEXTS = [
    "the cat sat on the mat .",
    "Paris is the capital of France.",
    "the dog",
    "it rains , it rains and it rains !",
    "Berlin was a dog?",
    "",
    " \t\n ",
    "é 你好 🙂 zzz",
]
PAIRS = [(hypothesis, reference) for hypothesis in TEXTS for reference in TEXTS]
HYPOTHESES, REFERENCES = [h for h, _ in PAIRS], [r for _, r in PAIRS]
LONG = "the cat sat on the mat , " * 400
LIMITS: dict[str, dict[str, Any]] = {
    **{f"rouge{kind}": {"max_words": 50} for kind in ("1", "2", "L", "Lsum")},
    "bartscore": {"max_tokens": 40},
}
"""Settings under which `LONG` is too long, where the tiny network does not say so itself."""


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    here = {"device": "cpu"}
    return {
        **{name: {} for name in NAMES},
        "bertscore": {**here, "model": str(bert(tmp_path_factory.mktemp("bert"))), "num_layers": 2},
        "bartscore": {**here, "model": str(bart(tmp_path_factory.mktemp("bart")))},
        "bleurt": {**here, "model": str(bert(tmp_path_factory.mktemp("bleurt"), outputs=1))},
        "likelihood": {**here, "model": str(gpt2(tmp_path_factory.mktemp("gpt2"), begins=True))},
        "alignscore": {**here, "model": str(aligner(tmp_path_factory.mktemp("aligner")))},
    }


@pytest.fixture(scope="module")
def metrics(settings: dict[str, dict[str, Any]]) -> Iterator[dict[str, OpenMetric]]:
    with ExitStack() as stack:
        yield {name: stack.enter_context(build(name, **settings[name]).open()) for name in NAMES}


def nearly(found: list[float | None], wanted: list[float | None]) -> bool:
    return all(
        (a is None and b is None) or (a is not None and b is not None and abs(a - b) < 1e-5)
        for a, b in zip(found, wanted, strict=True)
    )


@pytest.mark.parametrize("name", NAMES)
def test_a_score_is_a_number_and_unknown_only_where_the_reference_says_nothing(
    name: str, metrics: dict[str, OpenMetric]
) -> None:
    scores = metrics[name].score(HYPOTHESES, REFERENCES)
    for (hypothesis, reference), score in zip(PAIRS, scores, strict=True):
        if not reference.strip():
            assert score is None
        else:
            assert score is not None, (hypothesis, reference)
            assert math.isfinite(score)


@pytest.mark.parametrize("name", NAMES)
def test_a_score_depends_on_its_own_pair_alone(name: str, metrics: dict[str, OpenMetric]) -> None:
    metric = metrics[name]
    together = metric.score(HYPOTHESES, REFERENCES)
    alone = [metric.score([hypothesis], [reference])[0] for hypothesis, reference in PAIRS]
    backwards = metric.score(HYPOTHESES[::-1], REFERENCES[::-1])[::-1]
    assert nearly(together, alone)
    assert nearly(together, backwards)


@pytest.mark.parametrize("name", ["bertscore", "bartscore", "bleurt", "likelihood", "alignscore"])
def test_a_score_does_not_depend_on_the_size_of_the_batch(name: str, settings: dict[str, dict[str, Any]]) -> None:
    found = []
    for budget_tokens in (1, 60, 100_000):
        with build(name, **settings[name], budget_tokens=budget_tokens).open() as metric:
            found.append(metric.score(HYPOTHESES, REFERENCES))
    assert nearly(found[0], found[1])
    assert nearly(found[0], found[2])


@pytest.mark.parametrize("name", NAMES)
def test_equal_pairs_have_equal_scores(name: str, metrics: dict[str, OpenMetric]) -> None:
    first, second, third = metrics[name].score(["dog cat", "a dog", "dog cat"], ["a cat", "a dog", "a cat"])
    assert first == third
    assert first != second


@pytest.mark.parametrize("name", NAMES)
def test_what_no_tokenizer_reads_is_read_as_something_that_one_does(name: str, metrics: dict[str, OpenMetric]) -> None:
    joined, halved, replaced = metrics[name].score(["cat \ud83d\ude42", "cat \ud83d", "cat \ufffd"], ["the cat 🙂"] * 3)
    assert nearly([joined], metrics[name].score(["cat 🙂"], ["the cat 🙂"]))
    assert nearly([halved], [replaced])


@pytest.mark.parametrize("name", NAMES)
def test_a_long_text_is_cut_and_that_is_said_once(
    name: str, settings: dict[str, dict[str, Any]], caplog: pytest.LogCaptureFixture
) -> None:
    with build(name, **settings[name], **LIMITS.get(name, {})).open() as metric:
        assert metric.score(["the cat"], ["the dog"]) != [None]
        assert metric.cut == 0
        with caplog.at_level(logging.WARNING, "coterie"):
            scores = metric.score([LONG, "the cat", LONG + "."], ["the cat sat", LONG, LONG])
        assert all(score is not None and math.isfinite(score) for score in scores)
        said = [record for record in caplog.records if record.name == "coterie"]
        if name in ("bleu", "f1", "exact_match"):  # they read everything
            assert (metric.cut, said) == (0, [])
        else:
            assert metric.cut >= 2  # equal texts may be read once
            assert 1 <= len(said) <= 2  # the likelihood's prompt and its reference have limits of their own


def test_a_score_that_is_no_number_is_unknown_and_equal_pairs_are_computed_once() -> None:
    class Broken:
        cut = 0
        asked = 0

        def __call__(self, pairs: Sequence[Pair]) -> list[float | None]:
            self.asked += len(pairs)
            return [math.nan if pair.hypothesis == "b" else float(len(pair.source)) for pair in pairs]

    compute = Broken()
    metric = OpenMetric("broken", compute)
    assert metric.score(["a", "b", "a", "a"], ["x", "x", "x", " "]) == [0.0, None, 0.0, None]
    assert compute.asked == 2
    assert metric.score(["a", "a"], ["x", "x"], ["?", "??"]) == [1.0, 2.0]
    assert compute.asked == 4


@pytest.mark.parametrize("name", NAMES)
def test_wrong_calls_are_refused(name: str, metrics: dict[str, OpenMetric]) -> None:
    metric = metrics[name]
    assert metric.score([], []) == []
    with pytest.raises(ValueError, match=r"differ in length: \[2, 1\]"):
        metric.score(["a", "b"], ["a"])
    with pytest.raises(ValueError, match=r"differ in length: \[1, 1, 0\]"):
        metric.score(["a"], ["a"], [])
    with pytest.raises(TypeError, match="not one text"):
        metric.score("cat", "dog")


@pytest.mark.parametrize("name", NAMES)
def test_a_closed_metric_scores_no_more(name: str, settings: dict[str, dict[str, Any]]) -> None:
    with build(name, **settings[name]).open() as metric:
        assert metric.name == name
    with pytest.raises(RuntimeError, match=f"the metric '{name}' is closed"):
        metric.score(["a"], ["a"])


@pytest.mark.parametrize("name", NAMES)
def test_a_metric_is_a_value(name: str, settings: dict[str, dict[str, Any]]) -> None:
    made: Metric = build(name, **settings[name])
    again = build(name, **settings[name])
    assert made == again
    assert hash(made) == hash(again)
    assert made.name == name


def test_an_unknown_name_or_setting_is_answered_with_those_there_are() -> None:
    with pytest.raises(ConfigError, match=r"'rogue1' is none of the metrics: rouge1, .*; did you mean 'rouge1'\?"):
        build("rogue1")
    with pytest.raises(ConfigError, match=r"metrics\.bleu\.tokenise: there is no such setting; did you mean"):
        build("bleu", tokenise="zh")
    with pytest.raises(ConfigError, match=r"metrics\.bleu\.tokenize"):
        build("bleu", tokenize="klingon")
    with pytest.raises(ConfigError, match=r"metrics\.likelihood\.model: this setting is required"):
        build("likelihood")
    with pytest.raises(ConfigError, match="num_layers"):
        build("bertscore", num_layers=-1)
    with pytest.raises(ConfigError, match="max_tokens has to hold text"):
        build("bartscore", max_tokens=2)
    with pytest.raises(ConfigError, match="max_words is at least 1"):
        build("rouge1", max_words=0)
    with pytest.raises(ConfigError, match="chunk_words is at least 1"):
        build("alignscore", chunk_words=0)
    with pytest.raises(ConfigError, match=r"metrics\.alignscore\.mode"):
        build("alignscore", mode="nli_spp")


@pytest.mark.parametrize(
    ("name", "module", "extra"),
    [
        ("rougeL", "rouge_score.rouge_scorer", "coterie[eval]"),
        ("bleu", "sacrebleu.metrics.bleu", "coterie[eval]"),
        ("bertscore", "transformers", "coterie[torch]"),
        ("bartscore", "transformers", "coterie[torch]"),
        ("bleurt", "transformers", "coterie[torch]"),
        ("likelihood", "transformers", "coterie[torch]"),
        ("alignscore", "transformers", "coterie[torch]"),
    ],
)
def test_an_absent_package_is_named(
    name: str, module: str, extra: str, settings: dict[str, dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    metric = build(name, **settings[name])
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingExtra) as caught, metric.open():
        raise AssertionError("it opened")
    assert f"pip install '{extra}'" in str(caught.value)


def test_nothing_heavy_is_imported_until_a_metric_is_opened() -> None:
    code = (
        "import sys\nfrom coterie.evaluation.metrics import NAMES, build\n"
        "made = [build(name, **({'model': 'x'} if name == 'likelihood' else {})) for name in NAMES]\n"
        "print([m for m in ('numpy', 'torch', 'transformers', 'rouge_score', 'nltk', 'sacrebleu') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout.strip() == "[]", done.stderr


@pytest.mark.parametrize("name", ["bertscore", "bartscore", "bleurt", "likelihood"])
def test_a_folder_that_is_no_model_is_refused_by_name(
    name: str, settings: dict[str, dict[str, Any]], tmp_path: Path
) -> None:
    metric = build(name, **{**settings[name], "model": str(tmp_path)})
    with pytest.raises(ConfigError, match="cannot be loaded as a metric's model") as caught, metric.open():
        raise AssertionError("it opened")
    assert repr(str(tmp_path)) in str(caught.value)


@pytest.mark.parametrize("name", ["bertscore", "bartscore", "bleurt", "likelihood", "alignscore"])
def test_absent_weights_are_told_from_wrong_ones(
    name: str, settings: dict[str, dict[str, Any]], tmp_path: Path
) -> None:
    folder = Path(settings[name]["model"])
    for file in folder.iterdir():
        if file.suffix not in (".safetensors", ".ckpt"):
            (tmp_path / file.name).write_bytes(file.read_bytes())
    metric = build(name, **{**settings[name], "model": str(tmp_path)})
    with pytest.raises(MissingWeights, match=re.escape(str(tmp_path))), metric.open():
        raise AssertionError("it opened")
