"""The kind `speech`: word errors, word times and speed, against bare pocketsphinx in the same run.

    python benchmarks/speech.py [--repeat 2] [--engines pocketsphinx whisper]

The sounds are the passages of tests/media/speech: three synthetic voices whose words and times the synthesiser told.
Each engine that is available hears each passage alone, and then all of them one after another, `--repeat` times, with
half a second between. Real people come between: a president's sentence, and two men of a meeting, with the share of
what they say that goes to the other one. MEDIAMILL_MODELS names the folder of whisper-base and whisper-tiny;
MEDIAMILL_STT_MODEL or MEDIAMILL_STT_BASE_URL add a stronger engine's row. The bare loop is one pocketsphinx decoder,
given each passage whole. The last line is the ratio of the two, in seconds of sound heard a second: above 1 we are
quicker.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
sys.path[:0] = [str(ROOT / "src"), str(ROOT)]

from tests.support import voices  # noqa: E402 - after the path to it
from tests.support.tools import PlainTools  # noqa: E402

from mediamill import engines  # noqa: E402
from mediamill.core.speech import Listening, Transcriber, Transcript, Word  # noqa: E402
from mediamill.engines import _speech_sphinx  # noqa: E402

PAUSE = voices.silence(0.5)
KENNEDY = "And so, my fellow Americans: ask not what your country can do for you, ask what you can do for your country."


def no_service(*asked: Any, **request: Any) -> Any:
    raise SystemExit("Services are reached through a worker; this benchmark hears with local engines only.")


def heard(engine: Transcriber, sound: Path, folder: Path) -> Transcript:
    return engine.transcribe(
        Listening(
            source=sound,
            source_mime="audio/flac",
            scratch=folder,
            tools=PlainTools(timeout_s=3600),
            remote=no_service,
            report=lambda stage, fraction=None: None,
        )
    )


def bare(sounds: Sequence[voices.Samples]) -> list[list[Word]]:
    """What one decoder of the package's own class makes of each sound, given whole."""
    from pocketsphinx import Decoder

    decoder = Decoder(loglevel="FATAL")
    heard_by_sound = []
    for sound in sounds:
        decoder.start_utt()
        decoder.process_raw((sound * 32767).astype("<i2").tobytes(), full_utt=True)
        decoder.end_utt()
        heard_by_sound.append(
            [
                Word(
                    text=part.word.partition("(")[0],
                    start_s=part.start_frame * _speech_sphinx.FRAME_S,
                    end_s=(part.end_frame + 1) * _speech_sphinx.FRAME_S,
                )
                for part in decoder.seg()
                if part.word[0] not in "<["
            ]
        )
    return heard_by_sound


def judged(name: str, heard_by_passage: Mapping[str, Sequence[Word]]) -> None:
    wrong = total = 0
    off: list[float] = []
    parts = []
    for passage_name, words in heard_by_passage.items():
        spoken = voices.passage(passage_name)
        wanted = voices.plain(spoken.text)
        errors = voices.errors(wanted, [part for word in words for part in voices.plain(word.text)])
        wrong, total = wrong + errors, total + len(wanted)
        parts.append(f"{passage_name} {errors / len(wanted):.2f}")
        off += [abs(said.start_s - word.start_s) for said, word in voices.matched(spoken.words, words)]
    off.sort()
    times = f"{statistics.median(off) * 1000:.0f} / {off[int(len(off) * 0.9)] * 1000:.0f} ms" if off else "-"
    print(f"| {name} | {wrong / total:.3f} | {', '.join(parts)} | {times} |")


def astray(transcript: Transcript) -> float:
    """Share of the seconds of words said by one of the two men alone that went to the other one."""
    lines = [line.split() for line in (voices.FOLDER / "two_men.rttm").read_text().splitlines()]
    names = sorted({line[7] for line in lines})
    spoken = [(names.index(line[7]), float(line[3]), float(line[3]) + float(line[4])) for line in lines]
    met = [[0.0, 0.0], [0.0, 0.0]]
    for turn in transcript.turns:
        for word in turn.words:
            middle_s = (word.start_s + word.end_s) / 2
            by = {name for name, start_s, end_s in spoken if start_s <= middle_s < end_s}
            if len(by) == 1:
                met[by.pop()][min(turn.speaker, 1)] += word.end_s - word.start_s
    right_s = max(met[0][0] + met[1][1], met[0][1] + met[1][0])
    return 1 - right_s / sum(map(sum, met))


def timed(work: Callable[[], Any]) -> tuple[float, Any]:
    start = time.perf_counter()
    made = work()
    return time.perf_counter() - start, made


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeat", type=int, default=2)
    parser.add_argument("--engines", nargs="*", help="only these")
    asked = parser.parse_args()
    passages = {name: voices.passage(name) for name in voices.NAMES}
    others = engines.scan()[2]
    local = [one for one in others if isinstance(one, Transcriber) and one.missing() is None]
    chosen = [one for one in local if not asked.engines or one.name in asked.engines]
    print(f"{os.cpu_count()} processors, load {os.getloadavg()[0]:.1f}\n")
    print("| engine | word error rate | by passage | word starts off, median / 90 % |\n|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        for engine in chosen:
            found = {
                name: heard(engine, voices.write(scratch / f"{name}.flac", passage.samples), scratch).words
                for name, passage in passages.items()
            }
            judged(engine.name, found)
        judged("bare pocketsphinx", dict(zip(passages, bare([p.samples for p in passages.values()]), strict=True)))
        print("\n| real people | words wrong of 22 | speakers of two | went to the other |\n|---|---|---|---|")
        for engine in chosen:
            one, two = (heard(engine, voices.FOLDER / f"{name}.flac", scratch) for name in ("kennedy", "two_men"))
            wrong = voices.errors(
                voices.plain(KENNEDY), [part for word in one.words for part in voices.plain(word.text)]
            )
            print(f"| {engine.name} | {wrong} | {two.speakers} | {astray(two):.2f} |")
        sounds = [passage.samples for passage in passages.values()] * asked.repeat
        whole = voices.write(scratch / "whole.flac", *(part for sound in sounds for part in (sound, PAUSE)))
        sound_s = sum(len(sound) + len(PAUSE) for sound in sounds) / voices.RATE_HZ
        print(f"\n| {sound_s:.0f} s of sound | seconds | times as fast as speech | speakers |\n|---|---|---|---|")
        took: dict[str, float] = {}
        for engine in chosen:
            took[engine.name], transcript = timed(lambda engine=engine: heard(engine, whole, scratch))
            seconds = took[engine.name]
            print(f"| {engine.name} | {seconds:.1f} | {sound_s / seconds:.1f} | {transcript.speakers} |")
        took["bare"], _ = timed(lambda: bare(sounds))
        print(f"| bare pocketsphinx | {took['bare']:.1f} | {sound_s / took['bare']:.1f} | - |")
    if "pocketsphinx" in took:
        print(f"\nratio {took['bare'] / took['pocketsphinx']:.2f}")


if __name__ == "__main__":
    main()
