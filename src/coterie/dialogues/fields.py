"""Values of a record, each with the way to it, so that what is spoiled can be named."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from coterie.errors import ConfigError
from coterie.types import Json


@dataclass(frozen=True)
class Field:
    """A JSON value, and where it stands in its record. Null counts as absent."""

    value: Json
    way: str = ""

    def __contains__(self, key: str) -> bool:
        return self._mapping().get(key) is not None

    def __getitem__(self, key: str) -> Field:
        """Raises `ConfigError` where there is none."""
        if key not in self:
            raise ConfigError(f"{self._to(key)} is missing")
        return Field(self.value[key], self._to(key))

    def each(self) -> Iterator[Field]:
        """The items of a list."""
        if not isinstance(self.value, list):
            raise self.wrong("a list")
        yield from (Field(item, f"{self.way}[{n}]") for n, item in enumerate(self.value))

    def items(self, key: str) -> list[Field]:
        """The items of the list, or of the values of the mapping, called `key`; none where there is no such thing."""
        if key not in self:
            return []
        found = self[key]
        return [found[name] for name in found.value] if isinstance(found.value, Mapping) else list(found.each())

    def text(self) -> str:
        """A text, without white space around it."""
        if not isinstance(self.value, str):
            raise self.wrong("a text")
        return self.value.strip()

    def filled(self) -> str:
        """A text that is not blank."""
        if not self.text():
            raise ConfigError(f"{self.way} is blank")
        return self.text()

    def answer(self) -> str:
        """A text, or a number as text: years are written both ways."""
        if isinstance(self.value, int | float) and not isinstance(self.value, bool):
            return str(self.value)
        return self.text()

    def word(self, key: str) -> str:
        """The text or number called `key`; empty where there is none."""
        return self[key].answer() if key in self else ""

    def whole(self, key: str, default: int) -> int:
        """The whole number called `key`."""
        if key not in self:
            return default
        value = self[key].value
        if not isinstance(value, int) or isinstance(value, bool):
            raise self[key].wrong("a whole number")
        return value

    def wrong(self, wanted: str) -> ConfigError:
        return ConfigError(f"{self.way or 'it'} should be {wanted}, and is {self.value!r:.80}")

    def _mapping(self) -> Mapping[str, Json]:
        if not isinstance(self.value, Mapping):
            raise self.wrong("a mapping")
        return self.value

    def _to(self, key: str) -> str:
        return f"{self.way}.{key}" if self.way else key
