"""Ladders of renditions by FFmpeg, one decode for all of them, with HLS and DASH manifests of our own over one set of
fragmented MP4 files (ffmpeg's lack what the standards and Apple ask for; see docs/why/adaptive.md)."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mediamill.core.adaptive import MIMES, SUFFIXES, Caption, File, Manifest, Order, Package, Packager, Rung, Seen
from mediamill.core.errors import BadMedia, Failed, NoSound, RangeEmpty, ToolFailed
from mediamill.core.ports import Missing
from mediamill.engines import _adaptive_args as told
from mediamill.engines import _adaptive_boxes as boxes
from mediamill.engines import _adaptive_dash as dash
from mediamill.engines import _adaptive_hls as hls
from mediamill.engines import _adaptive_source as sources
from mediamill.engines import _adaptive_text as words
from mediamill.engines import _av, _ffmpeg, _ffmpeg_args
from mediamill.engines._adaptive_renditions import Rendition, Renditions, Text, cut, rendition_peak_bps, starts_s
from mediamill.engines._adaptive_run import run
from mediamill.engines._av import Sound, Video

_PLAYLIST, _VTT = MIMES["hls"], "text/vtt"
_SOUND_TRACKS = 8
_TEXT_TRACKS = 32
_LONGEST_SEGMENT_S = 12.0
"""A copied picture with key frames further apart makes players wait; then the first seconds are encoded instead."""
_FIRST_S = 24.0
_FIRST_LARGE_S = 12.0
_LARGE_PX = 1920 * 1088
_FIRST_HEIGHT = 360
_FIRST_BYTES = 1 << 30
"""How much of a source is copied for its first package: more takes longer than anybody wants to wait for a start."""
_STEM = 80
_BEFORE_S, _BEFORE_UNLISTED_S = 0.5, 12.0
"""A decoder may say nothing of the first packet after a jump. Transport streams hold a key frame every few seconds."""


class FfmpegPackager(Packager):
    """See the module."""

    name = "ffmpeg-adaptive"
    rank = 10
    licence = "GPL-3.0-or-later"

    def missing(self) -> Missing | None:
        return _ffmpeg.missing()

    def look(self, path: Path, mime: str) -> Seen:
        if mime not in _av.DEMUXERS:
            raise BadMedia("The input is neither a film nor a sound.")
        found = _av.read(path, mime)
        video = found.video
        return Seen(
            duration_s=found.duration_s,
            width_px=video.width_px if video else None,
            height_px=video.height_px if video else None,
            sounds=len(found.sounds),
        )

    def package(self, order: Order) -> Package:
        return _Work(order).done()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Kept:
    """A package written, before it is handed over."""

    renditions: Renditions
    manifests: Mapping[Manifest, File]
    parts: Sequence[File]


class _Work:
    """One package in the making."""

    def __init__(self, order: Order) -> None:
        self._order = order
        self._source = sources.read(order.source, order.mime)
        tracks = self._source.tracks
        self._video = tracks.video if order.rungs else None
        self._sounds = _ordered(tracks.sounds, tracks.sound)[:_SOUND_TRACKS]
        if self._video is None and not self._sounds:
            raise NoSound("The file has no sound track.")
        ends = [end for end in (order.end_s, tracks.duration_s) if end is not None]
        self._lasts_s = max(_ffmpeg.SHORTEST_S, min(ends) - order.start_s) if ends else None
        slug = re.sub(r"[^A-Za-z0-9_-]+", "-", order.stem).strip("-") or "package"
        self._slug = slug if len(slug) <= _STEM else "package"
        self._texts: list[tuple[words.Track, str]] = []
        self._notes: dict[str, Any] = {}

    def done(self) -> Package:
        order = self._order
        order.report("work", 0.0)
        self._texts = list(self._captions()) if self._video is not None else []
        early = self._early() if self._video is not None else None
        begin = 0.0 if early is None else self._early_share(early[0])
        made = self._ladder((begin, 0.99))
        order.report("package", 0.99)
        return self._package(made, early)

    def _nothing(self, what: str) -> BadMedia:
        if self._order.start_s or self._order.end_s is not None:
            return RangeEmpty(f"There is no {what} in the part that was asked for.")
        return BadMedia(f"There is no {what} in the input that can be read.")

    # -- the ladder

    def _ladder(self, span: tuple[float, float]) -> _Kept:
        names = _names(self._order.rungs)
        pictures = [self._path(f"{name}.mp4") for name in names]
        if self._video is not None:
            plans = [told.SoundPlan(track=s, target=self._path(f"{n}.mp4")) for n, s in self._sound_names()]
            self._encode(self._video, self._order.rungs, pictures, plans, self._lasts_s, span)
        else:
            [(_, track), *_] = self._sound_names()
            plans = [
                told.SoundPlan(track=track, target=self._path(f"audio_{bps // 1000}k.mp4"), bitrate_bps=bps)
                for bps in told.SOUNDS_ALONE_BPS
            ]
            args = told.sounds(plans, padding=boxes.padding(self._lasts_s), part=self._part(self._lasts_s))
            self._run(args, self._lasts_s, span, what="sound", cut=True)
        return self._written("", dict(zip(names, pictures, strict=True)), plans)

    def _encode(
        self,
        video: Video,
        rungs: Sequence[Rung],
        targets: Sequence[Path],
        plans: list[told.SoundPlan],
        lasts_s: float | None,
        span: tuple[float, float],
    ) -> None:
        order = self._order
        if order.frame is None:
            raise ToolFailed("A ladder of pictures needs a frame.")
        rate = self._source.rate
        hdr = video.transfer is not None and {"zscale", "tonemap"} <= _ffmpeg.filters(order.tools)
        frame = order.frame
        padding = boxes.padding(lasts_s)
        part = self._part(lasts_s)
        graph = told.graph(video, frame, rungs, rate=rate, hdr=hdr, colours=self._source.colours, part=part)
        shown = ["-filter_complex", graph, *told.pictures(rungs, targets, rate=rate, padding=padding)]
        sounds = told.sounds(plans, padding=padding, part=part)
        self._run([*shown, *sounds], lasts_s, span, video=video, rate=rate, cut=True)

    def _run(
        self, args: Sequence[str], lasts_s: float | None, span: tuple[float, float], *, cut: bool = False, **more: Any
    ) -> None:
        """`cut`: the filters among the arguments leave out what is not in the part."""
        limits: dict[str, Any] = {"before_s": self._before_s} if cut else {"until_s": self._until_s(lasts_s)}
        run(self._order, args, lasts_s=lasts_s, span=span, **limits, **more)

    def _part(self, lasts_s: float | None) -> told.Cut:
        return told.Cut(before_s=self._before_s, lasts_s=self._until_s(lasts_s))

    def _until_s(self, lasts_s: float | None) -> float | None:
        """Where to stop; None at the source's end."""
        return None if self._order.end_s is None and lasts_s == self._lasts_s else lasts_s

    @property
    def _before_s(self) -> float:
        """How much is read before the start. Where key frames are not listed, FFmpeg may land after one."""
        return min(self._order.start_s, _BEFORE_S if self._source.tracks.indexed else _BEFORE_UNLISTED_S)

    # -- something to play at once

    def _early(self) -> tuple[str, _Kept] | None:
        """A first package: the source's own picture in fragments where players can take it, else its first seconds
        made small. A failure here is not the task's: the ladder decides about the file."""
        for way in ("remux", "preview"):
            if way == "remux" and not self._copies():
                continue
            try:
                kept = self._remuxed() if way == "remux" else self._previewed()
            except (BadMedia, ToolFailed):
                continue
            if kept is not None:
                shown = [kept.manifests[self._order.manifest], *kept.parts]
                shown += [file for kind, file in kept.manifests.items() if kind != self._order.manifest]
                self._order.show(shown)
                return way, kept
        return None

    def _copies(self) -> bool:
        order = self._order
        plain = not order.asked and order.start_s == 0 and order.end_s is None
        long = (self._lasts_s or 0) > 120
        fast = not long or all(self._is_aac(sound) for sound in self._sounds)
        return plain and fast and self._source.copies(order.mime)

    def _remuxed(self) -> _Kept | None:
        video = self._video
        if video is None:
            return None
        target = self._path("early_video.mp4")
        lasts_s, bps = self._lasts_s, self._source.tracks.bitrate_bps
        if lasts_s is not None and bps:
            lasts_s = min(lasts_s, _FIRST_BYTES * 8 / bps)
        padding = boxes.padding(lasts_s)
        plans = self._early_sounds(copy=True)
        args = ["-map", f"0:{video.index}", "-c:v", "copy", *told.file_of_one(target, padding, picture=True)]
        self._run([*args, *told.sounds(plans, padding=padding)], lasts_s, (0.0, _REMUX_SHARE))
        track, parts = cut(target)
        longest_s = max(track.seconds(part.duration) for part in parts)
        if longest_s > _LONGEST_SEGMENT_S and len(parts) > 1:
            target.unlink()
            return None
        return self._written("early", {"early_video": target}, plans)

    def _previewed(self) -> _Kept:
        order, video = self._order, self._video
        if video is None or order.frame is None:
            raise ToolFailed("There is no picture to show early.")
        rung = next((rung for rung in order.rungs if rung.height_px <= _FIRST_HEIGHT), order.rungs[-1])
        first_s = _FIRST_LARGE_S if video.width_px * video.height_px > _LARGE_PX else _FIRST_S
        lasts_s = first_s if self._lasts_s is None else min(first_s, self._lasts_s)
        target = self._path("early_video.mp4")
        plans = self._early_sounds(copy=False)
        self._encode(video, [rung], [target], plans, lasts_s, (0.0, self._early_share("preview")))
        return self._written("early", {"early_video": target}, plans)

    def _early_sounds(self, *, copy: bool) -> list[told.SoundPlan]:
        return [
            told.SoundPlan(track=track, target=self._path(f"early_{name}.mp4"), copy=copy and self._is_aac(track))
            for name, track in self._sound_names()
        ]

    def _is_aac(self, track: Sound) -> bool:
        return track.codec == "aac" and track.channels <= 2

    def _early_share(self, way: str) -> float:
        """How much of all work the first package is."""
        if way == "remux" or self._video is None:
            return _REMUX_SHARE
        video, rungs = self._video, self._order.rungs
        decode = video.width_px * video.height_px * _DECODE
        rung = next((rung for rung in rungs if rung.height_px <= _FIRST_HEIGHT), rungs[-1])
        first_s = _FIRST_LARGE_S if video.width_px * video.height_px > _LARGE_PX else _FIRST_S
        first = min(first_s, self._lasts_s or first_s) * (decode + rung.width_px * rung.height_px)
        whole = (self._lasts_s or 600.0) * (decode + sum(r.width_px * r.height_px for r in rungs))
        return first / (first + whole)

    # -- words

    def _captions(self) -> Iterator[tuple[words.Track, str]]:
        """Every subtitle track in the package's time, with its name: those given, then the source's own."""
        order = self._order
        taken: set[str] = set()
        defaults = 0
        for number, caption in enumerate([*order.captions, *self._own_texts()]):
            target = self._path(f"subtitles_{number + 1}.vtt")
            try:
                track = words.prepare(caption, target, start_s=_cut_already(caption, order), duration_s=self._lasts_s)
            except BadMedia:
                if number < len(order.captions):
                    raise
                continue  # a damaged track of the source's own is no reason to refuse its picture
            label = _unique(_shown(track.label) or f"Subtitles {number + 1}", taken)
            default = track.default and not defaults
            defaults += default
            yield replace(track, label=label, default=default), f"subtitles_{number + 1}"

    def _own_texts(self) -> list[Caption]:
        order = self._order
        texts = self._source.texts[:_TEXT_TRACKS]
        if not texts:
            return []
        targets = [order.scratch / f"track-{text.index}.vtt" for text in texts]
        args: list[str] = []
        for text, target in zip(texts, targets, strict=True):
            within = ["-bsf:s", _ffmpeg_args.cues_within(self._lasts_s)] if order.start_s else []
            args += ["-map", f"0:{text.index}", "-c:s", "webvtt", *within, "-f", "webvtt", _ffmpeg.url(target)]
        try:
            self._run(args, self._lasts_s, (0.0, 0.0), what="subtitle track")
        except Failed as error:
            if not isinstance(error, (BadMedia, ToolFailed)):
                raise
            self._notes["subtitles_unreadable"] = len(texts)
            return []
        captions = []
        for text, target in zip(texts, targets, strict=True):
            said = self._source.words.get(text.index, sources.Words())
            label = said.title or said.language or "Subtitles"
            captions.append(Caption(path=target, mime=_VTT, label=label, language=said.language))
        return captions

    # -- writing it down

    def _written(self, prefix: str, pictures: Mapping[str, Path], plans: Sequence[told.SoundPlan]) -> _Kept:
        """Cut what was encoded into segments, index it, and write the manifests beside it."""
        shown: list[Rendition] = []
        cuts_s: list[float] | None = None
        for name, path in pictures.items():
            try:
                track, parts = cut(path, cuts_s)
            except ToolFailed:
                raise self._nothing("picture") from None
            cuts_s = cuts_s or starts_s(track, parts)
            shown.append(self._rendition(name, path, parts))
        heard: list[Rendition] = []
        taken: set[str] = set()
        for number, plan in enumerate(plans):
            try:
                _, parts = cut(plan.target, cuts_s)
            except ToolFailed:
                if not shown:
                    raise self._nothing("sound") from None
                self._notes["audio_missing"] = "A sound track holds nothing in the part that was asked for."
                continue
            said = self._source.words.get(plan.track.index, sources.Words())
            label = _unique(_shown(said.title or said.language or "") or f"Audio {number + 1}", taken)
            made = self._rendition(plan.target.stem.removeprefix(f"{self._slug}-"), plan.target, parts)
            heard.append(replace(made, label=label, language=said.language, default=number == 0))
        texts = [self._text(prefix, track, name) for track, name in self._texts]
        every = Renditions(
            pictures=shown,
            sounds=heard,
            texts=texts,
            key_playlists={picture.name: self._path(f"{picture.name}_keyframes.m3u8").name for picture in shown},
        )
        parts_made = [*self._playlists(every), *self._media(every)]
        return _Kept(renditions=every, manifests=self._manifests(prefix, every), parts=parts_made)

    def _rendition(self, name: str, path: Path, parts: Sequence[boxes.Segment]) -> Rendition:
        index = boxes.write_index(boxes.read(path), parts)
        return Rendition(
            name=name,
            file=path.name,
            playlist=self._path(f"{name}.m3u8").name,
            track=boxes.read(path),
            segments=tuple(parts),
            index=index,
        )

    def _text(self, prefix: str, track: words.Track, name: str) -> Text:
        own = self._path(f"{prefix}_{name}.vtt".lstrip("_"))
        if prefix:  # what is shown early is taken away
            shutil.copyfile(track.path, own)
        return Text(
            name=name,
            file=own.name,
            playlist=own.with_suffix(".m3u8").name,
            label=track.label,
            language=track.language,
            default=track.default,
        )

    def _playlists(self, every: Renditions) -> Iterator[File]:
        for rendition in (*every.pictures, *every.sounds):
            yield self._note(rendition.playlist, hls.media(rendition, every.target_s), _PLAYLIST)
        for picture in every.pictures:
            yield self._note(every.key_playlists[picture.name], hls.keys(picture), _PLAYLIST)
        for text in every.texts:
            yield self._note(text.playlist, hls.text(text, every.duration_s), _PLAYLIST)

    def _media(self, every: Renditions) -> Iterator[File]:
        for rendition in every.pictures:
            yield self._file(rendition.file, "video/mp4")
        for rendition in every.sounds:
            yield self._file(rendition.file, "audio/mp4")
        for text in every.texts:
            yield self._file(text.file, _VTT)

    def _manifests(self, prefix: str, every: Renditions) -> dict[Manifest, File]:
        stem = f"{self._slug}-{prefix}" if prefix else self._order.stem
        made: dict[Manifest, File] = {}
        for kind, text in (("hls", hls.master(every)), ("dash", dash.manifest(every))):
            manifest: Manifest = "hls" if kind == "hls" else "dash"
            path = self._path(f"{prefix or 'master'}{SUFFIXES[manifest]}")
            path.write_text(text, encoding="utf-8")
            made[manifest] = File(path=path, mime=MIMES[manifest], filename=stem + SUFFIXES[manifest])
        return made

    def _path(self, name: str) -> Path:
        return self._order.scratch / f"{self._slug}-{name}"

    def _note(self, name: str, text: str, mime: str) -> File:
        path = self._order.scratch / name
        path.write_text(text, encoding="utf-8")
        return File(path=path, mime=mime, filename=name)

    def _file(self, name: str, mime: str) -> File:
        return File(path=self._order.scratch / name, mime=mime, filename=name)

    def _sound_names(self) -> list[tuple[str, Sound]]:
        return [(f"audio_{n + 1}" if n else "audio", track) for n, track in enumerate(self._sounds)]

    # -- telling of it

    def _package(self, made: _Kept, early: tuple[str, _Kept] | None) -> Package:
        order, every = self._order, made.renditions
        manifest = made.manifests[order.manifest]
        others = [file for kind, file in made.manifests.items() if kind != order.manifest]
        parts = [*made.parts, *others]
        details: dict[str, Any] = {
            "engine": FfmpegPackager.name,
            "format": order.manifest,
            "manifests": {kind: file.filename for kind, file in made.manifests.items()},
            "duration_s": round(every.duration_s, 3),
            "package_bytes": sum(file.path.stat().st_size for file in (manifest, *parts)),
            "segments": len((every.pictures or every.sounds)[0].segments),
            "ladder": [_told(picture, every.target_s) for picture in every.pictures],
            "audio": [_told(sound, every.target_s) for sound in every.sounds],
            "subtitles": [{"label": t.label, "language": t.language, "file": t.file} for t in every.texts],
            **self._notes,
        }
        if every.pictures:
            best = every.pictures[0].track
            details |= {"width_px": best.width_px, "height_px": best.height_px}
            details["frame_rate"] = round(best.frame_rate, 3)
        if early:
            way, first = early
            details["early"] = {"way": way, "duration_s": round(first.renditions.duration_s, 3)}
        return Package(manifest=manifest, parts=parts, details=details)


