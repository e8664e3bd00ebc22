"""Speed, each figure against a plain reference in the same run: machines are noisy and differ,
ratios hardly do.
"""
