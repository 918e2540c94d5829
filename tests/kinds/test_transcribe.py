"""The kind `transcribe`: AssemblyAI's shape from whatever engine hears, and nothing that no engine found out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.support import models as kept
from tests.support import voices
from tests.support.voices import passage, silence

from mediamill import models
from mediamill.core.errors import Unsupported
from mediamill.engines import _speech_speakers, speech_http
from mediamill.engines import open as open_engines
from mediamill.kinds import Hint, transcribe

FLAC = "audio/flac"
ANALYSES = ("sentiment_analysis", "entity_detection", "auto_highlights", "content_safety", "iab_categories")
BLOCKS = ("sentiment_analysis_results", "entities", "auto_highlights_result", "content_safety_labels")
STARTS_S = 2.0


@pytest.fixture(scope="module")
def dialogue(tmp_path_factory: pytest.TempPathFactory) -> voices.Done:
    """A man and a woman in turn, with everything asked for."""
    his, hers = passage("harbour"), passage("meeting")
    parts = (his.part(0, 7), hers.part(0, 8), his.part(25, 39), hers.part(28, 36))
    folder = tmp_path_factory.mktemp("dialogue")
    sounds = [sound for part in parts for sound in (part.samples, silence(0.5))]
    source = voices.write(folder / "dialogue.flac", silence(1.0), *sounds)
    asked: dict[str, Any] = dict.fromkeys(ANALYSES, True)
    options = transcribe.Options(
        language="en-GB", speaker_labels=True, speakers_expected=2, word_boost=("harbour",), audio_url="x", **asked
    )
    return voices.run("transcribe", options, source, FLAC, folder / "work")


def test_words_come_in_order_in_whole_milliseconds_with_their_speakers(dialogue: voices.Done) -> None:
    found = dialogue.json

    assert len(found["words"]) > 20
    assert all(isinstance(word[edge], int) for word in found["words"] for edge in ("start", "end"))
    starts = [word["start"] for word in found["words"]]
    assert starts == sorted(starts)
    assert 900 < starts[0] < 1600
    assert {word["speaker"] for word in found["words"]} == {"A", "B"}
    assert found["text"].split() == [word["text"] for word in found["words"]]
    assert abs(found["audio_duration"] - found["words"][-1]["end"] / 1000) < 3
    assert (found["status"], found["language_code"], found["audio_url"]) == ("completed", "en-GB", "x")
    assert found["speech_model"] == "universal-2"


def test_an_utterance_is_what_one_speaker_says_until_another_does(dialogue: voices.Done) -> None:
    found = dialogue.json["utterances"]

    assert [one["speaker"] for one in found] == ["A", "B", "A", "B"]
    for one in found:
        assert one["text"].split() == [word["text"] for word in one["words"]]
        assert (one["start"], one["end"]) == (one["words"][0]["start"], one["words"][-1]["end"])
    assert [word for one in found for word in one["words"]] == dialogue.json["words"]


def test_highlights_are_phrases_that_are_said_where_they_say(dialogue: voices.Done) -> None:
    block = dialogue.json["auto_highlights_result"]

    assert block["status"] == "success"
    assert block["results"]
    for found in block["results"]:
        assert found["count"] == len(found["timestamps"]) > 0
        assert 0 < found["rank"] <= 1
        for place in found["timestamps"]:
            said = [w["text"] for w in dialogue.json["words"] if place["start"] <= w["start"] < place["end"]]
            assert " ".join(said).casefold() == found["text"].casefold()


def test_what_no_engine_here_can_do_is_unavailable(dialogue: voices.Done) -> None:
    found = dialogue.json

    assert found["sentiment_analysis_results"] == found["entities"] == []
    for name in ("content_safety_labels", "iab_categories_result"):
        assert (found[name]["status"], found[name]["results"]) == ("unavailable", [])
    assert all(found[name] is True for name in ANALYSES)
    assert dialogue.details["word_boost"] == "not heeded"


def test_what_was_not_asked_for_is_null_and_silence_is_no_words(tmp_path: Path) -> None:
    source = voices.write(tmp_path / "quiet.flac", silence(3.0))

    found = voices.run("transcribe", transcribe.Options(word_timings=False), source, FLAC, tmp_path / "work").json

    assert (found["text"], found["words"], found["utterances"], found["confidence"]) == ("", None, None, None)
    assert all(found[block] is None for block in (*BLOCKS, "iab_categories_result"))
    assert all(found[name] is False for name in (*ANALYSES, "speaker_labels"))
    assert (found["audio_duration"], found["audio_url"], found["language_code"]) == (3, None, None)


def test_nobody_is_told_apart_who_need_not_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(_speech_speakers, "voices")
    source = voices.write(tmp_path / "her.flac", passage("meeting").part(0, 8).samples)

    found = voices.run("transcribe", transcribe.Options(), source, FLAC, tmp_path / "work").json

    assert {word["speaker"] for word in found["words"]} == {None}
    with pytest.raises(AttributeError):
        voices.run("transcribe", transcribe.Options(speaker_labels=True), source, FLAC, tmp_path / "told")


def test_a_language_that_nobody_here_hears_is_refused_at_once() -> None:
    engines = open_engines(None)  # type: ignore[arg-type]  # it starts no program

    with pytest.raises(Unsupported, match="'fr'"):
        transcribe.KIND.check(transcribe.Options(language="fr-CA"), [Hint(mime=FLAC)], engines)


def test_a_language_that_is_found_out_is_told_with_how_sure_that_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(models.SETTING, str(kept.folder_or_skip("whisper_base")))
    source = voices.write(tmp_path / "said.flac", passage("german").samples)

    def found(language: str | None) -> tuple[str, float | None]:
        options = transcribe.Options(language=language)
        made = voices.run("transcribe", options, source, FLAC, tmp_path / str(language)).json
        return made["language_code"], made["language_confidence"]

    code, sure = found(None)
    assert code == "de"
    assert sure is not None
    assert 0.7 <= sure <= 1
    assert found("de-AT") == ("de-AT", None)


def test_assemblyai_is_asked_for_everything_and_its_analyses_are_handed_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MEDIAMILL_STT_ENGINE", "assemblyai")
    monkeypatch.setattr(speech_http, "POLL_S", 0.0)
    asked: list[Any] = []

    def service(service: str, path: str, **request: Any) -> Any:
        if path == "/v2/upload":
            return {"upload_url": "https://cdn.example/1"}
        if path == "/v2/transcript":
            asked.append(request["json"])
        word = {"text": "Hello.", "start": 300, "end": 900, "confidence": 0.9, "speaker": "A"}
        feeling = {"text": "Hello.", "start": 300, "end": 900, "sentiment": "POSITIVE", "confidence": 0.8}
        return {
            "id": "abc",
            "status": "completed",
            "language_code": "en",
            "language_confidence": 0.98765,
            "utterances": [{"speaker": "A", "words": [word]}],
            "sentiment_analysis_results": [feeling],
            "auto_highlights_result": {
                "status": "success",
                "results": [{"text": "Hello", "count": 1, "rank": 0.5, "timestamps": [{"start": 300, "end": 900}]}],
            },
        }

    source = voices.write(tmp_path / "said.flac", silence(STARTS_S), passage("meeting").part(0, 8).samples)
    options = transcribe.Options(
        speech_model="nano",
        speakers_expected=3,
        word_boost=("keyset cursor",),
        sentiment_analysis=True,
        auto_highlights=True,
        iab_categories=True,
    )

    done = voices.run("transcribe", options, source, FLAC, tmp_path / "work", remote=service)

    assert asked[0]["speech_models"] == ["nano"]
    assert asked[0]["speakers_expected"] == 3
    assert asked[0]["word_boost"] == ["keyset cursor"]
    assert {name for name in ANALYSES if asked[0].get(name)} == {
        "sentiment_analysis",
        "auto_highlights",
        "iab_categories",
    }
    assert (done.json["language_code"], done.json["language_confidence"]) == ("en", 0.9877)
    [feeling] = done.json["sentiment_analysis_results"]
    assert feeling["start"] == done.json["words"][0]["start"] > 1000 * (STARTS_S - 0.5)
    [phrase] = done.json["auto_highlights_result"]["results"]
    assert phrase["timestamps"][0]["start"] == feeling["start"]
    assert done.json["iab_categories_result"]["status"] == "unavailable"
    assert done.details["word_boost"] == "heeded"
