"""Webhooks: who is told of what happens, what they answered, telling them again; and a receiver on a laptop."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from mediamill.cli import _connection, _show
from mediamill.cli._exit import Exit, Stop

if TYPE_CHECKING:
    from mediamill.client import Client, Delivery

_TEST_WAIT_S = 10.0
_AGAIN_S = 1.0
_POST_S = 30.0


@click.group("webhooks")
def webhooks() -> None:
    """Tell other programs of what happens here."""


@webhooks.command("add")
@click.argument("url")
@click.option("--type", "types", multiple=True, help="Only events of this type; may be repeated.")
@click.option("--name", default="", help="For people.")
@_connection.options
def add(at: _connection.At, url: str, types: tuple[str, ...], name: str) -> None:
    """Have events posted to URL, and print the secret that signs them: the only time it is shown."""
    with at.connect() as mill:
        made = mill.create_endpoint(url, types or ("*",), name=name)
    if at.json:
        _show.document(made)
    else:
        click.echo(f"{made['id']}: keep the secret now, it is not shown again.", err=True)
        click.echo(made["secret"])


@webhooks.command("ls")
@_connection.options
def ls(at: _connection.At) -> None:
    """List endpoints."""
    with at.connect() as mill:
        found = mill.endpoints()
    if at.json:
        _show.document({"data": found})
        return
    rows = [
        (e["id"], e["state"], _show.safe(e["url"]), ", ".join(e["types"]), _show.safe(e["name"] or e["reason"] or ""))
        for e in found
    ]
    _show.table(("ID", "STATE", "URL", "TYPES", "NAME"), rows)


@webhooks.command("rm")
@click.argument("endpoint_ids", nargs=-1, required=True)
@_connection.options
def rm(at: _connection.At, endpoint_ids: tuple[str, ...]) -> None:
    """Forget endpoints and their deliveries."""
    with at.connect() as mill:
        for id in endpoint_ids:
            mill.remove_endpoint(id)
    if at.json:
        _show.document({"removed": list(endpoint_ids)})


@webhooks.command("pause")
@click.argument("endpoint_id")
@_connection.options
def pause(at: _connection.At, endpoint_id: str) -> None:
    """Tell an endpoint nothing for now; what waits for it is kept."""
    _state(at, endpoint_id, "paused")


@webhooks.command("resume")
@click.argument("endpoint_id")
@_connection.options
def resume(at: _connection.At, endpoint_id: str) -> None:
    """Tell a paused or disabled endpoint again, beginning with what waited for it."""
    _state(at, endpoint_id, "active")


@webhooks.command("rotate")
@click.argument("endpoint_id")
@click.option("--overlap", "overlap_s", type=float, default=86_400.0, help="Seconds the old secret signs too (a day).")
@_connection.options
def rotate(at: _connection.At, endpoint_id: str, overlap_s: float) -> None:
    """Change an endpoint's secret and print the new one: the only time it is shown."""
    with at.connect() as mill:
        made = mill.rotate_endpoint(endpoint_id, overlap_s=overlap_s)
    if at.json:
        _show.document(made)
    else:
        click.echo(made["secret"])


@webhooks.command("test")
@click.argument("endpoint_id")
@_connection.options
def test(at: _connection.At, endpoint_id: str) -> None:
    """Send an endpoint a test and print how it was answered."""
    with at.connect() as mill:
        found = _answered(mill, mill.test_endpoint(endpoint_id))
    if at.json:
        _show.document(found)
    else:
        _deliveries([found])
    if found["state"] != "delivered":
        raise Stop(Exit.FAILED, _show.safe(found["error"] or f"It answered {found['status'] or 'nothing yet'}."))


@webhooks.command("deliveries")
@click.argument("endpoint_id", required=False)
@click.option("-n", "--limit", type=click.IntRange(1, 100), default=20, help="Rows on a page (20).")
@click.option("--state", type=click.Choice(["pending", "delivered", "failed", "disabled"]), multiple=True)
@click.option("--after", metavar="CURSOR", help="Go on after a page.")
@_connection.options
def deliveries(
    at: _connection.At, endpoint_id: str | None, limit: int, state: tuple[str, ...], after: str | None
) -> None:
    """List deliveries, newest first; of one endpoint, or of the project."""
    with at.connect() as mill:
        page = mill.deliveries(endpoint_id, limit=limit, state=state, after=after)
    if at.json:
        _show.document(page)
        return
    _deliveries(page["data"])
    if page["next"]:
        click.echo(f"more: mediamill webhooks deliveries --after {page['next']}", err=True)


@webhooks.command("log")
@click.argument("delivery_id")
@_connection.options
def log(at: _connection.At, delivery_id: str) -> None:
    """Print what was sent in a delivery, and what came back."""
    with at.connect() as mill:
        found = mill.delivery(delivery_id)
    if at.json:
        _show.document(found)
        return
    for post in found["log"]:
        said = post["status"] if post["status"] is not None else _show.safe(post["error"] or "no answer")
        click.echo(f"#{post['number']}  {_show.moment(post['started_at'])}  {post['took_s']:.2f} s  {said}")
        click.echo(f"  POST {_show.safe(post['url'])}")
        for name, value in post["request_headers"].items():
            click.echo(f"  {_show.safe(name)}: {_show.safe(value)}")
        click.echo(f"  {_show.safe(post['request_body'])}")
        if post["response_body"]:
            click.echo(f"  answered: {_show.safe(post['response_body'][:500])}")


