"""Where each object lives: upstream's layout of keys; pure.

In:   group, resource, namespace and name.
Out:  keys and prefixes, such as `/registry/pods/default/web-0`.
By:   the API server's registry, and whoever reads a store without one.

Built-in resources live under their plural; a few under an older name. Resources whose definition
is itself an object, and the two kinds of definition, live under their group:

    /registry/pods/<namespace>/<name>
    /registry/minions/<name>                                   nodes
    /registry/services/specs/<namespace>/<name>                services
    /registry/deployments/<namespace>/<name>                   of group apps
    /registry/apiextensions.k8s.io/customresourcedefinitions/<name>
    /registry/stable.example.com/crontabs/<namespace>/<name>   a custom resource

Upstream has these facts in pkg/kubeapiserver/default_storage_factory_builder.go and
test/integration/etcd/data.go.
"""

from __future__ import annotations

ROOT = "/registry/"

BUILT_IN_GROUPS = frozenset(
    {
        "",
        "admissionregistration.k8s.io",
        "apps",
        "authentication.k8s.io",
        "authorization.k8s.io",
        "autoscaling",
        "batch",
        "certificates.k8s.io",
        "coordination.k8s.io",
        "discovery.k8s.io",
        "events.k8s.io",
        "extensions",
        "flowcontrol.apiserver.k8s.io",
        "internal.apiserver.k8s.io",
        "networking.k8s.io",
        "node.k8s.io",
        "policy",
        "rbac.authorization.k8s.io",
        "resource.k8s.io",
        "scheduling.k8s.io",
        "storage.k8s.io",
        "storagemigration.k8s.io",
    }
)
"""Groups whose resources live under their plural alone."""

SPECIAL = {
    ("", "endpoints"): "services/endpoints",
    ("", "nodes"): "minions",
    ("", "replicationcontrollers"): "controllers",
    ("", "services"): "services/specs",
    ("extensions", "ingresses"): "ingress",
    ("extensions", "replicationcontrollers"): "controllers",
    ("networking.k8s.io", "ingresses"): "ingress",
}
"""Resources that live under an older name. `events` of both groups are the same objects."""

SERVICE_IPS = ROOT + "ranges/serviceips"
SERVICE_NODE_PORTS = ROOT + "ranges/servicenodeports"


def collection(group: str, resource: str, *, custom: bool = False) -> str:
    """Return the prefix of all objects of a resource, such as `/registry/pods/`.

    `custom`: the resource is defined by a CustomResourceDefinition, whatever its group.
    """
    if custom:
        return f"{ROOT}{_segment(group)}/{_segment(resource)}/"
    special = SPECIAL.get((group, resource))
    if special is not None:
        return f"{ROOT}{special}/"
    if group in BUILT_IN_GROUPS:
        return f"{ROOT}{_segment(resource)}/"
    return f"{ROOT}{_segment(group)}/{_segment(resource)}/"


def in_namespace(collection: str, namespace: str) -> str:
    """Return the prefix of the objects of one namespace; of all objects, if it is ""."""
    return f"{collection}{_segment(namespace)}/" if namespace else collection


def key(collection: str, name: str, namespace: str = "") -> str:
    """Return the key of an object; `namespace` is "" for what has none.

    Raises:
        ValueError: a part that cannot be part of a key. API validation has refused it before.
    """
    if namespace:
        return f"{collection}{_segment(namespace)}/{_segment(name)}"
    return collection + _segment(name)


def parts(collection: str, key: str) -> tuple[str, str]:
    """Return namespace and name of a key in the collection; the namespace may be ""."""
    namespace, _, name = key[len(collection) :].rpartition("/")
    return namespace, name


def _segment(text: str) -> str:
    if not text or "/" in text or text in {".", ".."}:
        raise ValueError(f"not a part of a key: {text!r}")
    return text
