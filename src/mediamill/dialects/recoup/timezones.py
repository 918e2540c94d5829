"""/api/v1/timezones: the names a schedule may use."""

from __future__ import annotations

from mediamill.cron import zones
from mediamill.dialects.recoup.call import Call, Reply, Route


async def list_timezones(call: Call) -> Reply:
    """Every name, UTC first unless it is not wanted."""
    names = sorted(zones() - {"UTC"})
    return Reply(body={"timezones": names if call.query.get("excludeUtc") == "true" else ["UTC", *names]})


ROUTES = [Route("GET", "/api/v1/timezones", list_timezones, open=True)]
