"""What a kind reads: the words of a film or a sound, of a transcript, of subtitles or of a document, as passages.

A passage is a sentence or so. Transcribers cut where they please: what they give is joined and divided again at the
ends of sentences, and the times go with the letters.
"""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

from mediamill.core import formats
from mediamill.core.errors import BadMedia, LimitExceeded, SourceUnreachable, TimedOut, ToolFailed, Unsupported
from mediamill.core.language import Linguist, Outliner, Passage, Reading, Summariser
from mediamill.core.ports import Conversion, Engines
from mediamill.core.speech import Transcript, Turn
from mediamill.kinds import Context, Hint, _transcript

LARGEST_BYTES = 8 << 20
MOST_PASSAGES = 20_000
PLAIN, VTT, SRT, MARKDOWN = "text/plain", "text/vtt", "application/x-subrip", "text/markdown"
_TRACKS = (VTT, SRT)
_PAUSE_S = 0.8
_WORDS = 32
"""How long a passage grows where the text has no full stops, as drafts of speech have none."""

_END = re.compile(
    r"(?<=[.!?…؟۔])[\"'”’»)\]]*\s+(?=\S)|(?<=[。！？｡।॥։።၊။។])[」』”’\"]*\s*(?=\S)"  # the latter need no space
)
_ABBREVIATED = re.compile(
    r"(?:^|[\s(])(?:[A-ZÀ-ÞА-Я]|Mr|Mrs|Ms|Dr|Prof|St|No|vs|etc|approx|e\.g|i\.e|z\.\s?B|d\.\s?h|u\.\s?a|ca|bzw|usw|Nr|Sr|"
    r"Sra|Mme|M|Inc|Ltd|Jr|Fig|fig)\.$"
)
_LONGEST_SHORT = 8
"""Letters of the longest abbreviation, with the space before it."""
_CLOSED = re.compile(r"[.!?…؟۔。！？｡।॥։።။។][\"'”’»)\]」』]*$")


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """A text to work on. `timed`: its passages have times. `duration_s`: of the media, None for a document.

    heading: a title that the text itself begins with. details: what a task says of how the text came about.
    """

    passages: Sequence[Passage]
    languages: Sequence[str] = ()
    timed: bool = True
    duration_s: float | None = None
    heading: str | None = None
    details: Mapping[str, Any] = field(default_factory=dict)

    def reading(self, ctx: Context) -> Reading:
        """The same for an engine."""
        return Reading(passages=self.passages, remote=ctx.remote, languages=self.languages)


def check(inputs: Sequence[Hint], engines: Engines) -> None:
    """Refuse what no text can be had of. Raises Unsupported, Unavailable."""
    for hint in inputs[:1]:
        if hint.mime is None or hint.mime in (PLAIN, MARKDOWN, _transcript.JSON, *_TRACKS):
            continue
        if formats.family(hint.mime) in ("audio", "video"):
            _transcript.check(None, inputs, engines)
        elif not engines.converters((hint.mime, PLAIN)):
            raise Unsupported("input", f"{hint.mime} has no words that can be read here.")


def read(ctx: Context, span: tuple[float, float] = (0.0, 0.99), **asked: Any) -> Script:
    """The words of the first input; `span` is the part of the task's progress this takes. `asked` goes to the
    Listening when there is something to hear.

    Raises NoSound for a film without sound, BadMedia for what cannot be read.
    """
    source = ctx.inputs[0]
    ctx.report("work", span[0])
    if source.mime in _TRACKS:
        script = _of_track(_decoded(_content(source.path)))
    elif source.mime == _transcript.JSON or formats.family(source.mime) in ("audio", "video"):
        script = _of_speech(_transcript.transcribe(ctx, span=span, **asked), source.mime != _transcript.JSON)
    elif source.mime in (PLAIN, MARKDOWN):
        script = _of_document(_decoded(_content(source.path)))
    else:
        script = _of_document(_decoded(_content(_plain(ctx))))
    if len(script.passages) > MOST_PASSAGES:
        raise LimitExceeded(f"The text has more than {MOST_PASSAGES} sentences.")
    return script if script.languages else replace(script, languages=languages(ctx, script))


def languages(ctx: Context, script: Script) -> Sequence[str]:
    """What the text is written in, as far as that can be told."""
    text = " ".join(passage.text for passage in script.passages)
    return next((linguist.languages(text) for linguist in ctx.engines.offering(Linguist)), ())


