"""The page at `/`: files read once, sent with their digest, under a policy that lets nothing else in."""

import hashlib
from dataclasses import dataclass
from importlib.metadata import distribution
from pathlib import Path

from fastapi import APIRouter, Request
from fastapi.responses import Response

from adapters.errors import NotFound

_FOLDER = Path(__file__).resolve().parent.parent / "page"
_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
}
# The chart library comes with a package of the pinned set, which is never imported; its licence is page/uplot-licence.txt.
_CHARTS = ("metaflow-card-uplot", "metaflow_extensions/card_uplot/plugins/cards/uplot/uplot")
_BORROWED = {"uplot.js": "uPlot.iife.min.js", "uplot.css": "uPlot.min.css"}
_HEADERS = {
    # Nothing but this service's own files, and no way to turn a text into markup or script.
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    # Asked again each time, answered with 304 while nothing changed: a new release is seen at once.
    "Cache-Control": "no-cache",
}


@dataclass(frozen=True)
class Asset:
    """One file of the page as it is sent."""

    content: bytes
    kind: str
    etag: str

    @classmethod
    def read(cls, path: Path) -> "Asset":
        """The file at `path`."""
        content = path.read_bytes()
        return cls(content, _TYPES[path.suffix], f'"{hashlib.sha256(content).hexdigest()[:32]}"')

    def answer(self, request: Request) -> Response:
        """The file, or 304 when the browser has it."""
        headers = {**_HEADERS, "ETag": self.etag}
        known = [tag.strip().removeprefix("W/") for tag in request.headers.get("if-none-match", "").split(",")]
        if self.etag in known:
            return Response(status_code=304, headers=headers)
        return Response(self.content, media_type=self.kind, headers=headers)


def page_routes() -> APIRouter:
    """GET / and /page/{name}; there is nothing to tell from them that is not in every copy of Patchbay."""
    router = APIRouter(include_in_schema=False)
    assets = _assets()

    @router.api_route("/", methods=["GET", "HEAD"])
    async def page(request: Request) -> Response:
        return assets["index.html"].answer(request)

    @router.api_route("/page/{name}", methods=["GET", "HEAD"])
    async def asset(name: str, request: Request) -> Response:
        if name not in assets:
            raise NotFound(f"the page has no file {name!r}")
        return assets[name].answer(request)

    return router


def _assets() -> dict[str, Asset]:
    charts = Path(str(distribution(_CHARTS[0]).locate_file(_CHARTS[1])))
    own = {path.name: path for path in _FOLDER.iterdir() if path.suffix in _TYPES}
    borrowed = {name: charts / original for name, original in _BORROWED.items()}
    return {name: Asset.read(path) for name, path in {**own, **borrowed}.items()}
