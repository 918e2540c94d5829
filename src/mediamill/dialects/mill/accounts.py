"""The native dialect's accounts and organisations; for administrators."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from litestar import Response, Router, delete, get, patch, post, put
from msgspec import Meta

from mediamill.core.access import Caller
from mediamill.core.accounts import Account, Organisation
from mediamill.dialects import Site
from mediamill.dialects.mill.requests import Req, read_body
from mediamill.dialects.mill.responses import json, problems, says


class AccountOut(msgspec.Struct, kw_only=True):
    """A project under the uuid that the Recoup dialect knows it by."""

    project_id: str
    account_id: str
    name: str
    email: str | None


class AccountPage(msgspec.Struct, kw_only=True):
    """Every account."""

    data: list[AccountOut]


class AccountChange(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """How its owner is reached; null for not at all."""

    email: Annotated[str, Meta(min_length=3, max_length=320)] | None


class OrganisationIn(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """An organisation to make."""

    name: Annotated[str, Meta(min_length=1, max_length=200)]


class OrganisationOut(msgspec.Struct, kw_only=True):
    """Accounts that may read and change each other's scheduled prompts. operates: its members reach every account."""

    id: str
    name: str
    operates: bool
    members: list[str]


class OrganisationPage(msgspec.Struct, kw_only=True):
    """Every organisation."""

    data: list[OrganisationOut]


SHAPES = (AccountOut, AccountPage, AccountChange, OrganisationIn, OrganisationOut, OrganisationPage)
_ONE = "/organisations/{organisation_id:str}"


def router(site: Site) -> Router:
    """Everything about accounts."""
    service = site.service.accounts
    tags: Any = ["accounts"]

    @get(
        "/accounts",
        responses={200: says(AccountPage, "The accounts."), **problems(403)},
        tags=tags,
        operation_id="listAccounts",
    )
    async def list_accounts(caller: Caller) -> Response[bytes]:
        """Every account, oldest first."""
        return json(AccountPage(data=[_account(one) for one in await service.all(caller)]))

    @patch(
        "/accounts/{project_id:str}",
        responses={200: says(AccountOut, "The account."), **problems(403, 404, 413, 415)},
        tags=tags,
        operation_id="changeAccount",
    )
    async def change_account(request: Req, caller: Caller, project_id: str) -> Response[bytes]:
        """Say how the owner of a project is reached."""
        body = await read_body(request, AccountChange)
        return json(_account(await service.set_email(caller, project_id, body.email)))

    @get(
        "/organisations",
        responses={200: says(OrganisationPage, "The organisations."), **problems(403)},
        tags=tags,
        operation_id="listOrganisations",
    )
    async def list_organisations(caller: Caller) -> Response[bytes]:
        """Every organisation, oldest first."""
        return json(OrganisationPage(data=[_organisation(one) for one in await service.organisations(caller)]))

    @post(
        "/organisations",
        responses={201: says(OrganisationOut, "The organisation."), **problems(403, 409, 413, 415)},
        tags=tags,
        operation_id="createOrganisation",
    )
    async def create_organisation(request: Req, caller: Caller) -> Response[bytes]:
        """A new organisation without members."""
        body = await read_body(request, OrganisationIn)
        return json(_organisation(await service.create_organisation(caller, body.name)), 201)

    @delete(_ONE, responses=problems(403, 404), tags=tags, operation_id="deleteOrganisation")
    async def delete_organisation(caller: Caller, organisation_id: str) -> None:
        """Dissolve an organisation; its accounts stay. An id or a name."""
        await service.delete_organisation(caller, organisation_id)

    @put(
        _ONE + "/members/{project_id:str}",
        responses={200: says(OrganisationOut, "The organisation."), **problems(403, 404)},
        tags=tags,
        operation_id="addMember",
    )
    async def add_member(caller: Caller, organisation_id: str, project_id: str) -> Response[bytes]:
        """Make a project a member."""
        return json(_organisation(await service.join(caller, organisation_id, project_id)))

    @delete(_ONE + "/members/{project_id:str}", responses=problems(403, 404), tags=tags, operation_id="removeMember")
    async def remove_member(caller: Caller, organisation_id: str, project_id: str) -> None:
        """End a membership."""
        await service.leave(caller, organisation_id, project_id)

    return Router(
        "/",
        route_handlers=[
            list_accounts,
            change_account,
            list_organisations,
            create_organisation,
            delete_organisation,
            add_member,
            remove_member,
        ],
    )


def _account(one: Account) -> AccountOut:
    return AccountOut(project_id=one.project_id, account_id=one.id, name=one.name, email=one.email)


def _organisation(one: Organisation) -> OrganisationOut:
    return OrganisationOut(id=one.id, name=one.name, operates=one.operates, members=list(one.members))
