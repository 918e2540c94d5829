"""The kind `speech` with services: what is sent, and what is made of every shape of answer. The service is a function
here, as the worker's end of `ctx.remote` is to a kind."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from tests.support import av, voices
from tests.support.voices import passage, silence

from mediamill.core.errors import ToolFailed
from mediamill.engines import speech_http
from mediamill.kinds import speech

SPOKEN_S = passage("meeting").part(0, 8).duration_s
STARTS_S = 2.0
MARGIN_S = 0.3
"""The stretch that is sent begins a little before the voice."""


@dataclass
class Service:
    """Answers calls by `answer`, and keeps them."""

    answer: Callable[[str, str], Any]
    calls: list[dict[str, Any]] = field(default_factory=list)
    sent_s: list[float] = field(default_factory=list)

    def __call__(
        self,
        service: str,
        path: str,
        *,
        json: Any = None,
        form: Mapping[str, str] | None = None,
        file: tuple[str, Path, str] | None = None,
        method: str = "POST",
        timeout_s: float = 120.0,
    ) -> Any:
        if file is not None:
            samples, rate_hz = av.samples(file[1])
            assert (rate_hz, samples.shape[0]) == (16_000, 1)
            self.sent_s.append(samples.shape[1] / rate_hz)
        self.calls.append({"service": service, "path": path, "json": json, "form": form, "method": method})
        return self.answer(method, path)


@pytest.fixture
def openai(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEDIAMILL_STT_BASE_URL", "http://127.0.0.1:9/v1")
    monkeypatch.setenv("MEDIAMILL_STT_MODEL", "small")


@pytest.fixture
def assemblyai(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEDIAMILL_STT_ENGINE", "assemblyai")
    monkeypatch.setattr(speech_http, "POLL_S", 0.0)


def hear(tmp_path: Path, service: Service, *parts: voices.Samples, language: str | None = None) -> voices.Done:
    parts = parts or (silence(STARTS_S), passage("meeting").part(0, 8).samples, silence(2.0))
    source = voices.write(tmp_path / "said.flac", *parts)
    options = speech.Options(language=language)
    return voices.run("speech", options, source, "audio/flac", tmp_path / "work", remote=service)


def words(*texts: str, end_s: float = 2.2) -> list[dict[str, Any]]:
    """Words shared evenly over the stretch, as OpenAI gives them."""
    step = end_s / len(texts)
    return [{"word": text, "start": at * step, "end": (at + 1) * step} for at, text in enumerate(texts)]


@pytest.mark.usefixtures("openai")
def test_only_the_stretch_with_a_voice_is_sent_and_with_the_operators_model(tmp_path: Path) -> None:
    service = Service(lambda method, path: {"text": "Welcome.", "words": words("Welcome"), "language": "english"})

    done = hear(tmp_path, service, language="en")

    [call] = service.calls
    assert (call["service"], call["path"], call["method"]) == ("stt", "/audio/transcriptions", "POST")
    assert call["form"] == {
        "model": "small",
        "response_format": "verbose_json",
        "timestamp_granularities[]": "word",
        "language": "en",
    }
    assert SPOKEN_S <= service.sent_s[0] <= SPOKEN_S + 2 * MARGIN_S
    assert (done.details["engine"], done.details["quality"]) == ("openai", "full")


@pytest.mark.usefixtures("openai")
def test_words_get_the_texts_punctuation_and_the_times_of_the_whole_sound(tmp_path: Path) -> None:
    said = ("Welcome", "to", "the", "second", "part")
    answer = {"text": "Welcome. To the second part!", "words": words(*said), "language": "english"}

    found = hear(tmp_path, Service(lambda method, path: answer)).json

    assert (found["languages"], found["text"]) == (["en"], ["Welcome.", "To the second part!"])
    heard = [word for turn in found["timeline"] for word in turn["words"]]
    assert [word["text"] for word in heard] == ["Welcome.", "To", "the", "second", "part!"]
    assert abs(heard[0]["start"] - STARTS_S) < MARGIN_S
    assert all(one["end"] <= other["start"] + 0.001 for one, other in itertools.pairwise(heard))


SEGMENTS = [
    {"start": 0.1, "end": 1.0, "text": " Welcome to the", "avg_logprob": -0.1},
    {"start": 1.0, "end": 2.2, "text": " second part.", "words": words("second", "part.")},
    {"start": 2.2, "end": 2.2, "text": " "},
]
SHAPES = {
    "segments": ({"text": "…", "segments": SEGMENTS, "language": "en"}, ["Welcome to the", "second part."], ["en"]),
    "text alone": ({"text": "Welcome to it. And so on."}, ["Welcome to it.", "And so on."], []),
    "no words": ({"text": "", "words": [], "segments": []}, [], []),
    "null lists": ({"text": "Welcome.", "words": None, "segments": None, "language": None}, ["Welcome."], []),
    "odd times": (
        {"text": "a b", "words": [{"word": "a", "start": -5, "end": 9}, {"word": "b", "start": 0.5, "end": 0.1}]},
        ["a b"],
        [],
    ),
}


@pytest.mark.usefixtures("openai")
@pytest.mark.parametrize("shape", SHAPES)
def test_every_shape_of_answer_gives_turns_within_the_sound(shape: str, tmp_path: Path) -> None:
    answer, texts, languages = SHAPES[shape]

    found = hear(tmp_path, Service(lambda method, path: answer)).json

    assert (found["text"], found["languages"]) == (texts, languages)
    for turn in found["timeline"]:
        assert 0 <= turn["start"] <= turn["end"] <= STARTS_S + SPOKEN_S + 2.0
        for word in turn.get("words", ()):
            assert turn["start"] <= word["start"] <= word["end"] <= turn["end"]


@pytest.mark.usefixtures("openai")
@pytest.mark.parametrize(
    "answer",
    [
        None,
        [],
        "text",
        {},
        {"text": 3},
        {"text": "a", "words": "a"},
        {"text": "a", "words": [3]},
        {"text": "a", "words": [{"word": "a", "start": "0", "end": 1}]},
        {"text": "a", "words": [{"word": "a", "start": float("nan"), "end": 1}]},
        {"text": "a", "segments": [{"text": "a"}]},
    ],
    ids=str,
)
def test_an_answer_in_no_known_shape_is_a_failure_of_the_tool(answer: Any, tmp_path: Path) -> None:
    with pytest.raises(ToolFailed, match="cannot be read"):
        hear(tmp_path, Service(lambda method, path: answer))


@pytest.mark.usefixtures("openai")
def test_what_a_service_says_where_nobody_speaks_is_dropped(tmp_path: Path) -> None:
    parts = (passage("meeting").part(0, 4).samples, silence(8.0), passage("meeting").part(0, 4).samples)
    invented = {"word": "subscribe", "start": 4.0, "end": 6.0}
    answer = {"text": "welcome subscribe", "words": [*words("welcome", end_s=1.0), invented]}

    assert hear(tmp_path, Service(lambda method, path: answer), *parts).json["text"] == ["welcome"]


@pytest.mark.usefixtures("openai")
def test_nothing_is_sent_of_a_sound_without_a_voice(tmp_path: Path) -> None:
    service = Service(lambda method, path: {"text": "Thank you for watching!"})

    assert hear(tmp_path, service, voices.no_speech("music")).json["timeline"] == []
    assert service.calls == []


@pytest.mark.usefixtures("openai")
def test_a_long_sound_goes_in_parts_that_are_put_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(speech_http, "PART_S", 4.0)
    monkeypatch.setattr(speech_http, "JOIN_S", 0.6)
    service = Service(lambda method, path: {"text": "Welcome.", "words": words("Welcome", end_s=1.0)})
    spoken = passage("meeting").part(0, 8).samples

    done = hear(tmp_path, service, *(part for _ in range(3) for part in (spoken, silence(1.0))))

    assert len(service.calls) == 3
    starts = [turn["start"] for turn in done.json["timeline"]]
    assert [round(start / (SPOKEN_S + 1.0)) for start in starts] == [0, 1, 2]
    fractions = [fraction for _, fraction in done.reports if fraction is not None]
    assert fractions == sorted(fractions)


@pytest.mark.usefixtures("openai")
def test_the_voices_of_a_service_without_speakers_are_told_apart_here(tmp_path: Path) -> None:
    his, hers = passage("harbour").part(0, 13), passage("meeting").part(0, 15)
    total_s = his.duration_s + 0.5 + hers.duration_s
    answer = {
        "text": "one two",
        "words": [*words("one", end_s=2.0), {"word": "two", "start": total_s - 2, "end": total_s}],
    }

    found = hear(tmp_path, Service(lambda method, path: answer), his.samples, silence(0.5), hers.samples).json

    assert [(turn["text"], turn["speaker"]) for turn in found["timeline"]] == [("one", 0), ("two", 1)]


def transcript(status: str = "completed", **more: Any) -> dict[str, Any]:
    """An answer of AssemblyAI's; its times are milliseconds."""
    hello = {"text": "Welcome.", "start": 100, "end": 900, "confidence": 0.9, "speaker": "B"}
    thanks = {"text": "Thanks.", "start": 1200, "end": 2000, "confidence": 0.8, "speaker": "A"}
    utterances = [{"speaker": word["speaker"], "words": [word]} for word in (hello, thanks)]
    return {"id": "abc-1", "status": status, "language_code": "en_us", "utterances": utterances, **more}


