"""One attempt: what is sent, who would vouch for it, and what is made of every kind of answer."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime, timedelta

import pytest
import pytest_asyncio
from standardwebhooks import Webhook
from tests.support.children import in_company
from tests.support.hooks import SECRET
from tests.support.receiver import Post, Receiver, Reply, receiving, way_out

from mediamill.core.ids import ProjectId
from mediamill.core.webhooks import LADDER_S, DeliveryState, Done, Due, Event, Heard, event_id, outcome, retry_after_s
from mediamill.net.values import Answer
from mediamill.webhooks.post import KEPT_BYTES, Message, Postman

NOW = datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC)
EVENT = Event(
    id=7, project_id=ProjectId("p"), type="task.failed", task_id=None, run_id=None, file_id=None, created_at=NOW
)
BODY = '{"id": "ä ∀ 😀"}'.encode()


@pytest_asyncio.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as found:
        yield found


def due(url: str, step: int = 0, secrets: tuple[bytes, ...] = (SECRET,)) -> Due:
    return Due(
        id=1,
        number=step + 1,
        step=step,
        lane="w1",
        url=url,
        endpoint_id="w1",
        dialect="mill",
        origin=None,
        active=True,
        body=None,
        secrets=secrets,
        event=EVENT,
    )


async def post(url: str, *, timeout_s: float = 5.0, allowed: bool = True, **given: int) -> Done:
    async with way_out(**({} if allowed else {"allow_networks": []})) as net:
        postman = Postman(net, timeout_s=timeout_s, jitter=lambda: 0.0)
        return await postman.post(due(url, **given), Message(body=BODY))


async def test_a_message_may_leave_its_receiver_more_time_but_never_less() -> None:
    waits: list[float] = []

    class Net:
        async def post(self, url: str, *, body: bytes, headers: Mapping[str, str], timeout_s: float) -> Answer:
            waits.append(timeout_s)
            return Answer(status=200, headers={}, body=b"", took_s=0.1)

    for patience_s in (0.0, 10.0, 3600.0):
        await Postman(Net(), timeout_s=5.0).post(due("https://a.example/"), Message(body=BODY, patience_s=patience_s))
    await Postman(Net(), timeout_s=20.0).post(due("https://a.example/"), Message(body=BODY, patience_s=10.0))

    assert waits == [5.0, 10.0, 10.0, 20.0]


async def test_it_is_signed_json_under_the_events_id(receiver: Receiver) -> None:
    done = await post(receiver.url())

    [got] = receiver.posts
    assert got.headers["content-type"] == "application/json"
    assert got.headers["user-agent"].startswith("mediamill/")
    assert got.id == event_id(7)
    assert got.body == BODY
    assert Webhook(SECRET).verify(got.body, dict(got.headers)) == json.loads(BODY)
    assert done.outcome.state is DeliveryState.DELIVERED
    assert done.attempt is not None
    assert done.attempt.request_body == BODY


async def test_a_receiver_slower_than_the_timeout_is_tried_again(receiver: Receiver) -> None:
    gone = asyncio.Event()

    async def answers(_: Post) -> Reply:
        await gone.wait()
        return Reply()

    receiver.answer_with(answers)
    done = await post(receiver.url(), timeout_s=0.3)
    gone.set()

    assert done.attempt is not None
    assert done.attempt.error == "The address gave no answer within 0.3 s."
    assert 0.25 < done.attempt.took_s < in_company(3)
    assert (done.outcome.state, done.outcome.retry_in_s) == (DeliveryState.PENDING, LADDER_S[1])


async def test_of_an_endless_answer_the_beginning_is_kept(receiver: Receiver) -> None:
    receiver.answer(200, body=b"x" * (4 << 20))

    done = await post(receiver.url())

    assert done.attempt is not None
    assert done.attempt.response_body == b"x" * KEPT_BYTES
    assert done.outcome.state is DeliveryState.DELIVERED


@pytest.mark.parametrize("status", [301, 302, 307, 308])
async def test_a_redirect_is_a_failure(receiver: Receiver, status: int) -> None:
    receiver.answer(status, {"location": receiver.url("/other")})

    done = await post(receiver.url())

    assert len(receiver.posts) == 1
    assert done.outcome.state is DeliveryState.PENDING
    assert done.attempt is not None
    assert done.attempt.status == status


async def test_an_address_inside_is_refused_and_nothing_is_sent(receiver: Receiver) -> None:
    done = await post(receiver.url(), allowed=False)

    assert receiver.posts == []
    assert done.attempt is not None
    assert "not a public address" in (done.attempt.error or "")
    assert done.outcome.state is DeliveryState.PENDING


async def test_a_receiver_that_speaks_no_http_is_tried_again() -> None:
    async def rubbish(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"\x00\xff not http\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(rubbish, "127.0.0.1", 0)
    async with server:
        done = await post(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/")

    assert done.outcome.state is DeliveryState.PENDING


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
def test_every_2xx_is_a_good_answer(status: int) -> None:
    assert outcome(Heard(status=status), 0, NOW, 0.5).state is DeliveryState.DELIVERED


@pytest.mark.parametrize("status", [100, 304, 400, 401, 404, 429, 500, 503, 599, None])
def test_everything_else_goes_up_the_ladder_to_its_end(status: int | None) -> None:
    heard = Heard(status=status)

    waits = [outcome(heard, step, NOW, 0.0).retry_in_s for step in range(len(LADDER_S))]

    assert waits == [*LADDER_S[1:], None]
    assert outcome(heard, len(LADDER_S) - 1, NOW, 0.0).state is DeliveryState.FAILED


def test_jitter_makes_waits_longer_never_shorter() -> None:
    waits = [outcome(Heard(status=500), 3, NOW, jitter / 10).retry_in_s or 0 for jitter in range(10)]

    assert waits == sorted(waits)
    assert waits[0] == LADDER_S[4]
    assert waits[-1] < LADDER_S[4] * 1.1


def test_410_ends_it_and_disables_the_endpoint() -> None:
    found = outcome(Heard(status=410), 0, NOW, 0.0)

    assert (found.state, found.retry_in_s) == (DeliveryState.FAILED, None)
    assert found.disable


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("120", 120.0),
        (" 7 ", 7.0),
        ("0", 1.0),
        ("999999999999999999999", 86_400.0),
        ("Wed, 02 Jan 2030 03:05:05 GMT", 60.0),
        ("Wed, 02 Jan 2020 03:05:05 GMT", 1.0),
        ("Wed, 02 Jan 99999999999999999999 03:05:05 GMT", None),
        ("Wed, 02 Jan 2030 03:05:05 +99999999999999999999", None),
        ("soon", None),
        ("-5", None),
        ("1.5", None),
        ("٣", None),
        ("", None),
        (None, None),
    ],
)
def test_retry_after_is_seconds_or_a_date_within_reason(header: str | None, expected: float | None) -> None:
    assert retry_after_s(header, NOW) == expected
    headers = {} if header is None else {"retry-after": header}
    wait_s = outcome(Heard(status=429, headers=headers), 0, NOW, 0.0).retry_in_s
    assert wait_s == (LADDER_S[1] if expected is None else expected)


def test_a_day_lies_within_the_ladder() -> None:
    assert timedelta(seconds=sum(LADDER_S)) > timedelta(days=3)
    assert len(LADDER_S) == 10
