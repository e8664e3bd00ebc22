"""Strangers' files: bounded, checked and never executed."""
