"""/v1/workspace and /v1/api-keys: the tenant, what it used, what it has, and the keys that speak for it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from mediamill.core.access import Key, Project
from mediamill.core.errors import NotFound
from mediamill.dialects.framelane import ids, jobs
from mediamill.dialects.framelane.call import Call, Json, Reply, Route
from mediamill.dialects.framelane.errors import invalid
from mediamill.dialects.framelane.events import address_secret, shown
from mediamill.dialects.framelane.uploads import write_asset

LONGEST_NAME = 255
KEY_PREFIX = "fl_"
PERIODS = {"7d": 7, "30d": 30, "90d": 90}


async def write_workspace(call: Call, project: Project) -> Json:
    """The workspace. `webhook_secret` is ours: what signs posts to the address that a job names."""
    email, verified = await call.site.service.workspaces.email(call.caller)
    secret = shown(address_secret(call.site.signer, project.id))
    return {**_workspace(call, project, email, verified=verified), "webhook_secret": secret}


def _workspace(call: Call, project: Project, email: str | None, *, verified: bool) -> Json:
    return {
        "id": ids.workspace(project.id),
        "name": project.name,
        "created_at": jobs.instant(project.created_at),
        "email": email,
        "email_verified": verified,
        "plan": call.site.settings.framelane_plan,
        "plan_status": "active",
    }


async def get_workspace(call: Call) -> Reply:
    """The caller's own."""
    return Reply(body=await write_workspace(call, await call.site.service.keys.project_of(call.caller)))


async def change_workspace(call: Call) -> Reply:
    """Its name."""
    name = _name(call.body())
    project = await call.site.service.workspaces.rename(call.caller, name)
    return Reply(body=await write_workspace(call, project))


async def delete_workspace(call: Call) -> Reply:
    """End it: every key is refused from now on, and what is at work is stopped."""
    await call.site.service.workspaces.close(call.caller)
    return Reply(status=204)


async def usage(call: Call) -> Reply:
    """What was used of a period: this month, or the last so many days."""
    word = call.query.get("period")
    now = datetime.now(UTC)
    if word is None:
        start = now.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
        end = (start + timedelta(days=32)).replace(day=1)
    elif word in PERIODS:
        end = (now + timedelta(days=1)).replace(hour=0, minute=0, second=0, microsecond=0)
        start = end - timedelta(days=PERIODS[word])
    else:
        raise invalid("period", f"must be one of {', '.join(PERIODS)}")
    used = await call.site.service.workspaces.usage(call.caller, start, end, list(jobs.TYPES), jobs.RENDER)
    body = {
        "period_start": jobs.instant(start),
        "period_end": jobs.instant(end),
        "render_minutes": round(used.render_s / 60, 4),
        "task_count": used.tasks,
        "egress_bytes": used.egress_bytes,
        "render_minutes_limit": call.site.settings.framelane_render_minutes,
        "renders_count": used.renders,
    }
    return Reply(body=body)


async def list_assets(call: Call) -> Reply:
    """Films and sounds that jobs may use, newest first."""
    page = jobs.page_of(call)
    found, more = await call.site.service.workspaces.assets(call.caller, page)
    last = (found[-1].created_at, found[-1].id) if found else None
    return Reply(body=jobs.listed([write_asset(file, call.links) for file in found], more, last))


async def sign_up(call: Call) -> Reply:
    """A new workspace and its key, which does nothing until the code comes back."""
    body = call.body()
    name, email = _text(body, "workspace_name"), _text(body, "email")
    project, secret = await call.site.service.workspaces.sign_up(name, email, KEY_PREFIX)
    workspace = _workspace(call, project, email.lower(), verified=False)
    return Reply(body={"api_key": secret, "workspace": workspace, "email_verified": False}, status=201)


async def verify(call: Call) -> Reply:
    """The code that came by another way; the key is awake from now on."""
    body = call.body()
    project = await call.site.service.workspaces.verify(_text(body, "email"), _text(body, "otp_code"))
    return Reply(body={"workspace_id": ids.workspace(project.id), "email_verified": True})


def _text(body: Mapping[str, Any], name: str) -> str:
    found = body.get(name)
    if not isinstance(found, str) or not 1 <= len(found) <= 320:
        raise invalid(name, "is required: a string of 1 to 320 characters")
    return found


def write_key(key: Key, secret: str | None = None) -> Json:
    """A key; its whole self only when it is made."""
    found: Json = {
        "id": ids.write("key", key.id),
        "name": key.name,
        "key_prefix": key.hint,
        "created_at": jobs.instant(key.created_at),
        "last_used_at": jobs.instant(key.last_used_at) if key.last_used_at else None,
        "revoked_at": jobs.instant(key.revoked_at) if key.revoked_at else None,
    }
    return found if secret is None else {**found, "key": secret}


async def create_key(call: Call) -> Reply:
    """A new key of this workspace, shown this once."""
    key, secret = await call.site.service.keys.create_own(call.caller, _name(call.body()), KEY_PREFIX)
    return Reply(body=write_key(key, secret), status=201)


async def list_keys(call: Call) -> Reply:
    """Every key, newest first, revoked ones too."""
    page = jobs.page_of(call)
    found = list(await call.site.service.keys.list_own(call.caller))
    if page.after is not None:
        found = [key for key in found if (key.created_at, key.id) < (page.after.at, page.after.id)]
    some = found[: page.limit]
    last = (some[-1].created_at, some[-1].id) if some else None
    return Reply(body=jobs.listed([write_key(key) for key in some], len(found) > page.limit, last))


async def revoke_key(call: Call) -> Reply:
    """End a key, at once."""
    try:
        await call.site.service.keys.revoke_own(call.caller, ids.read("key", call.ids[0]))
    except NotFound:
        raise NotFound("key", call.ids[0]) from None
    return Reply(status=204)


def _name(body: Mapping[str, Any]) -> str:
    found = body.get("name")
    if not isinstance(found, str) or not 1 <= len(found) <= LONGEST_NAME or not found.strip():
        raise invalid("name", f"must be a string of 1 to {LONGEST_NAME} characters")
    return found


ROUTES = [
    Route("GET", "/v1/workspace", get_workspace),
    Route("PATCH", "/v1/workspace", change_workspace),
    Route("DELETE", "/v1/workspace", delete_workspace, json=False),
    Route("GET", "/v1/workspace/usage", usage),
    Route("GET", "/v1/workspace/assets", list_assets),
    Route("POST", "/v1/signup", sign_up, open=True),
    Route("POST", "/v1/signup/verify", verify, open=True),
    Route("POST", "/v1/api-keys", create_key),
    Route("GET", "/v1/api-keys", list_keys),
    Route("DELETE", "/v1/api-keys/{}", revoke_key, json=False),
]
