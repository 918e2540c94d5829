"""What the engines behind chapters, outlines, summaries and nsfw cost beside the bare tools, and how well they do.

    PYTHONPATH=src:. python -m benchmarks.understanding [--seconds 20] [--rounds 2]

Scenes: our detector against ffmpeg decoding the same film to nothing, with as many threads; the detector reads every
picture, so that is the least it can take. nsfw: the engine against a bare loop of ffmpeg, one picture a second, and
the same model in onnxruntime with the same number of threads. Both sides take turns; the best round of each counts.
Quality: hard cuts between generated pictures found and made up, beside ffmpeg's own scdet; topics of texts put
together at random found to the sentence. Goals: scenes ≤ 1.60 of decoding, nsfw ≤ 1.25 of the bare loop, no cut
missed, nine topics of ten.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from tests.support.texts import TOPICS, spoken

from mediamill.core.language import Reading
from mediamill.engines import _ffmpeg, extractive, nsfw, scenes
from mediamill.worker.tool import Limits, ToolRunner

GOALS = {"scenes": 1.60, "nsfw": 1.25}
GIB = 1 << 30
PICTURES = (
    "testsrc2={}",
    "gradients={}:seed=7:speed=0.02:c0=0xe0a030:c1=0x3070d0",
    "mandelbrot={}",
    "cellauto={}:rule=110:seed=5",
    "smptehdbars={}",
)


def tools(folder: Path) -> ToolRunner:
    """The product's own process runner."""
    limits = Limits(
        wall_s=600, cpu_s=3600, memory_bytes=4 * GIB, output_bytes=4 * GIB, scratch_bytes=8 * GIB, processes=256
    )
    return ToolRunner(limits=limits, scratch=folder, deadline=time.monotonic() + 600)


def quiet(stage: str, fraction: float | None = None) -> None:
    """Nobody watches."""


def film(folder: Path, seconds: int) -> tuple[Path, list[float]]:
    """Five kinds of picture in 720p with hard cuts between them, one from a gradient to a fractal; and their times."""
    path, each_s = folder / "film.mp4", seconds / len(PICTURES)
    size = "s=1280x720:r=25"
    inputs = [word for one in PICTURES for word in ("-f", "lavfi", "-t", str(each_s), "-i", one.format(size))]
    shown = "".join(f"[{n}:v]setpts=PTS-STARTPTS,format=yuv420p,setsar=1[v{n}];" for n in range(len(PICTURES)))
    joined = shown + "".join(f"[v{n}]" for n in range(len(PICTURES)))
    graph = f"{joined}concat=n={len(PICTURES)}:v=1,noise=alls=6:allf=t"
    coded = ("-c:v", "libx264", "-preset", "veryfast", "-crf", "23", "-pix_fmt", "yuv420p")
    argv: list[str | Path] = [_ffmpeg.binary(), "-v", "error", *inputs, "-filter_complex", graph, *coded, path]
    subprocess.run(argv, check=True)
    return path, [each_s * number for number in range(1, len(PICTURES))]


