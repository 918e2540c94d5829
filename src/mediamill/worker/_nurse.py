"""The worker's ends of the nursery's control socket and of each child's connection."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import msgspec

from mediamill.core.errors import Misconfigured, WorkerLost
from mediamill.worker import _tree
from mediamill.worker.child import as_environment
from mediamill.worker.messages import (
    Answered,
    Broke,
    Call,
    Ended,
    Finished,
    Fork,
    Frames,
    Hello,
    Job,
    Lot,
    Ready,
    Reported,
    Said,
    Setup,
    Shown,
    Started,
    ToolEnded,
    ToolStarted,
    Unfit,
    frame,
)

TAIL_BYTES = 8192
READY_S = 30.0
_CHUNK = 65536
_THROTTLE_S = 0.01
"""Pause after a full read of a child's stderr, so that one that floods it does not take the event loop."""

OnReport = Callable[[str, float | None], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ears:
    """Who hears what a child says while it works. None: nobody, and what it asks for is refused."""

    report: OnReport
    shown: Callable[[Shown], None] | None = None
    call: Callable[[Call], Awaitable[Answered]] | None = None


@dataclass(frozen=True, slots=True)
class Gone:
    """A child has ended with all it had started. `status` as subprocess counts it; None when nobody could tell."""

    status: int | None
    peak_bytes: int


class Child(asyncio.Protocol):
    """One child as its worker sees it."""

    def __init__(self, stderr: int) -> None:
        loop = asyncio.get_running_loop()
        self._loop = loop
        self.pid = 0
        self.killed = False
        self.stage = ""
        self.resident_bytes = 0
        self.groups: set[int] = set()
        self.gone: asyncio.Future[Gone] = loop.create_future()
        self._ready: asyncio.Future[str] = loop.create_future()
        self._pidfd = -1
        self._transport: asyncio.Transport | None = None
        self._frames = Frames()
        self._said = msgspec.msgpack.Decoder(Said)
        self._answer: asyncio.Future[Finished | Broke | Lot | Gone] | None = None
        self._ears: Ears | None = None
        self._calls: set[asyncio.Task[None]] = set()
        self._stderr = stderr
        self._tail = bytearray()
        loop.add_reader(stderr, self._listen)

    @property
    def serves(self) -> bool:
        """Whether it has said that it is ready."""
        return self._ready.done() and not self._ready.result()

    async def ready(self) -> None:
        """Wait until it serves. Raises WorkerLost when it never will."""
        try:
            # Not wait_for: in Python 3.11 it loses a cancellation that comes together with the result.
            async with asyncio.timeout(READY_S):
                problem = await asyncio.shield(self._ready)
        except TimeoutError:
            self.kill()
            problem = "it did not answer"
        if problem:
            lost = WorkerLost("A process for the work could not be started.")
            lost.private = problem
            lost.stderr_tail = self.take_tail()
            raise lost

    async def do(self, job: Job | Sequence[Job], ears: Ears) -> Finished | Broke | Lot | Gone:
        """Have a job, or several small ones, done. A child that ends first answers with Gone, when nothing of it is
        left."""
        if self.gone.done():
            return self.gone.result()
        assert self._transport is not None
        self.stage, self._ears = "", ears
        self._answer = self._loop.create_future()
        try:
            self._transport.write(frame(job))
            return await self._answer
        finally:
            self._answer = self._ears = None
            for call in self._calls:
                call.cancel()

    def kill(self) -> None:
        """End it now; `gone` tells when it and all below it have ended."""
        self.killed = True
        if self._pidfd >= 0:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)

    def take_tail(self) -> str:
        """The last it wrote to stderr and stdout; the next call gives what came since."""
        if self._stderr >= 0:
            self._read_stderr()
        tail = bytes(self._tail)
        self._tail.clear()
        return tail.decode("utf-8", "replace")

    def born(self, pid: int, pidfd: int) -> None:
        """The nursery has forked it."""
        self.pid, self._pidfd = pid, pidfd
        if self.killed:
            self.kill()

    def buried(self, gone: Gone) -> None:
        """The nursery has seen its end."""
        if self.gone.done():
            return
        self._read_stderr()
        self._loop.remove_reader(self._stderr)
        os.close(self._stderr)
        if self._pidfd >= 0:
            os.close(self._pidfd)
        self._stderr = self._pidfd = -1
        if self._transport is not None:
            self._transport.close()
        self.gone.set_result(gone)
        self._settle(gone)
        if not self._ready.done():
            self._ready.set_result("it ended at once")

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is none by inheritance

    def data_received(self, data: bytes) -> None:
        try:
            for body in self._frames.feed(data):
                self._hear(self._said.decode(body))
        except (ValueError, msgspec.MsgspecError):  # it has been taken over, or has lost its mind
            self.kill()

    def connection_lost(self, exc: Exception | None) -> None:
        self.kill()

    def _hear(self, said: Said) -> None:
        match said:
            case Reported():
                self.stage = said.stage
                if self._ears is not None:
                    self._ears.report(said.stage, said.fraction)
            case Shown():
                if self._ears is not None and self._ears.shown is not None:
                    self._ears.shown(said)
            case Call():
                task = self._loop.create_task(self._serve(said))
                self._calls.add(task)
                task.add_done_callback(self._calls.discard)
            case Finished() | Broke() | Lot():
                self.resident_bytes = said.resident_bytes
                self._settle(said)
            case ToolStarted():
                self.groups.add(said.pgid)
            case ToolEnded():
                self.groups.discard(said.pgid)
            case Ready():
                self.resident_bytes = said.resident_bytes
                if not self._ready.done():
                    self._ready.set_result("")
            case Unfit():
                if not self._ready.done():
                    self._ready.set_result(said.reason)

    async def _serve(self, call: Call) -> None:
        answer = Answered(None, "ToolFailed", f"The service {call.service} is not set up here.")
        if self._ears is not None and self._ears.call is not None:
            answer = await self._ears.call(call)
        if self._transport is not None and not self.killed:
            self._transport.write(frame(answer))

    def _settle(self, answer: Finished | Broke | Lot | Gone) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_result(answer)

    def _listen(self) -> None:
        if self._read_stderr() == _CHUNK:
            self._loop.remove_reader(self._stderr)
            self._loop.call_later(_THROTTLE_S, self._listen_again)

    def _listen_again(self) -> None:
        if self._stderr >= 0:
            self._loop.add_reader(self._stderr, self._listen)

    def _read_stderr(self) -> int:
        try:
            chunk = os.read(self._stderr, _CHUNK)
        except BlockingIOError:
            return 0
        if not chunk:  # every writer is gone
            self._loop.remove_reader(self._stderr)
        self._tail += chunk
        del self._tail[:-TAIL_BYTES]
        return len(chunk)


