"""Chapters of a film or a sound: from what is said, where the picture cuts, and where the sound falls silent."""

from __future__ import annotations

import json
import resource
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal

from msgspec import Meta

from mediamill.core import formats
from mediamill.core.errors import BadMedia, Invalid, NoSound, Unavailable
from mediamill.core.language import Outliner
from mediamill.core.ports import Engines, Missing, Report
from mediamill.core.scenes import Cut, SceneFinder, Silence, SilenceFinder
from mediamill.core.speech import Transcriber
from mediamill.kinds import Base, Context, Hint, Output, Result, _text, _transcript
from mediamill.kinds import Options as BaseOptions

_JSON = "application/json"
_MOST = 40
_SHARE = 1 / 20
_LEAST_S, _MOST_LEAST_S = 2.0, 60.0
"""The shortest chapter is a twentieth of the media, within these bounds."""
_NEAR_S = 4.0
"""How far a topic's beginning moves to a cut: speakers announce a scene, or the picture waits for a sentence."""
_WORDLESS = 2.0
"""A stretch without words as long as that many shortest chapters is divided by its pictures."""
_CHANGE = 0.25
"""Cuts that change less than this go to and fro within one place."""
_SILENCES_S = (0.04, 0.0012)
"""Processor seconds to begin to look for silences, and to find those of a second of sound."""
_LOOKED = 0.99
"""How far the work is when all is looked at and heard."""
_LONG_SILENCE_S = 1.2
"""What divides a sound without words; shorter is a breath."""


class Options(BaseOptions, frozen=True, kw_only=True):
    """How they are written."""

    format: Annotated[
        Literal["vtt", "json"], Meta(description="vtt: a WebVTT track (the default); json: a list of chapters.")
    ] = "vtt"


@dataclass(frozen=True, slots=True, kw_only=True)
class Chapter:
    """A part of the media. `title` is None when nothing tells what it is about."""

    start_s: float
    title: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """All that was found out about a media file."""

    duration_s: float
    cuts: Sequence[Cut] = ()
    silences: Sequence[Silence] = ()
    script: _text.Script | None = None


class Chapters(Base[Options]):
    """See the module."""

    name = "chapters"
    summary = "Find the chapters of a film or a sound."
    options = Options

    def missing(self, engines: Engines) -> Missing | None:
        return engines.lacking(SceneFinder) or engines.lacking(SilenceFinder) or engines.lacking(Outliner)

    def check(self, options: Options, inputs: Sequence[Hint], engines: Engines) -> Options:
        for hint in inputs[:1]:
            timed = hint.mime in (_text.VTT, _text.SRT, _transcript.JSON)
            if hint.mime is not None and not timed and formats.family(hint.mime) not in ("audio", "video"):
                raise Invalid("input", f"{hint.mime} has no times to divide: give a film, a sound or a transcript.")
        return options

    def run(self, ctx: Context, options: Options) -> Result:
        [source] = ctx.inputs
        details: dict[str, Any] = {}
        if formats.family(source.mime) in ("audio", "video"):
            found = _looked(ctx, details)
        else:
            script = _text.read(ctx)
            found = Found(duration_s=script.duration_s or 0.0, script=script)
        chapters, spoke = _divided(ctx, found)
        target, mime = _written(ctx, options, chapters, found.duration_s)
        ctx.report("work", 1.0)
        details |= {**spoke, "chapters": len(chapters), "cuts": len(found.cuts), "silences": len(found.silences)}
        if found.script is not None:
            details |= {**found.script.details, "languages": list(found.script.languages)}
        name = formats.renamed(source.filename, mime)
        return Result(outputs=[Output(path=target, mime=mime, filename=name)], details=details)


