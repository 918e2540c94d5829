"""The client against a real local server on an allowed network that misbehaves in every way we could think of."""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import json
import random
import ssl
import subprocess
import sys
from ipaddress import ip_network
from pathlib import Path

import pytest
import trustme
from tests.support.web import FakeResolver, Page, answer, redirect, serving

from mediamill.core.errors import Invalid, SourceRefused, SourceUnreachable
from mediamill.net import Client, Fetched, Limits, Resolver
from mediamill.net.client import _system_trust

VECTORS = json.loads(Path(__file__).with_name("hostile_urls.json").read_text())
HOSTILE = [
    pytest.param(url, id=f"{why}: {url!r}")
    for part in ("bad_url", "forbidden_address")
    for why, rows in VECTORS[part].items()
    for url in rows
]
LOOPBACK = [ip_network("127.0.0.1/32")]


def client(*, limits: Limits | None = None, resolver: Resolver | None = None, **more: object) -> Client:
    options = {"allow_networks": LOOPBACK, "resolver": resolver or FakeResolver(["127.0.0.1"])} | more
    return Client(limits=limits or Limits(connect_timeout_s=30, read_timeout_s=30), **options)  # type: ignore[arg-type]


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "got"


async def refused(here: Client, url: str, target: Path, match: str | None = None) -> None:
    with pytest.raises(SourceRefused, match=match):
        await here.fetch(url, target)
    assert not target.exists()


async def unreachable(here: Client, url: str, target: Path, match: str | None = None) -> None:
    with pytest.raises(SourceUnreachable, match=match):
        await here.fetch(url, target)
    assert not target.exists()


# What never leaves the machine.


@pytest.mark.parametrize("url", HOSTILE)
async def test_a_hostile_url_is_refused_before_any_connection(url: str, target: Path) -> None:
    resolver = FakeResolver(["127.0.0.1"])
    here = Client(resolver=resolver)

    with pytest.raises(Invalid) as invalid:
        here.check_url(url)
    await refused(here, url, target)
    with pytest.raises(SourceRefused):
        await here.post(url, body=b"{}", headers={}, timeout_s=30)

    assert invalid.value.field == "url"


@pytest.mark.parametrize("url", VECTORS["fine"])
def test_an_honest_url_passes_the_check_at_submission(url: str) -> None:
    Client(resolver=FakeResolver(["8.8.8.8"])).check_url(url)


def test_the_check_at_submission_knows_the_operators_networks() -> None:
    here = client()

    here.check_url("http://127.0.0.1:8080/")
    here.check_url("http://localhost:8080/")
    with pytest.raises(Invalid, match="private network"):
        here.check_url("http://10.0.0.1/")


@pytest.mark.parametrize("answers", [["8.8.8.8", "127.0.0.1"], ["::1", "8.8.8.8"], ["2606:4700::1", "10.0.0.1"],
    ["169.254.169.254"], ["::ffff:10.0.0.1"], ["64:ff9b::a00:1"], ["0.0.0.0"]])  # fmt: skip
async def test_a_name_with_one_forbidden_address_is_refused_whole(answers: list[str], target: Path) -> None:
    here = Client(resolver=FakeResolver(answers))

    await refused(here, "http://both.example/", target, match="both.example is not a public address")


async def test_a_rebinding_name_is_asked_once_and_the_checked_address_is_used(target: Path) -> None:
    async with serving({"/": answer(b"safe")}) as safe, serving({"/": answer(b"inside")}, host="127.0.0.2") as inside:
        resolver = FakeResolver(["127.0.0.1"], ["127.0.0.2"])

        got = await client(resolver=resolver).fetch(safe.url(host="rebind.example"), target)

    assert resolver.asked == ["rebind.example"]
    assert safe.peers == ["127.0.0.1"]
    assert not inside.requests
    assert (got.size_bytes, target.read_bytes()) == (4, b"safe")


