"""What a layer keeps of a picture: Gatys et al. (2016), Fig. 1, drawn from noise by matching that layer alone.

Departures from the paper: terms are divided by their target's energy, which changes no minimum.
"""

from __future__ import annotations

from pathlib import Path

from fast_nst.errors import unknown
from fast_nst.imaging.images import save_image
from fast_nst.imaging.sheets import labelled_sheet
from fast_nst.networks.loss_network import architecture_of
from fast_nst.optimization.multiscale import Optimization, paint
from fast_nst.optimization.run import check_outputs
from fast_nst.optimization.sources import load_sources, shared_networks
from fast_nst.settings.optimize import ReconstructSettings


def reconstruct(settings: ReconstructSettings) -> dict[str, float]:
    """Draw the layers that ``settings`` name, and write the picture, or the labelled grid of several.

    Returns:
        label -> the objective that was left: 0 is a perfect likeness, 1 that of a picture without features.
    Raises:
        UserError: anything wrong with the settings, the picture, the weights or the output, before any work.
    """
    check_outputs(Path(settings.output))
    jobs = {label: settings.optimization(layers) for label, layers in layer_sets(settings).items()}
    for job in jobs.values():
        load_sources(job)
    (network,) = shared_networks(jobs.values()).values()
    drawn = {label: paint(Optimization(job, network=network), [], label) for label, job in jobs.items()}
    cells = [(label, optimization.pixels()) for label, optimization in drawn.items()]
    if len(cells) == 1:
        save_image(cells[0][1], settings.output)
    else:
        rows = [cells[i : i + settings.columns] for i in range(0, len(cells), settings.columns)]
        save_image(labelled_sheet(rows, settings.size or 256), settings.output)
    return {label: optimization.measures()["total"] for label, optimization in drawn.items()}


def layer_sets(settings: ReconstructSettings) -> dict[str, list[str]]:
    """Label -> the layers that each picture matches."""
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
