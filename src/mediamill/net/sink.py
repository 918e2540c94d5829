"""The file an answer is written to: counted, hashed and, when the server insists, unpacked on the way."""

from __future__ import annotations

import io
import os
import zlib
from collections.abc import Sequence
from pathlib import Path

from mediamill.core.errors import SourceTooLarge, SourceUnreachable
from mediamill.net.behind import Aside, Digest, write_all

_PIECE_BYTES = 256 * 1024
_SYNC_BYTES = 32 << 20
"""What may wait for the disk: whoever syncs the whole file then finds most of it there."""


class Sink:
    """Writes chunks to `target`. Blocking; used from a thread, one call at a time.

    gunzip: the chunks are a gzip content coding; the limit counts what comes out, so a bomb costs one piece.
    """

    def __init__(self, target: Path, *, max_bytes: int, gunzip: bool) -> None:
        self._target = target
        self._max_bytes = max_bytes
        self._gunzip = zlib.decompressobj(wbits=31) if gunzip else None
        self._hash = Digest()
        self._file: io.FileIO | None = None
        self._syncing = Aside("sync")
        self._synced_bytes = 0
        self.size_bytes = 0

    @property
    def sha256(self) -> str:
        return self._hash.hexdigest()

    def open(self) -> None:
        self._file = self._target.open("wb", buffering=0)

    def write(self, chunks: Sequence[bytes]) -> None:
        """Raises SourceTooLarge past the limit, SourceUnreachable for a coding that is damaged."""
        if self._gunzip is None:
            self._put(b"".join(chunks))
            return
        for chunk in chunks:
            self._unpack(chunk)

    def finish(self) -> None:
        """Close the file. Raises SourceUnreachable when a coded answer stops before its end."""
        while self._gunzip is not None and (rest := self._gunzip.decompress(b"", _PIECE_BYTES)):
            self._put(rest)  # what a full piece held back
        if self._gunzip is not None and not self._gunzip.eof:
            raise SourceUnreachable("The source's answer ended before its compressed content did.")
        self._syncing.close()
        self._close()

    def discard(self) -> None:
        """Close and remove what was written; waits for no disk."""
        self._syncing.leave()
        self._close()
        self._target.unlink(missing_ok=True)

    def _unpack(self, chunk: bytes) -> None:
        while chunk:
            if self._gunzip is None or self._gunzip.eof:  # a gzip stream may have several members, RFC 1952 2.2
                self._gunzip = zlib.decompressobj(wbits=31)
            try:
                self._put(self._gunzip.decompress(chunk, _PIECE_BYTES))
            except zlib.error as error:
                raise SourceUnreachable("The source's answer has damaged compressed content.") from error
            chunk = self._gunzip.unused_data if self._gunzip.eof else self._gunzip.unconsumed_tail

    def _put(self, piece: bytes) -> None:
        self.size_bytes += len(piece)
        if self.size_bytes > self._max_bytes:
            raise SourceTooLarge(f"The source is larger than the limit of {self._max_bytes} bytes.")
        assert self._file is not None, "open() comes first"
        self._hash.update(piece)
        write_all(self._file, piece)
        if self.size_bytes - self._synced_bytes >= _SYNC_BYTES:
            self._synced_bytes = self.size_bytes
            self._syncing.begin(_sync, os.dup(self._file.fileno()))

    def _close(self) -> None:
        self._hash.close()
        if self._file is not None:
            self._file.close()


def _sync(descriptor: int) -> None:
    """On a descriptor of its own, so that the file may be closed meanwhile."""
    try:
        os.fdatasync(descriptor)
    finally:
        os.close(descriptor)
