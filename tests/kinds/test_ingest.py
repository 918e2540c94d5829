"""The kind `ingest`: its input, once fetched, is handed on byte by byte as a file of its own."""

from __future__ import annotations

from pathlib import Path

from tests.support.images import engines

from mediamill.kinds import Context, Input, ingest


def test_the_copy_is_the_source_and_not_the_same_file(tmp_path: Path) -> None:
    source = tmp_path / "in.bin"
    source.write_bytes(bytes(range(256)) * 300)
    given = Input(path=source, mime="application/octet-stream", filename="in.bin")
    scratch = tmp_path / "work"
    scratch.mkdir()
    context = Context(inputs=[given], scratch=scratch, engines=engines(), report=lambda stage, fraction=None: None)

    [made] = ingest.KIND.run(context, ingest.Options()).outputs

    assert made.path.read_bytes() == source.read_bytes()
    assert not made.path.samefile(source)
    assert (made.role, made.mime, made.filename) == ("result", "application/octet-stream", "in.bin")