def timed(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def in_turns(rounds: int, *ways: Callable[[], object]) -> list[float]:
    """The best time of each way."""
    times = [[timed(way) for way in ways] for _ in range(rounds)]
    return [min(column) for column in zip(*times, strict=True)]


def decoded(path: Path) -> None:
    argv: list[str | Path] = [_ffmpeg.binary(), "-v", "error", "-nostdin", "-i", path, "-map", "0:v", "-f", "null", "-"]
    subprocess.run(argv, check=True)


def scdet(path: Path) -> list[float]:
    argv: list[str | Path] = [_ffmpeg.binary(), "-nostdin", "-i", path, "-vf", "scdet=t=10", "-f", "null", "-"]
    said = subprocess.run(argv, check=True, capture_output=True, text=True).stderr
    return [float(found) for found in re.findall(r"lavfi\.scd\.time: ([\d.]+)", said)]


def bare_model(path: Path) -> None:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 2
    session = onnxruntime.InferenceSession(str(nsfw.MODEL), options, providers=["CPUExecutionProvider"])
    shown = ("-vf", "fps=1,scale=224:224:flags=area", "-f", "rawvideo", "-pix_fmt", "rgb24", "-")
    argv: list[str | Path] = [_ffmpeg.binary(), "-v", "error", "-nostdin", "-i", path, *shown]
    raw = subprocess.run(argv, check=True, capture_output=True).stdout
    pictures = np.frombuffer(raw, np.uint8).reshape(-1, 224, 224, 3)
    for at in range(0, len(pictures), 4):
        batch = pictures[at : at + 4].transpose(0, 3, 1, 2).astype(np.float32) / np.float32(255)
        session.run(None, {"picture": batch})


def found(wanted: Sequence[float], got: Sequence[float]) -> dict[str, int]:
    """How many cuts are found to two pictures, missed and made up."""
    missed = sum(not any(abs(one - other) <= 0.08 for other in got) for one in wanted)
    made_up = sum(not any(abs(one - other) <= 0.08 for other in wanted) for one in got)
    return {"cuts": len(wanted), "missed": missed, "made_up": made_up}


def topics(texts: int) -> dict[str, float]:
    """Topics of 5 to 10 sentences put together at random: how many begin where they were found to."""
    chance, engine = random.Random(3), extractive.Extractive()
    exact = wanted = made_up = 0
    began = time.perf_counter()
    for _ in range(texts):
        sentences: list[str] = []
        firsts: list[int] = []
        for name in chance.sample(list(TOPICS), chance.randint(2, 5)):
            firsts.append(len(sentences))
            sentences += [TOPICS[name][at] for at in sorted(chance.sample(range(10), chance.randint(5, 10)))]
        reading = Reading(passages=spoken(sentences), remote=None, languages=("en",))  # type: ignore[arg-type]
        got = [section.first for section in engine.outline(reading, most=60)]
        exact += len(set(got) & set(firsts[1:]))
        wanted += len(firsts) - 1
        made_up += sum(min(abs(at - first) for first in firsts) > 1 for at in got)
    return {
        "texts": texts,
        "topics": wanted,
        "exact": exact,
        "made_up": made_up,
        "ms_a_text": round((time.perf_counter() - began) * 1000 / texts, 1),
    }


def long_text(sentences: int) -> dict[str, float]:
    """Seconds of an outline and of a summary of a long talk."""
    every = [sentence for name in TOPICS for sentence in TOPICS[name]]
    reading = Reading(passages=spoken([every[at % len(every)] for at in range(sentences)]), remote=None)  # type: ignore[arg-type]
    engine = extractive.Extractive()
    return {
        "sentences": sentences,
        "outline_s": round(timed(lambda: engine.outline(reading, most=40)), 2),
        "summary_s": round(timed(lambda: engine.summarise(reading)), 2),
    }


def main() -> int:
    """Print the figures as one JSON object; status 1 when a goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=2)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        path, wanted = film(folder, asked.seconds)
        runner, finder, judge = tools(folder), scenes.Scenes(), nsfw.Nsfw()
        cuts = [one.at_s for one in finder.cuts(path, "video/mp4", tools=runner, report=quiet)]
        decode_s, scenes_s = in_turns(
            asked.rounds,
            lambda: decoded(path),
            lambda: finder.cuts(path, "video/mp4", tools=runner, report=quiet),
        )
        bare_s, nsfw_s = in_turns(
            asked.rounds,
            lambda: bare_model(path),
            lambda: judge.film(path, "video/mp4", duration_s=float(asked.seconds), tools=runner, report=quiet),
        )
        theirs = found(wanted, scdet(path))
    ours = found(wanted, cuts)
    divided = topics(100)
    ratios = {"scenes": round(scenes_s / decode_s, 3), "nsfw": round(nsfw_s / bare_s, 3)}
    print(
        json.dumps(
            {
                "seconds_of_720p": asked.seconds,
                "decode_s": round(decode_s, 2),
                "scenes_s": round(scenes_s, 2),
                "bare_nsfw_s": round(bare_s, 2),
                "nsfw_s": round(nsfw_s, 2),
                "ratios": ratios,
                "goals": GOALS,
                "cuts": ours,
                "cuts_by_scdet": theirs,
                "topics": divided,
                "long_text": long_text(1000),
            },
            indent=1,
        )
    )
    good = all(ratios[name] <= goal for name, goal in GOALS.items())
    return 0 if good and not ours["missed"] and divided["exact"] >= 0.9 * divided["topics"] else 1


if __name__ == "__main__":
    sys.exit(main())
