"""The kind `chapters`: films with cuts, silences and words at known times, and what is made of them."""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.support.av import ffmpeg
from tests.support.texts import article, spoken, transcript
from tests.support.tools import PlainTools
from tests.support.understanding import Done, Said, run

from mediamill.core.errors import Invalid
from mediamill.core.ports import Engine
from mediamill.engines import Installed, extractive
from mediamill.engines import scenes as scene_engines
from mediamill.kinds import Hint
from mediamill.kinds.chapters import KIND, Options

ENGINES: tuple[Engine, ...] = (*scene_engines.PROVIDES, *extractive.PROVIDES)
H264 = ("-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p")
SCENES = (
    "testsrc2=s=192x108:r=10",
    "gradients=s=192x108:r=10:seed=7:speed=0.02:c0=0xe0a030:c1=0x3070d0",
    "mandelbrot=s=192x108:r=10",
    "smptehdbars=s=192x108:r=10",
    "color=c=0x205080:s=192x108:r=10",
)


def film(path: Path, each_s: Sequence[float], *, sound: str | None = None) -> Path:
    """Scenes one after another, hard cuts between them; `sound` is a lavfi source as long as the film."""
    inputs = [
        word
        for number, length in enumerate(each_s)
        for word in ("-f", "lavfi", "-t", str(length), "-i", SCENES[number % len(SCENES)])
    ]
    shown = "".join(f"[{n}:v]setpts=PTS-STARTPTS,format=yuv420p,setsar=1[v{n}];" for n in range(len(each_s)))
    joined = shown + "".join(f"[v{n}]" for n in range(len(each_s))) + f"concat=n={len(each_s)}:v=1[v]"
    heard = ("-f", "lavfi", "-t", str(sum(each_s)), "-i", sound) if sound else ()
    mapped = ("-map", "[v]", *(("-map", f"{len(each_s)}:a", "-c:a", "aac") if sound else ()))
    ffmpeg(*inputs, *heard, "-filter_complex", joined, *mapped, *H264, path)
    return path


def chapters(source: Path, mime: str, folder: Path, *more: Engine, **options: Any) -> Done:
    return run(KIND, source, mime, folder / "scratch", others=[*ENGINES, *more], **options)


def starts(done: Done) -> list[float]:
    return [chapter["start"] for chapter in done.json["chapters"]]


def check_whole(found: Sequence[dict[str, Any]], duration_s: float) -> None:
    """Contiguous, ascending, from the beginning to the end, counted."""
    assert found[0]["start"] == 0
    assert found[-1]["end"] == pytest.approx(duration_s, abs=0.15)
    assert all(before["end"] == after["start"] for before, after in itertools.pairwise(found))
    assert all(chapter["end"] > chapter["start"] for chapter in found)
    assert [chapter["index"] for chapter in found] == list(range(len(found)))
    assert all(chapter["title"].strip() for chapter in found)


def test_a_silent_film_is_divided_by_its_cuts(tmp_path: Path) -> None:
    source = film(tmp_path / "film.mp4", [5, 4, 6, 5])

    done = chapters(source, "video/mp4", tmp_path, format="json")

    found = done.json["chapters"]
    check_whole(found, 20)
    assert starts(done) == pytest.approx([0, 5, 9, 15], abs=0.15)
    assert [chapter["title"] for chapter in found] == ["Chapter 1", "Chapter 2", "Chapter 3", "Chapter 4"]
    assert (done.details["engine"], done.details["method"], done.details["cuts"]) == ("scenes", "extractive", 3)


def test_the_default_is_a_webvtt_track(tmp_path: Path) -> None:
    source = film(tmp_path / "film.mp4", [5, 5])

    done = chapters(source, "video/mp4", tmp_path)

    [output] = done.result.outputs
    assert (output.mime, output.filename, output.role) == ("text/vtt", "film.vtt", "result")
    assert done.text.startswith("WEBVTT\n\n1\n00:00:00.000 --> 00:00:05.000\nChapter 1\n\n2\n00:00:05.000 --> ")
    cues = re.findall(r"^(\d\d:\d\d:\d\d\.\d{3}) --> (\d\d:\d\d:\d\d\.\d{3})$", done.text, re.MULTILINE)
    assert len(cues) == 2
    assert cues[0][1] == cues[1][0]


