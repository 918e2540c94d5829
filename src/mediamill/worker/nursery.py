"""The process that starts children: one thread, everything common imported, nothing ever run.

A child is forked from here in milliseconds and shares the memory of the imports. The nursery is also where the
orphans of a dead child arrive (it is their subreaper), and it ends every one of them before it tells of the death.
When the worker goes, however it goes, its end of the control socket closes and the nursery takes everything with it.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import os
import select
import signal
import socket
import sys
import time
import traceback
from pathlib import Path

import msgspec

from mediamill import processors, sandbox
from mediamill.worker import child
from mediamill.worker.messages import Ended, Fork, Hello, Message, Setup, Started

STRAYS_S = 2.0
"""How long a dead child's tree may take to go before its end is told all the same (a process stuck in the kernel)."""


def main() -> None:
    """`argv[1]` is the control socket's descriptor, `argv[2]` a Setup as JSON."""
    control = socket.socket(fileno=int(sys.argv[1]))
    setup = msgspec.json.decode(sys.argv[2], type=Setup)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to the whole terminal; the worker decides
    sandbox.adopt_orphans()
    processors.count()  # while it can be seen; children are forked from here
    problem = _preload(setup)
    with contextlib.suppress(ConnectionError):
        control.send(msgspec.msgpack.encode(Hello(problem)))
        if not problem:
            Nursery(control, setup).serve()
    _end_all()


def _preload(setup: Setup) -> str:
    """Import what children need. A library that is not there is left out; one that starts threads is refused."""
    for name in (setup.engines, setup.kinds):
        try:
            child.entry(name)
        except (ImportError, AttributeError) as error:
            return f"{name}: {error}"
    for module in setup.preload:
        with contextlib.suppress(ImportError):
            importlib.import_module(module)
        if len(os.listdir("/proc/self/task")) > 1:
            return f"{module} starts threads when imported, and threads do not survive a fork; do not preload it"
    return ""


class Nursery:
    """Forks on demand, reaps, and cleans up behind the dead."""

    def __init__(self, control: socket.socket, setup: Setup) -> None:
        self._control = control
        self._setup = setup
        self._numbers: dict[int, int] = {}
        """pid -> the worker's number for that child."""
        self._dead: list[Ended] = []
        self._dead_since_s = 0.0

    def serve(self) -> None:
        """Until the worker's end of the control socket closes."""
        sandbox.python_paths()  # once, not in every child
        gc.freeze()  # the collector's marks would unshare the pages of everything imported so far
        awake, wake = socket.socketpair()
        for end in (awake, wake):
            end.setblocking(False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(wake.fileno(), warn_on_full_buffer=False)
        waiting = select.poll()
        waiting.register(self._control, select.POLLIN)
        waiting.register(awake, select.POLLIN)
        while True:
            ready = {fd for fd, _ in waiting.poll(20 if self._dead else None)}
            if awake.fileno() in ready:
                with contextlib.suppress(BlockingIOError):
                    awake.recv(4096)
            self._reap()
            if self._control.fileno() in ready:
                body, descriptors, _, _ = socket.recv_fds(self._control, 65536, 2)
                if not body:
                    signal.set_wakeup_fd(-1)
                    return
                self._fork(msgspec.msgpack.decode(body, type=Fork), *descriptors)

    def _fork(self, order: Fork, connection: int, stderr: int) -> None:
        try:
            pid = os.fork()
        except OSError:  # no memory or too many processes just now: this child's misfortune, nobody else's
            os.close(connection)
            os.close(stderr)
            self._say(Ended(order.number, 1, 0))
            return
        if pid == 0:
            status = 1
            try:
                signal.set_wakeup_fd(-1)
                self._control.close()
                child.main(self._setup, socket.socket(fileno=connection), stderr, Path(order.folder))
                status = 0
            except BaseException:
                traceback.print_exc()  # to the pipe that the worker reads
            finally:
                os._exit(status)
        os.close(connection)
        os.close(stderr)
        self._numbers[pid] = order.number
        pidfd = os.pidfd_open(pid)  # still unreaped, so it cannot be another process of that number
        socket.send_fds(self._control, [msgspec.msgpack.encode(Started(order.number, pid))], [pidfd])
        os.close(pidfd)

    def _reap(self) -> None:
        with contextlib.suppress(ChildProcessError):
            while True:
                pid, status, usage = os.wait4(-1, os.WNOHANG)
                if pid == 0:
                    break
                if pid in self._numbers:
                    number = self._numbers.pop(pid)
                    self._dead_since_s = time.monotonic()
                    self._dead.append(Ended(number, os.waitstatus_to_exitcode(status), usage.ru_maxrss * 1024))
        if self._dead and (not self._end_strays() or time.monotonic() - self._dead_since_s > STRAYS_S):
            for ended in self._dead:
                self._say(ended)
            self._dead.clear()

    def _end_strays(self) -> bool:
        """Kill every process that came to us from a dead child; False when there is none left."""
        strays = [pid for pid in sandbox.children() if pid not in self._numbers]
        for pid in strays:
            kill_with_group(pid)
        return bool(strays)

    def _say(self, message: Message) -> None:
        self._control.send(msgspec.msgpack.encode(message))


def kill_with_group(pid: int) -> None:
    """Kill a process and its group at once, so that a fork bomb has no time between the two."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        group = os.getpgid(pid)
        if group != os.getpgrp():
            os.killpg(group, signal.SIGKILL)
        os.kill(pid, signal.SIGKILL)


def _end_all() -> None:
    """Kill all children, and what comes to us when they die, until none is left."""
    until_s = time.monotonic() + STRAYS_S
    with contextlib.suppress(ChildProcessError):
        while time.monotonic() < until_s:
            for pid in sandbox.children():
                kill_with_group(pid)
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
            select.select([], [], [], 0.005)


if __name__ == "__main__":
    main()
