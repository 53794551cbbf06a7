"""What a CustomResourceDefinition gets that its author did not say.

In:   an object as decoded.
Out:  the same object with defaults filled in, in place.
By:   `api.defaults`. Facts: upstream's `apiextensions-apiserver/pkg/apis/apiextensions/v1`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from kybern.api.apiextensions import v1

if TYPE_CHECKING:
    from collections.abc import Callable

HTTPS: Final = 443


def default_definition(obj: v1.CustomResourceDefinition) -> None:
    """Names derived from the kind; no conversion."""
    spec = obj.spec
    spec.names.singular = spec.names.singular or spec.names.kind.lower()
    if not spec.names.listKind and spec.names.kind:
        spec.names.listKind = f"{spec.names.kind}List"
    if spec.conversion is None:
        spec.conversion = v1.CustomResourceConversion(strategy="None")
    webhook = spec.conversion.webhook
    config = webhook.clientConfig if webhook is not None else None
    if config is not None and config.service is not None and config.service.port is None:
        config.service.port = HTTPS


DEFAULTERS: Final[dict[str, Callable[[Any], None]]] = {
    "CustomResourceDefinition": default_definition,
}
