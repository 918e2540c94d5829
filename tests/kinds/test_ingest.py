"""The kind `ingest`: its input, once fetched, is handed on as it is."""

from __future__ import annotations

from pathlib import Path

from tests.support.images import engines

from mediamill.kinds import Context, Input, ingest


def test_the_source_itself_is_the_result_and_nothing_is_copied(tmp_path: Path) -> None:
    source = tmp_path / "in.bin"
    source.write_bytes(bytes(range(256)) * 300)
    given = Input(path=source, mime="application/octet-stream", filename="in.bin")
    scratch = tmp_path / "work"
    scratch.mkdir()
    context = Context(inputs=[given], scratch=scratch, engines=engines(), report=lambda stage, fraction=None: None)

    [made] = ingest.KIND.run(context, ingest.Options()).outputs

    assert made.path == source
    assert list(scratch.iterdir()) == []
    assert (made.role, made.mime, made.filename) == ("result", "application/octet-stream", "in.bin")
