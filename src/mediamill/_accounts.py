"""The part of the client that keeps accounts and organisations."""

from __future__ import annotations

from typing import Any, cast
from urllib.parse import quote


class AccountCalls:
    """Calls on accounts; a client sends them. An organisation is named by its id or its name."""

    def _send(self, method: str, path: str, **content: Any) -> dict[str, Any]:
        raise TypeError("a client sends")

    def accounts(self) -> list[dict[str, Any]]:
        """Every project with its account id and e-mail address."""
        return cast(list[dict[str, Any]], self._send("GET", "/mill/accounts")["data"])

    def set_email(self, project_id: str, email: str | None) -> dict[str, Any]:
        """Say how the owner of a project is reached."""
        return self._send("PATCH", f"/mill/accounts/{_part(project_id)}", json={"email": email})

    def organisations(self) -> list[dict[str, Any]]:
        """Every organisation with its members."""
        return cast(list[dict[str, Any]], self._send("GET", "/mill/organisations")["data"])

    def create_organisation(self, name: str) -> dict[str, Any]:
        """A new organisation without members."""
        return self._send("POST", "/mill/organisations", json={"name": name})

    def delete_organisation(self, name: str) -> None:
        """Dissolve an organisation."""
        self._send("DELETE", f"/mill/organisations/{_part(name)}")

    def join(self, name: str, project_id: str) -> dict[str, Any]:
        """Make a project a member of an organisation."""
        return self._send("PUT", f"/mill/organisations/{_part(name)}/members/{_part(project_id)}")

    def leave(self, name: str, project_id: str) -> None:
        """End a membership."""
        self._send("DELETE", f"/mill/organisations/{_part(name)}/members/{_part(project_id)}")


def _part(text: str) -> str:
    """Names come from people: one that holds a slash must not name another address."""
    return quote(text, safe="")
