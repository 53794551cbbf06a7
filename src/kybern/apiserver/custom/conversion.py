"""A webhook that converts objects of a custom kind between its versions.

In:   objects in whatever version they are, and the version that is wanted.
Out:  the same objects in that version.
By:   custom.resource. Facts: apiextensions-apiserver/pkg/apiserver/conversion/webhook_converter.go.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kybern.api import codec, errors
from kybern.apiserver.webhook_client import CallFailed, WebhookClient

if TYPE_CHECKING:
    from kybern.api.apiextensions.v1 import CustomResourceDefinition
    from kybern.apiserver.context import Services

    Tree = dict[str, Any]

TIMEOUT = 30  # seconds
VERSIONS = ("v1", "v1beta1")
MAY_CHANGE = frozenset(("labels", "annotations"))
"""The only metadata that a conversion may touch."""


class Conversion:
    """Asks the webhook of one definition."""

    def __init__(self, services: Services, definition: CustomResourceDefinition) -> None:
        hook = definition.spec.conversion.webhook if definition.spec.conversion else None
        assert hook is not None
        assert hook.clientConfig is not None
        self._services = services
        self._client = WebhookClient(services)
        self._config = hook.clientConfig
        self._version = next((v for v in hook.conversionReviewVersions if v in VERSIONS), "v1")
        self._kind = definition.spec.names.kind

    async def convert(self, trees: list[Tree], wanted: str) -> list[Tree]:
        """Return objects in the API version that is wanted.

        Raises:
            InternalError: the webhook cannot be asked, or answers something else.
        """
        uid = self._services.identities.uid()
        review = {
            "kind": "ConversionReview", "apiVersion": f"apiextensions.k8s.io/{self._version}",
            "request": {"uid": uid, "desiredAPIVersion": wanted, "objects": trees},
        }  # fmt: skip
        try:
            answer = await self._client.post(self._config, codec.encode(review), TIMEOUT)
            found = _converted(answer, uid)
            if len(found) != len(trees):
                raise CallFailed(f"webhook returned {len(found)} objects, expected {len(trees)}")
            return [
                _checked(before, after, wanted, index)
                for index, (before, after) in enumerate(zip(trees, found, strict=True))
            ]
        except CallFailed as error:
            version = trees[0].get("apiVersion")
            raise errors.InternalError.of(
                f"conversion webhook for {version}, Kind={self._kind} failed: {error}"
            ) from None


def _converted(answer: Tree, uid: str) -> list[Any]:
    """Return the objects in an answer.

    Raises:
        CallFailed: there are none.
    """
    response = answer.get("response")
    if not isinstance(response, dict):
        raise CallFailed("no response provided")
    if response.get("uid") != uid:
        raise CallFailed(f'expected response.uid="{uid}", got "{response.get("uid") or ""}"')
    result = response.get("result") or {}
    if result.get("status") != "Success":
        told = f"response.result.status was '{result.get('status') or ''}', not 'Success'"
        raise CallFailed(result.get("message") or told)
    return list(response.get("convertedObjects") or ())


def _checked(before: Tree, after: Any, wanted: str, index: int) -> Tree:
    """Return a converted object with the metadata that are not the webhook's to change.

    Raises:
        CallFailed: it is another object, or in another version.
    """
    if not isinstance(after, dict) or not isinstance(after.get("metadata"), dict):
        raise CallFailed(f"invalid metadata of converted object at index {index}")
    for field, right in (("apiVersion", wanted), ("kind", before.get("kind"))):
        if after.get(field) != right:
            raise CallFailed(
                f"expected converted object at index {index} to have {field} {right}, got "
                f"{after.get(field)}"
            )
    was, now = before["metadata"], after["metadata"]
    for name in ("name", "namespace", "uid"):
        if was.get(name) != now.get(name):
            raise CallFailed(f"must have the same {name}: {now.get(name)} != {was.get(name)}")
    kept = {name: value for name, value in was.items() if name not in MAY_CHANGE}
    changed = {name: now[name] for name in MAY_CHANGE if now.get(name)}
    return {**after, "metadata": {**kept, **changed}}
