"""Weights that other code has trained, or is to use."""
