"""Programs run under limits, and every way they can end has its word."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path

import pytest
from tests.support.children import alive, in_company, until

from mediamill.core.errors import LimitExceeded, TimedOut, ToolFailed
from mediamill.worker.tool import Limits, Piped, ToolRunner

LIMITS = Limits(wall_s=30, cpu_s=20, memory_bytes=256 << 20, output_bytes=1 << 20, scratch_bytes=32 << 20, processes=8)
Make = Callable[..., ToolRunner]


@pytest.fixture
def runner(tmp_path: Path) -> Make:
    def make(wall_s: float = 30, on_started: Callable[[int], None] | None = None, **limits: int) -> ToolRunner:
        return ToolRunner(
            limits=replace(LIMITS, wall_s=wall_s, **limits),
            scratch=tmp_path,
            deadline=time.monotonic() + wall_s,
            on_started=on_started,
        )

    return make


def python(code: str) -> list[str]:
    return [sys.executable, "-S", "-c", code]


LIMITED = "import resource\nwhile resource.getrlimit(resource.RLIMIT_FSIZE)[0] == resource.RLIM_INFINITY: pass\n"
"""The limits come when a program has begun already: on a busy machine it may be done before them."""


def test_output_and_the_end_of_stderr_are_kept(runner: Make) -> None:
    run = runner().run(python("import sys; print('out'); sys.stderr.write('x' * 20000 + 'end')"), name="it")

    assert run.stdout == b"out\n"
    assert run.stderr_tail.endswith("xend")
    assert len(run.stderr_tail) == 8192


def test_large_input_and_output_do_not_wait_for_each_other(runner: Make) -> None:
    sent = os.urandom(1 << 20)

    run = runner().run(["/bin/cat"], name="cat", stdin=sent, stdout_limit_bytes=2 << 20)

    assert run.stdout == sent


def test_without_input_stdin_is_empty(runner: Make) -> None:
    assert runner().run(["/bin/cat"], name="cat").stdout == b""


def test_a_program_that_does_not_read_its_input_is_fine(runner: Make) -> None:
    assert runner().run(["/bin/true"], name="true", stdin=bytes(1 << 20)).status == 0


def test_lines_come_as_they_are_written(runner: Make) -> None:
    lines: list[str] = []

    run = runner().run(
        python("print('a'); print('b', end='\\r\\n'); print('c', end='')"), name="it", on_line=lines.append
    )

    assert lines == ["a", "b", "c"]
    assert run.stdout == b""


def test_any_amount_of_lines_may_pass(runner: Make) -> None:
    lines: list[str] = []

    runner().run(python("for i in range(50000): print(i)"), name="it", stdout_limit_bytes=1000, on_line=lines.append)

    assert lines == [str(i) for i in range(50000)]


def test_too_much_output_ends_it(runner: Make) -> None:
    with pytest.raises(LimitExceeded, match="it wrote more than it may"):
        runner().run(python("while True: print('x' * 1000)"), name="it", stdout_limit_bytes=100_000)


def test_the_environment_is_small_and_the_folder_is_the_scratch(
    runner: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET", "1")
    monkeypatch.delenv("TMPDIR", raising=False)

    code = "import os; print(sorted(set(os.environ) - {'LC_CTYPE'}), os.getcwd(), os.environ['MORE'])"
    run = runner().run(python(code), name="it", env={"MORE": "yes"})

    assert run.stdout.decode().split("] ")[1].split() == [str(tmp_path), "yes"]
    assert b"SECRET" not in run.stdout
    assert b"TMPDIR" in run.stdout


def test_a_bad_exit_is_a_failure_with_what_was_said(runner: Make) -> None:
    with pytest.raises(ToolFailed, match=r"^it failed \(exit status 3\)\.$") as caught:
        runner().run(python("import sys; sys.stderr.write('why'); sys.exit(3)"), name="it")

    assert caught.value.stderr_tail == "why"
    assert runner().run(python("import sys; sys.exit(3)"), name="it", ok=(0, 3)).status == 3


def test_a_crash_names_its_signal(runner: Make) -> None:
    with pytest.raises(ToolFailed, match=r"crashed \(SIGSEGV\)"):
        runner().run(python("import os; os.kill(os.getpid(), 11)"), name="it")


def test_a_program_that_is_not_there_says_no_path(runner: Make) -> None:
    with pytest.raises(ToolFailed, match=r"^it cannot be started\.$"):
        runner().run(["/no/such/program"], name="it")


def test_memory_is_limited(runner: Make) -> None:
    code = LIMITED + "import sys\ntry: x = b'x' * (2 << 30)\nexcept MemoryError: sys.exit('out of memory')"
    with pytest.raises(LimitExceeded, match="memory"):
        runner(memory_bytes=64 << 20).run(python(code), name="it")


def test_processor_time_is_limited(runner: Make) -> None:
    with pytest.raises(LimitExceeded, match="processor time"):
        runner(cpu_s=1).run(python("while True: pass"), name="it")


def test_the_size_of_a_file_is_limited(runner: Make) -> None:
    code = "import signal; signal.signal(signal.SIGXFSZ, signal.SIG_DFL); open('f', 'wb').write(bytes(2 << 20))"
    with pytest.raises(LimitExceeded, match="file of more than"):
        runner().run(python(LIMITED + code), name="it")


def test_late_programs_are_asked_to_end_first(runner: Make, tmp_path: Path) -> None:
    code = (
        "import signal, sys\n"
        "signal.signal(signal.SIGTERM, lambda *_: (open('ended', 'w').close(), sys.exit(0)))\n"
        "signal.pause()"
    )
    with pytest.raises(TimedOut, match=r"^it ran longer than 3 s\.$"):
        runner().run(python(code), name="it", timeout_s=3.0)

    assert (tmp_path / "ended").exists()


def test_programs_that_do_not_listen_are_killed(runner: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mediamill.worker.tool.GRACE_S", 0.1)
    with pytest.raises(TimedOut, match=r"the task ran longer than 0\.3 s"):
        runner(wall_s=0.3).run(
            python("import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)\nwhile True: signal.pause()"),
            name="it",
        )


async def test_what_it_leaves_in_its_group_is_killed(runner: Make) -> None:
    code = "import os, time\npid = os.fork()\nif pid == 0: time.sleep(600)\nprint(pid)"

    run = runner().run(python(code), name="it")  # that process holds the pipe open; nobody waits for it

    left = int(run.stdout)
    await until(lambda: not alive(left), timeout_s=in_company(1))


def test_the_group_is_told(runner: Make) -> None:
    groups: list[int] = []

    run = runner(on_started=groups.append).run(python("import os; print(os.getpgrp())"), name="it")

    assert groups == [int(run.stdout)]


def test_a_pipe_carries_frames_both_ways(runner: Make) -> None:
    code = "import os\nwhile frame := os.read(0, 5): os.write(1, frame)"  # some cats die when nobody reads any more
    with runner().spawn(python(code), name="it", stdin=True, stdout=True) as pipe:
        assert pipe.stdin is not None
        assert pipe.stdout is not None
        for frame in (b"first", b"other"):
            pipe.stdin.write(frame)
            assert pipe.stdout.read(5) == frame


def test_a_pipe_judges_the_end(runner: Make) -> None:
    code = "import sys; sys.stderr.write('why'); sys.exit(2)"

    with pytest.raises(ToolFailed, match="exit status 2") as caught:
        read_all(runner().spawn(python(code), name="it", stdout=True))

    assert caught.value.stderr_tail == "why"


def test_a_broken_pipe_is_told_as_the_death_that_broke_it(runner: Make) -> None:
    with pytest.raises(ToolFailed, match="exit status 2"):
        write_for_ever(runner().spawn(python("import sys; sys.exit(2)"), name="it", stdin=True))


def test_a_late_pipe_is_stopped(runner: Make) -> None:
    with pytest.raises(TimedOut, match=r"longer than 0\.3 s"):
        read_all(runner().spawn(python("import time; time.sleep(600)"), name="it", stdout=True, timeout_s=0.3))


def read_all(spawned: AbstractContextManager[Piped]) -> bytes:
    with spawned as pipe:
        assert pipe.stdout is not None
        return pipe.stdout.read()


def write_for_ever(spawned: AbstractContextManager[Piped]) -> None:
    with spawned as pipe:
        assert pipe.stdin is not None
        while True:
            pipe.stdin.write(bytes(1 << 16))


def test_leaving_a_pipe_by_an_exception_kills_the_program(runner: Make) -> None:
    groups: list[int] = []
    with (
        pytest.raises(KeyError),
        runner(on_started=groups.append).spawn(python("import time; time.sleep(600)"), name="it", stdout=True),
    ):
        raise KeyError

    with pytest.raises(ProcessLookupError):
        os.killpg(groups[0], signal.SIGKILL)