class Nurse:
    """Starts children through the nursery, and a nursery when there is none."""

    def __init__(self, setup: Setup, environment: Mapping[str, str]) -> None:
        self.pools = 0
        self._setup = setup
        self._environment = environment
        self._process: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None
        self._opening = asyncio.Lock()
        self._hello: asyncio.Future[str] | None = None
        self._children: dict[int, Child] = {}
        self._number = 0

    @property
    def is_open(self) -> bool:
        """Whether there is a nursery now."""
        return self._control is not None

    async def open(self) -> None:
        """Have a nursery. Raises Misconfigured when it cannot do its work here."""
        async with self._opening:
            if self._control is not None:
                return
            await self._wait()
            ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            with theirs:
                self._process = subprocess.Popen(  # noqa: ASYNC220, S603 - 2 ms, once; the argv is ours
                    [
                        sys.executable,
                        "-P",
                        "-c",
                        "from mediamill.worker.nursery import main; main()",
                        str(theirs.fileno()),
                        msgspec.json.encode(self._setup).decode(),
                    ],
                    env=as_environment(self._environment),
                    stdin=subprocess.DEVNULL,
                    pass_fds=[theirs.fileno()],
                    start_new_session=True,
                )
            ours.setblocking(False)
            self._control = ours
            loop = asyncio.get_running_loop()
            self._hello = loop.create_future()
            loop.add_reader(ours.fileno(), self._listen)
            try:
                async with asyncio.timeout(READY_S):
                    problem = await asyncio.shield(self._hello)
            except TimeoutError:
                problem = "the process that starts children did not answer"
            if problem:
                await self.close()
                raise Misconfigured("worker", problem)

    async def start(self, folder: Path) -> Child:
        """A new child on a slot's folder; `ready()` waits for it."""
        await self.open()
        assert self._control is not None
        ours, theirs = socket.socketpair()
        tail, stderr = os.pipe()
        os.set_blocking(tail, False)
        self._number += 1
        child = self._children[self._number] = Child(tail)
        try:
            order = msgspec.msgpack.encode(Fork(self._number, str(folder)))
            socket.send_fds(self._control, [order], [theirs.fileno(), stderr])
        except OSError:  # the nursery has just died; the next start makes another
            del self._children[self._number]
            child.buried(Gone(None, 0))
        finally:
            theirs.close()
            os.close(stderr)
        ours.setblocking(False)
        try:
            await asyncio.get_running_loop().create_unix_connection(lambda: child, sock=ours)
        except BaseException:
            ours.close()
            child.kill()
            raise
        return child

    async def close(self) -> None:
        """End the nursery and every child."""
        self._lost()
        await self._wait()

    async def _wait(self) -> None:
        if self._process is not None:
            await asyncio.to_thread(self._process.wait)
            self._process = None

    def _listen(self) -> None:
        while self._control is not None:
            try:
                body, descriptors, _, _ = socket.recv_fds(self._control, _CHUNK, 1)
            except BlockingIOError:
                return
            except ConnectionError:
                body = b""
            if not body:
                self._lost()
                return
            match msgspec.msgpack.decode(body, type=Hello | Started | Ended):
                case Hello(problem):
                    if self._hello is not None and not self._hello.done():
                        self._hello.set_result(problem)
                case Started(number, pid):
                    self._children[number].born(pid, descriptors[0])
                case Ended(number, status, peak_bytes):
                    self._children.pop(number).buried(Gone(status, peak_bytes))

    def _lost(self) -> None:
        """The nursery is gone or going: its children die with it, and what they had started we end ourselves."""
        if self._control is None:
            return
        asyncio.get_running_loop().remove_reader(self._control.fileno())
        self._control.close()
        self._control = None
        if self._hello is not None and not self._hello.done():
            self._hello.set_result("the process that starts children ended at once")
        orphaned, self._children = list(self._children.values()), {}
        for child in orphaned:
            child.kill()
        _tree.end_sessions({child.pid for child in orphaned if child.pid})
        for child in orphaned:
            child.buried(Gone(None, 0))
