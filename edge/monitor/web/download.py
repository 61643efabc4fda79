"""A file, sent in pieces: a browser that is slow, or does not read at all, holds one of them in memory."""

from __future__ import annotations

import asyncio
import os
from concurrent.futures import Executor
from io import BufferedReader

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

PIECE_BYTES = 64 * 1024


class Download(Response):
    """Answers with a file, and closes it.

    Args:
        file: from its beginning to its present end.
        pool: threads that may wait for a disk.
        headers: of the answer.
    """

    def __init__(self, file: BufferedReader, pool: Executor, headers: dict[str, str]) -> None:
        self._file, self._pool = file, pool
        self._left = os.fstat(file.fileno()).st_size
        super().__init__(headers={**headers, "Content-Length": str(self._left)})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - ASGI's
        """Send it, each piece once the one before has gone; a file that became shorter breaks the connection."""
        loop = asyncio.get_running_loop()
        with self._file:
            await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
            while self._left:
                piece = await loop.run_in_executor(self._pool, self._file.read, min(PIECE_BYTES, self._left))
                if not piece:
                    return
                self._left -= len(piece)
                await send({"type": "http.response.body", "body": piece, "more_body": True})
            await send({"type": "http.response.body", "body": b"", "more_body": False})
