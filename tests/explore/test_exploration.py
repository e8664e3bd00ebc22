"""Explorations: of an exact model, and of trained runs against direct calls of WorldModel."""

from dataclasses import replace

import numpy as np
import pytest
import roma
import torch

from fixtures.contract import experiment
from fixtures.toy_model import exact, show
from fixtures.toy_world import LitWorld, ToyWorld
from seqjepa.errors import DataError
from seqjepa.explore.exploration import Exploration
from seqjepa.explore.panel import write_panel
from seqjepa.explore.pictures import colours
from seqjepa.explore.surroundings import DIRECTIONS
from seqjepa.training.loop import train
from seqjepa.world_model.decoder import Decoder, Layout


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run on stored views, barely trained."""
    folder = tmp_path_factory.mktemp("runs") / "signal"
    train(experiment("seq_jepa", inverse=0.0), folder, quiet=True)
    return folder


def test_an_exact_model_imagines_what_is_real():
    exploration = Exploration(exact(), ToyWorld())
    seen = exploration.observe(exploration.observer.open(0), 1)
    surroundings = exploration.survey(seen)
    for quaternion in roma.random_unitquat(5):
        answer = exploration.ask(seen, quaternion, surroundings)
        assert torch.equal(answer.real_pose, quaternion)
        assert answer.similarity == pytest.approx(1, abs=1e-5) and answer.beaten > 0.99
        torch.testing.assert_close(*answer.places)
        # The brightest tile is where it was asked to look from: tiles are some 12 degrees apart.
        brightest = surroundings.places[answer.surroundings.nan_to_num(-9).argmax()]
        assert brightest @ exploration.space.directions(quaternion) > np.cos(np.radians(25))


def test_where_views_are_stored_the_nearest_is_shown(photo):
    exploration = Exploration(exact(), ToyWorld(stored=True))
    subject = exploration.observer.open(2)
    seen = exploration.observe(subject, 1)
    surroundings = exploration.survey(seen)
    assert len(surroundings.embeddings) == DIRECTIONS

    small = roma.rotvec_to_unitquat(torch.tensor([0.1, 0.0, 0.0]))
    for pose, view in zip(subject.poses, subject.views, strict=True):
        answer = exploration.ask(seen, roma.quat_product(pose, small), surroundings)
        assert torch.equal(answer.real, view) and torch.equal(answer.real_pose, pose)
        assert exploration.space.apart(answer.pose, answer.real_pose) == "6°"
    with pytest.raises(DataError, match="only runs on `saccades` look at photos"):
        exploration.observer.open_photo(photo(), "a.png")


def test_real_views_are_shown_as_the_decoder_draws_them():
    world = LitWorld()
    model = exact(spec=world.spec)
    layout = Layout(inputs=9, image_shape=(1, 3, 3), width=2, scaled=False, fixed={"light": 0.25})
    exploration = Exploration(replace(model, decoder=Decoder(layout).eval()), world)
    seen = exploration.observe(exploration.observer.open(0), 1)
    pose = torch.cat([roma.random_unitquat(1)[0], torch.tensor([0.8])])
    answer = exploration.ask(seen, pose)
    torch.testing.assert_close(answer.real, show(pose[:4]) * 0.25)
    # Features are those of the view in its own light.
    known = model.target((show(pose[:4]) * 0.8)[None])[0]
    similarity = 1 - float(model.distance(answer.imagined, known))
    assert answer.similarity == pytest.approx(similarity, abs=1e-6)
    assert "what actions do not change: light." in write_panel(exploration, seen, answer, "runs/x")


def test_directions_that_no_view_has_are_left_out():
    """Euler angles of the bank reach some way only; of those beyond, nothing is known."""
    exploration = Exploration(exact(), ToyWorld())
    exploration.bank = replace(exploration.bank, poses=exploration.bank.poses.clamp(-0.6, 0.6))
    surroundings = exploration.survey(exploration.observe(exploration.observer.open(0), 1))
    assert 0 < len(surroundings.embeddings) < 12 * DIRECTIONS
    best = surroundings.best(torch.arange(len(surroundings.owners)).float())
    known = set(surroundings.owners.tolist())
    assert [bool(value.isnan()) for value in best] == [i not in known for i in range(DIRECTIONS)]
    by_hand = {
        place: max(k for k, own in enumerate(surroundings.owners) if own == place)
        for place in known
    }
    assert {i: int(best[i]) for i in known} == by_hand
    assert len({tuple(row) for row in colours(best)[best.isnan()].tolist()}) <= 1


def test_answers_are_those_of_the_world_model(run):
    exploration = Exploration.open(run, torch.device("cpu"), {})
    model, space = exploration.model, exploration.space
    assert exploration.most_seen == 6 and exploration.usual_seen == 3 and not exploration.dials

    subject = exploration.observer.open(4)
    seen = exploration.observe(subject, 3)
    assert torch.equal(seen.views, subject.views[:3].flip(0))
    pose = subject.poses[4]
    answer = exploration.ask(seen, pose)

    actions = space.actions.along(seen.poses)[None]
    state = model.observe(seen.views[None], actions)
    action = space.actions.between(seen.poses[-1], pose)
    imagined = model.imagine(state, action[None])[0, 0]
    torch.testing.assert_close(answer.imagined, imagined)
    assert torch.equal(answer.real, subject.views[4])
    real = model.target(subject.views[4:5])[0]
    assert answer.similarity == pytest.approx(1 - float(model.distance(imagined, real)), abs=1e-6)

    bank = exploration.bank
    distances = model.distance(imagined, bank.embeddings)
    assert answer.nearest.tolist() == distances.argsort()[:5].tolist()
    torch.testing.assert_close(bank.embeddings[7], model.target(bank.views[7:8])[0])
    assert answer.beaten == pytest.approx(float((1 - distances < answer.similarity).float().mean()))
    assert answer.pictures is None and answer.surroundings is None

    features = model.model.encode(seen.views[None])
    weights = model.method.attention(features, actions)
    assert weights.shape == (1, 1, 2, 4)
    torch.testing.assert_close(seen.attention, weights[0, 0].mean(0)[1:])


def test_a_point_of_the_map_lies_amid_its_neighbours(run):
    exploration = Exploration.open(run, torch.device("cpu"), {})
    bank, model = exploration.bank, exploration.model
    assert float(bank.map.min()) == 0 and float(bank.map.max()) == 1
    imagined = bank.embeddings[3]
    distances = model.distance(imagined, bank.embeddings)
    nearest = distances.argsort()[:8]
    away = distances[nearest] - distances[nearest[0]]
    weights = (-away / away.mean()).exp()
    by_hand = (weights[:, None] * bank.map[nearest]).sum(0) / weights.sum()
    torch.testing.assert_close(bank.place(model, imagined[None])[0], by_hand)


def test_one_looks_and_what_is_real_is_observed(run):
    exploration = Exploration.open(run, torch.device("cpu"), {})
    subject = exploration.observer.open(0)
    seen = exploration.observe(subject, 2)
    longer = exploration.look(seen, subject.poses[5])
    assert torch.equal(longer.views, torch.cat([seen.views, subject.views[5:6]]))
    assert torch.equal(longer.poses[-1], subject.poses[5]) and len(longer.attention) == 3
    for _ in range(9):
        longer = exploration.look(longer, subject.poses[5])
    assert len(longer.views) == 8


def test_fixations_see_the_photos_patches(saccades):
    assert saccades.space.fixations
    subject = saccades.observer.open(1)
    assert subject.photo.shape == (3, 24, 24)
    seen = saccades.observe(subject, 3)
    assert torch.equal(seen.views, subject.views[:3]), "what is salient comes first"
    assert torch.equal(saccades.observer.look(subject, seen.poses).views, seen.views)

    surroundings = saccades.survey(seen)
    answer = saccades.ask(seen, torch.tensor([0.5, 0.25]), surroundings)
    assert torch.equal(answer.real, subject.photo[:, 8:16, 2:10])
    place = 8 * 16 + 4  # row 8.5 / 16, column 4.5 / 16
    patch = subject.photo[:, 9:17, 3:11]
    similarity = 1 - saccades.model.distance(answer.imagined, saccades.model.target(patch[None])[0])
    assert float(answer.surroundings[place]) == pytest.approx(float(similarity), abs=1e-5)


@pytest.mark.parametrize(
    ("mode", "form"), [("RGB", "JPEG"), ("L", "PNG"), ("RGBA", "PNG"), ("P", "PNG"), ("1", "PNG")]
)
def test_any_photo_is_looked_at_in_its_middle(saccades, photo, mode, form):
    for size in ((1, 1), (300, 20)):
        subject = saccades.observer.open_photo(photo(size, mode, form), "mine")
        assert subject.photo.shape == (3, 24, 24) and subject.views.shape == (1, 3, 8, 8)
        seen = saccades.observe(subject, 4)
        assert len(seen.views) == 1
        answer = saccades.ask(seen, torch.tensor([0.1, 0.9]), saccades.survey(seen))
        assert len(answer.surroundings) == 256


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "is empty"),
        (b"no image at all", "is no whole JPEG or PNG image"),
        (b"\x89PNG\r\n\x1a\n and then nothing", "is no whole JPEG or PNG image"),
        (b"\0" * 32_000_001, "has 32 MB, more than 32: shrink it"),
    ],
)
def test_what_is_no_photo_is_refused(saccades, data, message):
    with pytest.raises(DataError, match=message):
        saccades.observer.open_photo(data, "file.png")


def test_a_photo_that_claims_too_many_pixels_is_refused(saccades, photo):
    with pytest.raises(DataError, match="more than"):
        saccades.observer.open_photo(photo((9000, 9000), "1"), "huge.png")