def test_a_long_shot_is_one_chapter(tmp_path: Path) -> None:
    done = chapters(film(tmp_path / "film.mp4", [8]), "video/mp4", tmp_path, format="json")

    assert [chapter["title"] for chapter in done.json["chapters"]] == ["Chapter 1"]
    check_whole(done.json["chapters"], 8)


def test_many_cuts_do_not_make_as_many_chapters(tmp_path: Path) -> None:
    done = chapters(film(tmp_path / "film.mp4", [1.0] * 24), "video/mp4", tmp_path, format="json")

    found = done.json["chapters"]
    check_whole(found, 24)
    assert done.details["cuts"] >= 20
    assert len(found) <= 12
    assert all(chapter["end"] - chapter["start"] >= 1.9 for chapter in found)


def test_what_is_said_divides_before_the_pictures_and_moves_to_their_cuts(tmp_path: Path) -> None:
    sentences, firsts = article("bread", "chess")
    turns = [(p.start_s or 0.0, p.end_s or 0.0, p.text) for p in spoken(sentences, each_s=2.0)]
    begin_s = turns[firsts[1]][0]
    # A cut 0.7 s before the second topic is heard, and others in the midst of both.
    cuts = [7.0, begin_s - 0.7 - 7.0, 12.0, 8.7]
    source = film(tmp_path / "film.mp4", cuts, sound="sine=f=300")

    done = chapters(source, "video/mp4", tmp_path, Said(*turns), format="json")

    found = done.json["chapters"]
    check_whole(found, sum(cuts))
    assert starts(done) == pytest.approx([0, begin_s - 0.7], abs=0.15)
    assert "dough" in found[0]["title"].lower()
    assert "king" in found[1]["title"].lower() or "pawn" in found[1]["title"].lower()
    assert done.details["engine"] == "extractive"
    assert done.details["transcript"]["engine"] == "told"


def test_a_sound_with_words_is_divided_within_the_silence_between_topics(tmp_path: Path) -> None:
    sentences, firsts = article("solar", "violin")
    turns = [(p.start_s or 0.0, p.end_s or 0.0, p.text) for p in spoken(sentences, each_s=2.0)]
    pause_at = firsts[1]
    turns = [(s + 3 * (n >= pause_at), e + 3 * (n >= pause_at), t) for n, (s, e, t) in enumerate(turns)]
    silent = f"between(t,{turns[pause_at - 1][1]},{turns[pause_at][0]})"
    source = tmp_path / "talk.wav"
    ffmpeg("-f", "lavfi", "-i", f"aevalsrc='0.3*sin(600*t)*(1-{silent})':s=8000:d=43", source)

    done = chapters(source, "audio/wav", tmp_path, Said(*turns), format="json")

    found = done.json["chapters"]
    check_whole(found, 43)
    assert len(found) == 2
    assert turns[pause_at - 1][1] <= found[1]["start"] <= turns[pause_at][0]
    assert found[0]["title"] != found[1]["title"]


def test_a_sound_without_words_is_divided_by_its_silences(tmp_path: Path) -> None:
    source = tmp_path / "music.flac"
    gaps = "1-between(t,8,10)-between(t,19,21.5)-between(t,25,25.3)"
    ffmpeg("-f", "lavfi", "-i", f"aevalsrc='0.3*sin(2000*t)*({gaps})':s=8000:d=30", source)

    done = chapters(source, "audio/flac", tmp_path, Said(), format="json")

    found = done.json["chapters"]
    check_whole(found, 30)
    assert starts(done) == pytest.approx([0, 9, 20.5], abs=0.4)
    assert [chapter["title"] for chapter in found] == ["Chapter 1", "Chapter 2", "Chapter 3"]
    assert done.details["engine"] == "silences"


def test_a_long_stretch_without_words_is_divided_off_by_its_scenes(tmp_path: Path) -> None:
    sentences, _ = article("bread")
    turns = [(p.start_s or 0.0, p.end_s or 0.0, p.text) for p in spoken(sentences, each_s=2.0)]
    source = film(tmp_path / "film.mp4", [20.5, 8, 8], sound="sine=f=300")

    done = chapters(source, "video/mp4", tmp_path, Said(*turns), format="json")

    found = done.json["chapters"]
    check_whole(found, 36.5)
    assert starts(done)[-2:] == pytest.approx([20.5, 28.5], abs=0.15)
    assert [chapter["title"] for chapter in found[-2:]] == [f"Chapter {len(found) - 1}", f"Chapter {len(found)}"]
    assert not any(chapter["title"].startswith("Chapter") for chapter in found[:-2])


