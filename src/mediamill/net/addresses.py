"""Which addresses may be connected to, and why the others may not.

IPv4 is open except for the special ranges; IPv6 is shut except for the global unicast space 2000::/3, of which the
special ranges are taken out again. Ranges follow the IANA special-purpose address registries (RFC 6890 and updates).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_network
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mediamill.net.values import Address

Network = IPv4Network | IPv6Network


@dataclass(frozen=True, slots=True)
class Range:
    """Addresses that are refused. `operator_may_allow`: an allow list can open them."""

    network: Network
    reason: str
    operator_may_allow: bool = False


def _range(network: str, reason: str, *, operator_may_allow: bool = False) -> Range:
    return Range(ip_network(network), reason, operator_may_allow)


# The first range that holds an address decides, so single hosts stand before the range around them.
RANGES: tuple[Range, ...] = (
    # Cloud metadata and host agents. They give credentials to whoever asks, so no allow list opens them.
    _range("169.254.169.254/32", "a cloud metadata service"),  # AWS, Azure, GCP, OCI, DigitalOcean, …
    _range("169.254.170.2/32", "a cloud metadata service"),  # AWS ECS task credentials
    _range("168.63.129.16/32", "a cloud metadata service"),  # Azure WireServer, a public address
    _range("100.100.100.200/32", "a cloud metadata service"),  # Alibaba Cloud, inside RFC 6598 space
    _range("192.0.0.192/32", "a cloud metadata service"),  # Oracle Cloud classic
    _range("fd00:ec2::/32", "a cloud metadata service"),  # AWS: metadata ::254, DNS ::253, time ::123, pods ::23
    _range("fd20:ce::254/128", "a cloud metadata service"),  # GCP
    # IPv4
    _range("0.0.0.0/8", "this network"),  # RFC 791 3.2, RFC 1122 3.2.1.3; 0.0.0.0 reaches the own host on Linux
    _range("10.0.0.0/8", "a private network", operator_may_allow=True),  # RFC 1918
    _range("100.64.0.0/10", "carrier-grade NAT", operator_may_allow=True),  # RFC 6598
    _range("127.0.0.0/8", "loopback", operator_may_allow=True),  # RFC 1122 3.2.1.3
    _range("169.254.0.0/16", "link-local"),  # RFC 3927
    _range("172.16.0.0/12", "a private network", operator_may_allow=True),  # RFC 1918
    _range("192.0.0.0/24", "IETF protocol assignments"),  # RFC 6890 2.1; DS-Lite RFC 6333, NAT64 discovery RFC 7050
    _range("192.0.2.0/24", "documentation"),  # RFC 5737 TEST-NET-1
    _range("192.88.99.0/24", "6to4 relay anycast"),  # RFC 3068, withdrawn by RFC 7526
    _range("192.168.0.0/16", "a private network", operator_may_allow=True),  # RFC 1918
    _range("198.18.0.0/15", "benchmarking", operator_may_allow=True),  # RFC 2544; some VPNs use it for their hosts
    _range("198.51.100.0/24", "documentation"),  # RFC 5737 TEST-NET-2
    _range("203.0.113.0/24", "documentation"),  # RFC 5737 TEST-NET-3
    _range("224.0.0.0/4", "multicast"),  # RFC 5771
    _range("255.255.255.255/32", "broadcast"),  # RFC 919 7
    _range("240.0.0.0/4", "reserved"),  # RFC 1112 4
    # IPv6
    _range("::/128", "unspecified"),  # RFC 4291 2.5.2
    _range("::1/128", "loopback", operator_may_allow=True),  # RFC 4291 2.5.3
    _range("::/96", "IPv4-compatible"),  # RFC 4291 2.5.5.1, deprecated; whatever the IPv4 address in it
    _range("64:ff9b:1::/48", "local-use NAT64", operator_may_allow=True),  # RFC 8215; prefix length is site's choice
    _range("100::/64", "discard-only"),  # RFC 6666
    _range("2001::/32", "Teredo"),  # RFC 4380; server and client IPv4 inside, refused whatever they are
    _range("2001:2::/48", "benchmarking", operator_may_allow=True),  # RFC 5180
    _range("2001:db8::/32", "documentation"),  # RFC 3849
    _range("2001::/23", "IETF protocol assignments"),  # RFC 2928; ORCHID RFC 7343, AMT RFC 7450, …
    _range("2002::/16", "6to4"),  # RFC 3056, relays withdrawn by RFC 7526; refused whatever IPv4 is inside
    _range("3fff::/20", "documentation"),  # RFC 9637
    _range("5f00::/16", "segment routing"),  # RFC 9602
    _range("fc00::/7", "a private network", operator_may_allow=True),  # RFC 4193 unique local
    _range("fe80::/10", "link-local"),  # RFC 4291 2.5.6
    _range("fec0::/10", "site-local", operator_may_allow=True),  # RFC 3879, deprecated but still routed in places
    _range("ff00::/8", "multicast"),  # RFC 4291 2.7
)

_GLOBAL_UNICAST = IPv6Network("2000::/3")  # RFC 4291 2.4 and the IANA IPv6 address space registry
_NAT64 = IPv6Network("64:ff9b::/96")  # RFC 6052 2.1, the well-known prefix
_ISATAP = (0x0000_5EFE, 0x0200_5EFE)  # RFC 5214 6.1: interface id ::[02]00:5efe:a.b.c.d under any prefix


def refusal(address: Address, *, allow: Sequence[Network] = (), refuse: Sequence[Network] = ()) -> str | None:
    """Why this address must not be connected to, in two words for a message; None when it may.

    allow: networks an operator opened, for ranges where that is possible. refuse: networks an operator shut, for
    internal services on public addresses; they beat `allow`. Both are held against the IPv4 inside an IPv6 address.
    """
    if isinstance(address, IPv6Address):
        if address.scope_id is not None:
            return "a zone"  # RFC 4007 11: only means something on one link of one machine
        if address.ipv4_mapped is not None:
            return refusal(address.ipv4_mapped, allow=allow, refuse=refuse)  # RFC 4291 2.5.5.2: the kernel sends IPv4
        if address in _NAT64:
            return refusal(_last_32_bits(address), allow=allow, refuse=refuse)
        if (int(address) >> 32) & 0xFFFF_FFFF in _ISATAP:
            inside = refusal(_last_32_bits(address), allow=allow, refuse=refuse)
            if inside is not None:
                return inside
    if any(address in network for network in refuse):
        return "a network closed by the operator"
    for row in RANGES:
        if address in row.network:
            opened = row.operator_may_allow and any(address in network for network in allow)
            return None if opened else row.reason
    if isinstance(address, IPv6Address) and address not in _GLOBAL_UNICAST:
        return "reserved"
    return None


def _last_32_bits(address: IPv6Address) -> IPv4Address:
    return IPv4Address(int(address) & 0xFFFF_FFFF)
