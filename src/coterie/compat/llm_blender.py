"""The face of the package ``llm_blender`` 0.0.2: change the import, get the same numbers quicker.

Kept, because numbers depend on it: instruction and input joined without a separator, the typo in the
conversation prompt, `compare` as the sum of both directions, the sign of "[B,A]" (positive means B is
better), competition ranks. Mended: ragged lists of candidates, one candidate, special pieces in texts,
`ref_mode` given as ``mode``, caller's lists edited in place, the unseeded bubble, results that depend on
a batch's neighbours. Arguments that only steered the reference's batches are taken and ignored.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from coterie.errors import ConfigError
from coterie.judges.pair_ranker.encoding import Pair
from coterie.judges.pair_ranker.weights import PairRankerWeights
from coterie.ranking import tournament

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from coterie.fusers.generative.engine import FuserEngine
    from coterie.judges.engine import Engine

CompareMode = Literal["[A,B]", "[B,A]", "[A,B]+[B,A]"]
RefMode = Literal["longest", "shortest", "median_length", "first", "last"]
Comparison = Literal["bubble", "full"]
Turn = Mapping[str, str]

CONVERSATION = "Finish the following coversation in each i-th turn by filling in <Response i> with your response."
"""The typo stands in the text that the published ranker was trained on."""


@dataclass
class BlenderConfig:
    """As in llm_blender; `use_tqdm` is taken and ignored."""

    device: str = "auto"
    use_tqdm: bool = True


@dataclass
class RankerConfig:
    """The settings of llm_blender's RankerConfig that mean something at inference."""

    model_name: str | None = None
    cache_dir: str | None = None
    load_checkpoint: str | None = None
    source_maxlength: int | None = None
    candidate_maxlength: int | None = None
    fp16: bool = True
    device: str | None = None


@dataclass
class GenFuserConfig:
    """The settings of llm_blender's GenFuserConfig that mean something at inference."""

    model_name: str = "llm-blender/gen_fuser_3b"
    cache_dir: str | None = None
    max_length: int = 1024
    candidate_maxlength: int = 128
    torch_dtype: str = "auto"
    device: str | None = None


