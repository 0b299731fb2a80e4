"""The app: a page for the browser (Gradio) in four tabs, served on this machine by ``fast-nst app``."""