def test_speech_that_cannot_be_heard_here_leaves_the_pictures(tmp_path: Path) -> None:
    source = film(tmp_path / "film.mp4", [5, 5], sound="sine=f=300")

    done = chapters(source, "video/mp4", tmp_path, format="json")

    assert starts(done) == pytest.approx([0, 5], abs=0.15)
    assert done.details["transcript"]["engine"] == "none"
    assert done.details["transcript"]["reason"]


def test_a_transcript_and_subtitles_have_chapters_too(tmp_path: Path) -> None:
    sentences, firsts = article("bread", "solar", "volcano")
    source = tmp_path / "talk.json"
    source.write_bytes(msgspec.json.encode(transcript(sentences)))
    track = tmp_path / "talk.srt"
    cues = [
        f"{number}\n{_srt(p.start_s)} --> {_srt(p.end_s)}\n<i>{p.text}</i>\n"
        for number, p in enumerate(spoken(sentences), 1)
    ]
    track.write_text("\n".join(cues))

    for path, mime in ((source, "application/json"), (track, "application/x-subrip")):
        done = chapters(path, mime, tmp_path, format="json")

        check_whole(done.json["chapters"], len(sentences) * 4 - 0.4)
        assert starts(done) == pytest.approx([at * 4 for at in firsts], abs=0.5), mime
        assert not any(chapter["title"].startswith("Chapter") for chapter in done.json["chapters"])


def _srt(seconds: float | None) -> str:
    whole_ms = round((seconds or 0) * 1000)
    return f"00:{whole_ms // 60000:02}:{whole_ms // 1000 % 60:02},{whole_ms % 1000:03}"


def test_a_title_cannot_break_out_of_its_cue(tmp_path: Path) -> None:
    source = tmp_path / "talk.json"
    said = ["<b>Danger</b> --> & <script>."] * 8
    source.write_bytes(msgspec.json.encode(transcript(said)))

    text = chapters(source, "application/json", tmp_path).text

    assert text.count("-->") == len(
        re.findall(r"^\d\d:\d\d:\d\d\.\d{3} --> \d\d:\d\d:\d\d\.\d{3}$", text, re.MULTILINE)
    )
    assert "<" not in text


def test_progress_never_goes_back_and_ends_at_one(tmp_path: Path) -> None:
    sentences, _ = article("bread")
    turns = [(p.start_s or 0.0, p.end_s or 0.0, p.text) for p in spoken(sentences, each_s=1.0)]
    source = film(tmp_path / "film.mp4", [5, 5], sound="sine=f=300")

    told = [f for _, f in chapters(source, "video/mp4", tmp_path, Said(*turns)).reports if f is not None]

    assert told == sorted(told)
    assert told[0] <= 0.05
    assert told[-1] == 1.0
    assert len(told) > 10


def test_a_transcript_without_words_has_no_chapters(tmp_path: Path) -> None:
    source = tmp_path / "talk.json"  # as `speech` makes it of silence; what follows in a run should not fail for it
    source.write_bytes(msgspec.json.encode(transcript([])))

    assert chapters(source, "application/json", tmp_path, format="json").json == {"kind": "chapters", "chapters": []}
    track = chapters(source, "application/json", tmp_path)

    assert track.text == "WEBVTT\n"
    assert (track.details["engine"], track.details["chapters"]) == ("none", 0)


def test_a_text_without_times_is_refused(tmp_path: Path) -> None:
    installed = Installed((), (), PlainTools(), ENGINES)
    with pytest.raises(Invalid, match="no times"):
        KIND.check(Options(), [Hint(mime="text/plain")], installed)


def test_a_format_that_is_none_is_refused_and_the_kind_needs_its_engines() -> None:
    with pytest.raises(msgspec.ValidationError, match="format"):
        msgspec.convert({"format": "srt"}, Options)
    assert KIND.missing(Installed((), (), PlainTools(), ENGINES)) is None
    assert KIND.missing(Installed((), (), PlainTools(), extractive.PROVIDES)) is not None
