"""The page: its tabs, and how it looks."""

from __future__ import annotations

from pathlib import Path

import gradio as gr

from fast_nst.app.compare_tab import CompareTab
from fast_nst.app.jobs import Trainings
from fast_nst.app.optimize_tab import OptimizeTab
from fast_nst.app.stylize_tab import StylizeTab
from fast_nst.app.train_tab import TrainTab
from fast_nst.app.uploads import KEPT
from fast_nst.settings.app import AppSettings

FONTS = ("Segoe UI", "Roboto", "Helvetica Neue", "Arial", "Liberation Sans", "sans-serif")  # of the visitor's system
STYLE = """
.gradio-container main.app { width: 100%; max-width: 1240px !important; margin: 0 auto; }
.styles .caption-label { left: 0; bottom: 0; max-width: 100%; font-size: 11px; white-space: nowrap; }
.status { min-height: 2.5em; }
footer { display: none !important; }
"""


def build(settings: AppSettings, folder: Path, trainings: Trainings) -> gr.Blocks:
    """The page of ``settings``.

    Args:
        folder: for results.
        trainings: those of this app.
    """
    with gr.Blocks(title="fast_nst", analytics_enabled=False, delete_cache=(3600, KEPT)) as page, gr.Tabs():
        chooser = None
        if "stylize" in settings.tabs:
            with gr.Tab("Stylize"):
                chooser = StylizeTab(settings, folder).styles
        if "train" in settings.tabs:
            with gr.Tab("Train"):
                TrainTab(settings, trainings, chooser, page)
        if "optimize" in settings.tabs:
            with gr.Tab("Optimize"):
                OptimizeTab(settings)
        if "compare" in settings.tabs:
            with gr.Tab("Compare"):
                CompareTab(settings, page)
        if chooser and "train" not in settings.tabs:
            page.load(chooser.refreshed, None, [chooser.list, chooser.gallery], api_visibility="private")
    return page


def theme() -> gr.Theme:
    """Colors, sizes and fonts; none of them is loaded from elsewhere."""
    fonts = [gr.themes.Font(name) for name in FONTS]
    return gr.themes.Default(primary_hue="teal", secondary_hue="teal", neutral_hue="stone", font=fonts, radius_size="sm")
