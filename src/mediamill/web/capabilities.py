"""What this install can do, made from the kinds' own schemas and the engines' own pairs."""

from __future__ import annotations

from typing import Any

import msgspec

from mediamill import kinds
from mediamill.core import formats
from mediamill.core.ports import Engines


class EngineOut(msgspec.Struct, kw_only=True, omit_defaults=True):
    """An engine that a kind can ask here, the best first. `speed`: what was measured of it, and where."""

    name: str
    licence: str
    speed: str | None = None


class KindOut(msgspec.Struct, kw_only=True, omit_defaults=True):
    """A kind: `on` here or not (then why, and what to do), and the JSON Schema of its options."""

    name: str
    summary: str
    queue: str
    inputs: tuple[int, int]
    on: bool
    options: dict[str, Any]
    reason: str | None = None
    remedy: str | None = None
    engines: list[EngineOut] | None = None


class ConversionOut(msgspec.Struct, kw_only=True):
    """A pair of formats that works here, and by which engine."""

    input: str
    output: str
    engine: str


class AbsentOut(msgspec.Struct, kw_only=True):
    """An engine that is off here."""

    engine: str
    reason: str
    remedy: str


class FormatOut(msgspec.Struct, kw_only=True):
    """A format by its MIME type."""

    mime: str
    family: str
    names: list[str]
    extension: str


class Capabilities(msgspec.Struct, kw_only=True):
    """All of it."""

    kinds: list[KindOut]
    conversions: list[ConversionOut]
    absent: list[AbsentOut]
    formats: list[FormatOut]


def _engines(kind: kinds.Kind[Any], engines: Engines) -> list[EngineOut] | None:
    ports = kind.ports if isinstance(kind, kinds.Base) else ()
    return [
        EngineOut(name=engine.name, licence=engine.licence, speed=engine.speed or None)
        for port in ports
        for engine in engines.offering(port)
    ] or None


def read_capabilities(engines: Engines) -> Capabilities:
    """What is on and off on this install now."""
    found = []
    for name, kind in sorted(kinds.load().items()):
        missing = kind.missing(engines)
        found.append(
            KindOut(
                name=name,
                summary=kind.summary,
                queue=kind.queue,
                inputs=kind.inputs,
                on=missing is None,
                options=msgspec.json.schema(kind.options),
                reason=missing.reason if missing else None,
                remedy=missing.remedy if missing else None,
                engines=_engines(kind, engines),
            )
        )
    return Capabilities(
        kinds=found,
        conversions=[
            ConversionOut(input=pair[0], output=pair[1], engine=engine)
            for pair, engine in sorted(engines.conversions().items())
        ],
        absent=[AbsentOut(engine=n, reason=m.reason, remedy=m.remedy) for n, m in sorted(engines.absent().items())],
        formats=[
            FormatOut(mime=f.mime, family=f.family, names=list(f.names), extension=f.suffix[1:])
            for f in formats.FORMATS
        ],
    )
