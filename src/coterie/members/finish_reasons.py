"""Why an answer ended, in OpenAI's words: endpoints have many others for the same."""

from __future__ import annotations

from collections.abc import Mapping

ERROR = "error"
"""The endpoint failed while it wrote: what there is of the answer is none."""

_MEANINGS: Mapping[str, tuple[str, ...]] = {
    "stop": ("eos", "eos_token", "end_turn", "end", "stop_sequence", "stop_token", "complete", "completed"),
    "length": (
        "max_tokens",
        "max_output_tokens",
        "max_completion_tokens",
        "max_new_tokens",
        "max_length",
        "model_length",
        "token_limit",
        "model_context_window_exceeded",
    ),
    "tool_calls": ("tool_call", "tool_use"),
    "content_filter": (
        "content_filtered",
        "safety",
        "recitation",
        "blocklist",
        "prohibited_content",
        "spii",
        "sensitive",
        "guardrail_intervened",
        "refusal",
    ),
    "function_call": (),
    ERROR: (
        "failed",
        "abort",
        "aborted",
        "cancelled",
        "network_error",
        "insufficient_system_resource",
        "malformed_function_call",
    ),
}
_KNOWN = {said: meant for meant, others in _MEANINGS.items() for said in (meant, *others)}


def meaning(said: str) -> str:
    """OpenAI's word for `said`, `ERROR` for a failure; `said` itself where its meaning is not known."""
    return _KNOWN.get(said.lower().replace("-", "_"), said)
