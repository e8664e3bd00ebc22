"""The page: controls at the left, the scene in the middle, pictures at the right. Needs viser."""

import contextlib
import io
import os
import socket
import threading
import time
from collections.abc import Callable
from html import escape

import viser
from torch import Tensor

from seqjepa.errors import ConfigError, SeqJepaError
from seqjepa.explore.exploration import Exploration, Seen
from seqjepa.explore.panel import write_panel
from seqjepa.explore.poses import Dial
from seqjepa.explore.scene import Globe, Photo, Scene
from seqjepa.explore.surroundings import Surroundings
from seqjepa.explore.views import Subject

HOST = "127.0.0.1"
LEFT, RIGHT = 300, 520  # pixels of the panels
STEPS = 100  # of a dial
TEXT = "font: 13px/1.45 system-ui, sans-serif; margin: 0 4px 8px"
HINT = (
    "The model has seen the views at the lower right. Ask what it expects to see next, and compare "
    "that with what is really there."
)


class Page:
    """The page of one run, on a server of its own.

    Attributes:
        seconds: that the last answer took, pictures included.
    """

    def __init__(self, exploration: Exploration, run_dir: str, port: int) -> None:
        """Start the server.

        Args:
            exploration: that the page shows.
            run_dir: of the run.
            port: of the server; 0 for any that is free.

        Raises:
            ConfigError: if the port is in use.
        """
        self.exploration, self.run_dir, self.seconds = exploration, run_dir, 0.0
        require_free(port)
        # It prints a box of addresses, verbose or not.
        with contextlib.redirect_stdout(io.StringIO()):
            self.server = viser.ViserServer(
                HOST, port, label=f"seqjepa explore {run_dir}", verbose=False
            )
        self._lock = threading.RLock()
        self._wanted: Tensor | None = None
        self._placing = False

        self._dress()
        self.scene = self._build_scene()
        self._build_controls()
        panel = self.server.gui.add_panel()
        with panel.add_tab("What the model imagines"):
            self.pictures = self.server.gui.add_html("")
        panel.dock_right()
        panel.set_width(RIGHT)
        self.open(exploration.observer.open(0))

    @property
    def address(self) -> str:
        """Address of the page."""
        return f"http://{HOST}:{self.server.get_port()}"

    def open(self, subject: Subject) -> None:
        """Observe a subject's first views, and turn to what was seen last."""
        with self._lock:
            self._see(self.exploration.observe(subject, int(self.number_seen.value)))

    def ask(self, pose: Tensor) -> None:
        """Answer what is imagined of a pose [P], unless a newer one was asked for meanwhile."""
        self._wanted = pose
        with self._lock:
            if self._wanted is pose:
                self._answer(pose)

    def drop(self, name: str, data: bytes) -> None:
        """Open a photo of the reader's own, or say on the page why it cannot be opened."""

        def open_photo() -> None:
            self.open(self.exploration.observer.open_photo(data, name))
            self._say(f"{name}: the model has looked at its middle.")

        self._try(open_photo)

    def close(self) -> None:
        """Stop the server."""
        with contextlib.redirect_stdout(io.StringIO()):
            self.server.stop()

    def _see(self, seen: Seen) -> None:
        """Start from views that were observed, from where the last one was taken."""
        self.seen: Seen = seen
        self.surroundings: Surroundings | None = self.exploration.survey(seen)
        self._wanted = seen.poses[-1]
        self._place(seen.poses[-1])
        self._answer(seen.poses[-1])

    def _answer(self, pose: Tensor) -> None:
        began = time.perf_counter()
        self.pose = pose
        self.answer = self.exploration.ask(self.seen, pose, self.surroundings)
        content = write_panel(self.exploration, self.seen, self.answer, self.run_dir)
        with self.server.atomic():
            self.pictures.content = content
            if self.scene is not None and self.surroundings is not None:
                self.scene.show(self.seen, self.surroundings, self.answer)
        self.seconds = time.perf_counter() - began
        self.time.content = f"<small>Answered in {1000 * self.seconds:.0f} ms.</small>"

    def _place(self, pose: Tensor) -> None:
        """Set scene and dials to a pose."""
        self._placing = True
        try:
            if self.scene is not None:
                self.scene.place(pose)
            for dial, slider in self.dials:
                value = float(pose[dial.column]) * dial.factor
                # mypy does not find viser's setter.
                slider.value = min(max(value, dial.low), dial.high)  # type: ignore[misc]
        finally:
            self._placing = False

    def _dress(self) -> None:
        """Set the page's looks."""
        server = self.server
        server.gui.configure_theme(show_logo=False, show_share_button=False)
        server.scene.world_axes.visible = False
        # Light from everywhere, so that a tile's colour is what it means.
        server.scene.configure_default_lights(enabled=False)
        server.scene.configure_environment_map(None)
        server.scene.add_light_ambient("/light", intensity=1.8)
        server.gui.main_panel.dock_left()
        server.gui.main_panel.set_width(LEFT)

    def _build_scene(self) -> Scene | None:
        space = self.exploration.space
        if space.fixations:
            return Photo(self.server, self.exploration.world.spec.image_shape[-1], self._set)
        if space.rotation is not None:
            return Globe(self.server, space, self._turn)
        return None

    def _build_controls(self) -> None:
        gui, exploration = self.server.gui, self.exploration
        caption = "" if self.scene is None else f"<p>{self.scene.caption}</p>"
        gui.add_html(f'<div style="{TEXT}"><p>{HINT}</p>{caption}</div>')
        self.message = gui.add_html("")

        what = "Photo" if exploration.space.fixations else "Object"
        size = exploration.world.size(exploration.split)
        self.number = gui.add_number(f"{what}, 1 to {size}", 1, min=1, max=size, step=1)
        self.number.on_update(lambda _: self._try(self._open_number))
        most = exploration.most_seen
        self.number_seen = gui.add_slider(
            "Views seen at first", 1, max(most, 2), 1, exploration.usual_seen, visible=most > 1
        )
        self.number_seen.on_update(lambda _: self._try(self._start_again))

        self.dials = [(dial, self._build_dial(dial)) for dial in exploration.dials]
        look = gui.add_button("Look from here", hint="The model observes the real view, too.")
        look.on_click(lambda _: self._try(self._look))
        again = gui.add_button("Start again", color="gray")
        again.on_click(lambda _: self._try(self._start_again))

        if exploration.space.fixations:
            upload = gui.add_upload_button("A photo of your own", mime_type="image/jpeg,image/png")
            upload.on_upload(lambda _: self.drop(upload.value.name, upload.value.content))
        self.time = gui.add_html("")

    def _build_dial(self, dial: Dial) -> viser.GuiSliderHandle[float]:
        step = max(dial.high - dial.low, 1e-6) / STEPS
        label = f"{dial.name}, {dial.unit.strip()}" if dial.unit else dial.name
        slider = self.server.gui.add_slider(label, dial.low, dial.high, step, dial.low)
        slider.on_update(lambda _: self._turn_dial(dial, float(slider.value)))
        return slider

    def _turn_dial(self, dial: Dial, value: float) -> None:
        if not self._placing:
            pose = self.pose.clone()
            pose[dial.column] = value / dial.factor
            self.ask(pose)

    def _turn(self, quaternion: Tensor) -> None:
        self.ask(self.exploration.space.turned(self.pose, quaternion))

    def _set(self, pose: Tensor) -> None:
        with self._lock:
            self._place(pose)
        self.ask(pose)

    def _open_number(self) -> None:
        size = self.exploration.world.size(self.exploration.split)
        self.open(self.exploration.observer.open(min(max(int(self.number.value), 1), size) - 1))

    def _start_again(self) -> None:
        self.open(self.seen.subject)

    def _look(self) -> None:
        with self._lock:
            self._see(self.exploration.look(self.seen, self.pose))

    def _try(self, act: Callable[[], None]) -> None:
        """Act, and say on the page what is wrong with the data or the photo."""
        self.message.content = ""
        try:
            act()
        except SeqJepaError as error:
            self._say(str(error), wrong=True)

    def _say(self, words: str, *, wrong: bool = False) -> None:
        colour = "#b3261e" if wrong else "#1d2733"
        self.message.content = f'<p style="{TEXT}; color: {colour}">{escape(words)}</p>'


def require_free(port: int) -> None:
    """Raise a ConfigError if a port cannot be listened on: viser would silently take another."""
    with socket.socket() as probe:
        # As asyncio does: a port whose last connections are closing is free.
        if os.name != "nt":
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except (OSError, OverflowError) as error:
            raise ConfigError(
                f"port {port} of {HOST} cannot be used ({error}): name a free one, "
                f"--port {port + 1 if 1023 < port < 65535 else 8081}, or 0 for any"
            ) from error