def answering(*polled: dict[str, Any]) -> Service:
    """AssemblyAI: an upload, a transcript that is queued, and what polling it gives."""
    left = list(polled)

    def answer(method: str, path: str) -> Any:
        if path == "/v2/upload":
            return {"upload_url": "https://cdn.example/1"}
        return {"id": "abc-1", "status": "queued"} if method == "POST" else left.pop(0)

    return Service(answer)


@pytest.mark.usefixtures("assemblyai")
def test_assemblyai_is_sent_the_sound_asked_and_polled(tmp_path: Path) -> None:
    service = answering({"status": "processing"}, transcript())

    done = hear(tmp_path, service)

    assert [(call["method"], call["path"]) for call in service.calls] == [
        ("POST", "/v2/upload"),
        ("POST", "/v2/transcript"),
        ("GET", "/v2/transcript/abc-1"),
        ("GET", "/v2/transcript/abc-1"),
    ]
    assert service.calls[0]["form"] is None
    assert service.calls[1]["json"] == {
        "audio_url": "https://cdn.example/1",
        "speaker_labels": True,
        "language_detection": True,
    }
    assert done.details["engine"] == "assemblyai"
    assert (done.json["languages"], done.json["speakers"]) == (["en"], 2)
    assert [(turn["text"], turn["speaker"]) for turn in done.json["timeline"]] == [("Welcome.", 0), ("Thanks.", 1)]
    assert abs(done.json["timeline"][0]["start"] - STARTS_S - 0.1) < MARGIN_S


