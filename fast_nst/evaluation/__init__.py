"""Measures of a trained model: its objective, faithfulness, and artifacts."""
