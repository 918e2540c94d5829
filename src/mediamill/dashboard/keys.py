"""Keys of the project, for administrators."""

from __future__ import annotations

from collections.abc import Sequence

from litestar import get, post
from litestar.handlers import HTTPRouteHandler
from litestar.response import Redirect

from mediamill.core.access import Caller, Key, Role
from mediamill.core.errors import Invalid
from mediamill.dashboard.new import FORM_BYTES, pairs_of
from mediamill.dashboard.render import Page, Renderer, Req
from mediamill.dialects import Site


def routes(site: Site, renderer: Renderer) -> Sequence[HTTPRouteHandler]:
    """The pages about keys."""
    keys = site.service.keys

    async def show(
        request: Req, caller: Caller, made: tuple[Key, str] | None = None, error: Invalid | None = None
    ) -> Page:
        return renderer.page(
            request,
            "keys.html",
            caller=caller,
            status=200 if error is None else 422,
            keys=await keys.list(caller),
            made=made,
            error=error,
            roles=[role.value for role in Role],
        )

    @get("/keys", name="keys")
    async def table(request: Req, caller: Caller) -> Page:
        return await show(request, caller)

    @post("/keys", status_code=200, request_max_body_size=FORM_BYTES)
    async def create(request: Req, caller: Caller) -> Page:
        """The secret is in this one answer and nowhere else: not in an address, not in a cookie, not in the log."""
        given = dict(await pairs_of(request))
        try:
            made = await keys.create(
                caller, name=given.get("name", "").strip(), role=given.get("role", ""), project_id=None
            )
        except Invalid as error:
            return await show(request, caller, error=error)
        return await show(request, caller, made=made)

    @post("/keys/{key_id:str}/revoke", status_code=303)
    async def revoke(caller: Caller, key_id: str) -> Redirect:
        await keys.revoke(caller, key_id)
        return Redirect("/ui/keys", status_code=303)

    return [table, create, revoke]
