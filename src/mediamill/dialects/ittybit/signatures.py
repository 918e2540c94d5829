"""/signatures: URLs with which one file is put or read without a key until an instant."""

from __future__ import annotations

import time
from collections.abc import Mapping
from urllib.parse import quote

from mediamill.core.files import safe_name
from mediamill.dialects.ittybit import query
from mediamill.dialects.ittybit.call import Call, Reply, Route
from mediamill.dialects.ittybit.errors import Fault, invalid
from mediamill.dialects.ittybit.objects import DELIVERY
from mediamill.dialects.ittybit.reading import folder as read_folder
from mediamill.service.signing import Signer

LIFETIME_S = 3600
_LAST = 1 << 40
METHODS = ("get", "put")


async def create_signature(call: Call) -> Reply:
    """A signed URL for one method on one file, whether or not there is one of that name yet."""
    body = call.body()
    name = query.text(body, "filename", most=255)
    if name is None:
        raise invalid("filename is required: a string of 1 to 255 characters.")
    filename = safe_name(name)
    if filename != name:
        raise invalid(
            'filename must be a plain file name of at most 200 bytes: no / \\ < > : " | ? *, no control characters, no '
            "dots or spaces at its ends."
        )
    folder = read_folder(body)
    method = body.get("method")
    method = "get" if method is None else method
    if not isinstance(method, str) or method.lower() not in METHODS:
        raise invalid(f"method must be one of {', '.join(METHODS)}.")
    expiry = body.get("expiry")
    if expiry is None:
        expiry = int(time.time()) + LIFETIME_S
    if isinstance(expiry, bool) or not isinstance(expiry, int) or not time.time() < expiry < _LAST:
        raise invalid("expiry must be an instant in the future, in seconds since 1970.")
    method = method.lower()
    scheme, _, host = call.links.origin.partition("://")
    domain = f"{host}{DELIVERY}/{call.project}"
    signature = sign(call.site.signer, domain, folder, filename, expiry, method)
    path = "/".join(quote(part, safe="") for part in [*(folder or "").split("/"), filename] if part)
    found = {
        "domain": domain,
        "filename": filename,
        "folder": folder,
        "expiry": expiry,
        "method": method,
        "signature": signature,
        "url": f"{scheme}://{domain}/{path}?expiry={expiry}&method={method}&signature={signature}",
    }
    return Reply(body=found)


def sign(signer: Signer, domain: str, folder: str | None, filename: str, expiry: int, method: str) -> str:
    """The signature of a URL: it holds for this host, project, name, instant and method, and for nothing else."""
    return signer.seal("ittybit", domain, folder or "", filename, str(expiry), method)


def check(
    signer: Signer, domain: str, folder: str | None, filename: str, method: str, given: Mapping[str, str]
) -> None:
    """Raises a 403 Fault unless the query signs this method on this file, and its time has not passed."""
    expiry, signature = given.get("expiry", ""), given.get("signature", "")
    parts = ("ittybit", domain, folder or "", filename, expiry, method)
    if given.get("method", "get") != method:
        raise Fault(403, "signature_invalid", "method: the signature is for another method.")
    if not signature or not signer.sealed(signature, *parts):
        raise Fault(403, "signature_invalid", "signature: it does not fit this URL.")
    if int(expiry) < time.time():
        raise Fault(403, "signature_invalid", "expiry: the signature's time has passed.")


ROUTES = [Route("POST", "/signatures", create_signature)]
