"""Makes the spoken passages beside this file, with the words and the times at which they are said.

    python tests/media/speech/make.py    (needs the programs flite 2.2, flac, espeak-ng 1.51 and ffmpeg on the PATH)

The voices are those of Flite (CMU, a licence of the BSD kind that lets anybody use what they say): rms and awb are
men, slt is a woman. Flite prints every sound with its end (`-psdur`); the sounds of a word are counted by having Flite
say the word alone, so the times are the synthesiser's own and owe nothing to any recogniser. The German passage, by
espeak-ng's own voice, has no times.
"""

from __future__ import annotations

import json
import re
import subprocess
import tempfile
from pathlib import Path

HERE = Path(__file__).parent

PASSAGES = {
    "harbour": (
        "rms",
        "The harbor was quiet in the early morning. Two fishing boats came in slowly, and a man on the pier threw them "
        "a rope. By noon the market was full of people, and every stall had fresh bread and fruit.",
    ),
    "meeting": (
        "slt",
        "Welcome to the second part of our meeting. We will look at the numbers for the last year, and then we will "
        "talk about the plan for the summer. Please keep your questions until the end.",
    ),
    "maps": (
        "awb",
        "A good map shows more than roads and rivers. It tells a story about the people who drew it, what they knew, "
        "and what they wanted others to see.",
    ),
}


GERMAN = (
    "Guten Morgen und herzlich willkommen zu unserer Sendung. Heute sprechen wir über das Wetter in den Bergen und "
    "über die neuen Züge, die seit Montag nach Hamburg fahren."
)


def sounds(voice: str, text: str, wav: Path | None = None) -> list[tuple[str, float]]:
    """What Flite says for a text: each sound with its end in seconds."""
    argv = ["flite", "-voice", voice, "-psdur", "-t", text, "-o", str(wav or "none")]
    said = subprocess.run(argv, check=True, capture_output=True, text=True).stdout.split()
    return [(name, float(end)) for name, _, end in (part.partition(":") for part in said)]


def main() -> None:
    told = {}
    for name, (voice, text) in PASSAGES.items():
        with tempfile.TemporaryDirectory() as folder:
            wav = Path(folder, "said.wav")
            heard = sounds(voice, text, wav)
            subprocess.run(["flac", "-s", "-f", "-8", "-o", str(HERE / f"{name}.flac"), str(wav)], check=True)
        words = re.findall(r"[a-z']+", text.lower())
        ends = [0.0, *(end for _, end in heard)]
        at, timed = 0, []
        for word in words:
            while heard[at][0] == "pau":
                at += 1
            count = sum(sound != "pau" for sound, _ in sounds(voice, word))
            timed.append({"text": word, "start": ends[at], "end": ends[at + count]})
            assert all(sound != "pau" for sound, _ in heard[at : at + count]), (name, word)
            at += count
        assert all(sound == "pau" for sound, _ in heard[at:]), (name, heard[at:])
        told[name] = {"voice": voice, "text": text, "words": timed}
    told["german"] = {"voice": "de", "text": GERMAN, "words": []}
    speaks = ["espeak-ng", "-v", "de", "-s", "150", "--stdout", GERMAN]
    said = subprocess.run(speaks, check=True, capture_output=True).stdout
    as_flac = ["-ar", "16000", "-bitexact", HERE / "german.flac"]
    subprocess.run(["ffmpeg", "-v", "error", "-y", "-i", "-", *as_flac], check=True, input=said)
    lines = [f'  "{name}": {json.dumps(passage)}' for name, passage in told.items()]
    (HERE / "passages.json").write_text("{\n" + ",\n".join(lines) + "\n}\n")


if __name__ == "__main__":
    main()
