"""What can be asked for here: kinds as the capabilities say, and what an input's type can become."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from urllib.parse import urlsplit

from mediamill.core import formats
from mediamill.core.ports import Engines, Missing
from mediamill.dashboard.forms import Choice, Field, fields_of
from mediamill.web.capabilities import KindOut, read_capabilities

_TARGET = ("format",)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """The form of one kind for one input: the fields that act on it, and those that would be ignored."""

    fields: Sequence[Field]
    idle: Sequence[Field]
    dead_end: str | None = None
    """The type that cannot become anything here."""
    target: str | None = None
    """The chosen format as its list of choices names it."""


class Choices:
    """Read once when the server starts; kinds and engines do not change under it."""

    def __init__(self, engines: Engines) -> None:
        found = read_capabilities(engines)
        self._engines = engines
        self.kinds: dict[str, KindOut] = {kind.name: kind for kind in found.kinds}
        self._fields = {kind.name: fields_of(kind.options) for kind in found.kinds}
        self._targets: dict[str, list[str]] = {}
        for pair in found.conversions:
            self._targets.setdefault(pair.input, []).append(pair.output)
        self._outputs = sorted({pair.output for pair in found.conversions})
        self._settings: set[str] = set()
        for pair in found.conversions:
            self._settings |= self._keys(pair.input, pair.output) or frozenset()

    def ask(self, kind: str, mime: str | None, target: str | None) -> Ask:
        """The form of a kind. mime: of the input, when it is known; target: the format chosen so far."""
        fields = self._fields[kind]
        if not any(field.path == _TARGET and field.control == "text" for field in fields):
            return self._split(fields, mime, mime)
        outputs = self._outputs if mime is None else self._targets.get(mime, [])
        if choices := [_choice(output) for output in outputs]:
            fields = [replace(f, control="choice", choices=choices) if f.path == _TARGET else f for f in fields]
        chosen = formats.canonical(target) if target else None
        ask = self._split(fields, mime, chosen)
        return replace(ask, target=chosen, dead_end=mime if mime is not None and not outputs else None)

    def fields(self, kind: str) -> Sequence[Field]:
        """All fields of a kind, whatever its input."""
        return self._fields[kind]

    def _split(self, fields: Sequence[Field], mime: str | None, target: str | None) -> Ask:
        keys = self._keys(mime, target) if mime and target else None
        # Kinds whose options are not a conversion's settings keep all of their fields.
        if keys is None or not {f.path[0] for f in fields} - set(_TARGET) <= self._settings:
            return Ask(fields=fields, idle=())
        acting = {*keys, *_TARGET}
        return Ask(
            fields=[f for f in fields if f.path[0] in acting], idle=[f for f in fields if f.path[0] not in acting]
        )

    def _keys(self, mime: str, target: str) -> frozenset[str] | None:
        converter = self._engines.converter((mime, target))
        return None if converter is None or isinstance(converter, Missing) else converter.keys((mime, target))


def mime_of_url(url: str) -> str | None:
    """The type that an address's ending speaks of, if it does."""
    try:
        found = formats.by_filename(urlsplit(url).path)
    except ValueError:
        return None
    return found.mime if found else None


def _choice(mime: str) -> Choice:
    known = formats.find(mime)
    return Choice(value=mime, label=known.names[0] if known else mime, group=known.family if known else "other")
