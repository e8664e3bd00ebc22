"""Worlds: sources of view sequences, one file each."""
