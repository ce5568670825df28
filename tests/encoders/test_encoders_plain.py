"""Encoders as plain data: what is refused, and that nothing is loaded for it."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from typing import Any

import pytest

from coterie.encoders import default_encoder, from_plain, to_plain
from coterie.encoders.minilm import MiniLM
from coterie.encoders.static import Static
from coterie.errors import ConfigError


def test_a_kind_alone_has_its_defaults() -> None:
    assert from_plain("static") == Static() == from_plain({"kind": "static"})
    assert from_plain({"kind": "minilm", "max_tokens": 128}) == MiniLM(max_tokens=128)
    assert default_encoder() == MiniLM()


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (None, "a mapping with its 'kind' and settings, not None"),
        ({"model": "x"}, "'kind' is one of endpoint, minilm, sentence_transformers, static, not None"),
        ({"kind": 3}, "'kind' is one of .*, not 3"),
        (
            "minlm",
            "'minlm' is no kind of encoder: endpoint, minilm, sentence_transformers, static; did you mean 'minilm'",
        ),
        ({"kind": "minilm", "size": 3}, r"encoder 'minilm' has no setting 'size' \(allowed: model, max_tokens, keep"),
        ({"kind": "minilm", "max_tokens": "many"}, "encoder 'minilm': max_tokens: Input should be a valid integer"),
        ({"kind": "minilm", "keep": "middle"}, "encoder 'minilm': keep: Input should be 'start' or 'end'"),
        ({"kind": "minilm", "max_tokens": 0}, "max_tokens must be at least 1"),
        ({"kind": "endpoint", "model": "e"}, "encoder 'endpoint': base_url: "),
    ],
)
def test_what_describes_no_encoder_is_refused(data: Any, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        from_plain(data)


@dataclass(frozen=True)
class Own:
    identity: str = "own"


def test_a_class_without_a_name_cannot_be_kept() -> None:
    with pytest.raises(ConfigError, match=r"an encoder of '.*:Own' cannot be kept"):
        to_plain(Own())  # type: ignore[arg-type]


def test_naming_encoders_loads_nothing_heavy() -> None:
    code = (
        "import coterie.encoders, sys\n"
        "from coterie.encoders import from_plain, to_plain\n"
        "print(to_plain(from_plain('minilm'))['kind'], to_plain(from_plain('static'))['kind'])\n"
        "heavy = ('numpy', 'onnx', 'onnxruntime', 'tokenizers', 'torch', 'transformers', 'aiohttp')\n"
        "print([name for name in heavy if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.split("\n")[:2] == ["minilm static", "[]"]