_REMUX_SHARE = 0.01
_DECODE = 0.35
"""What a pixel costs to decode, filter and scale, where one costs 1 to encode."""


def _names(rungs: Sequence[Rung]) -> list[str]:
    return [f"{rung.height_px}p" for rung in rungs]


def _ordered(sounds: Sequence[Sound], first: Sound | None) -> list[Sound]:
    return [*([first] if first else []), *(sound for sound in sounds if sound is not first)]


def _cut_already(caption: Caption, order: Order) -> float:
    """From where a caption counts: a source's own comes out of ffmpeg in the span's own time."""
    return 0.0 if caption.path.parent == order.scratch else order.start_s


def _shown(label: str) -> str:
    return "".join(filter(str.isprintable, label)).strip()[:100]


def _unique(label: str, taken: set[str]) -> str:
    """A name that no other track of the group has, which HLS demands."""
    name, number = label, 2
    while name in taken:
        name, number = f"{label} {number}", number + 1
    taken.add(name)
    return name


def _told(rendition: Rendition, target_s: int) -> dict[str, Any]:
    track = rendition.track
    facts: dict[str, Any] = {"file": rendition.file, "codecs": track.codec}
    if track.width_px:
        facts |= {"width_px": track.width_px, "height_px": track.height_px}
    else:
        facts |= {"channels": track.channels, "sample_rate_hz": track.sample_rate_hz, "language": rendition.language}
    rates = {"bandwidth_bps": rendition_peak_bps(rendition, target_s), "average_bps": rendition.average_bps}
    return {**facts, **rates}


PROVIDES = (FfmpegPackager(),)