def _looked(ctx: Context, details: dict[str, Any]) -> Found:
    """Look at the pictures and listen to the sound, as far as there are any."""
    [source] = ctx.inputs
    course = _Course(ctx)
    facts = ctx.engines.probe(source.path, source.mime)
    if not facts.duration_s:
        raise BadMedia("The file does not tell how long it is.")
    seen, heard = facts.video_codec is not None, facts.audio_codec is not None
    speaks = heard and ctx.engines.lacking(Transcriber) is None
    cuts: Sequence[Cut] = ()
    silences: Sequence[Silence] = ()
    script: _text.Script | None = None
    tools = ctx.engines.tools()
    looking_s = listening_s = speech_s = 0.0
    if heard:
        begin_s, second_s = _SILENCES_S
        listening_s = begin_s + second_s * facts.duration_s
    if speaks:
        speech_s = _transcript.engine_for(ctx.engines, None).cost_s(facts.duration_s)
    if seen:
        finder = ctx.engines.offering(SceneFinder)[0]
        looking_s = finder.cost_s(source.path, source.mime, tools=tools)
    if heard:
        report = course.part(listening_s, speech_s + looking_s)
        silences = ctx.engines.offering(SilenceFinder)[0].silences(source.path, source.mime, tools=tools, report=report)
    if speaks:
        # Before the pictures: that nobody speaks shows at once, and what it took when it is over.
        hearing = replace(ctx, report=course.report)
        try:
            script = _text.read(hearing, span=(0.0, 1.0), done_s=course.done_s, rest_s=looking_s)
        except (NoSound, Unavailable) as error:
            details["transcript"] = {"engine": "none", "reason": str(error)}
    elif heard:
        lacking = ctx.engines.lacking(Transcriber)
        details["transcript"] = {"engine": "none", "reason": lacking.reason if lacking else ""}
    if seen:
        cuts = finder.cuts(source.path, source.mime, tools=tools, report=course.part(looking_s))
    return Found(duration_s=facts.duration_s, cuts=cuts, silences=silences, script=script)


class _Course:
    """How far the work is: the processor seconds that are used, beside those that are expected to come."""

    def __init__(self, ctx: Context) -> None:
        self._ctx = ctx
        self._began_s = _used_s()
        self._reached = 0.0

    @property
    def done_s(self) -> float:
        """What is used so far."""
        return _used_s() - self._began_s

    def part(self, cost_s: float, rest_s: float = 0.0) -> Report:
        """The report of a part that begins now and takes so long, and after which so much is to come."""
        done_s = self.done_s

        def report(stage: str, fraction: float | None = None) -> None:
            whole_s = done_s + cost_s + rest_s
            self.report(stage, None if fraction is None or whole_s <= 0 else (done_s + fraction * cost_s) / whole_s)

        return report

    def report(self, stage: str, fraction: float | None = None) -> None:
        """Implements core.ports.Report for all the looking and listening."""
        if fraction is not None:
            self._reached = max(self._reached, _LOOKED * fraction)
        self._ctx.report(stage, None if fraction is None else self._reached)


def _used_s() -> float:
    """Processor seconds of this process and of the programs it has started that have ended."""
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + ended.ru_utime + ended.ru_stime


def _divided(ctx: Context, found: Found) -> tuple[list[Chapter], dict[str, Any]]:
    """The chapters, the first from the beginning, with what to say of how they were found."""
    least_s = max(_LEAST_S, min(_MOST_LEAST_S, found.duration_s * _SHARE))
    most = max(1, min(_MOST, int(found.duration_s / least_s)))
    script = found.script
    if script is not None and script.passages:
        reading = script.reading(ctx)
        sections, spoke = _text.told(ctx, Outliner, lambda engine: engine.outline(reading, most=most))
        chapters = [
            Chapter(start_s=0.0 if section.first == 0 else _snapped(found, script, section.first), title=section.title)
            for section in sections
        ]
        chapters = _apart(chapters, least_s, found.duration_s)
        return _with_wordless(found, script, chapters, least_s), spoke
    if found.duration_s <= 0:  # a transcript in which nobody speaks: nobody knows how long of what
        return [], {"engine": "none", "method": "extractive"}
    # No words: pictures where there are any, silences in a sound alone.
    marks = _scenes(found, least_s) if found.cuts else _pauses(found, least_s)
    engine = "scenes" if found.cuts else "silences" if marks else "none"
    return [Chapter(start_s=0.0), *(Chapter(start_s=at) for at in marks)], {"engine": engine, "method": "extractive"}


def _snapped(found: Found, script: _text.Script, first: int) -> float:
    """Where a topic begins: at the cut nearest to the pause before its first words, else within the silence there."""
    starts_s = script.passages[first].start_s or 0.0
    before_s = min(script.passages[first - 1].end_s or 0.0, starts_s)
    middle_s = (before_s + starts_s) / 2
    near = [cut for cut in found.cuts if before_s - _NEAR_S <= cut.at_s <= starts_s + _NEAR_S / 2]
    if near:
        # A cut in the pause is the one that was meant; of others the nearest.
        return min(
            near, key=lambda cut: max(before_s - cut.at_s, cut.at_s - starts_s, 0.0) + (0.2 - 0.2 * cut.change)
        ).at_s
    silent = [one for one in found.silences if one.end_s > before_s - 0.5 and one.start_s < starts_s + 0.5]
    if silent:
        longest = max(silent, key=lambda one: one.end_s - one.start_s)
        return max(longest.middle_s, longest.end_s - 1.0)
    return max(middle_s, starts_s - 1.0)