class Blender:
    """llm_blender's Blender: rank, compare and fuse candidates. Close it, or let it go with the program."""

    def __init__(
        self,
        blender_config: BlenderConfig | None = None,
        ranker_config: RankerConfig | None = None,
        fuser_config: GenFuserConfig | None = None,
        *,
        seed: int = 42,
    ) -> None:
        self.blender_config = blender_config or BlenderConfig()
        self.seed = seed
        """Seeds the order in which bubbles run."""
        self._ranker: Engine[Pair] | None = None
        self._fuser: FuserEngine | None = None
        self._fuser_config = fuser_config or GenFuserConfig()
        if ranker_config is not None:
            path = ranker_config.load_checkpoint or ranker_config.model_name
            if path is None:
                raise ConfigError("a RankerConfig needs load_checkpoint, the ranker's folder or hub name")
            settings = {k: v for k, v in vars(ranker_config).items() if k not in ("load_checkpoint", "model_name")}
            self.loadranker(path, **settings)
        if fuser_config is not None:
            self.loadfuser(fuser_config.model_name)

    # ---- loading ------------------------------------------------------------------------------

    def loadranker(self, ranker_path: str, device: str | None = None, **kwargs: Any) -> None:
        """Afterwards the ranker of a folder or hub name ranks. Other settings of RankerConfig are ignored."""
        half = kwargs.get("fp16", True)
        chosen = device or kwargs.get("device") or self.blender_config.device
        weights = PairRankerWeights(
            str(ranker_path),
            device=chosen,
            precision="auto" if half else "float32",
            source_tokens=kwargs.get("source_maxlength"),
            candidate_tokens=kwargs.get("candidate_maxlength"),
            cache_folder=kwargs.get("cache_dir"),
        )
        if self._ranker is not None:
            self._ranker.close()
        self._ranker = weights.load()

    def loadfuser(self, fuser_path: str, device: str | None = None, **kwargs: Any) -> None:
        """Afterwards the fuser of a folder or hub name fuses."""
        from coterie.fusers.generative.engine import FuserEngine

        own = self._fuser_config
        self._fuser = FuserEngine(
            str(fuser_path),
            device=device or own.device or self.blender_config.device,
            precision=str(kwargs.get("torch_dtype", own.torch_dtype)),
            cache_folder=kwargs.get("cache_dir", own.cache_dir),
        )

    @property
    def ranker(self) -> Engine[Pair]:
        """The loaded ranker. Raises `ConfigError` when there is none."""
        if self._ranker is None:
            raise ConfigError("no ranker is loaded: call loadranker('llm-blender/PairRM') first")
        return self._ranker

    @property
    def fuser(self) -> FuserEngine:
        """The loaded fuser. Raises `ConfigError` when there is none."""
        if self._fuser is None:
            raise ConfigError("no fuser is loaded: call loadfuser('llm-blender/gen_fuser_3b') first")
        return self._fuser

    def close(self) -> None:
        """Stop the ranker's worker and let go of the models."""
        if self._ranker is not None:
            self._ranker.close()
        self._ranker = self._fuser = None

    # ---- ranking ------------------------------------------------------------------------------

    def rank(
        self,
        inputs: Sequence[str],
        candidates: Sequence[Sequence[str]],
        instructions: Sequence[str] | None = None,
        return_scores: bool = False,
        batch_size: int = 8,
        **_ignored: Any,
    ) -> NDArray[Any]:
        """Ranks (int32, 1 is best, ties share the lower) or MaxLogits scores (float32, higher is better), [inputs, N].

        Lists of different lengths give an object array with one array an input.
        """
        sources = _sources(inputs, instructions)
        _check(sources, candidates)
        logits = self._logits(sources, candidates)
        scores = [_max_logits(table) for table in logits]
        return _stacked(scores if return_scores else [_ranks(row) for row in scores])

    def rank_with_ref(
        self,
        inputs: Sequence[str],
        candidates: Sequence[Sequence[str]],
        instructions: Sequence[str] | None = None,
        return_scores: bool = False,
        batch_size: int = 8,
        ref_mode: RefMode = "longest",
        ref_candidates: Sequence[str] | None = None,
        **rank_kwargs: Any,
    ) -> NDArray[Any]:
        """Every candidate against one reference only: 2 N readings instead of N (N - 1). Scores are float64.

        The reference is given, or chosen by `ref_mode` (by characters; ``mode`` means the same).
        """
        mode = rank_kwargs.get("mode", ref_mode)
        sources = _sources(inputs, instructions)
        _check(sources, candidates)
        references = list(ref_candidates) if ref_candidates is not None else [_reference(c, mode) for c in candidates]
        asked = [
            pair
            for source, texts, reference in zip(sources, candidates, references, strict=True)
            for text in texts
            for pair in (Pair(source, text, reference), Pair(source, reference, text))
        ]
        found = iter(self._margins(asked))
        import numpy as np

        scores = [np.array([next(found) - next(found) for _ in texts], dtype=np.float64) for texts in candidates]
        return _stacked(scores if return_scores else [_ranks(row) for row in scores])

    def compare(
        self,
        inputs: Sequence[str],
        candidates_A: Sequence[str],
        candidates_B: Sequence[str],
        instructions: Sequence[str] | None = None,
        batch_size: int = 4,
        return_logits: bool = False,
        mode: CompareMode = "[A,B]+[B,A]",
        **_ignored: Any,
    ) -> NDArray[Any]:
        """For each input the logit, or whether it is positive.

        "[A,B]+[B,A]" is M[A,B] - M[B,A], the sum of both directions; "[A,B]" is M[A,B], positive when A is
        better; "[B,A]" is M[B,A], positive when *B* is better, as the reference computes it.
        """
        import numpy as np

        sources = _sources(inputs, instructions)
        triples = list(zip(sources, candidates_A, candidates_B, strict=True))
        forward = [Pair(s, a, b) for s, a, b in triples]
        backward = [Pair(s, b, a) for s, a, b in triples]
        if mode == "[A,B]+[B,A]":
            margins = self._margins(forward + backward)
            logits = [ab - ba for ab, ba in zip(margins[: len(triples)], margins[len(triples) :], strict=True)]
        elif mode in ("[A,B]", "[B,A]"):
            logits = self._margins(forward if mode == "[A,B]" else backward)
        else:
            raise ConfigError(f"mode must be '[A,B]', '[B,A]' or '[A,B]+[B,A]', not {mode!r}")
        found = np.array(logits, dtype=np.float32)
        return found if return_logits else found > 0

    def compare_conversations(
        self,
        conversations_a: Sequence[Sequence[Turn]],
        conversations_b: Sequence[Sequence[Turn]],
        batch_size: int = 4,
        return_logits: bool = False,
        mode: CompareMode = "[A,B]+[B,A]",
    ) -> NDArray[Any]:
        """`compare` on whole conversations with the same user turns, in the ranker's training format."""
        read = [_conversations(a, b) for a, b in zip(conversations_a, conversations_b, strict=True)]
        inputs, left, right = ([triple[n] for triple in read] for n in range(3))
        return self.compare(
            inputs, left, right, [CONVERSATION] * len(read), batch_size, return_logits=return_logits, mode=mode
        )

    def get_best_of_n(
        self,
        inputs: Sequence[str],
        candidates: Sequence[Sequence[str]],
        instructions: Sequence[str] | None = None,
        pairrm_cmp_type: Comparison = "bubble",
        return_all: bool = False,
        batch_size: int = 8,
    ) -> list[str] | list[list[str]]:
        """The best candidate of each input; with `return_all` all of them, best first, by full comparison."""
        return self._chosen(inputs, candidates, instructions, pairrm_cmp_type, return_all, worst=False)

    def get_worst_of_n(
        self,
        inputs: Sequence[str],
        candidates: Sequence[Sequence[str]],
        instructions: Sequence[str] | None = None,
        pairrm_cmp_type: Comparison = "bubble",
        return_all: bool = False,
        batch_size: int = 8,
    ) -> list[str] | list[list[str]]:
        """The worst candidate of each input; with `return_all` all of them, worst first, by full comparison."""
        return self._chosen(inputs, candidates, instructions, pairrm_cmp_type, return_all, worst=True)

    # ---- fusing -------------------------------------------------------------------------------

    def fuse(
        self,
        inputs: Sequence[str],
        candidates: Sequence[Sequence[str]],
        instructions: Sequence[str] | None = None,
        batch_size: int = 4,
        **generate_kwargs: Any,
    ) -> list[str]:
        """The fused text of each input's candidates, best first. Other arguments go to ``generate``."""
        from coterie.fusers.generative.engine import Decoding
        from coterie.fusers.generative.prompt import Budgets

        own = self._fuser_config
        room = int(generate_kwargs.pop("candidate_max_length", own.candidate_maxlength))
        budgets = Budgets(own.max_length, room)
        instructions = instructions or [""] * len(inputs)
        prompts = [
            self.fuser.prompt(instruction, input_, texts, budgets)
            for instruction, input_, texts in zip(instructions, inputs, candidates, strict=True)
        ]
        decoding = Decoding(max_new_tokens=own.candidate_maxlength)
        batches = _cut(prompts, batch_size)
        return [text for batch in batches for text in self.fuser.write(batch, decoding, **generate_kwargs)]

    def rank_and_fuse(
        self,
        inputs: Sequence[str],
        candidates: Sequence[Sequence[str]],
        instructions: Sequence[str] | None = None,
        return_scores: bool = False,
        batch_size: int = 4,
        top_k: int = 3,
        **generate_kwargs: Any,
    ) -> tuple[list[str], NDArray[Any]]:
        """The text fused out of each input's `top_k` best candidates, and the ranks or scores of all."""
        scores = self.rank(inputs, candidates, instructions, return_scores=True)
        ranks = _stacked([_ranks(row) for row in scores])
        best = [_best(row, texts, top_k) for row, texts in zip(ranks, candidates, strict=True)]
        fused = self.fuse(inputs, best, instructions, batch_size, **generate_kwargs)
        return fused, scores if return_scores else ranks

    # ---- best of n generated ------------------------------------------------------------------

    def n_generate(
        self,
        model: Any,
        model_tokenizer: Any,
        inputs: Sequence[str],
        instructions: Sequence[str] | None = None,
        n: int = 5,
        sampling_mode: Literal["top_k_sampling", "top_p_sampling"] | None = "top_p_sampling",
        batch_size: int = 4,
        **generate_kwargs: Any,
    ) -> list[list[str]]:
        """`n` sampled answers of a transformers model to each input, prompted with instruction, newline, input."""
        import torch

        sampling: dict[str, Any] = {
            "top_k_sampling": {"do_sample": True, "top_k": 50, "temperature": 0.7},
            "top_p_sampling": {"do_sample": True, "top_p": 1.0, "temperature": 0.7},
        }.get(sampling_mode or "", {})
        prompts = list(inputs)
        if instructions is not None:
            prompts = [f"{i}\n{p}" if i else p for i, p in zip(instructions, inputs, strict=True)]
        decodes = not model.config.is_encoder_decoder
        model_tokenizer.padding_side = "left" if decodes else "right"
        answers: list[list[str]] = []
        for batch in _cut(prompts, batch_size):
            read = model_tokenizer(batch, return_tensors="pt", padding=True).to(model.device)
            with torch.inference_mode():
                written = model.generate(**read, num_return_sequences=n, **{**sampling, **generate_kwargs})
            fresh = written[:, read["input_ids"].shape[1] :] if decodes else written
            texts = model_tokenizer.batch_decode(fresh, skip_special_tokens=True)
            answers += _cut(texts, n)
        return answers

    def best_of_n_generate(
        self,
        model: Any,
        model_tokenizer: Any,
        inputs: Sequence[str],
        instructions: Sequence[str] | None = None,
        n: int = 5,
        sampling_mode: Literal["top_k_sampling", "top_p_sampling"] | None = "top_p_sampling",
        batch_size: int = 4,
        pairrm_cmp_type: Comparison = "bubble",
        return_all: bool = False,
        **generate_kwargs: Any,
    ) -> list[str] | list[list[str]]:
        """The best of `n` sampled answers to each input; see `n_generate` and `get_best_of_n`."""
        sampled = self.n_generate(
            model, model_tokenizer, inputs, instructions, n, sampling_mode, batch_size, **generate_kwargs
        )
        return self.get_best_of_n(inputs, sampled, instructions, pairrm_cmp_type, return_all)

    # ---- what they share ----------------------------------------------------------------------

    def _margins(self, pairs: Sequence[Pair]) -> list[float]:
        return [left - right for left, right in self.ranker.score(pairs)]

    def _logits(self, sources: Sequence[str], candidates: Sequence[Sequence[str]]) -> list[NDArray[np.float32]]:
        """M of each input, [N, N], all pairs of all inputs in one queue."""
        import numpy as np

        asked = [
            Pair(source, a, b)
            for source, texts in zip(sources, candidates, strict=True)
            for a, b in itertools.permutations(texts, 2)
        ]
        margins = iter(self._margins(asked))
        tables = []
        for texts in candidates:
            table = np.zeros((len(texts), len(texts)), dtype=np.float32)
            for i, j in itertools.permutations(range(len(texts)), 2):
                table[i, j] = next(margins)
            tables.append(table)
        return tables

    def _chosen(
        self,
        inputs: Sequence[str],
        candidates: Sequence[Sequence[str]],
        instructions: Sequence[str] | None,
        how: Comparison,
        return_all: bool,
        *,
        worst: bool,
    ) -> list[str] | list[list[str]]:
        sources = _sources(inputs, instructions)
        _check(sources, candidates)
        if return_all or how == "full":
            tables = self._logits(sources, candidates)
            ordered = [
                _ordered(_max_logits(t), texts, worst=worst) for t, texts in zip(tables, candidates, strict=True)
            ]
            return ordered if return_all else [texts[0] for texts in ordered]
        if how != "bubble":
            raise ConfigError(f"pairrm_cmp_type must be 'bubble' or 'full', not {how!r}")
        return self._bubbled(sources, candidates, worst=worst)

    def _bubbled(self, sources: Sequence[str], candidates: Sequence[Sequence[str]], *, worst: bool) -> list[str]:
        """The last one standing of each input's bubble; all bubbles take their steps together."""
        rng = random.Random(self.seed)
        running = {n: tournament.bubble(len(texts), rng, worst=worst) for n, texts in enumerate(candidates)}
        sent: dict[int, list[float] | None] = dict.fromkeys(running)
        winners: dict[int, int] = {}
        while running:
            rounds: dict[int, tuple[int, int]] = {}
            for n, bubble in list(running.items()):
                try:
                    (rounds[n],) = next(bubble) if sent[n] is None else bubble.send(sent[n] or [])
                except StopIteration as ended:
                    winners[n] = ended.value.best[0]
                    del running[n]
            asked = [
                Pair(sources[n], candidates[n][i], candidates[n][j])
                for n, (a, b) in rounds.items()
                for i, j in ((a, b), (b, a))
            ]
            margins = self._margins(asked)
            for place, n in enumerate(rounds):
                sent[n] = [margins[2 * place] - margins[2 * place + 1]]
        return [texts[winners[n]] for n, texts in enumerate(candidates)]


