"""The one way out: an HTTP client that only talks to addresses it has checked.

Source URLs and webhooks go through `Client`, and so does every address that a caller names. What else goes out goes to
what the operator has named: the bucket for files (`blobs`) and the language model (`agent/chat.py`). A name is resolved
once, every address it has is judged, and the connection goes to a judged address itself. Redirects are followed here,
each judged from scratch. What is refused, and by which RFC, is in `addresses.py` and `urls.py`; why in
`docs/why/net.md`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mediamill.net.values import Answer, Fetched, Limits, Resolver

if TYPE_CHECKING:
    from mediamill.net.client import Client

__all__ = ["Answer", "Client", "Fetched", "Limits", "Resolver"]


def __getattr__(name: str) -> object:
    # Late, because asyncio and ssl alone take 30 ms to import and most who read the values never connect.
    if name == "Client":
        from mediamill.net.client import Client

        return Client
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
