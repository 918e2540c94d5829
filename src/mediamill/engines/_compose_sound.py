"""The sound of a composition as one ffmpeg graph: every audible element trimmed, at its speed and place, then mixed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mediamill.core._composition_timing import Timeline
from mediamill.core.compositions import Composition, Material
from mediamill.core.errors import NoSound, ToolFailed
from mediamill.core.ports import Tools
from mediamill.engines import _av, _ffmpeg

RATE_HZ = 48_000
AT_ONCE = 24
"""Sounds that one ffmpeg mixes; more are mixed beforehand, so that open files and filters stay few."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Voice:
    """One sound on the timeline. All times in seconds; `at_s` is where it begins to be heard."""

    path: Path
    mime: str
    index: int
    mono: bool
    at_s: float
    length_s: float
    in_s: float
    speed: float
    gain: float
    fade_in_s: float
    fade_out_s: float


def voices(scene: Composition, timeline: Timeline, materials: Mapping[str, Material]) -> list[Voice]:
    """Every element that is heard. Raises NoSound for an audio element without a sound track."""
    found = []
    heard = {span.number for span in timeline.spans}
    for number, element in enumerate(scene.elements):
        if number not in heard or element["type"] not in ("video", "audio") or element["volume"] <= 0:
            continue
        material = materials[element["source_url"]]
        track = _av.read(material.path, material.mime).sound
        if track is None:
            if element["type"] == "audio":
                raise NoSound("A sound of the scene has no sound track.")
            continue
        span = next(span for span in timeline.spans if span.number == number)
        end_s = min(span.end_s, timeline.duration_s)
        if end_s - span.start_s < 0.001:
            continue
        found.append(_voice(element, material, track, span.start_s, end_s - span.start_s))
    return found


def _voice(element: Mapping[str, Any], material: Material, track: _av.Sound, at_s: float, length_s: float) -> Voice:
    return Voice(
        path=material.path,
        mime=material.mime,
        index=track.index,
        mono=track.channels == 1,
        at_s=at_s,
        length_s=length_s,
        in_s=float(element["in_point"]),
        speed=float(element["speed"]),
        gain=element["volume"] / 100,
        fade_in_s=min(float(element["fade_in_duration"]), length_s),
        fade_out_s=min(float(element["fade_out_duration"]), length_s),
    )


def inputs(heard: Sequence[Voice]) -> list[str]:
    """Each sound as an input of its own."""
    return [
        word
        for one in heard
        for word in (
            "-vn", "-sn", "-dn",
            *_ffmpeg.input_args(one.path, one.mime, start_s=one.in_s, duration_s=one.length_s * one.speed + 0.05),
        )
    ]  # fmt: skip


def few(heard: Sequence[Voice], duration_s: float, *, tools: Tools, scratch: Path) -> Sequence[Voice]:
    """No more sounds than one ffmpeg mixes: the others are mixed beforehand, in lots."""
    if len(heard) <= AT_ONCE:
        return heard
    made = []
    for begin in range(0, len(heard), AT_ONCE):
        lot = heard[begin : begin + AT_ONCE]
        target = scratch / f"sound-{begin}.wav"
        argv: list[str | Path] = [
            *(_ffmpeg.binary(), "-hide_banner", "-nostdin", "-y", "-v", "warning"),
            *inputs(lot),
            *("-filter_complex", graph(lot, duration_s, first=0, limit=False), "-map", "[sound]"),
            *("-c:a", "pcm_f32le", "-f", "w64", _ffmpeg.url(target)),
        ]
        try:
            tools.run(argv, name="ffmpeg", cwd=scratch)
        except ToolFailed as error:
            raise _ffmpeg.named(error, lot[0].mime, "sound") from error
        whole = Voice(
            path=target, mime="audio/wav", index=0, mono=False, at_s=0.0, length_s=duration_s, in_s=0.0, speed=1.0,
            gain=1.0, fade_in_s=0.0, fade_out_s=0.0,
        )  # fmt: skip
        made.append(whole)
    return few(made, duration_s, tools=tools, scratch=scratch)


def graph(
    heard: Sequence[Voice],
    duration_s: float,
    *,
    first: int,
    limit: bool = True,
    part: tuple[float, float] | None = None,
) -> str:
    """The filter graph from inputs `first`, … to [sound], of exactly that length. part: seconds of it to keep."""
    samples = round(duration_s * RATE_HZ)
    parts = [f"[{first + number}:{one.index}]{chain(one)}[v{number}]" for number, one in enumerate(heard)]
    named = "".join(f"[v{number}]" for number in range(len(heard)))
    mixed = f"{named}amix=inputs={len(heard)}:normalize=0:dropout_transition=0," if len(heard) > 1 else f"{named}"
    # The limiter looks ahead 5 ms and gives that back: it only ever turns peaks down.
    guard = "alimiter=limit=0.97:level=disabled:latency=1," if limit else ""
    whole = f"{mixed}{guard}apad=whole_len={samples},atrim=end_sample={samples}"
    if part is not None:
        begin, end = (round(at_s * RATE_HZ) for at_s in part)
        whole += f",atrim=start_sample={begin}:end_sample={end},asetpts=PTS-STARTPTS"
    return ";".join([*parts, f"{whole}[sound]"])


def chain(one: Voice) -> str:
    """What is done to one sound before it is mixed."""
    steps = [f"aresample={RATE_HZ}:async=1:first_pts=0"]
    if one.mono:  # the mixer's own way takes three decibels off
        steps.append("pan=stereo|c0=c0|c1=c0")
    steps.append("aformat=sample_fmts=fltp:channel_layouts=stereo")
    steps += [f"atempo={factor:.6f}" for factor in _tempos(one.speed)]
    samples = round(one.length_s * RATE_HZ)
    steps.append(f"atrim=end_sample={samples}")
    if one.gain != 1:
        steps.append(f"volume={one.gain:.6f}")
    if one.fade_in_s > 0:
        steps.append(f"afade=t=in:st=0:d={one.fade_in_s:.6f}:curve=tri")
    if one.fade_out_s > 0:
        steps.append(f"afade=t=out:st={max(0.0, one.length_s - one.fade_out_s):.6f}:d={one.fade_out_s:.6f}:curve=tri")
    if one.at_s > 0:
        steps.append(f"adelay=delays={round(one.at_s * RATE_HZ)}S:all=1")
    return ",".join(steps)


def _tempos(speed: float) -> list[float]:
    """Steps of atempo, which keeps the pitch down to half speed only."""
    if speed == 1:
        return []
    return [speed / 0.5, 0.5] if speed < 0.5 else [speed]
