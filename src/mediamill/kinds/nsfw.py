"""Say whether a picture or a film shows nudity or sexual content, and where."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mediamill.core import formats, processor, safety
from mediamill.core.errors import BadMedia, Unsupported
from mediamill.core.ports import Conversion, Engines, Missing
from mediamill.core.safety import CATEGORIES, Category, Judge, Sampling, Severity
from mediamill.kinds import Base, Context, Hint, Output, Result
from mediamill.kinds import Options as BaseOptions

_MOVING = ("image/gif",)
_PNG, _GIF = "image/png", "image/gif"
_SIDE_PX = 448
"""Twice what the network looks at, so that shrinking to it is the network's own and cheap."""


class Options(BaseOptions, frozen=True, kw_only=True):
    """Nothing to choose."""


class Nsfw(Base[Options]):
    """See the module."""

    name = "nsfw"
    summary = "Say whether a picture or a film shows nudity or sexual content, and where."
    options = Options

    def missing(self, engines: Engines) -> Missing | None:
        return engines.lacking(Judge)

    def check(self, options: Options, inputs: Sequence[Hint], engines: Engines) -> Options:
        for hint in inputs:
            if hint.mime is not None and formats.family(hint.mime) not in ("image", "video"):
                raise Unsupported("input", f"{hint.mime} is neither a picture nor a video.")
        return options

    def run(self, ctx: Context, options: Options) -> Result:
        [source] = ctx.inputs
        judge, *_ = ctx.engines.offering(Judge)
        ctx.report("work", 0.0)
        film = _film(ctx, source.path, source.mime)
        if film is not None:
            path, mime = film
            facts = ctx.engines.probe(path, mime)
            seen = judge.film(path, mime, duration_s=facts.duration_s, tools=ctx.engines.tools(), report=ctx.report)
            said, more = _of_film(seen, judge), {"sampling": _sampling(seen)}
        else:
            said, more = _of_picture(ctx, judge), {}
        said |= {"engine": judge.name, "licence": judge.licence, "not_judged": _not_judged(judge)}
        target = ctx.scratch / "nsfw.json"
        target.write_text(json.dumps(said, ensure_ascii=False) + "\n", encoding="utf-8")
        ctx.report("work", 1.0)
        kept = {key: said[key] for key in ("engine", "licence", "not_judged", "scores", "categories", "severity")}
        name = formats.renamed(source.filename, "application/json")
        return Result(outputs=[Output(path=target, mime="application/json", filename=name)], details={**kept, **more})


def _film(ctx: Context, source: Path, mime: str) -> tuple[Path, str] | None:
    """What is to be looked at over time: a film, or an animation (as a GIF when FFmpeg does not read its format)."""
    if formats.family(mime) == "video":
        return source, mime
    if (ctx.engines.probe(source, mime).frames or 1) < 2:
        return None
    if mime in _MOVING:
        return source, mime
    if not ctx.engines.converters((mime, _GIF)):
        return None
    return _converted(ctx, source, mime, _GIF, {"resize": {"max_width": _SIDE_PX, "max_height": _SIDE_PX}}), _GIF


def _of_picture(ctx: Context, judge: Judge) -> dict[str, Any]:
    [source] = ctx.inputs
    began_s = processor.used_s()
    if not ctx.engines.converters((source.mime, _PNG)):
        raise BadMedia(f"Nothing here reads {source.mime} as a picture.")
    # As the network was trained: the whole picture, whatever its shape, pressed into a square.
    png = _converted(ctx, source.path, source.mime, _PNG, {"resize": {"width": _SIDE_PX, "height": _SIDE_PX}})
    scores = judge.picture(png, ctx.report, began_s=began_s)
    return _document(judge, scores.categories, scores.classes, [])


def _of_film(seen: Sampling, judge: Judge) -> dict[str, Any]:
    highest = {
        name: max(sample.scores.classes[name] for sample in seen.samples) for name in seen.samples[0].scores.classes
    }
    stretches = [
        {
            "start": round(stretch.start_s, 3),
            "end": round(stretch.end_s, 3),
            "category": stretch.category,
            "severity": stretch.severity,
        }
        for stretch in safety.timeline(seen.samples)
    ]
    return _document(judge, safety.worst(seen.samples), highest, stretches)


def _document(
    judge: Judge, scores: Mapping[Category, float], classes: Mapping[str, float], timeline: list[dict[str, Any]]
) -> dict[str, Any]:
    """Section 6.2 of the contract, with the numbers behind it. What the judge does not know is false, "none", null."""
    severity: dict[Category, Severity] = {
        category: safety.severity(scores.get(category, 0.0)) for category in CATEGORIES
    }
    true = [category for category in CATEGORIES if severity[category] != "none"]
    numbers = {category: _rounded(scores.get(category)) for category in CATEGORIES}
    return {
        "kind": "nsfw",
        **{category: category in true for category in CATEGORIES},
        "categories": true,
        "severity": severity,
        "description": _description(severity, _not_judged(judge)),
        "timeline": timeline,
        "scores": {**numbers, "classes": {name: _rounded(share) for name, share in classes.items()}},
    }


def _description(severity: Mapping[Category, Severity], not_judged: Sequence[Category]) -> str:
    names = {"sexual": "sexual content"}
    found = [f"{word} {names.get(category, category)}" for category, word in severity.items() if word != "none"]
    said = f"Likely shows {' and '.join(found)}." if found else "No nudity or sexual content was found."
    unsaid = f" {' and '.join(not_judged).capitalize()} cannot be judged by this engine." if not_judged else ""
    return said + unsaid


def _rounded(score: float | None) -> float | None:
    return None if score is None else round(score, 4)


def _not_judged(judge: Judge) -> list[Category]:
    return [category for category in CATEGORIES if category not in judge.judges]


def _sampling(seen: Sampling) -> dict[str, Any]:
    return {"how": seen.how, "samples": len(seen.samples), "pictures": seen.distinct}


def _converted(ctx: Context, source: Path, mime: str, target_mime: str, settings: Mapping[str, Any]) -> Path:
    converter, *_ = ctx.engines.converters((mime, target_mime))
    folder = ctx.scratch / "seen"
    folder.mkdir(exist_ok=True)
    target = folder / ("picture" + formats.suffix(target_mime))
    converter.convert(
        Conversion(
            source=source,
            source_mime=mime,
            target=target,
            target_mime=target_mime,
            settings={key: value for key, value in settings.items() if key in converter.keys((mime, target_mime))},
            scratch=folder,
            tools=ctx.engines.tools(),
            report=lambda stage, fraction=None: None,
        )
    )
    if not target.is_file() or not target.stat().st_size:
        raise BadMedia("The picture cannot be read.")
    return target


KIND = Nsfw()
