"""One attempt: a signed post to a guarded address, and what came of it."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

from standardwebhooks import Webhook

from mediamill.core.errors import Invalid, MediamillError
from mediamill.core.webhooks import Attempt, Done, Due, Heard, event_id, outcome
from mediamill.net.values import Answer

TIMEOUT_S = 5.0
MOST_PATIENCE_S = 10.0
KEPT_BYTES = 4096
"""Of an answer, for the log."""

Sign = Callable[[Sequence[bytes], str, datetime, bytes], Mapping[str, str]]
"""(secrets, the newest first; id; instant; body) to headers."""


class Net(Protocol):
    """The one way out."""

    def post(self, url: str, *, body: bytes, headers: Mapping[str, str], timeout_s: float) -> Awaitable[Answer]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """What is said to a receiver, and how it is signed when the dialect has a way of its own."""

    body: bytes
    sign: Sign | None = None
    patience_s: float = 0.0
    """How long the receiver has at least to answer; MOST_PATIENCE_S at most."""
    trace: str | None = None
    """The trace of the task that it tells of."""


def sign(secrets: Sequence[bytes], id: str, at: datetime, body: bytes) -> dict[str, str]:
    """The headers of the Standard Webhooks scheme; after a rotation both secrets sign, as it asks."""
    headers = {"webhook-id": id, "webhook-timestamp": str(int(at.timestamp()))}
    if secrets:
        text = body.decode()
        headers["webhook-signature"] = " ".join(Webhook(secret).sign(id, at, text) for secret in secrets)
    return headers


class Postman:
    """Makes attempts. `now` and `jitter` are the world's own unless a test has others."""

    def __init__(
        self,
        net: Net,
        *,
        timeout_s: float = TIMEOUT_S,
        open: Callable[[bytes, str], bytes] = lambda secret, _: secret,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        jitter: Callable[[], float] = random.random,
    ) -> None:
        """open: of (secret as it is kept, its endpoint's id), the secret itself."""
        self._net = net
        self._open = open
        self.timeout_s = timeout_s
        self._now = now
        self._jitter = jitter

    async def post(self, due: Due, message: Message) -> Done:
        """Post once. Whatever happens is in what is returned; nothing is raised for what a receiver does."""
        started_at = self._now()
        assert due.url is not None, "nothing is claimed for an endpoint that is gone"
        at = started_at.astimezone(UTC)
        headers: dict[str, str] = {"content-type": "application/json"}
        status, answered, body, took_s, error, final = None, {}, b"", 0.0, None, False
        try:
            secrets = [self._open(secret, due.endpoint_id or "") for secret in due.secrets]
            headers |= (message.sign or sign)(secrets, event_id(due.event.id), at, message.body)
            wait_s = max(self.timeout_s, min(message.patience_s, MOST_PATIENCE_S))
            answer = await self._net.post(due.url, body=message.body, headers=headers, timeout_s=wait_s)
            status, answered, body, took_s = answer.status, dict(answer.headers), answer.body, answer.took_s
            if 300 <= status < 400:
                error = "It answered with a redirect, which is not followed."
        except Invalid as refused:
            error, final = str(refused), True
        except MediamillError as failed:  # of the way there, or of a secret that no key opens
            error = str(failed)
        ended_at = self._now()
        heard = Heard(status=status, headers=answered, final=final)
        return Done(
            id=due.id,
            number=due.number,
            outcome=outcome(heard, due.step, ended_at, self._jitter()),
            attempt=Attempt(
                number=due.number,
                url=due.url,
                started_at=started_at,
                took_s=took_s or (ended_at - started_at).total_seconds(),
                request_headers=headers,
                request_body=message.body,
                status=status,
                response_headers=answered,
                response_body=body[:KEPT_BYTES],
                error=error,
            ),
        )
