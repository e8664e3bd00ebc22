"""The views of objects on disk."""
