"""Spoken passages with known words and times, what is no speech, and a run of a kind over them.

The passages are Flite's voices (tests/media/speech says how they were made).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray
from tests.support.tools import PlainTools

from mediamill import engines, kinds
from mediamill.core.ports import Engines, Remote
from mediamill.core.speech import Word
from mediamill.kinds import Context, Input, Options, Result

FOLDER = Path(__file__).parent.parent / "media" / "speech"
RATE_HZ = 16_000
NAMES = ("harbour", "meeting", "maps")

Samples = NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class Passage:
    """What a voice says, as samples in [-1, 1], and when it says each word."""

    text: str
    samples: Samples
    words: tuple[Word, ...]

    @property
    def duration_s(self) -> float:
        return len(self.samples) / RATE_HZ

    def part(self, first: int, last: int) -> Passage:
        """The words from number `first` up to `last`, without it."""
        words = self.words[first:last]
        start_s, end_s = words[0].start_s, words[-1].end_s
        moved = (Word(text=w.text, start_s=w.start_s - start_s, end_s=w.end_s - start_s) for w in words)
        samples = self.samples[round(start_s * RATE_HZ) : round(end_s * RATE_HZ)]
        return Passage(text=" ".join(w.text for w in words), samples=samples, words=tuple(moved))


@cache
def passage(name: str) -> Passage:
    """One of NAMES: harbour (a man), meeting (a woman), maps (another man); or german, without the words' times."""
    told = json.loads((FOLDER / "passages.json").read_text())[name]
    samples = _samples(FOLDER / f"{name}.flac")
    words = tuple(Word(text=w["text"], start_s=w["start"], end_s=w["end"]) for w in told["words"])
    return Passage(text=told["text"], samples=samples, words=words)


@cache
def recording(name: str) -> Samples:
    """Real people, as samples in [-1, 1]: kennedy, or two_men; tests/media/speech/README.md."""
    return _samples(FOLDER / f"{name}.flac")


def _samples(path: Path) -> Samples:
    with av.open(str(path)) as container:
        parts = [frame.to_ndarray().reshape(-1) for frame in container.decode(audio=0)]
    return (np.concatenate(parts).astype(np.float64) / 32768).astype(np.float32)


def silence(seconds: float) -> Samples:
    """Nothing at all."""
    return np.zeros(round(seconds * RATE_HZ), np.float32)


def no_speech(name: str, seconds: float = 6.0) -> Samples:
    """A sound in which nobody speaks: see NO_SPEECH."""
    random = np.random.default_rng(7)
    t = np.arange(round(seconds * RATE_HZ)) / RATE_HZ
    made: NDArray[np.floating[Any]]
    if name == "silence":
        made = np.zeros_like(t)
    elif name == "white noise":
        made = random.normal(0, 0.2, len(t))
    elif name == "pink noise":
        spectrum = np.fft.rfft(random.normal(0, 1, len(t)))
        pink = np.fft.irfft(spectrum / np.sqrt(np.maximum(1, np.arange(len(spectrum)))), len(t))
        made = (pink * 0.1 / pink.std()).astype(np.float64)
    elif name == "tone":
        made = 0.3 * np.sin(2 * np.pi * 440 * t)
    elif name == "trembling tone":  # comes and goes as often as syllables do
        made = 0.15 * np.sin(2 * np.pi * 300 * t) * (1 + np.sin(2 * np.pi * 4 * t))
    elif name == "sweep":
        made = 0.3 * np.sin(2 * np.pi * (100 * t + 1900 / seconds * t * t))
    elif name == "clicks":
        made = 0.8 * (np.arange(len(t)) % 8000 < 20)
    elif name == "hum":
        made = 0.2 * np.sign(np.sin(2 * np.pi * 50 * t))
    elif name == "music":
        made = _music(t, random)
    else:
        raise ValueError(name)
    return made.astype(np.float32)


NO_SPEECH = ("silence", "white noise", "pink noise", "tone", "trembling tone", "sweep", "clicks", "hum", "music")


