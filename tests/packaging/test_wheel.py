"""What is published works somewhere else, alone, and carries what it should and nothing more."""

from __future__ import annotations

import subprocess
import sys
import tarfile
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest

from forestpilot.sim.extras import EXTRAS
from tests.packaging.conftest import Made
from tests.packaging.installation import CHECKOUT, FOLDERS, Installed

LARGEST_MB = 3.0
PICTURES = (".png", ".gif", ".jpg", ".mp4", ".webp")


def test_the_wheel_holds_the_four_packages_and_no_pictures(installed: Installed) -> None:
    with zipfile.ZipFile(installed.wheel) as archive:
        names = set(archive.namelist())
    assert installed.wheel.stat().st_size <= LARGEST_MB * 1e6
    assert [name for name in names if name.endswith(PICTURES)] == []
    assert {name.partition("/")[0] for name in names} == {"forestpilot", f"{_stem(installed.wheel)}.dist-info"}
    for source in _sources():
        assert f"forestpilot/{source}" in names
    for data in ("py.typed", "policies/pretrained/drone/policy.safetensors", "launch/pages/templates/report.html.j2"):
        assert f"forestpilot/{data}" in names


def test_the_source_distribution_can_be_tested_and_documented(installed: Installed, tmp_path: Path) -> None:
    with tarfile.open(installed.sdist) as archive:
        archive.extractall(tmp_path, filter="data")
    (source,) = tmp_path.iterdir()
    for needed in ("constraints.txt", "README.md", "LICENSE", "CHANGELOG.md", "docs/assets/flight.png"):
        assert (source / needed).is_file()
    for module in _sources():
        assert (source / module).is_file()
    links = [f".package/forestpilot/{folder}" for folder in FOLDERS]
    assert [link for link in links if (source / link).exists()] == []
    subprocess.run(["make", "--quiet", *links], cwd=source, check=True)
    tests = ["-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/sim/test_seeds.py"]
    assert "passed" in installed.run([sys.executable, *tests], source).stdout


def test_links_of_the_readme_work_on_a_package_index(installed: Installed) -> None:
    readme = _metadata(installed.wheel).get_payload()
    targets = [part.partition(")")[0] for part in readme.split("](")[1:]]
    assert targets
    assert [target for target in targets if not target.startswith("https://")] == []
    ours = "https://raw.githubusercontent.com/forestpilot/forestpilot/main/"
    shown = [target.removeprefix(ours) for target in targets if target.startswith(ours)]
    assert shown
    assert [picture for picture in shown if not (CHECKOUT / picture).is_file()] == []


APART = {
    "lerobot": ("lerobot",),
    "rerun": ("rerun",),
    "ray": ("ray", "dev"),
    "wandb": ("wandb",),
    "mlflow": ("mlflow",),
}
"""Extras that are not among all, for their size, and which ones have their libraries."""


def test_each_library_that_only_some_need_is_in_the_extra_that_the_program_names(installed: Installed) -> None:
    distributions = {"cv2": "opencv-python", "pygame": "pygame-ce"}
    distributions |= {"google": "protobuf", "google_crc32c": "google-crc32c"}
    distributions |= {"stable_baselines3": "stable-baselines3", "sb3_contrib": "sb3-contrib"}
    required = _metadata(installed.wheel).get_all("Requires-Dist") or []
    for library, extra in EXTRAS.items():
        distribution = distributions.get(library, library)
        for named in APART.get(extra, (extra, "all", "dev")):
            assert [line for line in required if line.startswith(distribution) and f"extra == '{named}'" in line]
        assert not [line for line in required if line.startswith(distribution) and "extra" not in line]


@pytest.mark.slow
def test_the_wheel_works_in_another_folder(installed: Installed, made: Made, tmp_path: Path) -> None:
    where = installed.run([installed.python, "-c", "import forestpilot; print(forestpilot.__file__)"], tmp_path)
    assert Path(where.stdout.strip()).is_relative_to(installed.python.parents[1])
    version = installed.run([installed.command, "--version"], tmp_path).stdout
    assert version.split() == ["forestpilot", _stem(installed.wheel).partition("-")[2]]
    assert "ForestPilot can work here." in made.doctor


@pytest.mark.slow
def test_a_command_computes_on_one_thread(made: Made) -> None:
    told = {line.split()[0]: line for line in made.doctor.splitlines() if line.split()}
    assert told["PyTorch"].endswith(", 1 threads")
    assert "GOMP_SPINCOUNT=2000" in told["threads"] and "OMP_NUM_THREADS=1" in told["threads"]


@pytest.mark.slow
def test_the_wheel_flies_replays_and_reports(made: Made) -> None:
    assert len(list((made.folder / "videos").glob("*.mp4"))) == 1
    assert (made.folder / "out" / "report.html").stat().st_size > 10_000


def _sources() -> list[Path]:
    """Every module of the four folders, from the checkout's top."""
    return [path.relative_to(CHECKOUT) for folder in FOLDERS for path in (CHECKOUT / folder).rglob("*.py")]


def _stem(wheel: Path) -> str:
    """`forestpilot-0.2.0` of the wheel's name."""
    return "-".join(wheel.name.split("-")[:2])


def _metadata(wheel: Path):
    with zipfile.ZipFile(wheel) as archive:
        return Parser().parsestr(archive.read(f"{_stem(wheel)}.dist-info/METADATA").decode())
