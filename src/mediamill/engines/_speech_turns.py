"""Words made into turns: a new one at a pause, and where one would run on too long."""

from __future__ import annotations

import importlib
import os
from collections.abc import Sequence

from mediamill.core.ports import Missing
from mediamill.core.speech import Turn, Word

ENGINE = "MEDIAMILL_STT_ENGINE"
"""The setting that chooses among the transcribers; "auto" or unset: the best that is there."""

_MODULES = ("pocketsphinx", "speech_http", "whisper")
_PAUSE_S, _PAUSE_WITHIN_S = 0.4, 1.0
"""A pause that begins a new turn; and one that does so where the ends of sentences are known."""
_LONGEST_S = 15.0
ENDS = (".", "?", "!", "…", "。", "？", "！", '."', '?"', '!"', ".”", "?”", "!”")
_NO_ENDS = frozenset({"Mr.", "Mrs.", "Ms.", "Dr.", "Prof.", "St.", "vs.", "e.g.", "i.e."})


def unchosen(name: str) -> Missing | None:
    """Why an engine stands back when the operator has chosen another; and what that one lacks, if it lacks something,
    since nothing takes its place."""
    chosen = os.environ.get(ENGINE) or "auto"
    if chosen in ("auto", name):
        return None
    for module in _MODULES:
        for engine in importlib.import_module(f"{__package__}.{module}").PROVIDES:
            if engine.name == chosen and (lacking := engine.missing()) is not None:
                return Missing(reason=f"{ENGINE} chooses {chosen}: {lacking.reason}", remedy=lacking.remedy)
    return Missing(reason=f"{ENGINE} chooses {chosen}.", remedy=f"Set {ENGINE} to {name} or auto.")


def sentences(words: Sequence[Word]) -> list[Turn]:
    """The words, which are written with stops, in turns of a sentence."""
    made: list[Turn] = []
    held: list[Word] = []
    for word in words:
        held.append(word)
        if word.text.endswith(ENDS) and word.text not in _NO_ENDS:
            made += turns(held, _PAUSE_WITHIN_S)
            held = []
    return made + turns(held, _PAUSE_WITHIN_S)


def turns(words: Sequence[Word], pause_s: float = _PAUSE_S) -> list[Turn]:
    """The words in turns of whole utterances."""
    made: list[Turn] = []
    held: list[Word] = []
    for word in words:
        if held and word.start_s - held[-1].end_s >= pause_s:
            made += _parted(held)
            held = []
        held.append(word)
    return made + _parted(held)


def _parted(words: Sequence[Word]) -> list[Turn]:
    if not words:
        return []
    if words[-1].end_s - words[0].start_s > _LONGEST_S and len(words) > 1:
        # At the longest pause away from the edges, or in the middle where nobody pauses.
        low, high = len(words) // 4, max(len(words) // 4 + 1, len(words) * 3 // 4)
        at = max(range(max(1, low), max(2, high)), key=lambda at: words[at].start_s - words[at - 1].end_s)
        return _parted(words[:at]) + _parted(words[at:])
    sure = [word.confidence for word in words if word.confidence is not None]
    return [
        Turn(
            start_s=words[0].start_s,
            end_s=words[-1].end_s,
            text=" ".join(word.text for word in words),
            words=tuple(words),
            confidence=sum(sure) / len(sure) if sure else None,
        )
    ]
