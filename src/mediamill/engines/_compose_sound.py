"""The sound of a composition as one ffmpeg graph: every audible element trimmed, at its speed and place, then mixed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from mediamill.core._composition_timing import Cut, Timeline
from mediamill.core.compositions import Composition, Material
from mediamill.core.errors import NoSound, ToolFailed
from mediamill.core.ports import Tools
from mediamill.engines import _av, _ffmpeg

RATE_HZ = 48_000
AT_ONCE = 24
"""Sounds that one ffmpeg mixes; more are mixed beforehand, so that open files and filters stay few."""
Curve = Literal["tri", "qsin"]
"""Of a fade. Two quarters of a sine add up to equal power, for sounds that have nothing to do with each other; two
straight lines to equal height, for one sound that goes on."""
_LEAST_CROSSED_S = 0.005
_SAME_S = 0.0005
"""Two parts of one file that are this close in time are one sound that goes on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Voice:
    """One sound on the timeline. All times in seconds; `at_s` is where it begins to be heard.

    source_s: how long its file is, None when unknown.
    """

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
    fade_in: Curve = "tri"
    fade_out: Curve = "tri"
    source_s: float | None = None

    @property
    def end_s(self) -> float:
        """Where it ends on the timeline."""
        return self.at_s + self.length_s


def voices(scene: Composition, timeline: Timeline, materials: Mapping[str, Material]) -> list[Voice]:
    """Every element that is heard, those of a transition one into the other.

    Raises NoSound for an audio element without a sound track.
    """
    found: dict[int, Voice] = {}
    heard = {span.number for span in timeline.spans}
    for number, element in enumerate(scene.elements):
        if number not in heard or element["type"] not in ("video", "audio") or element["volume"] <= 0:
            continue
        material = materials[element["source_url"]]
        source = _av.read(material.path, material.mime)
        if source.sound is None:
            if element["type"] == "audio":
                raise NoSound("A sound of the scene has no sound track.")
            continue
        span = next(span for span in timeline.spans if span.number == number)
        end_s = min(span.end_s, timeline.duration_s)
        if end_s - span.start_s < 0.001:
            continue
        found[number] = _voice(element, material, source, span.start_s, end_s - span.start_s)
    for cut in timeline.cuts:
        if cut.going in found and cut.coming in found:
            pair = found[cut.going], found[cut.coming]
            found[cut.going], found[cut.coming] = _crossed(*pair, cut, timeline.rate)
    return list(found.values())


def _crossed(going: Voice, coming: Voice, cut: Cut, rate: int) -> tuple[Voice, Voice]:
    """Two sounds that cross over while a transition is to be seen, as far as their files reach beyond the cut.

    A fade that an element has of its own on that side holds instead. Where neither file reaches further, one sound
    follows the other as without a transition.
    """
    first_s, last_s = cut.first / rate, cut.after / rate
    begins_s = max(0.0, first_s, coming.at_s - coming.in_s / coming.speed)
    ends_s = last_s
    if going.source_s is not None:
        ends_s = min(ends_s, going.at_s + (going.source_s - going.in_s) / going.speed)
    faded = going.fade_out_s > 0, coming.fade_in_s > 0
    match faded:
        case False, False:
            begins_s, ends_s = max(begins_s, going.at_s), min(ends_s, coming.end_s)
        case True, False:
            ends_s = min(last_s, coming.end_s)
        case False, True:
            begins_s = max(first_s, going.at_s)
    length_s = ends_s - begins_s
    if all(faded) or length_s < _LEAST_CROSSED_S:
        return going, coming
    curve: Curve = "tri" if not any(faded) and _goes_on(going, coming) else "qsin"
    if not faded[0]:
        going = replace(going, length_s=ends_s - going.at_s, fade_out_s=length_s, fade_out=curve)
    if not faded[1]:
        in_s = max(0.0, coming.in_s - (coming.at_s - begins_s) * coming.speed)
        coming = replace(
            coming, at_s=begins_s, length_s=coming.end_s - begins_s, in_s=in_s, fade_in_s=length_s, fade_in=curve
        )
    return going, coming


def _goes_on(going: Voice, coming: Voice) -> bool:
    """Whether the two are one sound without a break."""
    if (going.path, going.speed) != (coming.path, coming.speed):
        return False
    return abs((going.in_s - going.at_s * going.speed) - (coming.in_s - coming.at_s * coming.speed)) < _SAME_S


def _voice(element: Mapping[str, Any], material: Material, source: _av.Source, at_s: float, length_s: float) -> Voice:
    track = source.sound
    assert track is not None
    return Voice(
        path=material.path,
        mime=material.mime,
        index=track.index,
        mono=track.channels == 1,
        source_s=source.duration_s,
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
        steps.append(f"afade=t=in:st=0:d={one.fade_in_s:.6f}:curve={one.fade_in}")
    if one.fade_out_s > 0:
        begins_s = max(0.0, one.length_s - one.fade_out_s)
        steps.append(f"afade=t=out:st={begins_s:.6f}:d={one.fade_out_s:.6f}:curve={one.fade_out}")
    if one.at_s > 0:
        steps.append(f"adelay=delays={round(one.at_s * RATE_HZ)}S:all=1")
    return ",".join(steps)


def _tempos(speed: float) -> list[float]:
    """Steps of atempo, which keeps the pitch down to half speed only."""
    if speed == 1:
        return []
    return [speed / 0.5, 0.5] if speed < 0.5 else [speed]
