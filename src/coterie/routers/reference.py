"""The member that the others are compared with: the strong one of a pair."""

from __future__ import annotations

from coterie.errors import ConfigError
from coterie.routers.forecast import Kept


def reference_of(kept: Kept) -> str:
    """Who it is in an artifact. Raises `ConfigError` where it is none of the members, or there is nobody else."""
    reference = kept.settings.get("reference")
    if not isinstance(reference, str) or reference not in kept.members:
        raise ConfigError(f"the reference of the router in {str(kept.folder)!r}, {reference!r}, is none of its members")
    if len(kept.members) < 2:
        raise ConfigError(f"the router in {str(kept.folder)!r} compares members, and knows but {kept.members!r}")
    return reference
