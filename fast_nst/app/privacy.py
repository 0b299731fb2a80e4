"""What keeps the app to itself: no telemetry, no file from another host, uploads and results in one folder."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from starlette.middleware import Middleware

OFF = {"GRADIO_ANALYTICS_ENABLED": "False", "HF_HUB_DISABLE_TELEMETRY": "1", "DO_NOT_TRACK": "1"}
POLICY = "; ".join(
    (
        "default-src 'self' data: blob:",
        "script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:",
        "style-src 'self' 'unsafe-inline'",
        "form-action 'self'",
        "base-uri 'self'",
    )
)


def keep_to_itself(folder: Path) -> None:
    """Switch telemetry off and let all that is served lie in ``folder``; called before Gradio is imported."""
    os.environ.update(OFF, GRADIO_TEMP_DIR=str(folder.resolve()))


@contextmanager
def guarded(host: str) -> Iterator[None]:
    """Keep a proxy of the environment away from ``host`` while Gradio looks whether its own server answers."""
    before = {name: os.environ.get(name) for name in ("no_proxy", "NO_PROXY")}
    os.environ.update(dict.fromkeys(before, ",".join(filter(None, (before["no_proxy"], "127.0.0.1", "localhost", host)))))
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})


def middleware() -> list[Middleware]:
    """A Content-Security-Policy by which a browser loads scripts, fonts and pictures from the app alone."""
    from starlette.middleware import Middleware

    return [Middleware(ContentPolicy)]


class ContentPolicy:
    """ASGI middleware: adds the header ``Content-Security-Policy`` to every answer."""

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: dict, receive: Any, send: Any) -> None:
        async def send_with_policy(message: dict) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", []), (b"content-security-policy", POLICY.encode())]
            await send(message)

        await self.app(scope, receive, send_with_policy if scope["type"] == "http" else send)
