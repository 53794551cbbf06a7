"""The documents beside the resources: discovery, OpenAPI, version, metrics, health, issuer keys.

In:   GET on a path outside the resources.
Out:  the document, in the form the client takes; 304 when the client has it.
By:   routes, through Services.paths and .prefixes.

Documents are made when first asked for and kept as bytes until the set of resources changes.
"""

from __future__ import annotations

import platform
from typing import TYPE_CHECKING, Any

from kybern.api import codec, release
from kybern.apiserver.accept import JSON
from kybern.apiserver.aggregator import merging
from kybern.apiserver.answers import NO_CACHE, json_response, text_response
from kybern.apiserver.discovery import AGGREGATED, Discovery, served
from kybern.apiserver.openapi import OpenApi
from kybern.apiserver.usage.serve import KINDS as USAGE
from kybern.lib.http.messages import Response
from kybern.lib.metrics import REGISTRY

if TYPE_CHECKING:
    from collections.abc import Callable

    from kybern.apiserver.aggregator.backend import Backend
    from kybern.apiserver.context import Answer, Handler, RequestContext, Services

    Tree = dict[str, Any]

ARCHITECTURE = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
VERSION = {
    "major": "1", "minor": "36", "gitVersion": release.GIT_VERSION, "gitCommit": "",
    "gitTreeState": "clean", "buildDate": "2026-01-01T00:00:00Z", "goVersion": "python",
    "compiler": "cpython", "platform": f"linux/{ARCHITECTURE}", "emulationMajor": "1",
    "emulationMinor": "36", "minCompatibilityMajor": "1", "minCompatibilityMinor": "35",
}  # fmt: skip
OPENAPI_V2_PROTOBUF = "application/com.github.proto-openapi.spec.v2@v1.0+protobuf"


