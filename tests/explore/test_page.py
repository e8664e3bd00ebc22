"""The page: what the handlers do, and what a browser without any other host shows."""

import socket
import sys
import time
from dataclasses import replace
from threading import Thread
from types import SimpleNamespace

import numpy as np
import pytest
import roma
import torch

from fixtures.browser import CHROMIUM, Browser
from fixtures.contract import experiment
from fixtures.toy_model import exact
from fixtures.toy_world import ToyWorld
from seqjepa import cli
from seqjepa.errors import ConfigError
from seqjepa.explore.exploration import Exploration
from seqjepa.explore.page import HOST, Page, require_free
from seqjepa.training.loop import train
from seqjepa.world_model.model import WorldModel


@pytest.fixture
def page():
    """A page of the exact model, on a port of its own."""
    experiment = SimpleNamespace(train=SimpleNamespace(num_views=3))
    model = WorldModel(replace(exact().model, experiment=experiment))
    page = Page(Exploration(model, ToyWorld()), "runs/<toy>", 0)
    yield page
    page.close()


@pytest.fixture
def browser(tmp_path):
    if CHROMIUM is None:
        pytest.skip("there is no Chromium")
    with Browser(tmp_path / "profile") as browser:
        yield browser


def test_a_turn_changes_what_is_imagined(page):
    first, content = page.answer, page.pictures.content
    assert torch.equal(first.pose, page.seen.poses[-1])
    turned = roma.random_unitquat()
    page.scene.turn(turned)
    assert not torch.allclose(page.answer.imagined, first.imagined)
    torch.testing.assert_close(page.answer.pose, turned)
    assert page.pictures.content != content and page.seconds > 0
    assert "runs/&lt;toy&gt;" in content and "seqjepa decode" in content
    assert page.scene.tiles.batched_colors.shape == (len(page.surroundings.places), 3)


def test_controls_open_objects_and_look(page):
    page.number.value = 3
    assert page.seen.subject.index == 2
    page.scene.turn(roma.random_unitquat())
    pose = page.answer.pose
    page._look()
    assert torch.equal(page.seen.poses[-1], pose), "the exact model does not remember"
    torch.testing.assert_close(page.answer.imagined, page.seen.state.embedding[0])


def test_of_turns_that_come_together_the_last_is_answered(page, monkeypatch):
    asked = []
    monkeypatch.setattr(page, "_answer", asked.append)
    first, last = roma.random_unitquat(2)
    page._lock.acquire()
    threads = [Thread(target=page.ask, args=(pose,)) for pose in (first, last)]
    for thread in threads:
        thread.start()
        time.sleep(0.05)
    page._lock.release()
    for thread in threads:
        thread.join()
    assert len(asked) == 1 and asked[0] is last


def test_a_grabbed_point_of_the_globe_follows_the_pointer(page):
    class Event:
        phase, start_position, end_position = "start", (0.0, 1.0, 0.0), (0.2, 1.0, 0.0)

    before = page.exploration.space.quaternion(page.pose)
    page.scene._drag(Event)
    turn = roma.quat_product(
        page.exploration.space.quaternion(page.pose), roma.quat_conjugation(before)
    )
    # 0.2 radians about -z: from y towards x.
    torch.testing.assert_close(
        roma.unitquat_to_rotvec(turn), torch.tensor([0.0, 0.0, -0.2]), atol=1e-4, rtol=0
    )


def test_a_photo_that_is_none_is_refused_with_words(page):
    before = page.seen
    page.drop("<notes>.txt", b"hello")
    assert "only runs on `saccades`" in page.message.content and page.seen is before


def test_photos_are_clicked_on_and_dropped_in(saccades, photo):
    page = Page(saccades, "runs/gaze", 0)
    try:
        assert page.seen.subject.index == 0 and len(page.dials) == 2

        # A ray that meets the photo's plane a quarter of its side above the middle, right of it.
        class Event:
            ray_origin, ray_direction = (0.0, 1.2, 0.0), (-0.25 / 1.2, -1.0, 0.25 / 1.2)

        before = page.scene.image.image
        page.scene._click(Event)
        torch.testing.assert_close(page.answer.pose, torch.tensor([0.25, 0.75]))
        assert [slider.value for _, slider in page.dials] == [25, 75]
        assert not np.array_equal(page.scene.image.image, before)
        page.dials[0][1].value = 50.0
        torch.testing.assert_close(page.answer.pose, torch.tensor([0.5, 0.75]))

        seen = page.seen
        page.drop("notes.txt", b"hello")
        assert "notes.txt is no whole JPEG or PNG image" in page.message.content
        assert "#b3261e" in page.message.content and page.seen is seen
        page.drop("mine.png", photo())
        assert "mine.png: the model has looked at its middle" in page.message.content
        assert page.seen.subject.name == "mine.png" and page.pose.tolist() == [0.5, 0.5]
    finally:
        page.close()


def test_the_browser_shows_it_and_asks_no_other_host(page, browser):
    browser.send("Page.navigate", url=page.address)
    browser.wait("document.querySelector('.sj figure img')?.naturalWidth > 0")
    before = browser.wait("document.querySelector('.sj').innerText")
    assert "Imagined and real" in before and "rotate 0°" in before

    page.scene.turn(
        roma.quat_product(page.answer.pose, roma.rotvec_to_unitquat(torch.tensor([1.0, 0, 0])))
    )
    after = browser.wait("document.querySelector('.sj').innerText.includes('rotate 57°')")
    assert after
    hosts = {url.split("/")[2] for url in browser.requests}
    assert hosts == {page.address.removeprefix("http://")}


@pytest.fixture
def run(tmp_path):
    folder = tmp_path / "run"
    train(experiment("seq_jepa", condition="none"), folder, quiet=True)
    return folder


def refused(capsys, *arguments: str) -> str:
    assert cli.run(["explore", *arguments]) == 2
    return capsys.readouterr().err


def test_runs_that_imagine_nothing_are_refused_before_the_server_starts(run, tmp_path, capsys):
    assert "do not depend on actions" in refused(capsys, str(run), "--port", "0")
    other = tmp_path / "simclr"
    train(experiment("simclr"), other, quiet=True)
    assert "does not predict views from actions" in refused(capsys, str(other), "--port", "0")


def test_a_port_in_use_is_refused_before_the_run_is_opened(tmp_path, capsys):
    with socket.socket() as taken:
        taken.bind((HOST, 0))
        taken.listen()
        port = taken.getsockname()[1]
        error = refused(capsys, str(tmp_path), "--port", str(port))
    assert f"port {port} of 127.0.0.1 cannot be used" in error and f"--port {port + 1}" in error
    for port in (-1, 70000):
        with pytest.raises(ConfigError, match="cannot be used"):
            require_free(port)


def test_without_viser_the_extra_is_named(monkeypatch, tmp_path, capsys):
    monkeypatch.setitem(sys.modules, "viser", None)
    for name in ("page", "scene"):
        monkeypatch.delitem(sys.modules, f"seqjepa.explore.{name}", raising=False)
    error = refused(capsys, str(tmp_path))
    assert "`seqjepa explore` needs the extra `explore`" in error and "viser" in error
    assert error.endswith("pip install 'seqjepa[explore]'\n") and error.count("\n") == 1
