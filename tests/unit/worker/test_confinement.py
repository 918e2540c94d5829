"""What a child that has been taken over cannot do."""

from __future__ import annotations

import os
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from tests.support.children import children_in, job, run

from mediamill.core.errors import Misconfigured
from mediamill.worker.children import Children


@pytest.fixture
async def children(tmp_path: Path) -> AsyncIterator[Children]:
    async with children_in(tmp_path / "slots", slots=2) as found:
        yield found


async def test_it_says_that_it_is_confined(children: Children) -> None:
    assert children.sandboxed
    assert children.warning is None


async def test_a_private_file_is_closed(children: Children, tmp_path: Path) -> None:
    (tmp_path / "private").write_text("secret")

    assert not await allowed(children, "read", path=str(tmp_path / "private"))


@pytest.mark.parametrize("path", ["/etc/passwd", "/etc/shadow", "/proc/1/environ", "/proc/self/../1/cmdline"])
async def test_files_of_the_system_that_tell_secrets_are_closed(children: Children, path: str) -> None:
    assert not await allowed(children, "read", path=path)


async def test_the_server_s_own_process_is_closed(children: Children) -> None:
    assert not await allowed(children, "read", path=f"/proc/{os.getpid()}/environ")
    assert not await allowed(children, "signal_process", count=os.getpid())


@pytest.mark.parametrize("path", ["/", "/tmp", "/home", "/etc"])
async def test_folders_of_others_are_closed(children: Children, path: str) -> None:
    assert not await allowed(children, "listing", path=path)


async def test_another_slot_is_closed(children: Children) -> None:
    async with children.slot() as first, children.slot() as second:
        (second.inputs / "0.txt").write_text("another caller's")

        for kind, path in (("read", second.inputs / "0.txt"), ("write", second.work / "x"), ("listing", second.work)):
            done = await first.run(job(kind, path=str(path)), ignore)
            assert not done.details["allowed"]


async def test_the_system_s_libraries_are_open_to_read_and_not_to_write(children: Children) -> None:
    assert await allowed(children, "read", path=os.__file__)
    assert not await allowed(children, "write", path=os.__file__)


async def test_inputs_are_read_only_even_as_hard_links(children: Children, tmp_path: Path) -> None:
    stored = tmp_path / "stored"
    stored.write_text("kept")
    async with children.slot() as slot:
        os.link(stored, slot.inputs / "0.txt")
        inputs = [("0.txt", "text/plain", "a.txt")]

        assert not (await slot.run(job("write_input", inputs=inputs), ignore)).details["allowed"]
        assert not (await slot.run(job("relink_input", inputs=inputs), ignore)).details["allowed"]
        assert not (await slot.run(job("write", path=str(slot.inputs / "new")), ignore)).details["allowed"]

    assert stored.read_text() == "kept"


async def test_work_may_be_moved_between_its_own_folders(children: Children) -> None:
    done = await run(children, "move_within")

    assert done.outputs[0].size_bytes == 5


async def test_the_network_is_closed(children: Children) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]

        assert not await allowed(children, "connect", port=port)
        assert not await allowed(children, "send_udp", port=port)


async def test_sockets_in_the_file_system_are_closed(children: Children, tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "s"))
        listener.listen()

        assert not await allowed(children, "connect_unix", path=str(tmp_path / "s"))


async def test_programs_are_confined_as_well(children: Children, tmp_path: Path) -> None:
    (tmp_path / "private").write_text("secret")

    assert not await allowed(children, "tool_read", path=str(tmp_path / "private"))
    assert await allowed(children, "tool_read", path=os.__file__)


async def test_root_is_nobody_special(children: Children) -> None:
    done = await run(children, "capabilities")

    assert int(done.details["effective"], 16) == 0
    assert done.details["no_new_privs"] == "1"


async def test_a_kernel_without_landlock_is_loud(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mediamill.sandbox.abi", lambda: 0)

    pool = Children(slots=1, folder=tmp_path)
    assert not pool.sandboxed
    assert pool.warning is not None
    assert "strangers" in pool.warning
    with pytest.raises(Misconfigured, match="Landlock"):
        await Children(slots=1, folder=tmp_path, require_sandbox=True).start()


async def test_a_preload_that_starts_threads_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match="threads"):
        async with children_in(tmp_path / "slots", slots=1, preload=["tests.support.starts_a_thread"]):
            pass


async def allowed(children: Children, kind: str, **options: Any) -> bool:
    return bool((await run(children, kind, **options)).details["allowed"])


def ignore(stage: str, fraction: float | None) -> None:
    """For jobs whose progress does not matter."""
