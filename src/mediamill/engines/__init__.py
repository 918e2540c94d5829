"""One file per backend. A module with a `CONVERTER` turns formats into others, one with a `PROBER` reads facts, and
`PROVIDES` lists a module's engines of further ports.

The folder is scanned; nothing else is edited to add one. Modules import their heavy libraries inside functions.
Everything here runs in the sandboxed child, except `pairs`, `keys` and `missing`, which every start calls.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Mapping, Sequence
from functools import cache, cached_property
from pathlib import Path

from mediamill.core import formats
from mediamill.core.media import Facts
from mediamill.core.ports import Converter, E, Engine, Missing, Pair, Prober, Tools


class Installed:
    """The backends of this install. Implements core.ports.Engines."""

    def __init__(
        self,
        converters: tuple[Converter, ...],
        probers: tuple[Prober, ...],
        tools: Tools,
        engines: tuple[Engine, ...] = (),
    ) -> None:
        self._engines = engines
        self._converters = converters
        self._probers = {family: prober for prober in probers for family in prober.families()}
        self._tools = tools
        self._asked: dict[str, Missing | None] = {}

    def offering(self, port: type[E]) -> Sequence[E]:
        found = [engine for engine in self._engines if isinstance(engine, port) and self._missing(engine) is None]
        return sorted(found, key=lambda engine: (engine.rank, engine.name))

    def lacking(self, port: type[Engine]) -> Missing | None:
        if self.offering(port):
            return None
        for engine in self._engines:
            if isinstance(engine, port) and (missing := self._missing(engine)) is not None:
                return missing
        return Missing(reason=f"nothing here is a {port.__name__.lower()}.", remedy="Install the whole of Mediamill.")

    def _missing(self, converter: Converter | Engine) -> Missing | None:
        # Asked of each as it comes up, once: some import a large library to answer, and a child needs one or two.
        if converter.name not in self._asked:
            self._asked[converter.name] = converter.missing()
        return self._asked[converter.name]

    @cached_property
    def _ranked(self) -> Mapping[Pair, list[Converter]]:
        ranked: dict[Pair, list[tuple[int, str, Converter]]] = {}
        for converter in self._converters:
            for pair, rank in converter.pairs().items():
                ranked.setdefault(pair, []).append((rank, converter.name, converter))
        return {pair: [c for _, _, c in sorted(found, key=lambda f: f[:2])] for pair, found in ranked.items()}

    def converter(self, pair: Pair) -> Converter | Missing | None:
        known = self._ranked.get(pair, [])
        for converter in known:
            if self._missing(converter) is None:
                return converter
        return self._missing(known[0]) if known else None

    def converters(self, pair: Pair) -> Sequence[Converter]:
        return [converter for converter in self._ranked.get(pair, []) if self._missing(converter) is None]

    def conversions(self) -> Mapping[Pair, str]:
        found = {}
        for pair in self._ranked:
            converter = self.converter(pair)
            if converter is not None and not isinstance(converter, Missing):
                found[pair] = converter.name
        return found

    def absent(self) -> Mapping[str, Missing]:
        every: tuple[Converter | Engine, ...] = (*self._converters, *self._engines)
        return {one.name: missing for one in every if (missing := self._missing(one)) is not None}

    def probe(self, path: Path, mime: str) -> Facts:
        family = formats.family(mime)
        prober = self._probers.get(family) if family else None
        return prober.probe(path, mime) if prober else Facts()

    def tools(self) -> Tools:
        return self._tools


@cache
def scan() -> tuple[tuple[Converter, ...], tuple[Prober, ...], tuple[Engine, ...]]:
    """Every converter, prober and other engine in this folder."""
    converters: list[Converter] = []
    probers: list[Prober] = []
    others: list[Engine] = []
    for module in pkgutil.iter_modules(__path__):
        if module.name.startswith("_"):
            continue
        loaded = importlib.import_module(f"{__name__}.{module.name}")
        if hasattr(loaded, "CONVERTER"):
            converters.append(loaded.CONVERTER)
        if hasattr(loaded, "PROBER"):
            probers.append(loaded.PROBER)
        others.extend(getattr(loaded, "PROVIDES", ()))
    return tuple(converters), tuple(probers), tuple(others)


def open(tools: Tools) -> Installed:
    """The engines of this install, bound to a process runner."""
    converters, probers, others = scan()
    return Installed(converters, probers, tools, others)
