"""Reconstruction of a picture from the features of one layer, starting from noise: Gatys et al. (2016), Fig. 1.

Departures from the paper: terms are divided by the energy of their targets, which moves no minimum.
"""

from __future__ import annotations

from pathlib import Path

from fast_nst.errors import unknown
from fast_nst.imaging.images import save_image
from fast_nst.imaging.sheets import labelled_sheet
from fast_nst.networks.loss_network import architecture_of
from fast_nst.optimization.multiscale import Optimization
from fast_nst.optimization.run import check_outputs
from fast_nst.optimization.sources import Opened, load_sources, shared_networks
from fast_nst.settings.optimize import ReconstructSettings


def reconstruct(settings: ReconstructSettings) -> dict[str, float]:
    """Reconstruct the picture from the layers that ``settings`` name, and write the result, or a labeled grid of several.

    Returns:
        label -> the objective at the end: 0 for equal features, 1 for a picture without features.
    Raises:
        UserError: anything wrong with the settings, the picture, the weights or the output, before any work.
    """
    check_outputs(Path(settings.output), overwrite=settings.overwrite)
    jobs = {label: settings.optimization(layers) for label, layers in layer_sets(settings).items()}
    opened = Opened()
    sources = {label: load_sources(job, opened) for label, job in jobs.items()}
    (network,) = shared_networks(jobs.values()).values()
    drawn = {label: Optimization(job, sources[label], network).run(label=label) for label, job in jobs.items()}
    cells = [(label, optimization.pixels()) for label, optimization in drawn.items()]
    if len(cells) == 1:
        save_image(cells[0][1], settings.output)
    else:
        rows = [cells[i : i + settings.columns] for i in range(0, len(cells), settings.columns)]
        save_image(labelled_sheet(rows, settings.size or 256), settings.output)
    return {label: optimization.measures()["total"] for label, optimization in drawn.items()}


def layer_sets(settings: ReconstructSettings) -> dict[str, list[str]]:
    """Label -> the layers to match, for each picture."""
    paths = architecture_of(settings.loss_network).paths
    layers = [settings.layer] if isinstance(settings.layer, str) else settings.layer or _all_layers(paths)
    for layer in layers:
        if layer not in paths:
            raise unknown(f"layer of {settings.loss_network}", layer, paths)
    if not settings.growing:
        return {layer: [layer] for layer in layers}
    return {layers[0] + f" to {layer}" * (i > 0): layers[: i + 1] for i, layer in enumerate(layers)}


def _all_layers(paths: dict[str, str]) -> list[str]:
    """Every rectified layer by name, or every layer but poolings where fewer than half have such names."""
    rectified = [name for name in paths if name.startswith("relu")]
    others = [name for name in paths if not name.startswith("pool")]
    return rectified if len(rectified) > len(others) / 3 else others
