"""What is asked of frozen features: one file for each question."""