def get_topk_candidates_from_ranks(
    ranks: Sequence[Sequence[int]] | NDArray[Any], candidates: Sequence[Sequence[str]], top_k: int | None = None
) -> list[list[str]]:
    """Of each input the `top_k` candidates of the lowest ranks, best first; all of them for ``None``."""
    return [_best(row, texts, top_k) for row, texts in zip(ranks, candidates, strict=True)]


def _sources(inputs: Sequence[str], instructions: Sequence[str] | None) -> list[str]:
    """Instruction and input joined with nothing between them, as in the ranker's training."""
    if instructions is None:
        return list(inputs)
    return [instruction + input_ for instruction, input_ in zip(instructions, inputs, strict=True)]


def _check(sources: Sequence[str], candidates: Sequence[Sequence[str]]) -> None:
    if len(sources) != len(candidates):
        raise ConfigError(f"{len(sources)} inputs and {len(candidates)} lists of candidates: give one list an input")
    empty = [n for n, texts in enumerate(candidates) if not len(texts)]
    if empty:
        raise ConfigError(f"inputs {empty!r} have no candidate to rank")


def _max_logits(table: NDArray[np.float32]) -> NDArray[np.float32]:
    """The mean over the field of M[i, j] - M[j, i], the diagonal counted, as the reference has it."""
    scores: NDArray[np.float32] = (table - table.T).mean(axis=1)
    return scores


