"""Every way a thing can go wrong, named once. Dialects word them; the core has no HTTP words.

MediamillError                code, retryable; str() is safe to show a caller
├─ Rejected                   the request cannot be taken
│  ├─ Invalid                 (field, reason)
│  │  ├─ Unsupported          this pair, kind or option cannot be done at all
│  │  ├─ Unavailable          could be done, but not on this install (remedy says how)
│  │  ├─ AddressRefused       a URL that is never fetched: of a private network, say
│  │  └─ ConnectionRequired   an s3:// URL, and no connection to open it with
│  ├─ NotFound · Conflict · Denied
│  │  ├─ IdempotencyMismatch  (Conflict) the key was used for another body
│  │  ├─ Paused               (Conflict) the automation is switched off
│  │  ├─ Unauthorized         (Denied) no or bad credentials
│  │  └─ Expired              (Denied) a signed URL whose time or signature is off
│  ├─ TooLarge                a size limit
│  └─ LimitReached            (retry_after_s)
│     └─ QuotaReached         what a project may have of this month is used up
├─ Failed                     accepted work that did not succeed; `family` is input | tool | limit | source | internal
│  ├─ BadMedia                input: the bytes cannot be read as what they claim to be
│  │  ├─ NoVideo · NoSound    it has no such track
│  │  ├─ NoFace · NoSubject   it shows nobody the work could be done on
│  │  └─ RangeEmpty           the part asked for lies beyond its end
│  ├─ LimitExceeded           limit: memory, CPU seconds, output or scratch bytes
│  ├─ TimedOut                limit: wall clock
│  ├─ ToolFailed *            tool: a program or library crashed or said no without a better name
│  ├─ SourceRefused           source: an address or an answer that is never allowed
│  │  ├─ SourceNotFound       its server says that there is no such thing
│  │  └─ SourceTooLarge       it has more bytes than the limit
│  ├─ SourceUnreachable *     source: a fetch that may work later
│  ├─ DestinationFailed       source: a bucket that would not take a result
│  │  └─ DestinationAway *    it could not be reached, or was too busy
│  ├─ OutOfSpace *            internal: the disk is full
│  ├─ OutOfReach *            internal: the bucket of our files refuses us
│  ├─ WorkerLost *            internal: the process doing the work went away
│  ├─ Interrupted *           internal: the server was stopped while it worked
│  ├─ SystemFailure           internal: our own fault
│  ├─ RunnerNotConfigured     a prompt, and nothing that could run it
│  ├─ LlmHttpError            tool: the model's endpoint said no
│  │  └─ LlmBusy *            it may say yes later
│  ├─ LlmTimeout *            tool: it took too long
│  ├─ CallFailed *            a function call that broke, not one that was refused
│  ├─ StepLimit · TokenLimit · CostLimit   limit: a run did, read or cost more than it may
│  └─ Cancelled               the caller asked for it
├─ DatabaseAway *             what was asked is not done
│  ├─ OutcomeUnknown          it may be
│  ├─ StorageFull             the disk is full: of the database, or of the files
│  └─ StorageAway             the bucket of our files does not answer
│     └─ StorageRefused       it refuses us
└─ Misconfigured              names the setting, the value's format and the doc page; stops the start
                              (* retryable)
"""

from __future__ import annotations

import errno
from typing import ClassVar


class MediamillError(Exception):
    """Base of all. `str()` may be shown to a caller; private detail rides in `__cause__` and goes to logs only."""

    code: ClassVar[str] = "internal_error"
    retryable: ClassVar[bool] = False


class Rejected(MediamillError):
    """The request was not taken; nothing was stored."""

    code = "rejected"


class Invalid(Rejected):
    """A field does not hold what it must. `field` is a dotted path into the request, "" for the whole."""

    code = "invalid"

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(f"{field}: {reason}" if field else reason)
        self.field = field
        self.reason = reason


class AddressRefused(Invalid):
    """A URL at an address that nothing is fetched from here; told before any look-up."""

    code = "address_refused"


class Unsupported(Invalid):
    """Well-formed, but nothing here or elsewhere in Mediamill does it."""

    code = "unsupported"


class Unavailable(Invalid):
    """Mediamill can do it, this install cannot: an engine or a package is missing. `remedy` says what to do."""

    code = "unavailable"

    def __init__(self, field: str, reason: str, remedy: str) -> None:
        super().__init__(field, f"{reason} {remedy}".strip())
        self.remedy = remedy


