"""URLs read strictly: one way to write each host, so that what was checked is what is connected to.

Browsers and libc accept many spellings of an address (`127.1`, `0x7f000001`, `０１７７.1`); parsers that disagree about
them are how filters are passed. Here only RFC 3986 with a DNS name, a dotted quad or a bracketed IPv6 address is a URL.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import AddressValueError, IPv4Address, IPv6Address
from typing import TYPE_CHECKING
from urllib.parse import quote, urljoin

if TYPE_CHECKING:
    from mediamill.net.values import Address

MAX_URL_CHARS = 8192

# The ports a browser will not talk HTTP to: services that would take a request's text as commands of their own.
# WHATWG Fetch, "bad port".
BAD_PORTS = frozenset(
    (
        *(0, 1, 7, 9, 11, 13, 15, 17, 19, 20, 21, 22, 23, 25, 37, 42, 43, 53, 69, 77, 79, 87, 95, 101, 102, 103, 104),
        *(109, 110, 111, 113, 115, 117, 119, 123, 135, 137, 139, 143, 161, 179, 389, 427, 465, 512, 513, 514, 515),
        *(526, 530, 531, 532, 540, 548, 554, 556, 563, 587, 601, 636, 989, 990, 993, 995, 1719, 1720, 1723, 2049),
        *(3659, 4045, 4190, 5060, 5061, 6000, 6566, 6665, 6666, 6667, 6668, 6669, 6679, 6697, 10080),
    )
)
_DEFAULT_PORT = {"http": 80, "https": 443}

_PARTS = re.compile(r"(?:([^:/?#]+):)?(?://([^/?#]*))?([^?#]*)(?:\?([^#]*))?(?:#.*)?")  # RFC 3986, appendix B
_AUTHORITY = re.compile(r"(?:\[([^\[\]]*)\]|([^:\[\]]*))(?::([0-9]{0,5}))?")
_LABEL = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)")  # RFC 1123 2.1, and the underscore that real names have
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")  # WHATWG URL, "ends in a number": libc would read an address
_FORBIDDEN = re.compile(r"[\x00-\x20\x7f\\]")  # controls, blanks; a backslash is a slash to some parsers


class BadUrl(ValueError):
    """Not a URL we fetch; the message says why and may be shown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Where a request goes. `host` is lower-case ASCII without brackets; `address` is set when it is a literal."""

    scheme: str
    host: str
    port: int
    path: str
    """Path and query, percent-encoded, never empty."""
    address: Address | None

    @property
    def authority(self) -> str:
        """The Host header: brackets around IPv6, no default port."""
        host = f"[{self.host}]" if isinstance(self.address, IPv6Address) else self.host
        return host if self.port == _DEFAULT_PORT[self.scheme] else f"{host}:{self.port}"

    @property
    def url(self) -> str:
        """The whole URL, normalised, without fragment."""
        return f"{self.scheme}://{self.authority}{self.path}"


def parse(url: str) -> Target:
    """The target of an absolute http or https URL. Raises BadUrl."""
    if len(url) > MAX_URL_CHARS:
        raise BadUrl(f"must be at most {MAX_URL_CHARS} characters")
    if _FORBIDDEN.search(url):
        raise BadUrl("must not contain spaces, control characters or backslashes")
    match = _PARTS.fullmatch(url)
    if match is None:
        raise BadUrl("is not a URL")
    scheme, authority, path, query = (part or "" for part in match.groups())
    scheme = scheme.lower()
    if scheme not in _DEFAULT_PORT:
        raise BadUrl("must start with http:// or https://")
    if "@" in authority:
        raise BadUrl("must not contain a user name or password")
    split = _AUTHORITY.fullmatch(authority)
    if split is None:
        raise BadUrl("has a host or port that cannot be read")
    literal, name, port_text = split.groups()
    port = int(port_text) if port_text else _DEFAULT_PORT[scheme]
    if port in BAD_PORTS or port > 65535:
        raise BadUrl(f"must not use port {port}")
    host, address = _ipv6(literal) if literal is not None else _name_or_ipv4(name)
    target = quote(path or "/", safe="/%:@!$&'()*+,;=~") + (
        "?" + quote(query, safe="/?%:@!$&'()*+,;=~") if query else ""
    )
    return Target(scheme=scheme, host=host, port=port, path=target, address=address)


def follow(here: Target, location: str) -> Target:
    """The target of a redirect. Raises BadUrl for one that is not a URL we fetch or that leaves TLS."""
    # Spaces in a Location are wrong and common; encoded they mean the same in a path and nothing in a host.
    location = location.strip(" ").replace(" ", "%20")
    if _FORBIDDEN.search(location):  # before urljoin, which drops tabs and newlines instead of refusing them
        raise BadUrl("must not contain spaces, control characters or backslashes")
    try:
        joined = urljoin(here.url, location)
    except ValueError as error:
        raise BadUrl("is not a URL") from error
    there = parse(joined)
    if here.scheme == "https" and there.scheme == "http":
        raise BadUrl("must not lead from https to http")
    return there


def _ipv6(literal: str) -> tuple[str, Address]:
    if "%" in literal:
        raise BadUrl("must not name a network zone")  # RFC 6874
    try:
        address = IPv6Address(literal)
    except AddressValueError as error:
        raise BadUrl("has a host that is not an IPv6 address") from error
    return str(address), address


def _name_or_ipv4(name: str) -> tuple[str, Address | None]:
    if not name:
        raise BadUrl("has no host")
    host = name.lower()
    if not host.isascii():
        host = _ascii(host)
    labels = host.split(".")
    if len(host) > 253 or not all(_LABEL.fullmatch(label) for label in labels):
        raise BadUrl("has a host that is not a DNS name")  # a trailing dot too: TLS names have none
    if _NUMBER.fullmatch(labels[-1]):
        try:
            address = IPv4Address(host)
        except AddressValueError as error:
            raise BadUrl("must write an IPv4 address as four decimal numbers") from error
        return host, address
    return host, None


def _ascii(host: str) -> str:
    import idna

    # Strict IDNA 2008, no compatibility mapping: full-width digits and dots stay what they are, which is refused.
    try:
        return idna.encode(host, strict=True, std3_rules=True).decode("ascii")
    except idna.IDNAError as error:
        raise BadUrl("has a host that is not a DNS name") from error
