"""The choice of a style: a list that can be searched, above thumbnails."""

from __future__ import annotations

from typing import Any

import gradio as gr

from fast_nst.app.gallery import choices, entries, thumbnails


class Chooser:
    """The list and the thumbnails; each follows the other. The thumbnails come with ``refreshed``, when the page is loaded.

    Args:
        checkpoints: folder of the runs.
    Attributes:
        list, gallery: the components.
    """

    def __init__(self, checkpoints: str) -> None:
        self.checkpoints, self.list = checkpoints, style_list(checkpoints)
        self.gallery = gr.Gallery(
            show_label=False,
            columns=3,
            height=260,
            object_fit="cover",
            allow_preview=False,
            interactive=False,
            selected_index=0,
            buttons=[],
            elem_classes="styles",
        )
        self.gallery.select(self._picked, None, self.list, show_progress="hidden", api_visibility="private")
        self.list.input(self._placed, self.list, self.gallery, show_progress="hidden", api_visibility="private")

    def refreshed(self) -> list[Any]:
        """Updates of both, with the styles that there are now."""
        return [gr.Dropdown(choices=choices(self.checkpoints)), gr.Gallery(value=thumbnails(self.checkpoints))]

    def _picked(self, event: gr.SelectData) -> str:
        return list(entries(self.checkpoints))[event.index]

    def _placed(self, source: str) -> Any:
        sources = list(entries(self.checkpoints))
        return gr.Gallery(selected_index=sources.index(source) if source in sources else None)


def style_list(checkpoints: str, label: str = "Style", **options: Any) -> gr.Dropdown:
    """The list alone; what is typed and is not in it is answered when it is used."""
    known = choices(checkpoints)
    return gr.Dropdown(known, value=known[0][1], label=label, filterable=True, allow_custom_value=True, **options)
