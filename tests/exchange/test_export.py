"""`seqjepa export`: a folder that is whole or not there, and words where it cannot be."""

import re
import shutil
from pathlib import Path

import huggingface_hub
import pytest
import torch

import seqjepa
from seqjepa import cli
from seqjepa.model import Model

VIEWS = torch.rand(2, 3, 16, 16)


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_a_folder_to_load(model: Model, run: Path, tmp_path: Path) -> None:
    out = tmp_path / "to" / "model"
    assert cli.run(["export", str(run), "--format", "safetensors", "--out", str(out)]) == 0
    assert names(out) == {"config.json", "model.safetensors"}
    assert torch.equal(seqjepa.from_pretrained(out).encode(VIEWS), model.encode(VIEWS))
    assert names(out.parent) == {"model"}


def test_a_folder_for_the_hub_is_in_the_run_by_default(run: Path, tmp_path: Path, capsys) -> None:
    copied = shutil.copytree(run, tmp_path / "run")
    assert cli.run(["export", str(copied), "--format", "hub", "--license", "cc0-1.0"]) == 0
    out = copied / "export" / "hub"
    assert names(out) == {"config.json", "model.safetensors", "README.md"}
    assert capsys.readouterr().out == f"done: {out}\n"
    text = (out / "README.md").read_text(encoding="utf-8")
    assert "license: cc0-1.0" in text and 'from_pretrained("OWNER/signal")' in text


class FakeHub:
    """What `upload` asks of the hub; it remembers calls, and fails with `error` if that is set."""

    calls: list[tuple[object, ...]]
    error: Exception | None = None

    def create_repo(self, name: str, *, private: bool, exist_ok: bool) -> str:
        if self.error:
            raise self.error
        self.calls.append(("create", name, private, exist_ok))
        return f"https://hub/{name}"

    def upload_folder(self, *, repo_id: str, folder_path: Path, commit_message: str) -> None:
        self.calls.append(("upload", repo_id, names(folder_path), commit_message))


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> type[FakeHub]:
    fake = type("Fake", (FakeHub,), {"calls": []})
    monkeypatch.setattr(huggingface_hub, "HfApi", fake)
    return fake


def test_pushing(run: Path, tmp_path: Path, hub: type[FakeHub], capsys) -> None:
    push = ["export", str(run), "--format", "hub", "--push", "someone/demo"]
    assert cli.run([*push, "--out", str(tmp_path / "a")]) == 0
    files = {"config.json", "model.safetensors", "README.md"}
    assert hub.calls == [
        ("create", "someone/demo", True, True),
        ("upload", "someone/demo", files, "Export from seqjepa"),
    ]
    assert capsys.readouterr().out == "done: https://hub/someone/demo\n"
    assert 'from_pretrained("someone/demo")' in (tmp_path / "a" / "README.md").read_text()

    hub.error = OSError("401 Client Error\nand more")
    assert cli.run([*push, "--out", str(tmp_path / "b")]) == 2
    message = capsys.readouterr().err
    assert "cannot upload to someone/demo (401 Client Error)" in message and "more" not in message
    assert names(tmp_path / "b") == files

    # Without a connection: an error of the HTTP library, whichever that is.
    hub.error = type("ConnectError", (Exception,), {})("no such host")
    assert cli.run([*push, "--out", str(tmp_path / "c")]) == 2
    assert "cannot upload to someone/demo (no such host)" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        ("--format onnx --part whole --push a/b", 2, "--push is for --format hub, got onnx"),
        ("--format hub --push ./local", 2, "OWNER/NAME, got ./local: --out names the folder here"),
        ("--format hub --part whole", 2, "--part is for --format onnx; hub has one content"),
        ("--format timm", 2, "width 2 and stem compact: no argument of timm.create_model"),
        ("--format pickle", 2, "pickle"),
        ("", 2, "--format"),
    ],
)
def test_what_cannot_be_exported(
    options: str, code: int, message: str, run: Path, tmp_path: Path, capsys
) -> None:
    out = tmp_path / "out"
    assert cli.run(["export", str(run), *options.split(), "--out", str(out)]) == code
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_places_that_cannot_be_written(run: Path, tmp_path: Path, capsys) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "file").touch()
    export = ["export", str(run), "--format", "safetensors", "--out"]
    assert cli.run([*export, str(tmp_path / "there")]) == 2
    assert "there exists already: choose another --out" in capsys.readouterr().err
    assert cli.run([*export, str(tmp_path / "file" / "in")]) == 74
    assert re.search("cannot write .*file/in: .*choose another --out", capsys.readouterr().err)
    assert names(tmp_path) == {"there", "file"} and not names(tmp_path / "there")


def test_a_disk_that_fails_leaves_nothing(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    def full(path: Path, data: bytes) -> None:
        path.write_bytes(data[:10])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("seqjepa.exchange.export.write_atomically", full)
    out = tmp_path / "out"
    assert cli.run(["export", str(run), "--format", "safetensors", "--out", str(out)]) == 74
    assert "No space left on device" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_folders_that_hold_no_whole_run(run: Path, tmp_path: Path, capsys) -> None:
    export = ["--format", "safetensors", "--out", str(tmp_path / "out")]
    assert cli.run(["export", str(tmp_path), *export]) == 2
    assert "is not the folder of a run: it has no config.json" in capsys.readouterr().err

    damaged = shutil.copytree(run, tmp_path / "run")
    for weights in damaged.glob("checkpoints/*/method.safetensors"):
        weights.write_bytes(weights.read_bytes()[:-1])
    assert cli.run(["export", str(damaged), *export]) == 4
    assert "no checkpoint can be used" in capsys.readouterr().err
    shutil.rmtree(damaged / "checkpoints")
    assert cli.run(["export", str(damaged), *export]) == 4
    assert "holds no checkpoint yet" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
