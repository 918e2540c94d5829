"""What tokens cost: the operator's table, read anew when it changes.

["local/small"]
in_cents = 15      # for a million tokens read
out_cents = 60     # for a million tokens written
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path

import msgspec

from mediamill.core.errors import RunnerNotConfigured


class Price(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Cents for a million tokens."""

    in_cents: float = 0.0
    out_cents: float = 0.0

    def of(self, prompt_tokens: int, completion_tokens: int) -> float:
        """Cents for so many tokens, to a millionth of a cent."""
        return round((prompt_tokens * self.in_cents + completion_tokens * self.out_cents) / 1e6, 6)


@dataclass(slots=True)
class Prices:
    """`usual`: of models that the table has not."""

    usual: Price
    table: Path | None = None
    _read: dict[str, Price] | None = None
    _stamp: tuple[int, int] | None = None

    def of(self, model: str) -> Price:
        """The price of a model. Raises RunnerNotConfigured for a table that cannot be read."""
        if self.table is None:
            return self.usual
        try:
            found = self.table.stat()
            stamp = (found.st_mtime_ns, found.st_size)
            if self._read is None or stamp != self._stamp:
                self._read = msgspec.convert(tomllib.loads(self.table.read_text()), dict[str, Price])
                self._stamp = stamp
        except (OSError, ValueError, msgspec.ValidationError) as error:
            raise RunnerNotConfigured(f"The table of prices (LLM_PRICES) cannot be read: {_reason(error)}") from error
        return self._read.get(model, self.usual)


def _reason(error: Exception) -> str:
    return str(error.strerror) if isinstance(error, OSError) else str(error)