class ConnectionRequired(Invalid):
    """An s3:// URL needs a connection, none is named, and the project has no default."""

    code = "connection_required"

    def __init__(self, field: str) -> None:
        super().__init__(field, "is in a bucket: name a connection, or make one the project's default.")


class NotFound(Rejected):
    """No such thing for this caller; another project's ids answer the same."""

    code = "not_found"

    def __init__(self, noun: str, id: str) -> None:
        super().__init__(f"No {noun} {id!r}.")
        self.noun = noun
        self.id = id


class Conflict(Rejected):
    """The thing is in a state that forbids this, or the key was used for another body."""

    code = "conflict"


class IdempotencyMismatch(Conflict):
    """The idempotency key was used before with a different body."""

    code = "idempotency_mismatch"


class Paused(Conflict):
    """The automation is switched off."""

    code = "automation_paused"


class Denied(Rejected):
    """The caller may not do this."""

    code = "denied"


class Unauthorized(Denied):
    """No credentials, or none that we know."""

    code = "unauthorized"


class Expired(Denied):
    """A signed URL whose time has passed or whose signature does not fit."""

    code = "bad_signature"


class TooLarge(Rejected):
    """More bytes than the limit allows."""

    code = "too_large"


class LimitReached(Rejected):
    """Too much at once; try again after `retry_after_s`."""

    code = "rate_limited"

    def __init__(self, reason: str, retry_after_s: float) -> None:
        super().__init__(reason)
        self.retry_after_s = retry_after_s


class QuotaReached(LimitReached):
    """What a project may have of this month is used up, or would be with this."""

    code = "quota_exceeded"


class Failed(MediamillError):
    """Accepted work that did not succeed. Recorded on the attempt with stage, `family` (the class) and `code`."""

    code = "failed"
    family: ClassVar[str] = "internal"
    stage: str | None = None
    """Where it happened, as last reported: probe, work, encode, …"""
    stderr_tail: str = ""
    """The last lines the tool or the process wrote, for the attempt's record."""
    private: str = ""
    """A trace for the log, never for a caller."""
    name: str | None = None
    """Of an error in a runner: what it is called."""
    stack: str | None = None
    """Where in a runner it happened, safe to show."""
    retry_in_s: float | None = None
    """When to try again; None: as the worker does."""
    retry_first_s: ClassVar[float] = 0.0
    """The worker's first wait is at least so long."""


class BadMedia(Failed):
    """The input cannot be read as what it claims to be."""

    code = "bad_media"
    family = "input"


class NoSound(BadMedia):
    """The work needs a sound track and the input has none."""

    code = "no_audio_stream"


class NoVideo(BadMedia):
    """The input has no pictures, and the work needs some."""

    code = "no_video_stream"


class NoFace(BadMedia):
    """The work needs a face, and no picture of the input shows one."""

    code = "no_face_detected"


class NoSubject(BadMedia):
    """Nothing in the input can be told from its background here."""

    code = "no_subject_found"


class RangeEmpty(BadMedia):
    """The part asked for lies beyond the end of the input."""

    code = "range_empty"


class LimitExceeded(Failed):
    """The work wanted more memory, CPU seconds, output or scratch bytes than its limits."""

    code = "limit_exceeded"
    family = "limit"


class TimedOut(Failed):
    """The work ran out of wall-clock time."""

    code = "timed_out"
    family = "limit"


class ToolFailed(Failed):
    """A tool crashed or refused."""

    code = "tool_failed"
    family = "tool"
    retryable = True

    def __init__(self, reason: str, stderr_tail: str = "") -> None:
        super().__init__(reason)
        self.stderr_tail = stderr_tail


class SourceRefused(Failed):
    """The source's address or answer is one we never accept (scheme, private address, endless redirects)."""

    code = "source_refused"
    family = "source"


class SourceNotFound(SourceRefused):
    """The source's server says that there is no such thing."""

    code = "source_not_found"


class SourceTooLarge(SourceRefused):
    """The source has more bytes than the limit allows."""

    code = "source_too_large"


class SourceUnreachable(Failed):
    """The source did not answer as it should; it may later."""

    code = "source_unreachable"
    family = "source"
    retryable = True


class DestinationFailed(Failed):
    """The bucket that was to get the result refused it, or its address is one we never speak to."""

    code = "destination_failed"
    family = "source"


