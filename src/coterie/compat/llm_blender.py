"""The face of the package ``llm_blender`` 0.0.2: change the import, get the same numbers quicker.

Kept, because numbers depend on it: instruction and input joined without a separator, the typo in the
conversation prompt, `compare` as the sum of both directions, the sign of "[B,A]" (positive means B is
better), competition ranks. Mended: ragged lists of candidates, one candidate, special pieces in texts,
`ref_mode` given as ``mode``, caller's lists edited in place, the unseeded bubble, results that depend on
a batch's neighbours. Arguments that only steered the reference's batches are taken and ignored.

What is ours behind it, and says more: `coterie.judges.pair_ranker.opened` and `coterie.fusers.generative`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from coterie.compat.arrays import cut, get_topk_candidates_from_ranks, stacked
from coterie.compat.sampling import Mode, sampled
from coterie.compat.settings import BlenderConfig, GenFuserConfig, RankerConfig
from coterie.errors import ConfigError
from coterie.examples.conversation import INSTRUCTION as CONVERSATION
from coterie.examples.conversation import paired
from coterie.judges.pair_ranker.comparing import Plan
from coterie.judges.pair_ranker.opened import OpenPairRanker, Reading, Reference
from coterie.judges.pair_ranker.weights import PairRankerWeights

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from coterie.fusers.generative.engine import FuserEngine

CompareMode = Literal["[A,B]", "[B,A]", "[A,B]+[B,A]"]
Comparison = Literal["bubble", "full"]
Turn = Mapping[str, str]

READINGS: Mapping[str, tuple[Reading, int]] = {
    "[A,B]+[B,A]": ("both", 1),
    "[A,B]": ("a_first", 1),
    "[B,A]": ("b_first", -1),
}
"""Each mode as we call it, and the reference's sign: its "[B,A]" is positive when *B* is better."""


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
        self._ranker: OpenPairRanker | None = None
        self._fuser: FuserEngine | None = None
        self._fuser_config = fuser_config or GenFuserConfig()
        if ranker_config is not None:
            path = ranker_config.load_checkpoint or ranker_config.model_name
            if path is None:
                raise ConfigError("a RankerConfig needs load_checkpoint, the ranker's folder or hub name")
            self.loadranker(path, **ranker_config.to_dict())
        if fuser_config is not None:
            self.loadfuser(fuser_config.model_name)

    # ---- loading ------------------------------------------------------------------------------

    def loadranker(self, ranker_path: str, device: str | None = None, **kwargs: Any) -> None:
        """Afterwards the ranker of a folder or hub name ranks. Other settings of RankerConfig are ignored."""
        weights = PairRankerWeights(
            str(ranker_path),
            device=str(device or kwargs.get("device") or self.blender_config.device),  # TRL hands a torch.device
            precision="auto" if kwargs.get("fp16", True) else "float32",
            source_tokens=kwargs.get("source_maxlength"),
            candidate_tokens=kwargs.get("candidate_maxlength"),
            cache_folder=kwargs.get("cache_dir"),
        )
        if self._ranker is not None:
            self._ranker.close()
            self._ranker = None  # two rankers may not fit on one device
        self._ranker = OpenPairRanker.load(weights, seed=self.seed)

    def loadfuser(self, fuser_path: str, device: str | None = None, **kwargs: Any) -> None:
        """Afterwards the fuser of a folder or hub name fuses."""
        from coterie.fusers.generative.engine import FuserEngine

        own = self._fuser_config
        self._fuser = FuserEngine(
            str(fuser_path),
            device=str(device or own.device or self.blender_config.device),
            precision=str(kwargs.get("torch_dtype", own.torch_dtype)),
            cache_folder=kwargs.get("cache_dir", own.cache_dir),
        )

    @property
    def ranker(self) -> OpenPairRanker:
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
        ranked = self.ranker.rank_many(_sources(inputs, instructions), candidates)
        if return_scores:
            return stacked([row.scores for row in ranked], "float32")
        return stacked([row.ranks for row in ranked], "int32")

    def rank_with_ref(
        self,
        inputs: Sequence[str],
        candidates: Sequence[Sequence[str]],
        instructions: Sequence[str] | None = None,
        return_scores: bool = False,
        batch_size: int = 8,
        ref_mode: Reference = "longest",
        ref_candidates: Sequence[str] | None = None,
        **rank_kwargs: Any,
    ) -> NDArray[Any]:
        """Every candidate against one reference only: 2 N readings instead of N (N - 1). Scores are float64.

        The reference is given, or chosen by `ref_mode` (by characters; ``mode`` means the same).
        """
        sources, mode = _sources(inputs, instructions), rank_kwargs.get("mode", ref_mode)
        ranked = self.ranker.rank_with_reference_many(sources, candidates, ref_candidates, mode)
        if return_scores:
            return stacked([row.scores for row in ranked], "float64")
        return stacked([row.ranks for row in ranked], "int32")

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

        if mode not in READINGS:
            raise ConfigError(f"mode must be '[A,B]', '[B,A]' or '[A,B]+[B,A]', not {mode!r}")
        reading, sign = READINGS[mode]
        margins = self.ranker.compare_many(_sources(inputs, instructions), candidates_A, candidates_B, reading)
        logits = np.array([sign * margin for margin in margins], dtype=np.float32)
        return logits if return_logits else logits > 0

    def compare_conversations(
        self,
        conversations_a: Sequence[Sequence[Turn]],
        conversations_b: Sequence[Sequence[Turn]],
        batch_size: int = 4,
        return_logits: bool = False,
        mode: CompareMode = "[A,B]+[B,A]",
    ) -> NDArray[Any]:
        """`compare` on whole conversations with the same user turns, in the ranker's training format."""
        rows = [paired(a, b) for a, b in zip(conversations_a, conversations_b, strict=True)]
        sources, left, right = ([row[n] for row in rows] for n in range(3))
        return self.compare(sources, left, right, batch_size=batch_size, return_logits=return_logits, mode=mode)

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
        plan = _plan(pairrm_cmp_type, return_all, worst=False)
        chosen = self.ranker.choose_many(_sources(inputs, instructions), candidates, plan)
        return chosen if return_all else [texts[0] for texts in chosen]

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
        plan = _plan(pairrm_cmp_type, return_all, worst=True)
        chosen = self.ranker.choose_many(_sources(inputs, instructions), candidates, plan)
        return chosen if return_all else [texts[0] for texts in chosen]

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
        batches = cut(prompts, batch_size)
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
        ranks = self.rank(inputs, candidates, instructions)
        best = get_topk_candidates_from_ranks(ranks, candidates, top_k)
        fused = self.fuse(inputs, best, instructions, batch_size, **generate_kwargs)
        # What was read a moment ago is known: the scores cost no forward.
        return fused, self.rank(inputs, candidates, instructions, return_scores=True) if return_scores else ranks

    # ---- best of n generated ------------------------------------------------------------------

    def n_generate(
        self,
        model: Any,
        model_tokenizer: Any,
        inputs: Sequence[str],
        instructions: Sequence[str] | None = None,
        n: int = 5,
        sampling_mode: Mode | None = "top_p_sampling",
        batch_size: int = 4,
        **generate_kwargs: Any,
    ) -> list[list[str]]:
        """`n` sampled answers of a transformers model to each input, prompted with instruction, newline, input."""
        prompts = list(inputs)
        if instructions is not None:
            prompts = [f"{i}\n{p}" if i else p for i, p in zip(instructions, inputs, strict=True)]
        return sampled(model, model_tokenizer, prompts, n, sampling_mode, batch_size, **generate_kwargs)

    def best_of_n_generate(
        self,
        model: Any,
        model_tokenizer: Any,
        inputs: Sequence[str],
        instructions: Sequence[str] | None = None,
        n: int = 5,
        sampling_mode: Mode | None = "top_p_sampling",
        batch_size: int = 4,
        pairrm_cmp_type: Comparison = "bubble",
        return_all: bool = False,
        **generate_kwargs: Any,
    ) -> list[str] | list[list[str]]:
        """The best of `n` sampled answers to each input; see `n_generate` and `get_best_of_n`."""
        answers = self.n_generate(
            model, model_tokenizer, inputs, instructions, n, sampling_mode, batch_size, **generate_kwargs
        )
        return self.get_best_of_n(inputs, answers, instructions, pairrm_cmp_type, return_all)


def _sources(inputs: Sequence[str], instructions: Sequence[str] | None) -> list[str]:
    """Instruction and input joined with nothing between them, as in the ranker's training."""
    if instructions is None:
        return list(inputs)
    return [instruction + input_ for instruction, input_ in zip(instructions, inputs, strict=True)]


def _plan(how: Comparison, return_all: bool, *, worst: bool) -> Plan:
    if how not in ("bubble", "full"):
        raise ConfigError(f"pairrm_cmp_type must be 'bubble' or 'full', not {how!r}")
    return Plan("full" if return_all else how, worst=worst)


__all__ = [
    "CONVERSATION",
    "Blender",
    "BlenderConfig",
    "GenFuserConfig",
    "RankerConfig",
    "get_topk_candidates_from_ranks",
]
