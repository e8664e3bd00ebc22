"""Prose of generated Markdown in lines of 100 columns."""

import textwrap

COLUMNS = 100


def wrap(paragraph: str) -> str:
    """Return a paragraph, or an item of a list, in lines of 100 columns.

    Lines break at spaces only: a longer word, such as a contender's name with all its settings,
    stays whole.
    """
    indent = "  " if paragraph.startswith("- ") else ""
    return textwrap.fill(
        paragraph,
        COLUMNS,
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    )
