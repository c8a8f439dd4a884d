"""Styles, scripts, fonts and icons: read once, compressed once, served under the hash of their contents.

A file's address changes with its contents, so browsers keep it for ever. Nothing is fetched from elsewhere.
"""

import gzip
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import Response

STATIC = Path(__file__).parent / "static"
ICONS = STATIC / "vendor" / "tabler-icons"
_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".woff2": "font/woff2",
}
_COMPRESSED = {".woff2"}
_FOREVER = "public, max-age=31536000, immutable"


@dataclass(frozen=True, slots=True)
class Asset:
    """A file as it is served."""

    media_type: str
    plain: bytes
    zipped: bytes | None


@cache
def all_assets() -> Mapping[str, Asset]:
    """Return every asset by its path below `static/`."""
    return {
        path.relative_to(STATIC).as_posix(): _read(path)
        for path in sorted(STATIC.rglob("*"))
        if path.suffix in _TYPES and path.parent != ICONS
    }


@cache
def version() -> str:
    """Return the hash of all assets."""
    digest = hashlib.sha256()
    for name, asset in all_assets().items():
        digest.update(name.encode() + asset.plain)
    return digest.hexdigest()[:12]


def url(name: str) -> str:
    """Return the address of an asset. Raises KeyError if there is none of this name."""
    all_assets()[name]
    return f"/static/{version()}/{name}"


@cache
def icon(name: str) -> Markup:
    """Return an icon as SVG, hidden from screen readers: the text beside it says the same."""
    svg = re.sub(r"\s+", " ", (ICONS / f"{name}.svg").read_text())
    return Markup(re.sub(r'class="[^"]*"', 'class="icon" aria-hidden="true" focusable="false"', svg))  # noqa: S704 - vendored


async def serve(request: Request) -> Response:
    """Answer with an asset, compressed if the browser takes that."""
    asset = all_assets().get(request.path_params["name"])
    if asset is None:
        return Response("There is no such file.", 404, media_type="text/plain")
    current = request.path_params["version"] == version()
    headers = {"Cache-Control": _FOREVER if current else "no-cache", "Vary": "Accept-Encoding"}
    if asset.zipped is not None and "gzip" in request.headers.get("accept-encoding", ""):
        return Response(asset.zipped, headers=headers | {"Content-Encoding": "gzip"}, media_type=asset.media_type)
    return Response(asset.plain, headers=headers, media_type=asset.media_type)


def _read(path: Path) -> Asset:
    plain = path.read_bytes()
    zipped = None if path.suffix in _COMPRESSED else gzip.compress(plain, mtime=0)
    return Asset(_TYPES[path.suffix], plain, zipped)