async def test_a_name_that_rebinds_between_two_hops_is_refused_at_the_second(target: Path) -> None:
    resolver = FakeResolver(["127.0.0.1"], ["127.0.0.2"])
    async with serving({"/": redirect(302, "/inside"), "/inside": answer(b"secret")}) as web:
        await refused(client(resolver=resolver), web.url(host="rebind.example"), target, match="loopback")

    assert len(web.requests) == 1


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize(
    "inside",
    ["http://127.0.0.2:{port}/", "http://[::1]:{port}/", "http://10.0.0.1/", "http://169.254.169.254/latest/",
     "http://[::ffff:127.0.0.2]:{port}/", "//0x7f000002:{port}/", "file:///etc/passwd", "http://u@127.0.0.1:{port}/"],
)  # fmt: skip
async def test_a_redirect_inside_is_refused(status: int, inside: str, target: Path) -> None:
    pages: dict[str, bytes] = {}
    async with serving(pages) as web:
        pages["/"] = redirect(status, inside.format(port=web.port))
        await refused(client(), web.url(), target)

    assert len(web.requests) == 1


async def test_a_forbidden_name_is_not_told_apart_by_its_address(target: Path) -> None:
    with pytest.raises(SourceRefused) as error:
        await Client(resolver=FakeResolver(["10.9.8.7"])).fetch("http://intranet.example/?token=s3cret", target)

    assert "10.9.8.7" not in str(error.value)
    assert "s3cret" not in str(error.value)


# Redirects.


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_redirects_are_followed_with_each_hop_resolved_again(status: int, target: Path) -> None:
    resolver = FakeResolver(["127.0.0.1"])
    async with serving({"/": redirect(status, "/b?x=1"), "/b?x=1": answer(b"there")}) as web:
        got = await client(resolver=resolver).fetch(web.url(host="a.example"), target)

    assert got.final_url == web.url("/b?x=1", host="a.example")
    assert resolver.asked == ["a.example", "a.example"]
    assert target.read_bytes() == b"there"


@pytest.mark.parametrize(
    ("asked", "found", "name"),
    [
        ("/cats/cat.png?size=2", "/0f3b", "cat.png"),
        ("/cats/cat.png", "/store/0f3b.bin", "cat.png"),
        ("/get.php?id=3", "/cat.png", "cat.png"),
        ("/3", "/", "3"),
    ],
)
async def test_a_file_keeps_the_name_it_was_asked_for_by_where_that_is_one(
    asked: str, found: str, name: str, target: Path
) -> None:
    async with serving({asked: redirect(302, found), found: answer(b"there")}) as web:
        fetched = await client().fetch(web.url(asked), target)

    assert fetched.filename == name


async def test_five_redirects_are_fine_and_six_are_not(target: Path) -> None:
    pages = {f"/{n}": redirect(302, f"/{n - 1}") for n in range(1, 7)} | {"/0": answer(b"end")}
    async with serving(pages) as web:
        got = await client().fetch(web.url("/5"), target)
        target.unlink()
        await refused(client(), web.url("/6"), target, match="more than 5 times")

    assert got.size_bytes == 3


async def test_an_endless_redirect_ends(target: Path) -> None:
    async with serving({"/": redirect(301, "/")}) as web:
        await refused(client(), web.url(), target, match="more than 5 times")

    assert len(web.requests) == 6


async def test_a_redirect_without_a_location_is_refused(target: Path) -> None:
    async with serving({"/": answer(status="302 Found")}) as web:
        await refused(client(), web.url(), target, match="302 without saying where")


async def test_no_cookie_and_no_credentials_travel(target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1/")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:1/")
    first = answer(status="302 Found", location="/b", set_cookie="a=b; Path=/")
    async with serving({"/": first, "/b": answer(b"x")}) as web:
        await client().fetch(web.url(), target)

    second = web.requests[1].decode().lower()
    assert "cookie" not in second
    assert "authorization" not in second
    assert "accept-encoding: identity" in second
    assert f"host: 127.0.0.1:{web.port}" in second
    assert "user-agent: mediamill/" in second


# Statuses.


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410, 416, 451, 204, 206, 300, 304])
async def test_a_status_that_will_not_change_is_refused_by_number(status: int, target: Path) -> None:
    async with serving({"/": answer(status=f"{status} No", content_length="")}) as web:
        await refused(client(), web.url(), target, match=str(status))


@pytest.mark.parametrize("status", [500, 502, 503, 504, 599, 408, 425, 429])
async def test_a_status_that_may_change_is_unreachable(status: int, target: Path) -> None:
    async with serving({"/": answer(status=f"{status} No")}) as web:
        await unreachable(client(), web.url(), target, match=str(status))


# Bodies.


