"""Questions to frozen features, a file for each."""
