"""Settings of ``fast-nst app``."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field
from typing import Any, Literal

from fast_nst.errors import UserError
from fast_nst.settings.validation import in_range

Tab = Literal["stylize", "train", "optimize", "compare"]


@dataclass
class AppSettings:
    """Open the app in a browser: stylize, train, optimize and compare on this machine.

    Attributes:
        host: address to listen at; 127.0.0.1 is this machine alone, 0.0.0.0 every network that it is in.
        port: port to listen at (none: the first free one from 7860).
        share: make a public link for a week, through a server of Gradio's.
        browser: open the page in the browser.
        tabs: the tabs to show; without train and optimize, nobody occupies the machine for long.
        checkpoints: folder of the runs; the finished ones are in the gallery.
        max_upload: megabytes of an uploaded file.
        max_megapixels: of an uploaded picture, all frames of an animation together.
        train: any setting of train, as --train.batch_size 8.
    """

    host: str = "127.0.0.1"
    port: int | None = None
    share: bool = False
    browser: bool = True
    tabs: list[Tab] = field(default_factory=lambda: ["stylize", "train", "optimize", "compare"])
    checkpoints: str = "checkpoints"
    max_upload: int = 200
    max_megapixels: int = 50
    train: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        in_range("max_upload", self.max_upload, 1, 100_000)
        in_range("max_megapixels", self.max_megapixels, 1, 100_000)
        if self.port is not None:
            in_range("port", self.port, 1, 65535)
        if not self.tabs:
            raise UserError("--tabs is an empty list; name at least one tab, or leave it out")

    @property
    def max_pixels(self) -> int:
        """Pixels of an uploaded picture."""
        return self.max_megapixels * 1_000_000

    @property
    def is_local(self) -> bool:
        """Whether only this machine's own users reach the app."""
        try:
            own = ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            own = self.host == "localhost"
        return own and not self.share