@webhooks.command("replay")
@click.argument("id")
@click.option("--since", metavar="INSTANT", help="Events since then, like 2030-01-02T03:04:05Z.")
@click.option("--first", metavar="EVENT", help="Events from this one on.")
@click.option("--last", metavar="EVENT", help="Events up to this one.")
@click.option("--type", "types", multiple=True, help="Only these; may be repeated.")
@click.option("--missed", is_flag=True, help="Only those that were not answered well.")
@_connection.options
def replay(
    at: _connection.At,
    id: str,
    since: str | None,
    first: str | None,
    last: str | None,
    types: tuple[str, ...],
    missed: bool,
) -> None:
    """Send one delivery again (dlv_…), or an endpoint the events that --since, --first and --last name."""
    with at.connect() as mill:
        if id.startswith("dlv_"):
            again = _answered(mill, mill.replay_delivery(id))
            if at.json:
                _show.document(again)
            else:
                _deliveries([again])
            return
        if not (since or first or last or missed):
            raise click.UsageError("An endpoint needs --since, --first, --last or --missed.")
        span = {"since": since, "first": first, "last": last, "types": list(types) or None, "missed": missed}
        count = mill.replay_events(id, **span)
    if at.json:
        _show.document({"count": count})
    else:
        click.echo(f"{count} events on their way")


@webhooks.command("listen")
@click.option("--forward-to", "target", metavar="URL", required=True, help="Where on this machine to post them.")
@click.option("--secret", metavar="WHSEC", help="Sign with this secret; one is made and printed when not given.")
@click.option("--after", metavar="EVENT", help="Begin after this event; with the next one by default.")
@click.option("--count", type=click.IntRange(1), help="Leave after so many.")
@_connection.options
def listen(at: _connection.At, target: str, secret: str | None, after: str | None, count: int | None) -> None:
    """Post the project's events to a program on this machine as they happen. No public address is needed."""
    import base64
    import secrets

    from mediamill.client import Unreachable

    secret = secret or "whsec_" + base64.b64encode(secrets.token_bytes(24)).decode()
    click.echo(f"secret {secret}", err=True)
    click.echo(f"listening; each event is posted to {target}", err=True)
    last, seen = after, 0
    while True:
        try:
            with at.connect() as mill:
                for id, body in mill.follow_events(last):
                    last, seen = id, seen + 1
                    _forward(at, target, secret, id, body)
                    if seen == count:
                        return
        except Unreachable as broken:
            click.echo(f"{broken} Trying again.", err=True)
        time.sleep(_AGAIN_S)


def _forward(at: _connection.At, target: str, secret: str, id: str, body: bytes) -> None:
    import json

    import httpx
    from standardwebhooks import Webhook

    now = datetime.now(UTC)
    headers = {
        "content-type": "application/json",
        "webhook-id": id,
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": Webhook(secret).sign(id, now, body.decode()),
    }
    began = time.monotonic()
    status, error = None, None
    try:
        # Its own machine's: no proxy stands before it.
        status = httpx.post(target, content=body, headers=headers, timeout=_POST_S, trust_env=False).status_code
    except httpx.HTTPError as failed:
        error = str(failed) or type(failed).__name__
    took_s = time.monotonic() - began
    kind = str(json.loads(body)["type"])
    if at.json:
        click.echo(json.dumps({"id": id, "type": kind, "status": status, "error": error, "took_s": round(took_s, 3)}))
    else:
        said = click.style(str(status), fg="green" if status and 200 <= status < 300 else "red") if status else error
        click.echo(f"{_show.moment(now.isoformat())}  {id}  {kind:<18} {said}  {took_s * 1000:.0f} ms")


def _state(at: _connection.At, id: str, state: str) -> None:
    with at.connect() as mill:
        found = mill.change_endpoint(id, state=state)
    if at.json:
        _show.document(found)
    else:
        click.echo(f"{found['id']} is {found['state']}")


def _answered(mill: Client, found: Delivery) -> Delivery:
    """The delivery once its first attempt has been answered, or a little later."""
    deadline = time.monotonic() + _TEST_WAIT_S
    while found["state"] == "pending" and not found.get("log") and time.monotonic() < deadline:
        time.sleep(0.1)
        found = mill.delivery(found["id"])
    return found


def _deliveries(found: list[Any]) -> None:
    rows = [
        (
            d["id"],
            d["type"],
            d["state"],
            str(d["status"] or "-"),
            str(d["attempts"]),
            _show.moment(d["next_attempt_at"]),
            _show.safe(d["url"])[:60],
            _show.safe(d["error"] or "")[:60],
        )
        for d in found
    ]
    head = ("ID", "TYPE", "STATE", "STATUS", "TRIES", "NEXT", "URL", "ERROR")
    _show.table(head, rows, right=frozenset({"TRIES"}))


COMMAND = webhooks
