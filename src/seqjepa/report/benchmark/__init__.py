"""The table and the figure of a benchmark."""
