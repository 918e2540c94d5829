"""Sessions: signed, expiring, and never a way to another site."""

from __future__ import annotations

import pytest

from mediamill.core.errors import Expired
from mediamill.dashboard.session import safe_return
from mediamill.service.signing import Signer


@pytest.mark.parametrize("path", ["/ui/", "/ui/tasks/t1", "/ui/?state=failed&q=a%20b"])
def test_our_own_pages_may_follow(path: str) -> None:
    assert safe_return(path) == path


@pytest.mark.parametrize(
    "path",
    [None, "", "//evil.example", "https://evil.example/ui/", "/ui", "/uix/", "/\\evil", "/ui/\\evil", "/ui/\r\nx: y",
     "/mill/tasks", "/ui/\u2028"],
)  # fmt: skip
def test_anything_else_leads_to_the_table(path: str | None) -> None:
    assert safe_return(path) == "/ui/"


def test_a_sessions_signature_opens_no_file_and_a_files_no_session() -> None:
    signer = Signer(b"secret")
    expires, signature = (part.split("=")[1] for part in signer.query("session", "k1", 60).split("&"))

    signer.check("session", "k1", expires, signature)
    with pytest.raises(Expired):
        signer.check("download", "k1", expires, signature)
    with pytest.raises(Expired):
        signer.check("session", "k2", expires, signature)


def test_a_session_runs_out() -> None:
    signer = Signer(b"secret")
    expires, signature = (part.split("=")[1] for part in signer.query("session", "k1", -1).split("&"))

    with pytest.raises(Expired):
        signer.check("session", "k1", expires, signature)