@pytest.mark.usefixtures("assemblyai")
def test_assemblyai_is_told_the_language_when_it_is_known(tmp_path: Path) -> None:
    service = answering(transcript())

    hear(tmp_path, service, language="fr")

    assert service.calls[1]["json"] == {
        "audio_url": "https://cdn.example/1",
        "speaker_labels": True,
        "language_code": "fr",
    }


@pytest.mark.usefixtures("assemblyai")
def test_what_assemblyai_complains_of_is_told(tmp_path: Path) -> None:
    with pytest.raises(ToolFailed, match="bad sound"):
        hear(tmp_path, answering({"status": "error", "error": "bad sound"}))


@pytest.mark.usefixtures("assemblyai")
def test_an_id_that_would_lead_elsewhere_is_refused(tmp_path: Path) -> None:
    service = Service(
        lambda method, path: {"upload_url": "https://cdn.example/1", "id": "../../v1/keys", "status": "x"}
    )

    with pytest.raises(ToolFailed, match="cannot be read"):
        hear(tmp_path, service)


@pytest.mark.usefixtures("assemblyai")
def test_assemblyai_that_never_finishes_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(speech_http, "MOST_POLLS", 3)

    with pytest.raises(ToolFailed, match="did not finish"):
        hear(tmp_path, answering(*({"status": "processing"} for _ in range(3))))
