"""The ranges, held against the standard library's own view and against each embedding."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network

import pytest

from mediamill.net.addresses import RANGES, refusal


@pytest.mark.parametrize("row", RANGES, ids=lambda row: str(row.network))
def test_both_ends_of_every_range_are_refused(row: object) -> None:
    network = row.network  # type: ignore[attr-defined]  # pytest hands ids and rows over untyped

    assert refusal(network[0]) is not None
    assert refusal(network[-1]) is not None


def test_nothing_the_standard_library_calls_special_is_open() -> None:
    open_by_design = {ip_network("192.31.196.0/24"), ip_network("192.52.193.0/24"), ip_network("192.175.48.0/24")}

    for first in range(256):
        for second in range(256):
            address = IPv4Address(f"{first}.{second}.2.1")
            if not address.is_global and not any(address in network for network in open_by_design):
                assert refusal(address) is not None, address
    for first_16_bits in range(0x10000):
        address6 = IPv6Address(first_16_bits << 112 | 1)
        if not address6.is_global:
            assert refusal(address6) is not None, address6


@pytest.mark.parametrize("text", ["8.8.8.8", "1.1.1.1", "100.63.255.255", "100.128.0.0", "172.15.0.1", "172.32.0.1",
    "169.253.1.1", "192.0.1.1", "198.17.1.1", "198.20.1.1", "223.255.255.255", "11.0.0.1", "126.0.0.1", "128.0.0.1",
    "2606:4700::1", "2a00::1", "2003::1", "2001:4860:4860::8888", "64:ff9b::8.8.8.8", "::ffff:8.8.8.8"])  # fmt: skip
def test_the_neighbours_of_the_ranges_are_open(text: str) -> None:
    assert refusal(ip_address(text)) is None


@pytest.mark.parametrize("embed", ["::ffff:{}", "64:ff9b::{}", "2a00:1450:4001:800:0:5efe:{}", "2a00::200:5efe:{}"])
@pytest.mark.parametrize("inside", ["127.0.0.1", "10.1.2.3", "169.254.169.254", "100.64.0.1", "0.0.0.0", "224.0.0.1"])
def test_an_ipv4_address_inside_an_ipv6_one_is_judged(embed: str, inside: str) -> None:
    assert refusal(ip_address(embed.format(inside))) == refusal(ip_address(inside)) is not None


def test_an_operator_opens_private_networks_and_only_those_named() -> None:
    allow = [ip_network("127.0.0.0/8"), ip_network("10.1.0.0/16"), ip_network("fd12::/16")]

    assert refusal(ip_address("127.0.0.1"), allow=allow) is None
    assert refusal(ip_address("::ffff:127.0.0.1"), allow=allow) is None
    assert refusal(ip_address("10.1.2.3"), allow=allow) is None
    assert refusal(ip_address("fd12::1"), allow=allow) is None
    assert refusal(ip_address("10.2.0.1"), allow=allow) == "a private network"
    assert refusal(ip_address("::1"), allow=allow) == "loopback"


@pytest.mark.parametrize("text", ["169.254.169.254", "169.254.170.2", "168.63.129.16", "100.100.100.200", "192.0.0.192",
    "fd00:ec2::254", "fd00:ec2::23", "fd20:ce::254", "0.0.0.0", "::", "224.0.0.1", "255.255.255.255", "ff02::1",
    "fe80::1", "::127.0.0.1", "2002:7f00:1::", "2001:0:7f00:1::"])  # fmt: skip
def test_no_allow_list_opens_metadata_or_what_is_never_a_server(text: str) -> None:
    assert refusal(ip_address(text), allow=[ip_network("0.0.0.0/0"), ip_network("::/0")]) is not None


def test_an_operator_shuts_public_networks_too() -> None:
    refuse = [ip_network("8.8.0.0/16")]

    assert refusal(ip_address("8.8.8.8"), refuse=refuse) == "a network closed by the operator"
    assert refusal(ip_address("64:ff9b::8.8.8.8"), refuse=refuse) is not None
    assert refusal(ip_address("8.9.8.8"), refuse=refuse) is None


def test_a_zone_is_refused() -> None:
    assert refusal(IPv6Address("2606:4700::1%eth0")) == "a zone"


def test_all_of_ipv6_outside_global_unicast_is_shut() -> None:
    for start in range(0, 0x10000, 0x100):
        address = IPv6Address(start << 112 | 0xABCD << 64 | 1)
        assert (refusal(address) is None) <= (address in IPv6Network("2000::/3"))