async def test_a_body_longer_than_the_limit_is_refused_by_its_length(target: Path) -> None:
    async with serving({"/": answer(b"x" * 1001)}) as web:
        await refused(client(limits=Limits(max_bytes=1000)), web.url(), target, match="limit of 1000 bytes")


async def test_the_limit_of_a_call_beats_the_clients(target: Path) -> None:
    async with serving({"/": answer(b"x" * 1001)}) as web:
        with pytest.raises(SourceRefused, match="limit of 10 bytes"):
            await client().fetch(web.url(), target, max_bytes=10)
        await client().fetch(web.url(), target, max_bytes=1001)


@pytest.mark.parametrize("chunked", [True, False], ids=["chunked", "until close"])
async def test_an_endless_body_without_a_length_is_cut(chunked: bool, target: Path) -> None:
    async def endless(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n" + (b"transfer-encoding: chunked\r\n\r\n" if chunked else b"\r\n"))
        while True:
            writer.write(b"10000\r\n" + bytes(65536) + b"\r\n" if chunked else bytes(65536))
            await writer.drain()

    async with serving({"/": endless}) as web:
        await refused(client(limits=Limits(max_bytes=3_000_000)), web.url(), target, match="limit of 3000000")


@pytest.mark.parametrize(
    "raw",
    [
        b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nonly this",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n64\r\nonly this",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nwhat\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-le",
        b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\ncontent-length: 9\r\n\r\nonly this",
        b"HTTP/1.1 200 OK\r\ncontent-length: -5\r\n\r\nonly this",
        b"SSH-2.0-OpenSSH_9.6\r\n",
        b"HTTP/1.1 200 OK\r\nx: " + b"y" * 200_000 + b"\r\n\r\n",
        b"",
    ],
)
async def test_a_broken_answer_is_unreachable_and_leaves_no_file(raw: bytes, target: Path) -> None:
    async with serving({"/": raw}) as web:
        await unreachable(client(), web.url(), target)


def _in_pieces(content: bytes, *, said: int, at_once: int) -> Page:
    """A body of which some comes with the head, and the rest behind it."""

    async def page(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % said + content[:at_once])
        await writer.drain()
        await asyncio.sleep(0)
        for start in range(at_once, len(content), 300_001):
            writer.write(content[start : start + 300_001])
            await writer.drain()

    return page


@pytest.mark.parametrize("at_once", [0, 1, 70_000, 2_500_000])
async def test_a_long_body_is_whole_however_it_is_cut_up(at_once: int, target: Path) -> None:
    content = random.Random(1).randbytes(2_500_000)
    async with serving({"/": _in_pieces(content + b"more than was said", said=len(content), at_once=at_once)}) as web:
        fetched = await client().fetch(web.url(), target)

    assert target.read_bytes() == content
    assert (fetched.size_bytes, fetched.sha256) == (len(content), hashlib.sha256(content).hexdigest())


async def test_a_long_body_that_breaks_off_is_unreachable_and_leaves_no_file(target: Path) -> None:
    async with serving({"/": _in_pieces(bytes(2_500_000), said=2_500_001, at_once=10)}) as web:
        await unreachable(client(), web.url(), target, "broke off")


async def test_silence_ends_at_the_read_timeout(target: Path) -> None:
    async def silent(writer: asyncio.StreamWriter) -> None:
        await asyncio.Event().wait()

    async with serving({"/": silent}) as web:
        limits = Limits(connect_timeout_s=30, read_timeout_s=0.1)
        await unreachable(client(limits=limits), web.url(), target, match="in time")


def _drip(head: bytes, drop: bytes) -> Page:
    async def page(writer: asyncio.StreamWriter) -> None:
        writer.write(head)
        while True:
            writer.write(drop)
            await writer.drain()
            await asyncio.sleep(0.01)

    return page


async def test_a_head_that_drips_ends(target: Path) -> None:
    async with serving({"/": _drip(b"HTTP/1.1 200 OK\r\nx: ", b"y")}) as web:
        limits = Limits(connect_timeout_s=0.05, read_timeout_s=0.1)
        await unreachable(client(limits=limits), web.url(), target, match="in time")


async def test_early_hints_without_end_end(target: Path) -> None:
    async with serving({"/": _drip(b"", b"HTTP/1.1 103 Early Hints\r\n\r\n")}) as web:
        limits = Limits(connect_timeout_s=0.05, read_timeout_s=0.1)
        await unreachable(client(limits=limits), web.url(), target, match="in time")


async def test_a_body_that_drips_is_too_slow(target: Path) -> None:
    async with serving({"/": _drip(b"HTTP/1.1 200 OK\r\n\r\n", b"y")}) as web:
        limits = Limits(rate_window_s=0.15, min_rate=1024)
        await unreachable(client(limits=limits), web.url(), target, match="less than 1024 bytes a second")


async def test_the_whole_fetch_has_a_time_limit(target: Path) -> None:
    async with serving({"/": _drip(b"HTTP/1.1 200 OK\r\n\r\n", bytes(4096))}) as web:
        await unreachable(client(limits=Limits(total_timeout_s=0.2)), web.url(), target, match="longer than 0.2 s")


async def test_a_cancelled_fetch_leaves_no_file(target: Path) -> None:
    started = asyncio.Event()
    async with serving({"/": _drip(b"HTTP/1.1 200 OK\r\n\r\n", bytes(65536))}) as web:
        task = asyncio.create_task(client().fetch(web.url(), target, on_progress=lambda *_: started.set()))
        await started.wait()
        assert target.exists()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    assert not target.exists()


async def test_a_closed_port_is_unreachable(target: Path) -> None:
    async with serving({}) as web:
        url = web.url()

    await unreachable(client(), url, target, match="connection to 127.0.0.1 failed")


async def test_the_second_address_is_tried_when_the_first_is_closed(target: Path) -> None:
    allow = [ip_network("127.0.0.0/8")]
    resolver = FakeResolver(["127.0.0.9", "127.0.0.8", "127.0.0.1"])
    async with serving({"/": answer(b"x")}) as web:
        got = await client(resolver=resolver, allow_networks=allow).fetch(web.url(host="three.example"), target)

    assert got.size_bytes == 1


async def test_a_name_without_addresses_is_unreachable(target: Path) -> None:
    await unreachable(client(resolver=FakeResolver([])), "http://none.example/", target, match="no address")


async def test_the_machines_resolver_says_that_a_name_does_not_exist(target: Path) -> None:
    here = Client()

    await unreachable(here, "http://no-such-host.invalid/", target, match="could not be resolved")
    await here.close()


async def test_the_machines_resolver_finds_localhost_and_the_guard_judges_it(target: Path) -> None:
    here = Client()

    await refused(here, "http://localhost/", target, match="loopback")
    await here.close()


async def test_a_slow_name_server_ends_at_the_connect_timeout(target: Path) -> None:
    class Slow:
        async def resolve(self, host: str) -> list[object]:
            await asyncio.Event().wait()
            return []

    here = client(resolver=Slow(), limits=Limits(connect_timeout_s=0.05))  # type: ignore[arg-type]

    await unreachable(here, "http://slow.example/", target, match="resolved in time")


# Content codings nobody asked for.


async def test_a_gzip_coding_is_undone(target: Path) -> None:
    text = b"line\n" * 200_000
    packed = gzip.compress(text[:500_000]) + gzip.compress(text[500_000:])
    async with serving({"/": answer(packed, content_encoding="gzip", content_type="text/plain")}) as web:
        got = await client().fetch(web.url(), target)

    assert target.read_bytes() == text
    assert got.sha256 == hashlib.sha256(text).hexdigest()


async def test_a_gz_file_mislabelled_as_coded_stays_packed(target: Path) -> None:
    packed = gzip.compress(b"x" * 1000)
    page = answer(packed, content_encoding="gzip", content_type="application/gzip")
    async with serving({"/": page}) as web:
        await client().fetch(web.url(), target)

    assert target.read_bytes() == packed


async def test_a_decompression_bomb_is_cut_at_the_limit(target: Path) -> None:
    bomb = gzip.compress(bytes(100_000_000), 9)
    assert len(bomb) < 100_000
    async with serving({"/": answer(bomb, content_encoding="gzip")}) as web:
        await refused(client(limits=Limits(max_bytes=1_000_000)), web.url(), target, match="limit of 1000000")


@pytest.mark.parametrize("body", [gzip.compress(b"x" * 100_000)[:-20], b"not gzip at all", b""])
async def test_a_damaged_coding_is_unreachable(body: bytes, target: Path) -> None:
    async with serving({"/": answer(body, content_encoding="gzip")}) as web:
        await unreachable(client(), web.url(), target, match="compressed content")


@pytest.mark.parametrize("coding", ["br", "zstd", "deflate", "compress", "gzip, gzip", "gzip, br"])
async def test_another_coding_is_refused(coding: str, target: Path) -> None:
    async with serving({"/": answer(b"x", content_encoding=coding)}) as web:
        await refused(client(), web.url(), target, match="content coding")


# Happy paths.


async def test_what_the_server_says_about_the_file_is_handed_on(target: Path) -> None:
    page = answer(
        b"hello",
        content_type="Image/PNG; charset=x",
        etag='"v1"',
        content_disposition="attachment; filename*=UTF-8''n%C3%A4me.png",
    )
    async with serving({"/a/b.gif": page, "/c/d%20e.gif?x": answer(b"", content_type="no")}) as web:
        got = await client().fetch(web.url("/a/b.gif"), target)
        bare = await client().fetch(web.url("/c/d%20e.gif?x"), target)

    assert got == Fetched(
        size_bytes=5,
        sha256=hashlib.sha256(b"hello").hexdigest(),
        final_url=web.url("/a/b.gif"),
        content_type="image/png",
        filename="näme.png",
        etag='"v1"',
    )
    assert (bare.size_bytes, bare.content_type, bare.filename, bare.etag) == (0, None, "d e.gif", None)


async def test_fifty_megabytes_stream_through_little_memory(tmp_path: Path) -> None:
    # In a process of its own: this one's peak is already higher than what is to be seen.
    code = f"""
import asyncio, resource
from ipaddress import ip_network
from pathlib import Path
from mediamill.net import Client
from tests.support.web import serving
async def big(writer):
    writer.write(b"HTTP/1.1 200 OK\\r\\ncontent-length: 52428800\\r\\n\\r\\n")
    for _ in range(800):
        writer.write(bytes(65536))
        await writer.drain()
async def main():
    ticks = []
    async with serving({{"/": big, "/warm": b"HTTP/1.1 200 OK\\r\\ncontent-length: 1\\r\\n\\r\\nx"}}) as web:
        client = Client(allow_networks=[ip_network("127.0.0.1")])
        await client.fetch(web.url("/warm"), Path({str(tmp_path / "warm")!r}))
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        got = await client.fetch(web.url(), Path({str(tmp_path / "big")!r}), on_progress=lambda *t: ticks.append(t))
        grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert got.size_bytes == 52428800 and ticks[-1] == (52428800, 52428800) and ticks == sorted(ticks), ticks[-1]
    print(grown)
asyncio.run(main())
"""
    root = Path(__file__).parents[3]
    run = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-c", code],
        cwd=root,
        env={"PYTHONPATH": f"{root / 'src'}:{root}"},
        capture_output=True,
        text=True,
        check=True,
    )

    assert int(run.stdout) < 8 * 1024  # kilobytes, of 51,200 fetched


