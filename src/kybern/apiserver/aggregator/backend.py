"""One API server behind this one.

In:   the spec of an APIService; requests for its group version.
Out:  the other server's answers; whether it answers at all, and what it serves.
By:   aggregator.apiservices makes it, routes and documents ask it.
"""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any, NamedTuple

from kybern.apiserver.addresses import Address, Unresolved, find
from kybern.apiserver.aggregator import front_proxy
from kybern.apiserver.answers import text_response

if TYPE_CHECKING:
    import ssl

    from kybern.api.apiregistration.v1 import APIService, APIServiceSpec
    from kybern.apiserver.context import Answer, RequestContext, Services
    from kybern.lib.http.client import HttpClient

    Tree = dict[str, Any]

PATIENCE = 5.0  # seconds, upstream's
LARGEST = 16 << 20  # bytes of a document
OURSELVES = {front_proxy.USER: "system:kube-aggregator", front_proxy.GROUP: "system:masters"}
PASSED = "Passed"
FAILED = "FailedDiscoveryCheck"


class Verdict(NamedTuple):
    """Whether the server can be used, in the words of its APIService's condition."""

    available: bool
    reason: str
    message: str


class Backend:
    """The server an APIService names."""

    def __init__(self, services: Services, obj: APIService) -> None:
        spec = obj.spec
        assert spec.service is not None
        self.name = obj.metadata.name or ""
        self.spec = spec
        self.group, self.version = spec.group or "", spec.version or ""
        self.namespace, self.service = spec.service.namespace or "", spec.service.name or ""
        self.port = spec.service.port or 443
        self.available = any(
            each.type == "Available" and each.status == "True"
            for each in obj.status.conditions or ()
        )
        self.resources: list[Tree] = []
        """What it serves, as it says in its APIResourceList."""
        self.schemas: Tree = {}
        """Its part of `/openapi/v2`; empty while it has none."""
        self.v3_url = ""
        """Where the document of its group version is, below its `/openapi/v3`."""
        self._services = services
        self._clients: dict[Address, HttpClient] = {}
        self._context: ssl.SSLContext | None = None

    @property
    def prefix(self) -> str:
        """The path under which it answers."""
        return f"/apis/{self.group}/{self.version}"

    def is_for(self, spec: APIServiceSpec) -> bool:
        """Say whether a changed APIService still leads to this server, in the same way."""
        ours = self.spec
        return (ours.service, ours.caBundle, ours.insecureSkipTLSVerify) == (
            spec.service, spec.caBundle, spec.insecureSkipTLSVerify,
        )  # fmt: skip

    async def answer(self, ctx: RequestContext) -> Answer:
        """Pass a request on, in the name of who sent it."""
        if not self.available:
            return text_response(503, "service unavailable\n")
        try:
            client = self._client(self._choose())
        except Unresolved:
            return text_response(503, "service unavailable\n")
        # Imported when the first request is passed on: most servers never do.
        from kybern.apiserver.handlers.forwarding import OURS, forward

        request = ctx.request
        claims = {name for name in request.headers if name.startswith(front_proxy.REMOTE)}
        target = f"{request.path}?{request.query}" if request.query else request.path
        return await forward(
            request, client, target, drop=OURS | claims, add=front_proxy.headers_for(ctx.user)
        )

    async def probe(self) -> Verdict:
        """Ask what it serves, and say whether it answered."""
        try:
            addresses = find(self._services, self.namespace, self.service, self.port)
        except Unresolved as problem:
            return Verdict(False, problem.reason, str(problem))
        why = ""
        for address in addresses:
            where = f"https://{address.host}:{address.port}{self.prefix}"
            try:
                self.resources = (await self._document(address, self.prefix)).get("resources", [])
                await self._read_schemas(address)
            except (OSError, TimeoutError, ValueError) as error:
                told = str(error) or type(error).__name__
                why = f"failing or missing response from {where}: {told}"
            else:
                return Verdict(True, PASSED, "all checks passed")
        return Verdict(False, FAILED, why)

    async def close(self) -> None:
        """Break off the connections."""
        for client in self._clients.values():
            await client.close()
        self._clients.clear()

    def _choose(self) -> Address:
        found = find(self._services, self.namespace, self.service, self.port)
        return found[int(self._services.identities.fraction() * len(found))]

    def _client(self, address: Address) -> HttpClient:
        client = self._clients.get(address)
        if client is None:
            from kybern.lib.http.client import HttpClient

            host = f"[{address.host}]" if ":" in address.host else address.host
            client = self._clients[address] = HttpClient(
                f"https://{host}:{address.port}",
                ssl=self._tls(),
                server_hostname=address.server_name,
                connect_timeout=PATIENCE,
            )
        return client

    def _tls(self) -> ssl.SSLContext:
        if self._context is None:
            from kybern.lib import tls

            config = self._services.config
            bundle = self.spec.caBundle
            self._context = tls.client_context(
                base64.b64decode(bundle) if bundle else None,
                config.front_proxy_certificate,
                config.front_proxy_key,
                verify=not self.spec.insecureSkipTLSVerify,
            )
        return self._context

    async def _document(self, address: Address, path: str) -> Tree:
        """Read a JSON document.

        Raises:
            OSError, TimeoutError: no answer.
            ValueError: another answer than a document.
        """
        headers = {"Accept": "application/json", **OURSELVES}
        client = self._client(address)
        response = await client.request("GET", path, headers, timeout=PATIENCE)
        body = await response.read(LARGEST)
        if not 200 <= response.status < 300:
            raise ValueError(f"bad status from {path}: {response.status}")
        tree = json.loads(body)
        if not isinstance(tree, dict):
            raise ValueError(f"{path} is not an object")  # noqa: TRY004  # of JSON
        return tree

    async def _read_schemas(self, address: Address) -> None:
        """Read where its OpenAPI documents are; a server may have none."""
        try:
            index = await self._document(address, "/openapi/v3")
        except ValueError:
            index = {}
        found = index.get("paths", {}).get(self.prefix.lstrip("/"), {}).get("serverRelativeURL", "")
        if found and found == self.v3_url:
            return
        self.v3_url = found
        try:
            whole = await self._document(address, "/openapi/v2")
        except ValueError:
            whole = {}
        paths = {p: item for p, item in whole.get("paths", {}).items() if p.startswith(self.prefix)}
        self.schemas = (
            {"paths": paths, "definitions": whole.get("definitions", {})} if paths else {}
        )
