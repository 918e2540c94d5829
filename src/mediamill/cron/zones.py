"""Time zones by name, as the tzdata package has them: every server of an install knows the same, whatever its machine
has below /usr/share/zoneinfo, and no name is resolved as a path."""

from __future__ import annotations

from datetime import UTC, tzinfo
from functools import cache, lru_cache
from importlib import resources
from zoneinfo import ZoneInfo

from mediamill.core.errors import Invalid


@cache
def zones() -> frozenset[str]:
    """Every name there is."""
    return frozenset(resources.files("tzdata").joinpath("zones").read_text("ascii").split())


def check_zone(name: str, field: str = "timezone") -> None:
    """Raises Invalid unless it is a name of the tz database; offsets such as +05:30 are none."""
    if name not in zones():
        raise Invalid(field, f"{name[:100]!r} is not a time zone: give an IANA name, such as Europe/Madrid or UTC.")


@lru_cache(maxsize=1024)
def load(name: str) -> tzinfo:
    """The zone of that name. Raises Invalid for none."""
    if name == "UTC":
        return UTC  # no rules to ask
    check_zone(name)
    with resources.files("tzdata").joinpath("zoneinfo", *name.split("/")).open("rb") as file:
        return ZoneInfo.from_file(file, key=name)
