"""Speed, each figure against a plain reference in the same run.

Machines are noisy and differ; ratios hardly do.
"""
