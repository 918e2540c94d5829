"""The published table of hostile spellings, and what the strict reader makes of the honest ones."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mediamill.net import urls

VECTORS = json.loads(Path(__file__).with_name("hostile_urls.json").read_text())
BAD = [pytest.param(url, id=f"{why}: {url!r}") for why, rows in VECTORS["bad_url"].items() for url in rows]


@pytest.mark.parametrize("url", BAD)
def test_a_spelling_that_parsers_disagree_about_is_not_a_url(url: str) -> None:
    with pytest.raises(urls.BadUrl):
        urls.parse(url)


@pytest.mark.parametrize("url", VECTORS["fine"])
def test_an_honest_url_parses_and_its_normal_form_parses_to_itself(url: str) -> None:
    target = urls.parse(url)

    assert urls.parse(target.url) == target


def test_every_browser_bad_port_is_refused() -> None:
    for port in urls.BAD_PORTS:
        with pytest.raises(urls.BadUrl, match=f"port {port}"):
            urls.parse(f"http://example.com:{port}/")


def test_parts_are_normalised() -> None:
    target = urls.parse("HTTPS://Bücher.Example:443/é a?x=ö|y#frag".replace(" ", "%20"))

    assert (target.scheme, target.host, target.port) == ("https", "xn--bcher-kva.example", 443)
    assert target.path == "/%C3%A9%20a?x=%C3%B6%7Cy"
    assert target.authority == "xn--bcher-kva.example"


def test_an_ipv6_literal_keeps_its_brackets_in_the_host_header() -> None:
    target = urls.parse("http://[2606:4700:0::1111]:8080/a")

    assert (target.host, target.authority) == ("2606:4700::1111", "[2606:4700::1111]:8080")


@pytest.mark.parametrize(
    ("location", "url"),
    [
        ("/b", "http://example.com/b"),
        ("b?x=1", "http://example.com/a/b?x=1"),
        ("../b", "http://example.com/b"),
        ("//other.example/b", "http://other.example/b"),
        ("https://other.example", "https://other.example/"),
        ("/my file.pdf", "http://example.com/my%20file.pdf"),
        ("?page=2", "http://example.com/a/c?page=2"),
    ],
)
def test_a_redirect_is_resolved_against_the_page_it_came_from(location: str, url: str) -> None:
    assert urls.follow(urls.parse("http://example.com/a/c"), location).url == url


@pytest.mark.parametrize(
    "location",
    [
        "file:///etc/passwd",
        "http://u:p@example.com/",
        "//2130706433/",
        "\\\\127.0.0.1\\",
        "/\\127.0.0.1",
        "ht\ttp://x/",
        "http://[",
        "http://a b/",
        "gopher:x",
    ],
)
def test_a_redirect_to_a_bad_url_is_refused(location: str) -> None:
    with pytest.raises(urls.BadUrl):
        urls.follow(urls.parse("http://example.com/"), location)


def test_a_redirect_may_not_leave_tls() -> None:
    with pytest.raises(urls.BadUrl, match="https to http"):
        urls.follow(urls.parse("https://example.com/"), "http://example.com/")


def test_an_endless_url_is_refused() -> None:
    with pytest.raises(urls.BadUrl, match="8192"):
        urls.parse("http://example.com/" + "a" * 8192)
