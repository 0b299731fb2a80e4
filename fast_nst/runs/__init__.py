"""The folder of a run: its settings, checkpoints and card."""
