"""The kind `speech` with the engine of a plain install: words with times, voices told apart, nothing made of noise."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import msgspec
import pytest
from tests.support import av, voices
from tests.support.voices import NAMES, NO_SPEECH, passage, silence

from mediamill.core.errors import BadMedia, NoSound, Unsupported
from mediamill.core.speech import Word
from mediamill.kinds import Hint, speech

FLAC = "audio/flac"


@pytest.fixture(scope="module")
def dialogue(tmp_path_factory: pytest.TempPathFactory) -> voices.Done:
    """A man and a woman in turn, half a second between them, after a second of silence."""
    folder = tmp_path_factory.mktemp("dialogue")
    source = voices.write(folder / "dialogue.flac", silence(1.0), *(part for _, part in _dialogue()))
    return voices.run("speech", speech.Options(), source, FLAC, folder / "work")


def _dialogue() -> list[tuple[str, voices.Samples]]:
    his, hers = passage("harbour"), passage("meeting")
    turns = (("him", his.part(0, 7)), ("her", hers.part(0, 8)), ("him", his.part(25, 39)), ("her", hers.part(28, 36)))
    return [part for name, turn in turns for part in ((name, turn.samples), ("", silence(0.5)))]


@pytest.mark.parametrize("name", NAMES)
def test_most_words_are_heard_and_where_they_are_said(name: str, tmp_path: Path) -> None:
    spoken = passage(name)
    source = voices.write(tmp_path / "said.flac", silence(0.7), spoken.samples)

    found = voices.run("speech", speech.Options(), source, FLAC, tmp_path / "work").json

    heard = [
        Word(start_s=word["start"] - 0.7, end_s=word["end"] - 0.7, text=word["text"])
        for turn in found["timeline"]
        for word in turn["words"]
    ]
    wanted = voices.plain(spoken.text)
    assert voices.errors(wanted, [word.text for word in heard]) <= 0.3 * len(wanted)
    right = voices.matched(spoken.words, heard)
    off = sorted(abs(said.start_s - word.start_s) for said, word in right)
    assert off[len(off) // 2] < 0.06
    assert off[int(len(off) * 0.9)] < 0.2


def test_the_document_has_the_documented_shape(dialogue: voices.Done) -> None:
    found = dialogue.json

    assert set(found) == {"kind", "text", "languages", "speakers", "timeline", "confidence"}
    assert (found["kind"], found["languages"]) == ("speech", ["en"])
    assert found["text"] == [turn["text"] for turn in found["timeline"]]
    for turn in found["timeline"]:
        assert set(turn) == {"start", "end", "speaker", "text", "words", "confidence"}
        assert turn["text"] == " ".join(word["text"] for word in turn["words"])
        assert all(0 <= word["confidence"] <= 1 for word in turn["words"])
    [output] = dialogue.result.outputs
    assert (output.role, output.mime, output.filename) == ("result", "application/json", "dialogue.json")


def test_times_run_forward_and_stay_within_the_sound(dialogue: voices.Done) -> None:
    words = [word for turn in dialogue.json["timeline"] for word in turn["words"]]
    total_s = 1.0 + sum(len(part) for _, part in _dialogue()) / voices.RATE_HZ

    assert all(0 <= word["start"] <= word["end"] <= total_s for word in words)
    assert all(one["end"] <= other["start"] + 0.001 for one, other in itertools.pairwise(words))
    assert words[0]["start"] >= 0.9


def test_two_voices_are_told_apart_and_each_is_known_again(dialogue: voices.Done) -> None:
    found = dialogue.json

    assert found["speakers"] == 2
    at_s, said = 1.0, []
    for name, part in _dialogue():
        length_s = len(part) / voices.RATE_HZ
        if name:
            said.append((at_s, at_s + length_s, name))
        at_s += length_s
    for turn in found["timeline"]:
        for word in turn["words"]:
            middle_s = (word["start"] + word["end"]) / 2
            [name] = [name for start_s, end_s, name in said if start_s - 0.1 <= middle_s <= end_s + 0.1]
            assert turn["speaker"] == ("him", "her").index(name), word


def test_one_voice_is_one_speaker_however_long_it_speaks(tmp_path: Path) -> None:
    spoken = passage("harbour")
    source = voices.write(tmp_path / "long.flac", spoken.samples, silence(1.0), spoken.part(17, 39).samples)

    found = voices.run("speech", speech.Options(), source, FLAC, tmp_path / "work").json

    assert found["speakers"] == 1
    assert {turn["speaker"] for turn in found["timeline"]} == {0}


@pytest.mark.parametrize("name", NO_SPEECH)
def test_where_nobody_speaks_there_are_no_words(name: str, tmp_path: Path) -> None:
    source = voices.write(tmp_path / "nobody.flac", voices.no_speech(name))

    done = voices.run("speech", speech.Options(), source, FLAC, tmp_path / "work")

    assert done.json == {"kind": "speech", "text": [], "languages": [], "speakers": 0, "timeline": []}


def test_words_are_not_made_of_the_noise_around_them(tmp_path: Path) -> None:
    noise, spoken = voices.no_speech("music", 4.0), passage("meeting").part(0, 8)
    source = voices.write(tmp_path / "between.flac", noise, spoken.samples, noise)

    found = voices.run("speech", speech.Options(), source, FLAC, tmp_path / "work").json

    words = [word for turn in found["timeline"] for word in turn["words"]]
    assert words
    assert all(word["start"] >= 3.6 and word["end"] <= 4.4 + spoken.duration_s for word in words)


def test_a_transcript_says_which_engine_heard_it_and_how_well(dialogue: voices.Done) -> None:
    assert {key: dialogue.details[key] for key in ("engine", "quality", "languages")} == {
        "engine": "pocketsphinx",
        "quality": "draft",
        "languages": ["en"],
    }
    assert 0 < dialogue.details["confidence"] <= 1


def test_progress_never_goes_back_and_ends_near_the_end(dialogue: voices.Done) -> None:
    fractions = [fraction for _, fraction in dialogue.reports if fraction is not None]

    assert fractions == sorted(fractions)
    assert fractions[-1] >= 0.9
    assert fractions[-1] <= 1.0


def test_the_sound_of_a_film_is_heard_on_the_time_line_of_the_film(tmp_path: Path) -> None:
    spoken = passage("meeting").part(0, 8)
    sound = voices.write(tmp_path / "said.flac", spoken.samples)
    film = tmp_path / "film.mkv"
    pattern = ("-f", "lavfi", "-i", f"testsrc2=s=64x36:r=25:d={spoken.duration_s + 2}")
    av.ffmpeg(
        *pattern, "-itsoffset", "1.5", "-i", sound, "-c:v", "libx264", "-c:a", "aac", "-map", "0", "-map", "1", film
    )

    found = voices.run("speech", speech.Options(), film, "video/x-matroska", tmp_path / "work").json

    first = found["timeline"][0]["words"][0]
    assert first["text"] == "welcome"
    assert 1.4 < first["start"] < 1.7


def test_a_film_without_sound_says_so(tmp_path: Path) -> None:
    film = av.film(tmp_path / "silent.mp4", seconds=0.5, tone_hz=None)

    with pytest.raises(NoSound) as failed:
        voices.run("speech", speech.Options(), film, "video/mp4", tmp_path / "work")
    assert failed.value.code == "no_audio_stream"


@pytest.mark.parametrize(("content", "mime"), [(b"not a sound at all" * 100, "audio/mpeg"), (b"", "audio/wav")])
def test_bytes_that_are_no_sound_are_bad_media(content: bytes, mime: str, tmp_path: Path) -> None:
    source = tmp_path / "bad"
    source.write_bytes(content)

    with pytest.raises(BadMedia):
        voices.run("speech", speech.Options(), source, mime, tmp_path / "work")


def test_a_picture_is_not_listened_to(tmp_path: Path) -> None:
    source = tmp_path / "picture.png"
    source.write_bytes(b"\x89PNG\r\n\x1a\n")

    with pytest.raises(BadMedia, match="sounds and films"):
        voices.run("speech", speech.Options(), source, "image/png", tmp_path / "work")


def test_a_transcript_handed_in_is_not_heard_again(dialogue: voices.Done, tmp_path: Path) -> None:
    source = tmp_path / "transcript.json"
    source.write_bytes(dialogue.content)

    again = voices.run("speech", speech.Options(), source, "application/json", tmp_path / "work")

    assert {**again.json, "confidence": dialogue.json["confidence"]} == dialogue.json
    assert abs(again.json["confidence"] - dialogue.json["confidence"]) < 0.002  # of numbers that were rounded before
    assert (again.details["engine"], again.details["quality"]) == ("transcript", "given")


@pytest.mark.parametrize(
    "content",
    [
        b"{}",
        b"[1, 2]",
        b'{"kind": "summary", "timeline": []}',
        b'{"kind": "speech", "timeline": [{"start": -1, "end": 2, "text": "x"}]}',
        b'{"kind": "speech", "timeline": [{"start": 1, "end": NaN, "text": "x"}]}',
        b"\xff\xfe",
        b"[" * 100_000,
    ],
)
def test_other_json_is_refused(content: bytes, tmp_path: Path) -> None:
    source = tmp_path / "other.json"
    source.write_bytes(content)

    with pytest.raises(BadMedia):
        voices.run("speech", speech.Options(), source, "application/json", tmp_path / "work")


def test_times_out_of_order_in_a_transcript_are_put_right(tmp_path: Path) -> None:
    words = [{"start": 2.5, "end": 9.0, "text": "there"}, {"start": 2.0, "end": 2.6, "text": "hi"}]
    turns = [
        {"start": 2.0, "end": 3.0, "speaker": 7, "text": "hi there", "words": words},
        {"start": 0.0, "end": 1.0, "speaker": 3, "text": " hello "},
    ]
    source = tmp_path / "mixed.json"
    source.write_text(json.dumps({"kind": "speech", "timeline": turns}))

    found = voices.run("speech", speech.Options(), source, "application/json", tmp_path / "work").json

    assert [(turn["speaker"], turn["text"]) for turn in found["timeline"]] == [(0, "hello"), (1, "hi there")]
    assert [(w["start"], w["end"], w["text"]) for w in found["timeline"][1]["words"]] == [
        (2.0, 2.6, "hi"),
        (2.6, 3.0, "there"),
    ]


def test_a_language_that_no_engine_hears_is_refused_before_queueing() -> None:
    with pytest.raises(Unsupported, match="heard here: en") as refused:
        speech.KIND.check(speech.Options(language="de"), [Hint(mime="audio/mpeg")], voices.installed())
    assert refused.value.field == "language"


def test_english_is_taken_and_so_is_a_transcript_in_any_language() -> None:
    speech.KIND.check(speech.Options(language="en"), [Hint(mime="audio/mpeg")], voices.installed())
    speech.KIND.check(speech.Options(language="de"), [Hint(mime="application/json")], voices.installed())


def test_what_older_callers_send_is_taken() -> None:
    assert msgspec.convert({"speakers": True}, speech.Options).speakers is True
    with pytest.raises(msgspec.ValidationError, match="language"):
        msgspec.convert({"language": "English"}, speech.Options)