def _apart(chapters: Iterable[Chapter], least_s: float, duration_s: float) -> list[Chapter]:
    """Those that begin far enough after the one before and before the end."""
    made: list[Chapter] = []
    for chapter in chapters:
        if not made or (chapter.start_s - made[-1].start_s >= least_s and duration_s - chapter.start_s >= least_s / 2):
            made.append(chapter)
    return made


def _with_wordless(found: Found, script: _text.Script, chapters: list[Chapter], least_s: float) -> list[Chapter]:
    """The same, with long stretches in which nobody speaks divided off and by their scenes."""
    edges = [0.0, *(passage.end_s or 0.0 for passage in script.passages)]
    starts = [*(passage.start_s or 0.0 for passage in script.passages), found.duration_s]
    scenes = _scenes(found, least_s)
    more: list[Chapter] = []
    for begin_s, end_s in zip(edges, starts, strict=True):
        if end_s - begin_s < _WORDLESS * least_s:
            continue
        inside = [at for at in scenes if begin_s - _NEAR_S / 2 <= at <= end_s + _NEAR_S / 2]
        taken = [chapter.start_s for chapter in chapters]
        more += [Chapter(start_s=at) for at in inside if all(abs(at - other) >= least_s for other in taken)]
    if not more:
        return chapters
    both = sorted([*chapters, *more], key=lambda chapter: chapter.start_s)
    # Words after a wordless stretch go on with their topic, and so with its title; before them there is none.
    made: list[Chapter] = []
    title: str | None = None
    for chapter, following in zip(both, [*both[1:], None], strict=True):
        end_s = following.start_s if following else found.duration_s
        spoken = any(chapter.start_s <= (p.start_s or 0.0) < end_s for p in script.passages)
        title = chapter.title or title
        made.append(Chapter(start_s=chapter.start_s, title=title if spoken else None))
        if not spoken and chapter.title:
            title = chapter.title
    return made


def _scenes(found: Found, least_s: float) -> list[float]:
    """The cuts that change the most, none nearer to another or to either end than a shortest chapter."""
    strong = [cut for cut in found.cuts if cut.change >= _CHANGE] or list(found.cuts)
    taken = [0.0, found.duration_s]
    for cut in sorted(strong, key=lambda cut: (-cut.change, cut.at_s)):
        if len(taken) - 1 >= _MOST:
            break
        if all(abs(cut.at_s - other) >= least_s for other in taken):
            taken.append(cut.at_s)
    return sorted(taken)[1:-1]


def _pauses(found: Found, least_s: float) -> list[float]:
    """The same of silences, the longest first."""
    taken = [0.0, found.duration_s]
    long = [one for one in found.silences if one.end_s - one.start_s >= _LONG_SILENCE_S]
    for one in sorted(long, key=lambda one: (one.start_s - one.end_s, one.start_s)):
        at = max(one.middle_s, one.end_s - 1.0)
        if len(taken) - 1 < _MOST and all(abs(at - other) >= least_s for other in taken):
            taken.append(at)
    return sorted(taken)[1:-1]


def _written(ctx: Context, options: Options, chapters: Sequence[Chapter], duration_s: float) -> tuple[Any, str]:
    ends = [*(chapter.start_s for chapter in chapters), duration_s][1:]
    rows = [
        {
            "index": number,
            "start": round(chapter.start_s, 3),
            "end": round(end_s, 3),
            "title": chapter.title or f"Chapter {number + 1}",
        }
        for number, (chapter, end_s) in enumerate(zip(chapters, ends, strict=True))
    ]
    if options.format == "json":
        target = ctx.scratch / "chapters.json"
        target.write_text(json.dumps({"kind": "chapters", "chapters": rows}, ensure_ascii=False) + "\n", "utf-8")
        return target, _JSON
    target = ctx.scratch / "chapters.vtt"
    target.write_text("WEBVTT\n" + "".join(f"\n{_cue(row)}\n" for row in rows), encoding="utf-8")
    return target, _text.VTT


def _cue(row: dict[str, Any]) -> str:
    """A cue of a chapter track; its text is one line, in which WebVTT has three signs to escape."""
    title = str(row["title"]).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return f"{row['index'] + 1}\n{_text.clock(row['start'])} --> {_text.clock(row['end'])}\n{title}"


KIND = Chapters()
