"""The kind `subtitles`: captions of a sound or of a transcript, in files that players read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pysubs2
import pytest
from tests.support import av, voices
from tests.support.voices import passage, silence

from mediamill.core.errors import NoSound, Unsupported
from mediamill.kinds import Hint, subtitles


def transcript(folder: Path, *turns: tuple[int, float, str], pace_s: float = 0.3) -> Path:
    """A transcript in which each turn's words follow each other at a pace."""
    timeline = []
    for speaker, start_s, text in turns:
        words = [
            {"start": start_s + at * pace_s, "end": start_s + (at + 1) * pace_s, "text": word}
            for at, word in enumerate(text.split())
        ]
        timeline.append({"start": start_s, "end": words[-1]["end"], "speaker": speaker, "text": text, "words": words})
    path = folder / "transcript.json"
    path.write_text(json.dumps({"kind": "speech", "languages": ["en"], "speakers": 1, "timeline": timeline}))
    return path


def written(folder: Path, source: Path, mime: str = "application/json", **options: Any) -> voices.Done:
    return voices.run("subtitles", subtitles.Options(**options), source, mime, folder / "work")


def test_a_sound_is_captioned_with_what_is_said_in_it(tmp_path: Path) -> None:
    spoken = passage("meeting")
    source = voices.write(tmp_path / "meeting.flac", silence(1.0), spoken.samples)

    done = written(tmp_path, source, "audio/flac")

    [output] = done.result.outputs
    assert (output.role, output.mime, output.filename) == ("result", "text/vtt", "meeting.vtt")
    cues = pysubs2.SSAFile.from_string(done.content.decode(), format_="vtt")
    heard = voices.plain(" ".join(cue.plaintext for cue in cues))
    wanted = voices.plain(spoken.text)
    assert voices.errors(wanted, heard) <= 0.3 * len(wanted)
    assert 900 < cues[0].start < 1500
    assert cues[-1].end <= (1.0 + spoken.duration_s) * 1000 + 1
    assert done.details["engine"] == "pocketsphinx"
    assert done.details["cues"] == len(cues)


def test_webvtt_is_written_with_hours_points_and_escapes(tmp_path: Path) -> None:
    source = transcript(tmp_path, (0, 1.5, "Salt & pepper <b>now</b>."), (0, 3725.0, "Much later."))

    done = written(tmp_path, source)

    assert done.content.decode() == (
        "WEBVTT\n\n"
        "00:00:01.500 --> 00:00:03.000\nSalt &amp; pepper &lt;b&gt;now&lt;/b&gt;.\n\n"
        "01:02:05.000 --> 01:02:05.900\nMuch later.\n"
    )


def test_subrip_is_written_with_numbers_and_commas(tmp_path: Path) -> None:
    source = transcript(tmp_path, (0, 1.5, "Good evening to you."), (1, 4.0, "Hi there."))

    done = written(tmp_path, source, format="srt")

    assert done.content.decode() == (
        "1\n00:00:01,500 --> 00:00:03,000\nGood evening to you.\n\n2\n00:00:04,000 --> 00:00:04,900\nHi there.\n"
    )
    [output] = done.result.outputs
    assert (output.mime, output.filename) == ("application/x-subrip", "transcript.srt")


def test_lines_are_cut_where_clauses_end(tmp_path: Path) -> None:
    text = "When the tide goes out, the boats lie on their sides. Nobody minds, and the children climb over them."
    done = written(tmp_path, transcript(tmp_path, (0, 0.0, text)), format="srt")

    assert [cue.text.split(r"\N") for cue in pysubs2.SSAFile.from_string(done.content.decode(), format_="srt")] == [
        ["When the tide goes out,", "the boats lie on their sides."],
        ["Nobody minds,", "and the children climb over them."],
    ]


def test_text_without_spaces_gets_lines_half_as_long(tmp_path: Path) -> None:
    source = transcript(
        tmp_path, (0, 0.0, " ".join("昔々あるところにおじいさんとおばあさんが住んでいました")), pace_s=0.2
    )

    [cue] = pysubs2.SSAFile.from_string(written(tmp_path, source).content.decode(), format_="vtt")

    first, second = cue.text.split(r"\N")
    assert first + second == "昔々あるところにおじいさんとおばあさんが住んでいました"
    assert max(len(first), len(second)) <= 21


def test_a_turn_without_word_times_is_shared_out_over_its_length(tmp_path: Path) -> None:
    path = tmp_path / "plain.json"
    text = "one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen"
    path.write_text(json.dumps({"kind": "speech", "timeline": [{"start": 10, "end": 20, "text": text}]}))

    cues = pysubs2.SSAFile.from_string(written(tmp_path, path).content.decode(), format_="vtt")

    assert " ".join(cue.plaintext.replace("\n", " ") for cue in cues) == text
    assert (cues[0].start, len(cues)) == (10_000, 2)
    assert 14_000 < cues[1].start < 17_000


def test_where_nobody_speaks_there_are_no_cues(tmp_path: Path) -> None:
    source = voices.write(tmp_path / "noise.flac", voices.no_speech("music"))

    assert written(tmp_path, source, "audio/flac").content == b"WEBVTT\n"
    assert written(tmp_path, source, "audio/flac", format="srt").content == b"\n"


def test_a_film_without_sound_says_so(tmp_path: Path) -> None:
    film = av.film(tmp_path / "silent.mp4", seconds=0.5, tone_hz=None)

    with pytest.raises(NoSound):
        written(tmp_path, film, "video/mp4")


def test_what_is_written_goes_into_a_film_and_comes_out_of_it(tmp_path: Path) -> None:
    captions = tmp_path / "captions.srt"
    done = written(tmp_path, transcript(tmp_path, (0, 0.2, "Good evening to you.")), format="srt")
    captions.write_bytes(done.content)
    film, back = tmp_path / "film.mkv", tmp_path / "back.srt"
    pattern = ("-f", "lavfi", "-i", "testsrc2=s=64x36:r=25:d=3")
    av.ffmpeg(*pattern, "-i", captions, "-c:v", "libx264", "-c:s", "srt", film)
    av.ffmpeg("-i", film, "-map", "0:s", back)

    [cue] = pysubs2.load(str(back))
    assert (cue.plaintext, cue.start) == ("Good evening to you.", 200)


def test_another_format_is_refused_before_queueing() -> None:
    with pytest.raises(Unsupported) as refused:
        subtitles.KIND.check(subtitles.Options(format="ass"), [Hint(mime="audio/mpeg")], voices.installed())
    assert refused.value.field == "format"


def test_a_format_is_known_in_capitals() -> None:
    subtitles.KIND.check(subtitles.Options(format="SRT"), [Hint(mime="audio/mpeg")], voices.installed())
