"""Sets of labelled images, one file per published format: what the worlds `augmented` and
`saccades` make views of.

Each module has a `SOURCE`; a new data set is one new file.
"""