@pytest.fixture
def authority() -> trustme.CA:
    return trustme.CA()


def _tls(authority: trustme.CA, *names: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(*names).configure_cert(context)
    return context


def _trusting(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


async def test_https_checks_the_certificate_against_the_name_not_the_address(
    authority: trustme.CA, target: Path
) -> None:
    async with serving({"/": answer(b"x")}, tls=_tls(authority, "files.example")) as web:
        here = client(trust=_trusting(authority))

        got = await here.fetch(web.url(host="files.example"), target)
        target.unlink()
        await refused(here, web.url(host="other.example"), target, match="certificate of other.example")
        await refused(here, web.url(), target, match="certificate of 127.0.0.1")

    assert got.size_bytes == 1


async def test_https_with_an_unknown_authority_is_refused(authority: trustme.CA, target: Path) -> None:
    async with serving({"/": answer(b"x")}, tls=_tls(authority, "files.example")) as web:
        await refused(client(), web.url(host="files.example"), target, match="certificate")


async def test_https_to_a_server_without_tls_is_unreachable(target: Path) -> None:
    async with serving({"/": answer(b"x")}) as web:
        url = web.url(host="plain.example").replace("http:", "https:")
        limits = Limits(connect_timeout_s=1, read_timeout_s=1)  # whichever of the two gives up first
        await unreachable(client(limits=limits), url, target)


async def test_a_redirect_out_of_tls_is_refused(authority: trustme.CA, target: Path) -> None:
    pages = {"/": redirect(302, "http://files.example/")}
    async with serving(pages, tls=_tls(authority, "files.example")) as web:
        here = client(trust=_trusting(authority))
        await refused(here, web.url(host="files.example"), target, match="https to http")


def test_trust_is_the_machines_or_else_the_bundled_certificates(monkeypatch: pytest.MonkeyPatch) -> None:
    nowhere = ssl.DefaultVerifyPaths("", "", "SSL_CERT_FILE", "", "SSL_CERT_DIR", "")
    machines = _system_trust()
    monkeypatch.setattr(ssl, "get_default_verify_paths", lambda: nowhere)
    bundled = _system_trust()

    assert bundled.cert_store_stats()["x509_ca"] > 50
    for context in (machines, bundled):
        assert context.check_hostname
        assert context.verify_mode is ssl.CERT_REQUIRED
        assert context.minimum_version >= ssl.TLSVersion.TLSv1_2


async def test_an_ipv6_literal_is_reached_when_allowed(target: Path) -> None:
    async with serving({"/": answer(b"six")}, host="::1") as web:
        await client(allow_networks=[ip_network("::1")]).fetch(web.url(), target)
        head = web.requests[0].decode().lower()

    assert target.read_bytes() == b"six"
    assert f"host: [::1]:{web.port}\r\n" in head


# Webhooks.


async def test_a_post_sends_the_body_and_hands_back_the_answer() -> None:
    async with serving({"/hook": answer(b"thanks", status="202 Accepted", x_id="7")}) as web:
        got = await client().post(
            web.url("/hook"), body=b'{"a":1}', headers={"Content-Type": "application/json", "X-Sig": "s"}, timeout_s=5
        )

    head = web.requests[0].decode().lower()
    assert (got.status, got.body, got.headers["x-id"]) == (202, b"thanks", "7")
    assert 0 < got.took_s < 5
    assert head.startswith("post /hook http/1.1\r\n")
    assert head.endswith('\r\n\r\n{"a":1}')
    assert "x-sig: s\r\n" in head


@pytest.mark.parametrize("status", [301, 307, 404, 500])
async def test_a_post_follows_nothing_and_calls_every_status_an_answer(status: int) -> None:
    async with serving({"/": redirect(status, "/b"), "/b": answer(b"x")}) as web:
        got = await client().post(web.url(), body=b"{}", headers={}, timeout_s=30)

    assert got.status == status
    assert len(web.requests) == 1


async def test_a_long_answer_to_a_post_is_cut_at_sixteen_kibibytes() -> None:
    async with serving({"/": _drip(b"HTTP/1.1 200 OK\r\n\r\n", bytes(9000))}) as web:
        got = await client().post(web.url(), body=b"{}", headers={}, timeout_s=30)

    assert len(got.body) == 16 * 1024


async def test_a_post_that_is_not_answered_in_time_is_unreachable() -> None:
    async with serving({"/": _drip(b"", b"")}) as web:
        with pytest.raises(SourceUnreachable, match="gave no answer within"):
            await client().post(web.url(), body=b"{}", headers={}, timeout_s=0.1)


@pytest.mark.parametrize("headers", [{"X-A": "b\r\nEvil: c"}, {"X A": "b"}, {"Ä": "b"}, {"X-A": "€"}, {"Host": "evil"},
    {"Content-Length": "0"}, {"transfer-encoding": "chunked"}])  # fmt: skip
async def test_a_header_that_would_change_the_request_is_invalid(headers: dict[str, str]) -> None:
    async with serving({"/": answer(b"x")}) as web:
        with pytest.raises(Invalid):
            await client().post(web.url(), body=b"{}", headers=headers, timeout_s=30)

    assert not web.requests


# The room.


def test_importing_the_room_loads_neither_http_nor_asyncio() -> None:
    code = "import sys, mediamill.net; print(*sys.modules)"
    src = str(Path(__file__).parents[3] / "src")

    run = subprocess.run(
        [sys.executable, "-c", code], env={"PYTHONPATH": src}, capture_output=True, text=True, check=True
    )

    assert not {"httpcore", "httpx", "h11", "anyio", "asyncio", "ssl", "socket", "ipaddress"} & set(run.stdout.split())