class Documents:
    """Serves what describes the server."""

    def __init__(self, services: Services, address: str) -> None:
        self._services = services
        self._address = address
        self._discovery: Discovery | None = None
        self._openapi: OpenApi | None = None
        self._kept: dict[str, bytes] = {}

    def paths(self) -> dict[str, Handler]:
        """Return who answers which exact path."""
        return {
            "/": self.root,
            "/api": self.discovery,
            "/api/": self.discovery,
            "/apis": self.discovery,
            "/apis/": self.discovery,
            "/version": self.version,
            "/version/": self.version,
            "/openapi/v2": self.openapi_v2,
            "/openapi/v3": self.openapi_v3,
            "/openapi/v3/": self.openapi_v3,
            "/.well-known/openid-configuration": self.issuer,
            "/openid/v1/jwks": self.keys,
        }

    def prefixes(self) -> list[tuple[str, Handler]]:
        """Return who answers paths that begin so."""
        return [
            ("/api/", self.discovery),
            ("/apis/", self.discovery),
            ("/openapi/v3/", self.openapi_v3),
        ]

    def forget(self) -> None:
        """Make the documents anew: the set of resources changed."""
        self._discovery = self._openapi = None
        self._kept.clear()

    async def root(self, ctx: RequestContext) -> Response:
        """List the paths there are."""
        services = self._services
        found = {p.rstrip("/") or "/" for p in services.paths} - {"/"}
        kinds = services.resources.kinds()
        found |= {kind.prefix for kind in kinds}
        found |= {f"/apis/{kind.group}" for kind in kinds if kind.group}
        return json_response(ctx, 200, codec.encode({"paths": sorted(found)}))

    async def version(self, ctx: RequestContext) -> Response:
        """Say which version of Kubernetes this is."""
        return json_response(ctx, 200, codec.encode(VERSION))

    async def issuer(self, ctx: RequestContext) -> Response:
        """Say who issues service account tokens, and where the keys are."""
        config = self._services.config
        address = config.advertise_address or "kubernetes.default.svc"
        document = {
            "issuer": config.issuer,
            "jwks_uri": f"https://{address}:{config.port}/openid/v1/jwks",
            "response_types_supported": ["id_token"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": self._services.tokens.algorithms(),
        }
        headers = (("Cache-Control", "public, max-age=3600"),)
        return Response(200, codec.encode(document), JSON, headers)

    async def keys(self, ctx: RequestContext) -> Response:
        """Publish the keys that service account tokens can be checked with."""
        del ctx
        headers = (("Cache-Control", "public, max-age=3600"),)
        media = "application/jwk-set+json"
        return Response(200, codec.encode(self._services.tokens.keys()), media, headers)

    async def discovery(self, ctx: RequestContext) -> Answer:
        """Answer `/api`, `/apis` and what is below them."""
        path = ctx.path.rstrip("/")
        if self._services.aggregated and (other := self._other(path)) is not None:
            return await other.answer(ctx)
        if path in ("/api", "/apis"):
            version = _aggregated(ctx.request.headers.get("accept", ""))
            if version:
                return self._aggregated_response(ctx, version, core=path == "/api")
        made = self._kept.get(path)
        if made is None:
            tree = self._document(path.split("/"))
            if tree is None:
                return text_response(404, "404 page not found\n")
            made = self._kept[path] = codec.encode(tree)
        return json_response(ctx, 200, made)

    def _aggregated_response(self, ctx: RequestContext, version: str, *, core: bool) -> Response:
        key = f"{version} {core}"
        made = self._kept.get(key)
        if made is None:
            tree = self._documents().aggregated(version, core=core)
            if not core:
                tree = merging.add_discovered(tree, self._others())
            made = self._kept[key] = codec.encode(tree)
        tag = f'"{_digest(made)}"'
        headers = (*NO_CACHE, ("ETag", tag), ("Vary", "Accept"))
        if ctx.request.headers.get("if-none-match") == tag:
            return Response(304, b"", "", headers)
        media = f"{JSON};g=apidiscovery.k8s.io;v={version};as=APIGroupDiscoveryList"
        return Response(200, made, media, headers)

    def _documents(self) -> Discovery:
        if self._discovery is None:
            kinds = (*self._services.resources.kinds(), *USAGE)
            elsewhere = self._services.aggregated
            here = [served(k) for k in kinds if (k.group, k.version) not in elsewhere]
            self._discovery = Discovery(here, self._address)
        return self._discovery

    def _document(self, parts: list[str]) -> Tree | None:
        documents = self._documents()
        match parts[1:]:
            case ["api"]:
                return documents.legacy_versions()
            case ["apis"]:
                return merging.add_groups(documents.groups(), self._others())
            case ["api", version] if documents.has("", version):
                return documents.resources("", version)
            case ["apis", group] if group and documents.has(group):
                return self._group(group, documents.group(group))
            case ["apis", group] if group in {other.group for other in self._others()}:
                return self._group(group, None)
            case ["apis", group, version] if group and documents.has(group, version):
                return documents.resources(group, version)
        return None

    def _others(self) -> list[Backend]:
        return list(self._services.aggregated.values())

    def _other(self, path: str) -> Backend | None:
        """Return who else answers `/apis/GROUP/VERSION`."""
        parts = path.split("/")
        return self._services.aggregated.get((parts[2], parts[3])) if len(parts) == 4 else None

    def _group(self, name: str, ours: Tree | None) -> Tree:
        others = [other for other in self._others() if other.group == name]
        if not others and ours is not None:
            return ours
        return {"kind": "APIGroup", "apiVersion": "v1", **merging.group_of(name, others, ours)}

    def _schemas(self) -> OpenApi:
        if self._openapi is None:
            self._openapi = OpenApi([served(kind) for kind in self._services.resources.kinds()])
        return self._openapi

    async def openapi_v2(self, ctx: RequestContext) -> Response:
        """Answer with the one document of version 2, as JSON or protobuf."""
        schemas = self._schemas()
        header = ctx.request.headers.get("accept", "")
        others = [other for other in self._others() if other.available and other.schemas]
        tag = schemas.v2_hash()
        if others:
            tag = _digest(f"{tag} {[(each.name, each.v3_url) for each in others]}".encode())
        if OPENAPI_V2_PROTOBUF in header and JSON not in header.partition(OPENAPI_V2_PROTOBUF)[0]:
            from kybern.apiserver import openapi_protobuf

            return _tagged(
                ctx,
                f"{tag}P",
                lambda: openapi_protobuf.encode(merging.add_v2(schemas.v2_tree(), others)),
                openapi_protobuf.MEDIA_TYPE,
            )
        whole = schemas.v2
        if others:
            whole = lambda: codec.encode(merging.add_v2(schemas.v2_tree(), others))  # noqa: E731
        return _tagged(ctx, tag, whole, JSON)

    async def openapi_v3(self, ctx: RequestContext) -> Answer:
        """Answer with the index of version 3, or the document of one group and version."""
        prefix = ctx.path.removeprefix("/openapi/v3").strip("/")
        schemas = self._schemas()
        if not prefix:
            index = merging.add_v3(schemas.index(), self._others())
            return json_response(ctx, 200, codec.encode(index))
        if self._services.aggregated and (other := self._other(f"/{prefix}")) is not None:
            return await other.answer(ctx)
        if not schemas.has(prefix):
            return text_response(404, "404 page not found\n")
        return _tagged(ctx, schemas.v3_hash(prefix), lambda: schemas.v3(prefix), JSON)


async def metrics(ctx: RequestContext) -> Response:
    """Answer with the metrics of this process, in Prometheus' text form."""
    del ctx
    return Response(200, REGISTRY.expose(), "text/plain; version=0.0.4; charset=utf-8", NO_CACHE)


def _tagged(ctx: RequestContext, tag: str, make: Callable[[], bytes], media: str) -> Response:
    quoted = f'"{tag}"'
    headers: tuple[tuple[str, str], ...] = (("ETag", quoted), ("Vary", "Accept"))
    if ctx.param("hash") == tag:
        headers = (*headers, ("Cache-Control", "public, immutable"))
    else:
        headers = (*headers, *NO_CACHE)
    if ctx.request.headers.get("if-none-match") in (quoted, tag):
        return Response(304, b"", "", headers)
    return Response(200, make(), media, headers)


def _aggregated(accept: str) -> str:
    """Return the version of aggregated discovery that the client prefers; "" for none."""
    for clause in accept.split(","):
        parts = {p.strip() for p in clause.split(";")}
        if "as=APIGroupDiscoveryList" in parts:
            for version in AGGREGATED:
                if f"v={version}" in parts:
                    return version
        elif JSON in parts or "*/*" in parts:
            return ""
    return ""


def _digest(data: bytes) -> str:
    import hashlib

    return hashlib.sha256(data).hexdigest().upper()
