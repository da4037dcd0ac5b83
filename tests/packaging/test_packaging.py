"""What is built and installed: twistd has to find the plugin there, and nothing may shadow Twisted's own package."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest

pytestmark = pytest.mark.integration

ROOT = Path(__file__).resolve().parents[2]
PLUGIN = "twisted/plugins/twistnotify_plugin.py"
NOT_OURS = ("twisted/__init__.py", "twisted/plugins/__init__.py")
SOURCES = ("pyproject.toml", "README.md", "LICENSE", "MANIFEST.in", "twistnotify", "twisted", "etc")


def run(*command: object, cwd: Path, path: Path | None = None) -> str:
    """Run a program without the environment of this one's Python, but for modules in `path`; return what it says."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VIRTUAL_ENV"))}
    done = subprocess.run(
        [str(word) for word in command],
        cwd=cwd,
        env=environment if path is None else {**environment, "PYTHONPATH": str(path)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def backend(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what pyproject.toml says the build needs: got once for all builds, which then need no network."""
    folder = tmp_path_factory.mktemp("backend")
    requires = tomllib.loads((ROOT / "pyproject.toml").read_text())["build-system"]["requires"]
    run(sys.executable, "-m", "pip", "install", "--quiet", "--target", folder, *requires, cwd=folder)
    return folder


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the sources, so that building leaves nothing behind in the real ones."""
    folder = tmp_path_factory.mktemp("checkout")
    for name in SOURCES:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("__pycache__", "*.cache"))
        elif source.exists():
            shutil.copy(source, folder / name)
    return folder


@pytest.fixture(scope="module")
def built(checkout: Path, backend: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with the wheel and the source distribution."""
    folder = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "build", "--no-isolation", "--outdir", folder, checkout, cwd=folder, path=backend)
    return folder


def wheel_of(built: Path) -> Path:
    (wheel,) = built.glob("*.whl")
    return wheel


def sdist_of(built: Path) -> Path:
    (sdist,) = built.glob("*.tar.gz")
    return sdist


class Installed:
    """An environment of its own, with the dependencies of this one and nothing else."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.elsewhere = folder / "elsewhere"
        self.elsewhere.mkdir(parents=True)
        # As a symbolic link: this interpreter is itself in an environment, whose packages come in by the .pth file.
        run(sys.executable, "-m", "venv", "--without-pip", folder / "env", cwd=folder)
        self.python = folder / "env" / "bin" / "python"
        packages = Path(sysconfig.get_path("purelib", vars={"base": str(folder / "env")}))
        self.packages = packages
        (packages / "dependencies.pth").write_text(f"{_without_us(folder)}\n")

    def install(self, *arguments: object, backend: Path) -> None:
        """Install with pip, from what is here."""
        options = ("--no-deps", "--no-build-isolation", "--no-index")
        run(self.python, "-m", "pip", "install", "--quiet", *options, *arguments, cwd=self.elsewhere, path=backend)

    def twistd(self, *arguments: str) -> str:
        """Run twistd, far from any checkout."""
        return run(self.python, "-c", "from twisted.scripts.twistd import run; run()", *arguments, cwd=self.elsewhere)

    def where(self) -> Path:
        """Return the folder that the package is imported from."""
        code = "import twistnotify.tap; print(twistnotify.__path__[0])"
        return Path(run(self.python, "-c", code, cwd=self.elsewhere).strip())


def _without_us(folder: Path) -> Path:
    """Return a folder of links to all packages here but twistnotify, installed as it may be."""
    links = folder / "dependencies"
    links.mkdir()
    for entry in Path(sysconfig.get_path("purelib")).iterdir():
        if "twistnotify" not in entry.name and entry.suffix != ".pth":
            (links / entry.name).symlink_to(entry)
    return links


def assert_twistd_knows_us(installed: Installed) -> None:
    help_text = installed.twistd("--help")
    assert "twistnotify" in help_text
    # Twisted's own plugins are not shadowed.
    assert "web" in help_text.split()
    assert "--config" in installed.twistd("twistnotify", "--help")


def test_the_wheel_holds_the_plugin_and_nothing_of_twisteds(built: Path) -> None:
    names = zipfile.ZipFile(wheel_of(built)).namelist()

    assert PLUGIN in names
    assert "twistnotify/py.typed" in names
    assert not set(NOT_OURS) & set(names)
    assert not [name for name in names if name.startswith(("tests", "benchmarks"))]


def test_the_wheel_holds_every_module(built: Path) -> None:
    names = set(zipfile.ZipFile(wheel_of(built)).namelist())
    modules = {str(path.relative_to(ROOT)) for path in (ROOT / "twistnotify").rglob("*.py")}

    assert modules <= names


def test_the_source_distribution_holds_the_plugin_and_nothing_of_twisteds(built: Path) -> None:
    with tarfile.open(sdist_of(built)) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}

    assert PLUGIN in names
    assert not set(NOT_OURS) & names


@pytest.mark.parametrize("kind", ["wheel", "sdist"])
def test_twistd_finds_the_plugin_where_it_is_installed(built: Path, backend: Path, tmp_path: Path, kind: str) -> None:
    installed = Installed(tmp_path)
    installed.install(wheel_of(built) if kind == "wheel" else sdist_of(built), backend=backend)

    assert installed.where() == installed.packages / "twistnotify"
    assert_twistd_knows_us(installed)


def test_twistd_finds_the_plugin_of_an_editable_install(checkout: Path, backend: Path, tmp_path: Path) -> None:
    installed = Installed(tmp_path)
    installed.install("--editable", checkout, backend=backend)

    assert installed.where() == checkout / "twistnotify"
    assert_twistd_knows_us(installed)
