"""What the metrics APIs say.

In:   which metric, of which pods or object.
Out:  readings in thousandths.
By:   podautoscaler.controller.

`metrics.k8s.io` is built in; `custom.metrics.k8s.io` and `external.metrics.k8s.io` are served by
whoever registers them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

from kybern.api import codec, errors
from kybern.api.quantity import parse
from kybern.client.transport import Unreachable
from kybern.controllers.podautoscaler.replicas import Reading, Unusable
from kybern.lib.clock import parse_rfc3339

if TYPE_CHECKING:
    from kybern.client.rest import Client

    Tree = dict[str, Any]

RESOURCES = "/apis/metrics.k8s.io/v1beta1"
CUSTOM = "/apis/custom.metrics.k8s.io/v1beta2"
EXTERNAL = "/apis/external.metrics.k8s.io/v1beta1"
MINUTE = 60.0


class Readings:
    """Asks the APIs."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def resource(
        self, namespace: str, selector: str, resource: str, container: str
    ) -> dict[str, Reading]:
        """Return what pods use of a resource, or one container of each.

        Raises:
            Unusable: nobody knows.
        """
        path = f"{RESOURCES}/namespaces/{quote(namespace)}/pods"
        what = f"metrics for resource {resource}"
        tree = await self._get(path, {"labelSelector": selector}, what, "resource metrics API")
        found: dict[str, Reading] = {}
        for pod in tree["items"]:
            used = [
                parse(each["usage"][resource]).milli
                for each in pod["containers"]
                if container in ("", each["name"]) and resource in each["usage"]
            ]
            if used:
                found[pod["metadata"]["name"]] = Reading(
                    sum(used), parse_rfc3339(pod["timestamp"]), _seconds(pod["window"])
                )
        if not found:
            raise Unusable(
                f"unable to get metrics for resource {resource}: no metrics returned from resource "
                "metrics API"
            )
        return found

    async def pods(
        self, namespace: str, selector: str, metric: str, metric_selector: str
    ) -> dict[str, Reading]:
        """Return a metric of each pod."""
        path = f"{CUSTOM}/namespaces/{quote(namespace)}/pods/*/{quote(metric)}"
        query = {"labelSelector": selector, "metricLabelSelector": metric_selector}
        tree = await self._get(path, query, f"metric {metric}", "custom metrics API")
        return {
            item["describedObject"]["name"]: Reading(
                parse(item["value"]).milli,
                parse_rfc3339(item["timestamp"]),
                float(item.get("windowSeconds") or MINUTE),
            )
            for item in tree["items"]
        }

    async def of_object(
        self, namespace: str, resource: str, name: str, metric: str, metric_selector: str
    ) -> int:
        """Return a metric of one object; `resource` is `plural.group`."""
        place = "" if resource == "namespaces" else f"{quote(resource)}/"
        path = f"{CUSTOM}/namespaces/{quote(namespace)}/{place}{quote(name)}/{quote(metric)}"
        if resource == "namespaces":
            path = f"{CUSTOM}/namespaces/{quote(name)}/metrics/{quote(metric)}"
        query = {"metricLabelSelector": metric_selector}
        tree = await self._get(path, query, f"metric {metric}", "custom metrics API")
        return parse(tree["items"][0]["value"]).milli

    async def external(self, namespace: str, metric: str, selector: str, shown: str) -> int:
        """Return a metric from outside the cluster, all its series together.

        Args:
            namespace: of the autoscaler.
            metric: its name.
            selector: which series.
            shown: the selector as errors have it.
        """
        path = f"{EXTERNAL}/namespaces/{quote(namespace)}/{quote(metric)}"
        what = f"external metric {namespace}/{metric}/{shown}"
        tree = await self._get(path, {"labelSelector": selector}, what, "external metrics API")
        return sum(parse(item["value"]).milli for item in tree["items"])

    async def _get(self, path: str, query: dict[str, str], what: str, api: str) -> Tree:
        text = urlencode({key: value for key, value in query.items() if value})
        try:
            tree: Tree = codec.decode_tree(await self._client.raw("GET", path, query=text))
        except (errors.ApiError, Unreachable) as error:
            raise Unusable(
                f"unable to get {what}: unable to fetch metrics from {api}: {error}"
            ) from None
        if not tree.get("items"):
            raise Unusable(f"unable to get {what}: no metrics returned from {api}")
        return tree


def _seconds(duration: str) -> float:
    """Return the seconds of a Go duration such as `15.004s` or `1m0s`."""
    total, number = 0.0, ""
    for char in duration:
        if char in "0123456789.":
            number += char
        elif char in "hms" and number:
            total += float(number) * {"h": 3600, "m": 60, "s": 1}[char]
            number = ""
    return total
