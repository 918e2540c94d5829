"""Who looks at the pages: a signed cookie that names a key, never its secret, and runs out.

The cookie is `<key id>.<expiry>.<signature>`; a revoked key ends its sessions within seconds, on every server.
Another site's page can neither read it nor send it along (HttpOnly, SameSite=Strict), and every change is refused
unless the browser says that it comes from a page of ours.
"""

from __future__ import annotations

from urllib.parse import parse_qsl, urlsplit

from litestar.datastructures import Cookie

from mediamill.core.access import Caller
from mediamill.core.errors import Denied, Expired, Unauthorized
from mediamill.dashboard.render import Req
from mediamill.dialects import Site

COOKIE = "mediamill_session"
LIFETIME_S = 12 * 3600
_SAFE = ("GET", "HEAD", "OPTIONS")


def open_session(site: Site, request: Req, caller: Caller) -> Cookie:
    """The cookie of a fresh session."""
    query = dict(parse_qsl(site.signer.query("session", caller.key_id, LIFETIME_S)))
    return _cookie(site, request, f"{caller.key_id}.{query['expires']}.{query['signature']}", LIFETIME_S)


def end_session(site: Site, request: Req) -> Cookie:
    """The cookie that makes the browser forget."""
    return _cookie(site, request, "", 0)


async def caller_of(site: Site, request: Req) -> Caller:
    """Who the session speaks for. Raises Unauthorized when there is none, it is over, or its key was revoked."""
    parts = request.cookies.get(COOKIE, "").split(".")
    if len(parts) != 3:
        raise Unauthorized("Sign in first.")
    key_id, expires, signature = parts
    try:
        site.signer.check("session", key_id, expires, signature)
    except Expired:
        raise Unauthorized("The session is over; sign in again.") from None
    return await site.service.keys.holder(key_id)


def check_origin(site: Site, request: Req) -> None:
    """Raises Denied for a change that a page of another site asks for.

    Browsers say where a request comes from: Sec-Fetch-Site (W3C Fetch Metadata) on HTTPS and on localhost, Origin on
    every POST. One that says neither is no browser of our pages.
    """
    if request.method in _SAFE:
        return
    fetched = request.headers.get("sec-fetch-site")
    if fetched is not None:
        if fetched == "same-origin":
            return
    else:
        origin = urlsplit(request.headers.get("origin", "")).netloc
        ours = {request.headers.get("host", "")}
        if site.settings.public_url is not None:
            ours.add(urlsplit(site.settings.public_url).netloc)
        if origin and origin in ours:
            return
    raise Denied("This request does not come from a page of this server.")


def safe_return(path: str | None) -> str:
    """Where to go afterwards: a page of ours, whatever was asked for."""
    if path and path.startswith("/ui/") and "\\" not in path and path.isprintable() and path.isascii():
        return path
    return "/ui/"


def _cookie(site: Site, request: Req, value: str, max_age_s: int) -> Cookie:
    public = site.settings.public_url or ""
    secure = request.scope["scheme"] == "https" or public.startswith("https:")
    return Cookie(
        key=COOKIE, value=value, path="/ui", max_age=max_age_s, httponly=True, secure=secure, samesite="strict"
    )
