"""Which results are used again, and under which names."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.support.tasks import file, output, task

from mediamill.core.dispatch import Taken
from mediamill.core.errors import NotFound
from mediamill.core.files import File
from mediamill.core.tasks import Input, State, Task
from mediamill.worker.reuse import Reuse, tools_of


class Blobs:
    """Copies by counting."""

    def __init__(self, gone: Sequence[str] = ()) -> None:
        self.gone = gone
        self.copied: list[str] = []
        self.deleted: list[str] = []

    async def copy(self, key: str) -> str:
        if key in self.gone:
            raise NotFound("blob", key)
        self.copied.append(key)
        return f"copy-{len(self.copied)}"

    async def delete(self, keys: Sequence[str]) -> None:
        self.deleted += keys


def reuse(found: Task | None = None, *, blobs: Blobs | None = None, tools: str = "v1") -> Reuse:
    async def find(project_id: str, key: bytes) -> Task | None:
        return found

    return Reuse(find=find, blobs=blobs or Blobs(), kinds={"convert"}, tools=tools)


def source(**given: Any) -> File:
    return replace(file(), **{"sha256": "aa", "filename": "in.png", "mime": "image/png", **given})


def earlier(*names: str) -> Task:
    outputs = [
        replace(output(), role="result" if n == 0 else "part", file=replace(file(), filename=name, blob_key=f"k{n}"))
        for n, name in enumerate(names)
    ]
    return task(
        id="t0", state=State.SUCCEEDED, inputs=[Input(file=source(filename="old.png"), url=None)], outputs=outputs
    )


def taken(**given: Any) -> Taken:
    return Taken(task=task(**given), fence=uuid.uuid4(), job_id=1, resumed=False)


def test_the_key_is_that_of_the_bytes_the_options_and_the_tools() -> None:
    here = reuse()
    key = here.key(task(options={"a": 1, "b": 2}), [source()])

    assert key is not None
    assert key == here.key(task(options={"b": 2, "a": 1}, id="t9"), [source(filename="other.png")])
    for other in (
        here.key(task(options={"a": 1, "b": 3}), [source()]),
        here.key(task(options={"a": 1, "b": 2}), [source(sha256="bb")]),
        here.key(task(options={"a": 1, "b": 2}), [source(), source()]),
        reuse(tools="v2").key(task(options={"a": 1, "b": 2}), [source()]),
    ):
        assert other not in (key, None)


@pytest.mark.parametrize(
    ("asked", "files"),
    [
        (task(kind="ping"), [source()]),
        (task(), []),
        (task(extra={"reuse": False}), [source()]),
        (task(), [source(sha256=None)]),
    ],
)
def test_work_that_must_be_done_has_no_key(asked: Task, files: list[File]) -> None:
    assert reuse().key(asked, files) is None


def test_tools_change_with_what_the_operator_sets(monkeypatch: pytest.MonkeyPatch) -> None:
    before = tools_of(["ffmpeg"])
    monkeypatch.setenv("MEDIAMILL_FFMPEG", "/opt/other")

    assert tools_of(["ffmpeg"]) != before
    assert tools_of([]) == tools_of([])


def test_tools_change_with_the_models_that_are_there(tmp_path: Path) -> None:
    seen = [tools_of([], [tmp_path / "none"]), tools_of([], [tmp_path])]
    assert seen[0] == seen[1] == tools_of([])
    (tmp_path / "matting").mkdir()
    (tmp_path / "matting" / "mine.onnx").write_bytes(b"weights" * 100_000)
    seen.append(tools_of([], [tmp_path]))
    (tmp_path / "matting" / "mine.onnx").write_bytes(b"weights" * 99_999 + b"WEIGHTS")
    seen.append(tools_of([], [tmp_path]))
    (tmp_path / ".downloads").mkdir()
    (tmp_path / ".downloads" / "half").write_bytes(b"of it")

    assert len(set(seen)) == 3
    assert tools_of([], [tmp_path]) == seen[-1]


async def test_the_earlier_file_comes_again_under_the_new_inputs_name() -> None:
    blobs = Blobs()

    finish = await reuse(earlier("old.webp"), blobs=blobs).earlier(taken(), [source(filename="new.png")], b"k")

    assert finish is not None
    [(role, made)] = finish.outputs
    assert (role, made.filename, made.blob_key) == ("result", "new.webp", "copy-1")
    assert finish.details["reused_from"] == "t0"
    assert finish.state is State.SUCCEEDED


async def test_files_that_name_one_another_come_again_under_their_own_names_only() -> None:
    package = earlier("old.m3u8", "old.mp4")

    same = await reuse(package).earlier(taken(), [source(filename="old.png")], b"k")
    other = await reuse(package).earlier(taken(), [source(filename="new.png")], b"k")

    assert same is not None
    assert [made.filename for _, made in same.outputs] == ["old.m3u8", "old.mp4"]
    assert other is None


async def test_bytes_that_have_just_gone_leave_no_copies_behind() -> None:
    blobs = Blobs(gone=["k1"])

    assert await reuse(earlier("a", "b"), blobs=blobs).earlier(taken(), [source(filename="old.png")], b"k") is None
    assert blobs.deleted == ["copy-1"]


async def test_nothing_earlier_means_work() -> None:
    assert await reuse(None).earlier(taken(), [source()], b"k") is None
