"""Photographs for training: found in folders, cropped and batched."""
