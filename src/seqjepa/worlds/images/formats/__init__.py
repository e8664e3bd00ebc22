"""One file for each published set of images."""
