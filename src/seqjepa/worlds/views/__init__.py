"""Views of an image: augmentations and fixations."""
