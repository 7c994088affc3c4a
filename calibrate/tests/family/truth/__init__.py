"""Checkpoints with random weights, and what the libraries that read them compute."""
