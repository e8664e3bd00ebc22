"""The package that is published: built, installed apart from the repository, and used."""

import json
import os
import re
import site
import subprocess
import sys
import tarfile
import tomllib
import venv
import zipfile
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
TINY = [
    "--encoder.width=2",
    "--method.action-width=8",
    "--method.predictor-width=16",
    "--method.layers=1",
    "--train.steps=2",
    "--train.batch-size=4",
    "--train.num-views=3",
    "--train.precision=fp32",
    "--evaluate.max-steps=1",
]


def run(*command: object, cwd: Path, **environment: str) -> str:
    """Run a command and return what it prints."""
    kept = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    threads = {"OMP_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1"}
    done = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env=kept | threads | environment,
        capture_output=True,
        text=True,
        timeout=250,
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build an sdist, and a wheel of it, and a wheel of the example of a plug-in."""
    folder = tmp_path_factory.mktemp("built")
    build = (sys.executable, "-m", "build", "--no-isolation", "--outdir", folder)
    run(*build, ROOT, cwd=folder)
    run(*build, "--wheel", ROOT / "examples" / "plugin", cwd=folder)
    return folder


def wheel_of(folder: Path, name: str) -> Path:
    [found] = folder.glob(f"{name}-*.whl")
    return found


@pytest.fixture(scope="module")
def installed(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Install both wheels where the repository is not, and return the folder of programs.

    Their dependencies are those of the environment that the tests run in: nothing is downloaded.
    """
    place = tmp_path_factory.mktemp("venv")
    venv.create(place, with_pip=False)
    bin_dir = place / ("Scripts" if os.name == "nt" else "bin")
    python = bin_dir / "python"
    wheels = wheel_of(built, "seqjepa"), wheel_of(built, "seqjepa_spectral")
    pip = (sys.executable, "-m", "pip", "--python", python, "--disable-pip-version-check")
    run(*pip, "install", "--quiet", "--no-index", "--no-deps", *wheels, cwd=place)

    # A folder that a .pth file names has no .pth files of its own read: no editable install.
    own = run(python, "-c", "import site; print(site.getsitepackages()[-1])", cwd=place).strip()
    dependencies = "\n".join(site.getsitepackages())
    (Path(own) / "dependencies.pth").write_text(dependencies, encoding="utf-8")
    return bin_dir


@pytest.mark.slow
def test_the_wheel_holds_the_package_and_nothing_else(built: Path) -> None:
    with zipfile.ZipFile(wheel_of(built, "seqjepa")) as wheel:
        names = wheel.namelist()
        metadata = next(name for name in names if name.endswith("/METADATA"))
        about = wheel.read(metadata).decode()
    source = {
        f"seqjepa/{path.relative_to(ROOT / 'src' / 'seqjepa').as_posix()}"
        for path in (ROOT / "src" / "seqjepa").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    info = f"seqjepa-{PROJECT['version']}.dist-info/"
    assert {name for name in names if not name.startswith(info)} == source
    assert {"seqjepa/py.typed", "seqjepa/report/page.html.jinja"} <= source
    assert f"{info}licenses/LICENSE" in names and f"{info}entry_points.txt" in names

    # A plain install brings what pyproject.toml lists, and no extra's packages.
    needed = re.findall(r"(?m)^Requires-Dist: ([^;\n]+)$", about)
    assert sorted(needed) == sorted(re.sub(r"\s", "", text) for text in PROJECT["dependencies"])


@pytest.mark.slow
def test_the_sdist_can_be_tested(built: Path) -> None:
    [path] = built.glob("*.tar.gz")
    with tarfile.open(path) as sdist:
        names = {name.partition("/")[2] for name in sdist.getnames()}
    assert {
        "pyproject.toml",
        "constraints.txt",
        "Makefile",
        "CITATION.cff",
        "README.md",
        "docs/concepts.md",
        "examples/plugin/pyproject.toml",
        "scripts/docs/make_site.py",
        "tests/test_package.py",
    } <= names
    assert not [name for name in names if re.match(r"(build|data|runs|\.venv)(/|$)", name)]


@pytest.mark.slow
def test_the_installed_package_trains_evaluates_and_reports(
    installed: Path, tmp_path: Path
) -> None:
    seqjepa, python = installed / "seqjepa", installed / "python"
    home = run(python, "-c", "import seqjepa; print(seqjepa.__file__)", cwd=tmp_path).strip()
    assert Path(home).is_relative_to(installed.parent), "not the repository's"
    assert "train a recipe" in run(seqjepa, "--help", cwd=tmp_path)
    assert run(seqjepa, "--version", cwd=tmp_path) == f"seqjepa {PROJECT['version']}\n"

    data = tmp_path / "data"
    data.mkdir()
    chance = np.random.default_rng(0)
    np.save(data / "views.npy", chance.integers(0, 256, (30, 4, 16, 16, 3), np.uint8))
    np.save(data / "poses.npy", chance.random((30, 4, 1), np.float32))
    np.save(data / "labels.npy", np.arange(30) % 2)
    world = {"pose": ["x"], "groups": [{"name": "x", "dims": ["x"]}]}
    (data / "world.json").write_text(json.dumps(world))

    train = (seqjepa, "train", "arrays", "--world.path", data)
    run(*train, "--run-dir", "run", *TINY, cwd=tmp_path)
    run(seqjepa, "evaluate", "run", "--quick", cwd=tmp_path)
    run(seqjepa, "report", "run", "--out", "report", cwd=tmp_path)
    assert "<html" in (tmp_path / "report" / "index.html").read_text(encoding="utf-8")

    # The plug-in is found by its name alone, in training and after it.
    options = [option for option in TINY if not re.match("--method|--train.num", option)]
    run(*train, "--method", "spectral", "--run-dir", "spectral", *options, cwd=tmp_path)
    config = json.loads((tmp_path / "spectral" / "config.json").read_text())
    assert config["method"]["kind"] == "spectral" and config["method"]["mu"] == 1.0
    program = "import seqjepa; print(type(seqjepa.load('spectral').method).__module__)"
    assert run(python, "-c", program, cwd=tmp_path) == "seqjepa_spectral.spectral\n"


def test_the_version_has_one_source() -> None:
    version = PROJECT["version"]
    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert re.findall(r"(?m)^version: (.*)$", citation) == [version]
    others = [
        path
        for path in (ROOT / "src").rglob("*.py")
        if re.search(r"(?m)^__version__", path.read_text(encoding="utf-8"))
    ]
    assert not others


def test_the_public_names_can_be_completed() -> None:
    code = "import seqjepa; assert {*seqjepa.__all__} <= {*dir(seqjepa)}"
    subprocess.run([sys.executable, "-c", code], check=True)
