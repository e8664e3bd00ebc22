"""Trained models in forms that others read, and models of others in ours."""