def _ranks(scores: NDArray[Any]) -> NDArray[np.int32]:
    import numpy as np

    return np.array([1 + int((scores > score).sum()) for score in scores], dtype=np.int32)


def _ordered(scores: NDArray[np.float32], texts: Sequence[str], *, worst: bool) -> list[str]:
    sign = 1 if worst else -1
    return [texts[i] for i in sorted(range(len(texts)), key=lambda i: (sign * float(scores[i]), i))]


def _best(ranks: Sequence[int], texts: Sequence[str], top_k: int | None) -> list[str]:
    return [texts[i] for i in sorted(range(len(texts)), key=lambda i: (int(ranks[i]), i))][:top_k]


def _stacked(rows: Sequence[NDArray[Any]]) -> NDArray[Any]:
    """One array where all rows are of one length, else an object array of them."""
    import numpy as np

    if len({len(row) for row in rows}) <= 1:
        return np.stack(rows) if rows else np.zeros((0, 0), dtype=np.float32)
    ragged = np.empty(len(rows), dtype=object)
    ragged[:] = rows
    return ragged


def _reference(texts: Sequence[str], mode: RefMode) -> str:
    by_length = sorted(texts, key=len)
    choices = {
        "longest": lambda: max(texts, key=len),
        "shortest": lambda: min(texts, key=len),
        "median_length": lambda: by_length[len(texts) // 2],
        "first": lambda: texts[0],
        "last": lambda: texts[-1],
    }
    if mode not in choices:
        raise ConfigError(f"ref_mode must be one of {', '.join(choices)}, not {mode!r}")
    return choices[mode]()


def _conversations(a: Sequence[Turn], b: Sequence[Turn]) -> tuple[str, str, str]:
    """The users' side with places for responses, and the responses of both conversations."""
    users = [_turns(conversation, "USER") for conversation in (a, b)]
    if users[0] != users[1]:
        raise ConfigError("two conversations can be compared only when their USER turns are the same")
    asked = "\n".join(f"USER: {text}\nAssistant: <Response {n}>" for n, text in enumerate(users[0], 1))
    said = [
        "\n".join(f"<Response {n}>: {text}" for n, text in enumerate(_turns(conversation, "ASSISTANT"), 1))
        for conversation in (a, b)
    ]
    return asked, said[0], said[1]


def _turns(conversation: Sequence[Turn], role: str) -> list[str]:
    roles = [turn["role"] for turn in conversation]
    if not roles or roles != ["USER", "ASSISTANT"] * (len(roles) // 2):
        raise ConfigError(f"a conversation alternates USER and ASSISTANT and ends with ASSISTANT; this has {roles!r}")
    return [turn["content"] for turn in conversation if turn["role"] == role]


def _cut(items: Sequence[Any], size: int) -> list[list[Any]]:
    return [list(items[start : start + size]) for start in range(0, len(items), size)]


__all__ = [
    "Blender",
    "BlenderConfig",
    "GenFuserConfig",
    "RankerConfig",
    "get_topk_candidates_from_ranks",
]
