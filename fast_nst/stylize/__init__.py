"""Photographs, films and cameras drawn by trained models. Never imports torch."""
