"""File names from Content-Disposition (RFC 6266, RFC 8187) and from paths."""

from __future__ import annotations

import pytest

from mediamill.net.names import from_disposition, from_path, safe_name


@pytest.mark.parametrize(
    ("header", "name"),
    [
        ("attachment", None),
        ("inline", None),
        ("", None),
        ("attachment; filename=plain.txt", "plain.txt"),
        ('attachment; filename="with space.txt"', "with space.txt"),
        ('attachment; FILENAME="caps.txt"', "caps.txt"),
        ('attachment;filename="a\\"b.txt"', "a_b.txt"),
        ('attachment; filename="semi;colon.txt"', "semi;colon.txt"),
        ("attachment; filename*=UTF-8''na%C3%AFve%20file.txt", "naïve file.txt"),
        ("attachment; filename=\"EURO.txt\"; filename*=utf-8''%e2%82%ac%20rates.txt", "€ rates.txt"),
        ("attachment; filename*=UTF-8''%e2%82%ac.txt; filename=fallback.txt", "€.txt"),
        ("attachment; filename*=iso-8859-1'en'%A3%20rates.txt", "£ rates.txt"),
        ("attachment; filename*=koi8-r''x.txt; filename=fallback.txt", "fallback.txt"),
        ("attachment; filename*=broken; filename=fallback.txt", "fallback.txt"),
        ('attachment; filename="../../etc/passwd"', "passwd"),
        ('attachment; filename="C:\\\\Users\\\\me\\\\a.txt"', "a.txt"),
        ("attachment; filename*=UTF-8''..%2f..%2fetc%2fpasswd", "passwd"),
        ("attachment; filename*=UTF-8''%2e%2e", None),
        ('attachment; filename=".."', None),
        ('attachment; filename=".bashrc"', "bashrc"),
        ('attachment; filename="a\x00b\x1b.txt"', "a_b_.txt"),
        ('attachment; filename=""', None),
        ("attachment; filename*=UTF-8''evil%E2%80%AEgpj.exe", "evil_gpj.exe"),
    ],
)
def test_content_disposition(header: str, name: str | None) -> None:
    assert from_disposition(header) == name


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/", None),
        ("/a/b.png", "b.png"),
        ("/a/b.png?x=/c.gif", "b.png"),
        ("/a/na%C3%AFve%20one.png", "naïve one.png"),
        ("/a/%2e%2e%2fpasswd", "passwd"),
        ("/a/..", None),
        ("/a%00.png", "a_.png"),
    ],
)
def test_last_segment_of_a_path(path: str, name: str | None) -> None:
    assert from_path(path) == name


def test_a_long_name_is_cut_between_letters_and_keeps_its_extension() -> None:
    name = safe_name("é" * 300 + ".jpeg")

    assert name is not None
    assert len(name.encode()) <= 200
    assert name.endswith("é.jpeg")


def test_a_lone_surrogate_does_not_break_the_name() -> None:
    assert safe_name("a\udc80.txt") == "a_.txt"
