"""Whether and when an endpoint may be asked again, as its answer says."""

from __future__ import annotations

import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime

_RETRYABLE = frozenset({408, 409, 425, 429, 500, 502, 503, 504, 529})


def may_retry(status: int, headers: Mapping[str, str]) -> bool:
    """True where the same request may well succeed a moment later; ``x-should-retry`` overrules the status."""
    advice = headers.get("x-should-retry", "").lower()
    return advice == "true" or (status in _RETRYABLE and advice != "false")


def retry_after_s(headers: Mapping[str, str]) -> float | None:
    """Seconds to wait, from ``retry-after-ms`` or ``Retry-After`` (a number or a date)."""
    try:
        if "retry-after-ms" in headers:
            return max(0.0, float(headers["retry-after-ms"]) / 1000)
        value = headers.get("Retry-After")
        if value is None:
            return None
        return max(0.0, float(value) if _is_number(value) else parsedate_to_datetime(value).timestamp() - time.time())
    except (ValueError, OverflowError):
        return None


def _is_number(text: str) -> bool:
    return text.strip().replace(".", "", 1).isdigit()
