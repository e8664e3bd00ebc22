"""Sets of labelled images, of which the worlds `augmented` and `saccades` make views.

A format reads its files (`published`), the pixels go into the cache (`cached`, `decoded`), and
worlds get splits (`image_set`); `base` puts the three in order. `layout` knows what names of
folders mean, `look` serves `seqjepa data check`. Each module in `formats` has a `SOURCE`; a new
data set is one new file there.
"""
