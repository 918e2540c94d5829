"""What the worker and its children say to each other: msgpack, each message behind its length."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import msgspec

from mediamill.worker.tool import Limits

MESSAGE_LIMIT_BYTES = 64 << 20
"""A child may be hostile; one that says more than this at once is ended."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One task for a child. `inputs`: (path below the slot's `in/`, canonical MIME type, file name).

    urls: where each input was read, for kinds that are told; else none.
    """

    kind: str
    options: dict[str, Any]
    inputs: list[tuple[str, str, str]]
    limits: Limits
    probe: bool = False
    metadata: dict[str, Any] = field(default_factory=dict)
    urls: list[str | None] = field(default_factory=list)


class Message(msgspec.Struct, frozen=True, array_like=True):
    """Base of what a child says."""


class Ready(Message, frozen=True, array_like=True, tag="ready"):
    """The child is confined and waits. `resident_bytes` is its size now."""

    resident_bytes: int


class Unfit(Message, frozen=True, array_like=True, tag="unfit"):
    """The child could not be set up and has ended."""

    reason: str


class Reported(Message, frozen=True, array_like=True, tag="report"):
    """Where the work stands."""

    stage: str
    fraction: float | None


class ToolStarted(Message, frozen=True, array_like=True, tag="tool"):
    """A program runs, in the process group `pgid`."""

    pgid: int


class ToolEnded(Message, frozen=True, array_like=True, tag="tool_ended"):
    """That program and its group are gone."""

    pgid: int


class Made(msgspec.Struct, frozen=True, array_like=True):
    """One output, by its path below the slot's `work/`; or, where `input` is set, that input as it is."""

    path: str
    mime: str
    filename: str
    role: str
    facts: dict[str, Any]
    input: int | None = None


class Finished(Message, frozen=True, array_like=True, tag="finished"):
    """The job is done."""

    outputs: list[Made]
    details: dict[str, Any]
    input_facts: list[dict[str, Any]]
    resident_bytes: int


class Broke(Message, frozen=True, array_like=True, tag="broke"):
    """The job failed. `error` names a class in core.errors, `code` is the exception's own."""

    error: str
    code: str
    message: str
    stage: str
    stderr_tail: str
    private: str
    resident_bytes: int


class Lot(Message, frozen=True, array_like=True, tag="lot"):
    """How each job of a list went, in order."""

    answers: list[Finished | Broke]
    resident_bytes: int


class Shown(Message, frozen=True, array_like=True, tag="shown"):
    """Outputs that are complete while the work goes on; the child does not touch them any more."""

    outputs: list[Made]


class Call(Message, frozen=True, array_like=True, tag="call"):
    """Ask a service that the operator has set up. `file`: (form field, path below the slot's folder, MIME type)."""

    service: str
    method: str
    path: str
    json: Any
    form: dict[str, str] | None
    file: tuple[str, str, str] | None
    timeout_s: float


class Answered(msgspec.Struct, frozen=True, array_like=True):
    """To the child: what the service said, or the name of a class in core.errors and a message."""

    value: Any
    error: str
    message: str


Said = Ready | Unfit | Reported | ToolStarted | ToolEnded | Finished | Broke | Lot | Shown | Call


class Fork(msgspec.Struct, frozen=True, array_like=True):
    """To the nursery: start a child on the two descriptors that come along (job socket, end of its stderr pipe)."""

    number: int
    folder: str


class Hello(Message, frozen=True, array_like=True, tag="hello"):
    """From the nursery: it can start children. `problem` says why it cannot."""

    problem: str


class Started(Message, frozen=True, array_like=True, tag="started"):
    """From the nursery, with a pidfd: the child lives."""

    number: int
    pid: int


class Ended(Message, frozen=True, array_like=True, tag="ended"):
    """From the nursery: the child and all that it had started are gone."""

    number: int
    status: int
    peak_bytes: int


class Setup(msgspec.Struct, frozen=True, kw_only=True):
    """What the nursery is told when it is started."""

    engines: str
    kinds: str
    preload: list[str]
    readable: list[str]
    listable: list[str]
    programs: list[str]


_encoder = msgspec.msgpack.Encoder()


def frame(message: object) -> bytes:
    """A message as bytes with its length before it. Raises TypeError for what JSON cannot say."""
    body = _encoder.encode(message)
    return len(body).to_bytes(4, "big") + body


class Frames:
    """Cuts a stream of bytes into message bodies."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        """The bodies that are whole now. Raises ValueError for one that is too long."""
        buffer = self._buffer
        buffer += chunk
        while len(buffer) >= 4:
            size = int.from_bytes(buffer[:4], "big")
            if size > MESSAGE_LIMIT_BYTES:
                raise ValueError("a message is too long")
            if len(buffer) < 4 + size:
                return
            body = bytes(buffer[4 : 4 + size])
            del buffer[: 4 + size]
            yield body