E = TypeVar("E", bound=Summariser | Outliner)
T = TypeVar("T")


def told(ctx: Context, port: type[E], ask: Callable[[E], T]) -> tuple[T, dict[str, Any]]:
    """The answer of the best engine that gives one, with what to say of it: who spoke, instead of whom, and why."""
    failed: list[dict[str, str]] = []
    offered = ctx.engines.offering(port)
    for engine in offered[:-1]:
        try:
            return ask(engine), _spoke(engine, failed)
        except (ToolFailed, SourceUnreachable, TimedOut) as error:
            failed.append({"engine": engine.name, "reason": str(error)})
    last = offered[-1]
    return ask(last), _spoke(last, failed)


def _spoke(engine: Summariser | Outliner, failed: Sequence[Mapping[str, str]]) -> dict[str, Any]:
    said: dict[str, Any] = {"engine": engine.name, "method": engine.method}
    if engine.model:
        said["model"] = engine.model
    return {**said, "instead_of": list(failed)} if failed else said


def clock(seconds: float) -> str:
    """HH:MM:SS.mmm, as WebVTT has it."""
    whole_ms = round(seconds * 1000)
    return f"{whole_ms // 3_600_000:02}:{whole_ms // 60_000 % 60:02}:{whole_ms // 1000 % 60:02}.{whole_ms % 1000:03}"


def sentences(text: str) -> list[str]:
    """A paragraph divided at the ends of its sentences, in any script that marks them."""
    made: list[str] = []
    begin = 0
    for end in _END.finditer(text):
        last = text[max(begin, end.start() - _LONGEST_SHORT) : end.end()].strip()
        if _ABBREVIATED.search(last) or text[end.end() : end.end() + 1].islower():
            continue
        made.append(text[begin : end.end()].strip())
        begin = end.end()
    rest = text[begin:].strip()
    return [*made, rest] if rest else made


