"""docs/reproduce/: the pages of `seqjepa reproduce all --scale tiny`, as an example.

    .venv/bin/seqjepa reproduce all --scale tiny --out runs/look
    .venv/bin/python scripts/docs/reproduced.py runs/look

The runs themselves are not kept, so links to their folders are taken out.
"""

import re
import shutil
import sys
from pathlib import Path

from committed import DOCS

EXAMPLE = DOCS / "reproduce"


def main() -> None:
    made = Path(sys.argv[1])
    EXAMPLE.mkdir(exist_ok=True)
    for page in made.glob("*.md"):
        text = page.read_text(encoding="utf-8")
        (EXAMPLE / page.name).write_text(without_runs(text), encoding="utf-8")
    for picture in made.glob("*.png"):
        shutil.copyfile(picture, EXAMPLE / picture.name)


def without_runs(text: str) -> str:
    """Return a page whose runs are named and not linked to."""
    return re.sub(r"\[([^]]+)\]\(runs/[^)]+\)", r"\1", text)


if __name__ == "__main__":
    main()
