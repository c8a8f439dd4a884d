"""The console's files are those of the manifest, and fetch nothing from elsewhere."""

import hashlib
import re
import tomllib

import pytest

from services.console import assets

VENDOR = assets.STATIC / "vendor"
MANIFEST = tomllib.loads((VENDOR / "manifest.toml").read_text())
HASHES = {
    f"{folder}/{name}": digest
    for folder, package in MANIFEST.items()
    for name, digest in package["sha256"].items()
}
OWN = sorted((assets.STATIC / "own").iterdir())


def test_every_vendored_file_is_in_the_manifest_with_its_hash() -> None:
    found = {
        path.relative_to(VENDOR).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in VENDOR.rglob("*")
        if path.is_file() and path.name != "manifest.toml"
    }
    assert found == HASHES


@pytest.mark.parametrize("folder", MANIFEST)
def test_a_vendored_package_has_a_version_and_a_licence_with_its_text(folder: str) -> None:
    assert re.fullmatch(r"\d+\.\d+\.\d+", MANIFEST[folder]["version"])
    assert MANIFEST[folder]["licence"] in {"0BSD", "MIT", "OFL-1.1"}
    assert (VENDOR / folder / "LICENSE").read_text().strip()


def test_no_style_or_script_fetches_anything_from_elsewhere() -> None:
    for name, asset in assets.all_assets().items():
        if name.endswith((".css", ".js")):
            text = asset.plain.decode()
            assert not re.search(r"(url\(|import |fetch\(|open\()[\"']?https?://", text), name
            assert "sourceMappingURL" not in text or name.startswith("vendor/"), name


def test_every_file_that_a_style_refers_to_is_there() -> None:
    text = (assets.STATIC / "own" / "console.css").read_text()
    for reference in re.findall(r"url\(\.\./([^)]+)\)", text):
        assert reference in assets.all_assets()


def test_our_own_scripts_evaluate_nothing() -> None:
    for path in OWN:
        if path.suffix == ".js":
            assert not re.search(r"\beval\(|new Function|setTimeout\([\"']", path.read_text()), path.name


def test_an_icon_is_hidden_from_screen_readers() -> None:
    assert 'aria-hidden="true"' in assets.icon("send")
