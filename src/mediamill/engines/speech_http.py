"""Transcription by a service of the operator's choice: any that speaks OpenAI's `/audio/transcriptions`, or AssemblyAI.

Only what somebody says leaves the machine: a sound without a voice is never sent, and of the others the stretches with
voices go, as FLAC. The worker makes the calls and adds the key.
Source: OpenAI, API reference, Create transcription; AssemblyAI, API reference, Files and Transcripts.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

from mediamill.core.errors import SourceUnreachable, ToolFailed
from mediamill.core.ports import Missing
from mediamill.core.speech import Listening, Quality, Transcriber, Transcript, Turn
from mediamill.engines import _ffmpeg, _speech_answers, _speech_local, _speech_turns, _speech_voice
from mediamill.engines._speech_sound import RATE_HZ
from mediamill.engines._speech_voice import Span

BASE_URL = "MEDIAMILL_STT_BASE_URL"
MODEL = "MEDIAMILL_STT_MODEL"

PART_S = 300.0
"""Five minutes of FLAC are some 6 MB: below every service's limit (OpenAI's is 25 MB), and little to send again."""
JOIN_S = 30.0
CALL_S = 900.0
POLL_S = 3.0
MOST_POLLS = 4800
"""Four hours: AssemblyAI takes up to ten hours of sound, and minutes for each."""
MOST_UNHEARD = 20
"""Looks in a row that a service may leave unanswered: a minute."""
_FLAC = "audio/flac"


class OpenAI(Transcriber):
    """Services that speak OpenAI's protocol: OpenAI itself, vLLM, LocalAI, Speaches, whisper.cpp's server, …"""

    name = "openai"
    rank: ClassVar[int] = 10
    boosts: ClassVar[bool] = True
    quality: ClassVar[Quality] = "full"

    def missing(self) -> Missing | None:
        if not os.environ.get(BASE_URL):
            return Missing(reason="no service that transcribes is set up.", remedy=f"Set {BASE_URL}.")
        return _speech_turns.unchosen(self.name) or _speech_voice.missing()

    def transcribe(self, work: Listening) -> Transcript:
        scene = _speech_local.listen(work, self.cost_s)
        parts = scene.pieces(wanted_s=PART_S, longest_s=PART_S, join_s=JOIN_S)
        total_s = sum(part.length_s for part in parts)
        heard: list[Turn] = []
        languages: list[str] = []
        done_s = 0.0
        form = {
            "model": os.environ.get(MODEL) or "whisper-1",
            "response_format": "verbose_json",
            "timestamp_granularities[]": "word",
            **({} if work.language is None else {"language": work.language}),
            **({"prompt": ", ".join(work.boost)} if work.boost else {}),
        }
        for part in parts:
            path = _flac(work, scene.sound.path, part)
            answer = work.remote(
                "stt", "/audio/transcriptions", form=form, file=("file", path, _FLAC), timeout_s=CALL_S
            )
            path.unlink()
            said, language = _speech_answers.openai(answer, part, scene.spans)
            heard += said
            languages += [language] if language else []
            done_s += part.length_s
            scene.course.waited(done_s / total_s, self.cost_s(total_s))
        turns = scene.turns(heard)
        return Transcript(
            turns=turns,
            languages=_languages(languages, work.language) if turns else (),
            engine=self.name,
            quality=self.quality,
            duration_s=scene.sound.duration_s,
        )


class AssemblyAI(Transcriber):
    """AssemblyAI's service, used when it is chosen by name: sound goes to somebody else, who charges for it."""

    name = "assemblyai"
    rank: ClassVar[int] = 20
    boosts: ClassVar[bool] = True
    quality: ClassVar[Quality] = "full"

    def missing(self) -> Missing | None:
        if os.environ.get(_speech_turns.ENGINE) != self.name:
            return Missing(
                reason="AssemblyAI is not chosen.",
                remedy=f"Set {_speech_turns.ENGINE}=assemblyai and MEDIAMILL_ASSEMBLYAI_API_KEY.",
            )
        return _speech_voice.missing()

    def transcribe(self, work: Listening) -> Transcript:
        # The service knows the speakers itself.
        scene = _speech_local.listen(replace(work, apart=False), self.cost_s)
        if not scene.spans:
            return Transcript(engine=self.name, quality=self.quality, duration_s=scene.sound.duration_s)
        whole = Span(scene.spans[0].start_s, scene.spans[-1].end_s)
        path = _flac(work, scene.sound.path, whole)
        sent = work.remote(
            "assemblyai", "/v2/upload", file=("file", path, "application/octet-stream"), timeout_s=CALL_S
        )
        path.unlink()
        scene.course.waited(0.2, self.cost_s(whole.length_s))
        told = {"language_code": work.language} if work.language else {"language_detection": True}
        asked: dict[str, Any] = {"audio_url": _speech_answers.text(sent, "upload_url"), "speaker_labels": True, **told}
        asked.update({name: True for name in sorted(work.analyses)})
        if work.speakers is not None:
            asked["speakers_expected"] = work.speakers
        if work.boost:
            asked["word_boost"] = list(work.boost)
        if work.model is not None:
            asked["speech_models"] = [work.model]
        answer = self._answer(work, scene, work.remote("assemblyai", "/v2/transcript", json=asked), whole.length_s)
        turns = scene.turns(_speech_answers.assemblyai(answer, whole), told_apart=True)
        language = str(answer.get("language_code") or "")[:2]
        sure = answer.get("language_confidence")
        return Transcript(
            turns=turns,
            languages=_languages([language] if language else [], work.language) if turns else (),
            language_confidence=float(sure) if turns and isinstance(sure, int | float) else None,
            engine=self.name,
            quality=self.quality,
            duration_s=scene.sound.duration_s,
            analyses=_speech_answers.analyses(answer, work.analyses, whole),
        )

    def _answer(self, work: Listening, scene: _speech_local.Scene, answer: Any, length_s: float) -> dict[str, Any]:
        """The transcript once it is ready. Raises ToolFailed with the service's own words."""
        id = _speech_answers.text(answer, "id")
        if re.fullmatch(r"[A-Za-z0-9_-]{1,100}", id) is None:
            raise _speech_answers.unreadable()
        unheard = 0
        for polled in range(MOST_POLLS):
            status = answer.get("status") if isinstance(answer, dict) else None
            if status == "completed":
                return dict(answer)
            if status == "error":
                raise ToolFailed(f"AssemblyAI could not transcribe it: {str(answer.get('error'))[:300]}")
            # It says nothing of how far it is; it takes about a tenth of the sound's length, and seldom less than 15 s.
            waited_s = polled * POLL_S
            done = 0.2 + 0.75 * waited_s / (waited_s + max(15.0, length_s / 10))
            scene.course.waited(done, self.cost_s(length_s))
            time.sleep(POLL_S)
            try:
                answer = work.remote("assemblyai", f"/v2/transcript/{id}", method="GET")
                unheard = 0
            except SourceUnreachable:
                unheard += 1  # it goes on meanwhile: to begin anew would be paid for again
                if unheard == MOST_UNHEARD:
                    raise
        raise ToolFailed("AssemblyAI did not finish.")


def _flac(work: Listening, sound: Path, part: Span) -> Path:
    """A part of the decoded sound as a file to send."""
    path = work.scratch / "part.flac"
    work.tools.run(
        [
            *(_ffmpeg.binary(), "-hide_banner", "-nostdin", "-y", "-v", "error"),
            *("-protocol_whitelist", "file,pipe", "-f", "s16le", "-ar", str(RATE_HZ), "-ac", "1"),
            *("-ss", _ffmpeg.seconds(part.start_s), "-t", _ffmpeg.seconds(part.length_s), "-i", _ffmpeg.url(sound)),
            *("-c:a", "flac", _ffmpeg.url(path)),
        ],
        name="ffmpeg",
    )
    return path


def _languages(found: Sequence[str], given: str | None) -> tuple[str, ...]:
    return tuple(dict.fromkeys(found)) or ((given,) if given else ())


PROVIDES = (OpenAI(), AssemblyAI())