def _of_speech(heard: Transcript, media: bool) -> Script:
    passages = _joined([piece for turn in heard.turns for piece in _pieces(turn)])
    return Script(
        passages=passages,
        languages=heard.languages,
        duration_s=heard.duration_s if media else max((turn.end_s for turn in heard.turns), default=0.0),
        details={"transcript": _transcript.details(heard)},
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Piece:
    start_s: float
    end_s: float
    text: str
    speaker: int = 0


def _pieces(turn: Turn) -> Iterator[_Piece]:
    """The sentences of a turn, timed by the words at the same share of its letters."""
    words = turn.timed()
    parts = sentences(" ".join(turn.text.split()))
    if len(parts) < 2 or not words:
        yield _Piece(start_s=turn.start_s, end_s=turn.end_s, text=" ".join(parts), speaker=turn.speaker)
        return
    total = sum(len(word.text) for word in words)
    letters = [len("".join(part.split())) for part in parts]
    scale = total / max(1, sum(letters))
    reached, spent, at = 0.0, 0, 0
    for part, count in zip(parts, letters, strict=True):
        first = min(at, len(words) - 1)
        reached += count * scale
        while at < len(words) and spent + len(words[at].text) / 2 < reached:
            spent += len(words[at].text)
            at += 1
        last = max(first, min(at, len(words)) - 1)
        yield _Piece(start_s=words[first].start_s, end_s=words[last].end_s, text=part, speaker=turn.speaker)


def _joined(pieces: Sequence[_Piece]) -> list[Passage]:
    """Fragments put together until a sentence ends, somebody pauses or another speaks."""
    made: list[Passage] = []
    speaker: int | None = None
    for piece in pieces:
        if not piece.text:
            continue
        before = made[-1] if made else None
        if (
            before is not None
            and before.end_s is not None
            and piece.speaker == speaker
            and not _CLOSED.search(before.text)
            and piece.start_s - before.end_s < _PAUSE_S
            and len(before.text.split()) + len(piece.text.split()) <= _WORDS
        ):
            made[-1] = replace(before, text=f"{before.text} {piece.text}", end_s=piece.end_s)
        else:
            changed = speaker is not None and piece.speaker != speaker
            made.append(Passage(text=piece.text, start_s=piece.start_s, end_s=piece.end_s, after_break=changed))
        speaker = piece.speaker
    return made


_TIME = r"(?:(\d{1,4}):)?(\d{1,2}):(\d{1,2})[.,](\d{1,3})"
_TIMING = re.compile(rf"^\s*{_TIME}\s*-->\s*{_TIME}")
_TAG = re.compile(r"<[^<>\n]*>|\{\\[^{}\n]*\}")


def _of_track(text: str) -> Script:
    """The words of subtitles; a cue's number, name and markup are none."""
    pieces: list[_Piece] = []
    timing: re.Match[str] | None = None
    held: list[str] = []

    def end() -> None:
        if timing is not None and (said := " ".join(" ".join(held).split())):
            start_s, end_s = (_seconds(timing.groups()[at : at + 4]) for at in (0, 4))
            pieces.append(_Piece(start_s=start_s, end_s=max(start_s, end_s), text=said))

    for line in text.splitlines():
        found = _TIMING.match(line)
        if found is not None:
            # In SubRip the line before the times is the number of the cue they begin.
            if timing is not None and held and held[-1].strip().isdigit():
                held.pop()
            end()
            timing, held = found, []
        elif timing is not None:
            held.append(html.unescape(_TAG.sub("", line)))
            if not line.strip():
                end()
                timing, held = None, []
    end()
    if not pieces:
        raise BadMedia("The subtitles have no cue that can be read.")
    pieces.sort(key=lambda piece: piece.start_s)
    return Script(passages=_joined(pieces), duration_s=max(piece.end_s for piece in pieces))


def _seconds(parts: Sequence[str | None]) -> float:
    hours, minutes, seconds, fraction = parts
    return (
        int(hours or 0) * 3600
        + int(minutes or 0) * 60
        + int(seconds or 0)
        + int((fraction or "0").ljust(3, "0")) / 1000
    )


_MARKUP = re.compile(r"^\s{0,3}(?:#{1,6}\s+|[-*+]\s+|>\s?|\d+[.)]\s+)|[*_`]{1,3}(?=\S)|(?<=\S)[*_`]{1,3}")


def _of_document(text: str) -> Script:
    paragraphs = [part.strip() for part in re.split(r"\n\s*\n", text.replace("\r\n", "\n")) if part.strip()]
    heading = None
    if paragraphs and _is_heading(paragraphs[0]):
        heading = " ".join(_MARKUP.sub("", paragraphs[0]).split())
        paragraphs = paragraphs[1:] or paragraphs
    passages: list[Passage] = []
    for paragraph in paragraphs:
        plain = " ".join(_MARKUP.sub("", line) for line in paragraph.split("\n"))
        for number, sentence in enumerate(sentences(" ".join(plain.split()))):
            passages.append(Passage(text=sentence, after_break=number == 0 and bool(passages)))
    return Script(passages=passages, timed=False, heading=heading)


def _is_heading(paragraph: str) -> bool:
    """Whether a first paragraph is a title: one short line that no full stop ends."""
    return "\n" not in paragraph and len(paragraph) <= 100 and not _CLOSED.search(paragraph)


def _content(path: Path) -> bytes:
    if path.stat().st_size > LARGEST_BYTES:
        raise LimitExceeded(f"A text may be at most {LARGEST_BYTES >> 20} MiB.")
    return path.read_bytes()


def _decoded(content: bytes) -> str:
    """Text by its byte order mark, else UTF-8, else Windows-1252. Raises BadMedia for what is none."""
    for mark, codec in ((b"\xef\xbb\xbf", "utf-8-sig"), (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16")):
        if content.startswith(mark):
            return content.decode(codec, "replace")
    if b"\0" in content:
        raise BadMedia("The file is not text.")
    try:
        return content.decode()
    except UnicodeDecodeError:
        return content.decode("cp1252", "replace")


def _plain(ctx: Context) -> Path:
    """A document as plain text."""
    source = ctx.inputs[0]
    converters = ctx.engines.converters((source.mime, PLAIN))
    if not converters:
        raise Unsupported("input", f"{source.mime} has no words that can be read here.")
    folder = ctx.scratch / "text"
    folder.mkdir(exist_ok=True)
    target = folder / "text.txt"
    converters[0].convert(
        Conversion(
            source=source.path,
            source_mime=source.mime,
            target=target,
            target_mime=PLAIN,
            scratch=folder,
            tools=ctx.engines.tools(),
            report=lambda stage, fraction=None: None,
        )
    )
    return target
