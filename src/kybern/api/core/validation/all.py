"""The table of the core kinds.

In:   nothing.
Out:  `VALIDATORS`: the rules of each kind.
By:   `api.validation`.
"""

from __future__ import annotations

from typing import Final

from kybern.api import names
from kybern.api.core.validation.config import (
    check_config_map,
    check_config_map_change,
    check_secret,
    check_secret_change,
)
from kybern.api.core.validation.endpoints import check_endpoints
from kybern.api.core.validation.events import any_name, check_event
from kybern.api.core.validation.namespaces import (
    validate_namespace,
    validate_namespace_status_update,
)
from kybern.api.core.validation.nodes import validate_node, validate_node_update
from kybern.api.core.validation.persistent_volumes import (
    check_claim_change,
    check_persistent_volume,
    check_persistent_volume_change,
    check_persistent_volume_claim,
    validate_claim_status_update,
)
from kybern.api.core.validation.pods import (
    validate_pod,
    validate_pod_status_update,
    validate_pod_update,
)
from kybern.api.core.validation.quotas import (
    check_limit_range,
    check_resource_quota,
    check_resource_quota_change,
    validate_resource_quota_status_update,
)
from kybern.api.core.validation.replication_controllers import (
    check_replication_controller,
    validate_replication_controller_status_update,
)
from kybern.api.core.validation.services import (
    validate_service,
    validate_service_status_update,
    validate_service_update,
)
from kybern.api.core.validation.templates import (
    validate_pod_template,
    validate_pod_template_update,
)
from kybern.api.rules import Rules, rules, update_metadata

VALIDATORS: Final[dict[str, Rules]] = {
    "ConfigMap": rules(check_config_map, change=check_config_map_change),
    "Endpoints": rules(check_endpoints),
    "Event": rules(check_event, name=any_name),
    "LimitRange": rules(check_limit_range),
    "Namespace": Rules(validate_namespace, update_metadata, validate_namespace_status_update),
    "Node": Rules(validate_node, validate_node_update, validate_node_update),
    "PersistentVolume": rules(
        check_persistent_volume, namespaced=False, change=check_persistent_volume_change
    ),
    "PersistentVolumeClaim": rules(
        check_persistent_volume_claim,
        change=check_claim_change,
        status=validate_claim_status_update,
    ),
    "Pod": Rules(validate_pod, validate_pod_update, validate_pod_status_update),
    "PodTemplate": Rules(validate_pod_template, validate_pod_template_update),
    "ReplicationController": rules(
        check_replication_controller, status=validate_replication_controller_status_update
    ),
    "ResourceQuota": rules(
        check_resource_quota,
        change=check_resource_quota_change,
        status=validate_resource_quota_status_update,
    ),
    "Secret": rules(check_secret, change=check_secret_change),
    "Service": Rules(validate_service, validate_service_update, validate_service_status_update),
    "ServiceAccount": rules(name=names.dns1123_subdomain),
}
