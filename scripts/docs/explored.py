"""docs/figures/explore.png: the page of `seqjepa explore`, as headless Chromium shows it.

    .venv/bin/python scripts/docs/explored.py runs/long/demo_seed0

Run `seqjepa decode` on the run first. One object is shown, after a turn.
"""

import sys
import tempfile
import time
from pathlib import Path

import roma
import torch
from PIL import Image

from committed import DOCS

sys.path.insert(0, str(Path(__file__).parents[2] / "tests"))
from fixtures.browser import Browser
from seqjepa.explore.exploration import Exploration
from seqjepa.explore.page import Page

OBJECT, TURN = 4, (0.6, -0.5, 0.3)  # its number, and a rotation vector in radians
WIDTH, HEIGHT = 1440, 1060
CLOSE = "document.querySelectorAll('.mantine-Notification-closeButton')"


def main() -> None:
    run = sys.argv[1]
    exploration = Exploration.open(Path(run), torch.device("cpu"), {})
    page = Page(exploration, "runs/demo_long", 0)
    page.number.value = OBJECT
    page.open(exploration.observer.open(OBJECT - 1))
    pose, space = page.seen.poses[-1], exploration.space
    turn = roma.rotvec_to_unitquat(torch.tensor(TURN))
    turned = space.turned(pose, roma.quat_product(space.quaternion(pose), turn))

    with tempfile.TemporaryDirectory() as folder, Browser(Path(folder)) as browser:
        browser.send(
            "Emulation.setDeviceMetricsOverride",
            width=WIDTH,
            height=HEIGHT,
            deviceScaleFactor=1,
            mobile=False,
        )
        browser.send("Page.navigate", url=page.address)
        browser.wait("document.querySelector('.sj figure img')?.naturalWidth > 0")
        page._set(turned)
        browser.wait("document.querySelector('.sj').innerText.includes('rotate')")
        # What Chromium says of its own drawing is no part of the page. The scene comes last.
        browser.wait(f"{CLOSE}.length > 0")
        browser.evaluate(f"{CLOSE}.forEach(button => button.click())")
        time.sleep(5)
        shot = Path(folder) / "shot.png"
        browser.screenshot(shot)
        picture = Image.open(shot).convert("RGB").quantize(256, dither=Image.Dither.NONE)
    picture.save(DOCS / "figures" / "explore.png", optimize=True)
    page.close()


if __name__ == "__main__":
    main()
