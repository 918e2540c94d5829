"""What is around the work of `subtitles`, `ingest` and `conditions`, beside the bare thing, in one run.

    PYTHONPATH=src:. python -m benchmarks.words_and_files [--rounds 3] [--megabytes 256]

subtitles: the kind from sound to captions against one bare pocketsphinx decoder over the same sound; captions are
what is left of it, timed alone as well, from a transcript of an hour. ingest: a file that is fetched from a server on
this machine, stored, hashed and looked at, accepted to done, against the same bytes read from that server by a plain
client into a file and synced to disk; what is more is the hash and the queue. conditions: tasks that compare facts
of a file, a second from accepted to done, against tasks that do nothing (`ping`) on the same server: a condition is a
microsecond's evaluation, so this says what the file and its facts add to a task. Goals: subtitles ≤ 1.00 of one
decoder's time, laying out an hour ≤ 1 s, ingest ≤ 1.50 of the bare copy, conditions ≥ 0.50 of ping's rate
when asked one by one.
"""

from __future__ import annotations

import argparse
import http.server
import json
import os
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks._server import Server, serving
from tests.support import voices

from mediamill.core import captions
from mediamill.core.speech import Turn, Word
from mediamill.engines import _speech_sphinx
from mediamill.kinds import subtitles

HOUR_S = 3600


def timed(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def bare_decoder(sound: Path) -> None:
    """One decoder, the whole sound, as its own examples have it."""
    import av
    from pocketsphinx import Decoder

    with av.open(str(sound)) as container:
        samples = b"".join(frame.to_ndarray().tobytes() for frame in container.decode(audio=0))
    decoder = Decoder(loglevel="FATAL")
    decoder.start_utt()
    decoder.process_raw(samples, full_utt=True)
    decoder.end_utt()
    _speech_sphinx.words(decoder)


def captions_of(sound: Path, folder: Path) -> None:
    voices.run("subtitles", subtitles.Options(), sound, "audio/flac", folder)


def an_hour() -> list[Turn]:
    """Somebody who says 2.5 words a second for an hour."""
    turns = []
    for start in range(0, HOUR_S, 8):
        words = tuple(Word(text="wording", start_s=start + n * 0.4, end_s=start + n * 0.4 + 0.3) for n in range(18))
        turns.append(Turn(start_s=start, end_s=words[-1].end_s, text=" ".join(w.text for w in words), words=words))
    return turns


class _Files(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        return


@contextmanager
def source(folder: Path) -> Iterator[str]:
    """A plain server of that folder's files."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(_Files, directory=str(folder))) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{running.server_address[1]}"
        running.shutdown()


def copied(url: str, target: Path) -> None:
    with urllib.request.urlopen(url) as came, target.open("wb") as file:
        while chunk := came.read(1 << 20):
            file.write(chunk)
        os.fsync(file.fileno())
    target.unlink()


def done(server: Server, body: dict[str, Any]) -> dict[str, Any]:
    task: dict[str, Any] = server.call("POST", "/mill/tasks?wait=60", {**body, "reuse": False})
    assert task["state"] == "succeeded", task
    return task


def one_by_one(server: Server, body: dict[str, Any], count: int) -> float:
    """Tasks a second, each asked for when the one before is done."""
    done(server, body)
    return count / timed(lambda: [done(server, body) for _ in range(count)])


def main() -> int:
    """Print the figures as one JSON object; status 1 when a goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--megabytes", type=int, default=256)
    parser.add_argument("--tasks", type=int, default=150)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="mediamill-bench-") as name:
        folder = Path(name)
        parts = [part for name in voices.NAMES for part in (voices.passage(name).samples, voices.silence(1.0))]
        sound = voices.write(folder / "said.flac", *parts)
        pairs = [
            (timed(lambda: bare_decoder(sound)), timed(lambda: captions_of(sound, folder / "work")))
            for _ in range(asked.rounds)
        ]
        decoder_s, subtitles_s = (min(column) for column in zip(*pairs, strict=True))
        turns = an_hour()
        layout_s = timed(lambda: captions.as_vtt(captions.captions(turns, float(HOUR_S))))
        (folder / "large.bin").write_bytes(os.urandom(1 << 20) * asked.megabytes)
        with (
            source(folder) as url,
            serving(data=folder / "data", MEDIAMILL_ALLOW_NETWORKS="127.0.0.1/32") as server,
        ):
            ingest = {"kind": "ingest", "inputs": [{"url": f"{url}/large.bin"}]}
            small = server.upload("said.flac", sound.read_bytes())
            pairs = [
                (timed(lambda: copied(f"{url}/large.bin", folder / "copy")), timed(lambda: done(server, ingest)))
                for _ in range(asked.rounds)
            ]
            copy_s, ingest_s = (min(column) for column in zip(*pairs, strict=True))
            condition = {
                "kind": "conditions",
                "inputs": [{"file": small}],
                "options": {"conditions": [{"prop": "duration", "operator": "gt", "value": 1}]},
            }
            pings, conditions = 0.0, 0.0
            for _ in range(asked.rounds):
                pings = max(pings, one_by_one(server, {"kind": "ping"}, asked.tasks))
                conditions = max(conditions, one_by_one(server, condition, asked.tasks))
    said = {
        "speech_s": round(sum(len(part) for part in parts) / voices.RATE_HZ, 1),
        "one_decoder_s": round(decoder_s, 2),
        "subtitles_s": round(subtitles_s, 2),
        "an_hours_layout_s": round(layout_s, 3),
        "megabytes": asked.megabytes,
        "copy_s": round(copy_s, 2),
        "ingest_s": round(ingest_s, 2),
        "pings_a_second": round(pings),
        "conditions_a_second": round(conditions),
        "ratios": {
            "subtitles": round(subtitles_s / decoder_s, 3),
            "ingest": round(ingest_s / copy_s, 3),
            "conditions": round(conditions / pings, 3),
        },
    }
    print(json.dumps(said, indent=1))
    good = subtitles_s <= decoder_s and layout_s <= 1.0
    good = good and ingest_s <= 1.5 * copy_s and conditions >= 0.5 * pings
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
