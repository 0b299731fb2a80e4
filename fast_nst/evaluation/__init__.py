"""Measures of a trained model: its objective, structure and artifacts."""
