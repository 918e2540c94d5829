"""Accounts: projects as owners of scheduled prompts, and the organisations in which they see each other's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mediamill.core.ids import OrganisationId, ProjectId

OPERATORS = OrganisationId("goperators")
"""The organisation of those who run the install: its members reach every account."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """A project under the uuid that dialects know it by. Every project is one."""

    id: str
    project_id: ProjectId
    name: str
    email: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Organisation:
    """Accounts that may read and change each other's scheduled prompts."""

    id: OrganisationId
    name: str
    members: Sequence[ProjectId]

    @property
    def operates(self) -> bool:
        """Whether its members reach every account."""
        return self.id == OPERATORS