def _music(t: NDArray[np.float64], random: np.random.Generator) -> NDArray[np.float64]:
    """A plucked melody with chords and a drum: harmonics with vibrato, onsets twice a second."""
    made = np.zeros_like(t)
    notes = (220, 262, 330, 294, 392, 349, 440, 330)
    for number in range(int(t[-1] / 0.5)):
        begin, pitch = number * RATE_HZ // 2, notes[number % len(notes)]
        at = np.arange(min(round(0.6 * RATE_HZ), len(t) - begin)) / RATE_HZ
        swell = np.exp(-4 * at) * np.minimum(1, 100 * at)
        for harmonic in range(1, 7):
            made[begin : begin + len(at)] += (
                swell * np.sin(2 * np.pi * pitch * harmonic * at + np.sin(10 * np.pi * at)) / harmonic
            )
        for chord in (pitch / 2, pitch * 1.25):
            made[begin : begin + len(at)] += 0.5 * swell * np.sin(2 * np.pi * chord * at)
        beat = np.arange(min(800, len(t) - begin))
        made[begin : begin + len(beat)] += random.normal(0, 0.5, len(beat)) * np.exp(-beat / 250)
    made *= 0.5 / np.abs(made).max()
    return made


def write(path: Path, *parts: Samples, codec: str = "flac") -> Path:
    """The parts one after another as a file; its container follows from the name."""
    samples = np.concatenate([part.astype(np.float32) for part in parts])
    whole = (samples.clip(-1, 1) * 32767).astype(np.int16)
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=RATE_HZ)
        assert isinstance(stream, av.AudioStream)
        stream.layout = "mono"
        frame = av.AudioFrame.from_ndarray(whole[None], format="s16", layout="mono")
        frame.sample_rate = RATE_HZ
        for packet in (*stream.encode(frame), *stream.encode(None)):
            container.mux(packet)
    return path


def plain(text: str) -> list[str]:
    """The words of a text, as recognisers are compared: lower case, no punctuation."""
    return re.findall(r"[a-z']+", text.lower())


def errors(wanted: Sequence[str], heard: Sequence[str]) -> int:
    """Words put in, left out or changed."""
    row = list(range(len(heard) + 1))
    for i, one in enumerate(wanted):
        after = [i + 1]
        for j, other in enumerate(heard):
            after.append(min(after[-1] + 1, row[j + 1] + 1, row[j] + (one != other)))
        row = after
    return row[-1]


def matched(wanted: Sequence[Word], heard: Sequence[Word]) -> list[tuple[Word, Word]]:
    """The words that were heard right, beside what was said."""
    cost = [[0] * (len(heard) + 1) for _ in range(len(wanted) + 1)]
    for i in range(len(wanted) - 1, -1, -1):
        for j in range(len(heard) - 1, -1, -1):
            same = wanted[i].text == heard[j].text.lower().strip(".,?!")
            cost[i][j] = max(cost[i + 1][j], cost[i][j + 1], (cost[i + 1][j + 1] + 1) * same)
    made, i, j = [], 0, 0
    while i < len(wanted) and j < len(heard):
        if wanted[i].text == heard[j].text.lower().strip(".,?!") and cost[i][j] == cost[i + 1][j + 1] + 1:
            made.append((wanted[i], heard[j]))
            i, j = i + 1, j + 1
        elif cost[i + 1][j] >= cost[i][j + 1]:
            i += 1
        else:
            j += 1
    return made


@dataclass
class Done:
    """What a kind made, and what it said on the way."""

    result: Result
    reports: list[tuple[str, float | None]] = field(default_factory=list)

    @property
    def content(self) -> bytes:
        return self.result.outputs[0].path.read_bytes()

    @property
    def json(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.content)
        return found

    @property
    def details(self) -> Mapping[str, Any]:
        return self.result.details


def installed() -> Engines:
    """The engines of this install."""
    return engines.open(PlainTools())


def run(kind: str, options: Options, source: Path, mime: str, scratch: Path, *, remote: Remote | None = None) -> Done:
    """Run a kind over one file with the engines of this install, unsandboxed."""
    scratch.mkdir(exist_ok=True)
    done: list[tuple[str, float | None]] = []

    def report(stage: str, fraction: float | None = None) -> None:
        done.append((stage, fraction))

    context = Context(
        inputs=[Input(path=source, mime=mime, filename=source.name)],
        scratch=scratch,
        engines=installed(),
        report=report,
    )
    if remote is not None:
        context = replace(context, remote=remote)
    return Done(kinds.named(kind).run(context, options), done)
