"""The configuration classes of ``llm_blender``, field by field; what steered its training is not read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, TypeVar

from coterie.errors import ConfigError

T = TypeVar("T", bound="_Settings")


class _Settings:
    """To and from plain data, as the reference's classes go."""

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)  # type: ignore[call-overload, no-any-return]

    @classmethod
    def from_dict(cls: type[T], data: Mapping[str, Any]) -> T:
        """Raises `ConfigError` for a setting that llm_blender does not have either."""
        known = {field.name for field in fields(cls)}  # type: ignore[arg-type]
        if unknown := sorted(set(data) - known):
            raise ConfigError(
                f"{cls.__name__} has no {', '.join(map(repr, unknown))}; it has {', '.join(sorted(known))}"
            )
        return cls(**data)


@dataclass
class BlenderConfig(_Settings):
    """Where models run; `use_tqdm` is not read, nothing draws a bar."""

    device: str = "auto"
    use_tqdm: bool = True


@dataclass
class RankerConfig(_Settings):
    """Which ranker, and how it is run: read are its place, the lengths, `fp16`, `device` and `cache_dir`."""

    ranker_type: str | None = None
    model_type: str | None = None
    model_name: str | None = None
    cache_dir: str | None = None
    load_checkpoint: str | None = None
    source_maxlength: int | None = None
    candidate_maxlength: int | None = None
    n_tasks: int = 1
    num_pos: int = 1
    num_neg: int = 1
    sub_sampling_mode: str = "all_pair"
    sub_sampling_ratio: float = 0.5
    loss_type: str = "instructgpt"
    reduce_type: str = "linear"
    inference_mode: str = "bubble"
    drop_out: float = 0.05
    fp16: bool = True
    device: str | None = None


@dataclass
class GenFuserConfig(_Settings):
    """Which fuser, and how it is run. `load_in_4bit` and `load_in_8bit` are refused, because nothing here does that."""

    model_name: str = "llm-blender/gen_fuser_3b"
    cache_dir: str | None = None
    max_length: int = 1024
    candidate_maxlength: int = 128
    torch_dtype: str = "auto"
    load_in_4bit: bool = False
    load_in_8bit: bool = False
    device: str | None = None

    def __post_init__(self) -> None:
        if self.load_in_4bit or self.load_in_8bit:
            raise ConfigError("quantised loading is not supported: leave load_in_4bit and load_in_8bit out")