class DestinationAway(DestinationFailed):
    """The bucket that was to get the result could not be reached; it may later."""

    code = "destination_unreachable"
    retryable = True


class OutOfSpace(Failed):
    """The disk of the machine that did the work is full."""

    code = "out_of_space"
    retryable = True
    retry_first_s = 60.0
    """Somebody has to make room; retention and others' ends do, too, but not at once."""

    def __init__(self, reason: str = "The disk of this machine is full.") -> None:
        super().__init__(reason)


class OutOfReach(Failed):
    """The storage of files refused the machine that did the work."""

    code = "out_of_reach"
    retryable = True
    retry_first_s = 60.0
    """Somebody has to give it back its rights."""

    def __init__(self, reason: str = "The storage of files refuses this machine.") -> None:
        super().__init__(reason)


class WorkerLost(Failed):
    """The process doing the work went away before it could say how it ended."""

    code = "worker_lost"
    retryable = True


class Interrupted(Failed):
    """The server was stopped in order while this was at work."""

    code = "interrupted"
    retryable = True
    name = "InterruptedError"


class SystemFailure(Failed):
    """A fault of our own."""

    code = "system_failure"
    name = "SystemFailure"


class RunnerNotConfigured(Failed):
    """Nothing here can run a prompt until the operator sets it up; the message says what to set."""

    code = "runner_not_configured"
    name = "RunnerNotConfigured"


class LlmHttpError(Failed):
    """A language model's endpoint refused, or answered what is no answer."""

    code = "llm_http_error"
    family = "tool"
    name = "LlmHttpError"


class LlmBusy(LlmHttpError):
    """A language model's endpoint could not be reached or asked for patience."""

    code = "llm_busy"
    retryable = True


class LlmTimeout(Failed):
    """A language model took longer than it may."""

    code = "llm_timeout"
    family = "tool"
    retryable = True
    name = "LlmTimeout"


class CallFailed(Failed):
    """A function call of a run broke; one that was merely refused is told to the model instead."""

    code = "call_failed"
    retryable = True
    name = "CallFailed"


class StepLimit(Failed):
    """A run would take more steps than it may."""

    code = "step_limit"
    family = "limit"
    name = "StepLimit"


class TokenLimit(Failed):
    """A run would read and write more tokens than it may."""

    code = "token_limit"
    family = "limit"
    name = "TokenLimit"


class CostLimit(Failed):
    """A run would cost more than it may."""

    code = "cost_limit"
    family = "limit"
    name = "CostLimit"


class Cancelled(Failed):
    """Stopped because a caller asked."""

    code = "cancelled"


class DatabaseAway(MediamillError):
    """The database does not answer just now: what was asked is not done, and the same request may do later."""

    code = "database_away"
    retryable = True
    retry_after_s: ClassVar[float] = 5.0

    said: ClassVar[str] = "The database cannot be reached just now. This was not done; try again."

    def __init__(self) -> None:
        super().__init__(self.said)


class OutcomeUnknown(DatabaseAway):
    """The database went away before it said whether it had stored what it was asked to."""

    code = "outcome_unknown"
    said = (
        "The database went away before it said whether this was done. "
        "Look first, or send it again with the same idempotency key."
    )


class StorageFull(DatabaseAway):
    """The disk is full, and so nothing is taken until there is room: of the database's own, or of the stored files."""

    code = "storage_full"
    retry_after_s = 30.0
    said = "The server has no space left to store this. It was not done; try again later."


class StorageAway(DatabaseAway):
    """The bucket that the files lie in does not answer just now: what was asked is not done, and may be done later."""

    code = "storage_away"
    said = "The storage of files cannot be reached just now. This was not done; try again."


class StorageRefused(StorageAway):
    """The bucket that the files lie in answers, and lets us not do what we need to: an operator has to look."""

    code = "storage_refused"
    retry_after_s = 60.0
    said = "The storage of files refuses the server. This was not done; try again later."


class Misconfigured(MediamillError):
    """A setting that cannot be worked with; the message names it, its format and its page in the docs."""

    code = "misconfigured"

    def __init__(self, setting: str, reason: str, remedy: str = "") -> None:
        super().__init__(f"{setting}: {reason} {remedy}".strip())
        self.setting = setting
        self.remedy = remedy


def is_full(error: BaseException) -> bool:
    """Whether it says that a disk, or somebody's share of it, is full."""
    return isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)
