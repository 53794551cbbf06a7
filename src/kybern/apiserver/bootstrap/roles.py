"""The cluster roles every cluster has.

In:   nothing: these are tables. A line of RULES is `verbs: groups: resources` with an optional
      `: names`, or `verbs: url: paths`. Words are separated by blanks; `core` is the group "".
Out:  ROLES, AGGREGATED, BINDINGS.
By:   bootstrap.policy.

What the roles allow is what upstream's bootstrap policy allows
(`plugin/pkg/auth/authorizer/rbac/bootstrappolicy`).
"""

from __future__ import annotations

READ = "get list watch"
WRITE = "create update patch delete deletecollection"
ALL = f"{READ} {WRITE}"
CHANGE = "get list watch update patch"
EVENTS = "create update patch: core events.k8s.io: events"

AGGREGATED: dict[str, tuple[str, str]] = {
    "admin": ("admin", ""),
    "edit": ("edit", "admin"),
    "view": ("view", "edit"),
}
"""Roles made of others: which label they collect, and by which they are collected in turn."""

PARTS = {
    "system:aggregate-to-admin": "admin",
    "system:aggregate-to-edit": "edit",
    "system:aggregate-to-view": "view",
    "system:aggregated-metrics-reader": "view",
}
"""The label by which these roles are collected."""

_APPS = (
    "daemonsets deployments deployments/rollback deployments/scale replicasets replicasets/scale "
    "statefulsets statefulsets/scale"
)
_APPS_SEEN = (
    "controllerrevisions daemonsets daemonsets/status deployments deployments/scale "
    "deployments/status replicasets replicasets/scale replicasets/status statefulsets "
    "statefulsets/scale statefulsets/status"
)
_EXTENSIONS = (
    "daemonsets deployments deployments/rollback deployments/scale ingresses networkpolicies "
    "replicasets replicasets/scale replicationcontrollers/scale"
)
_EXTENSIONS_SEEN = (
    "daemonsets daemonsets/status deployments deployments/scale deployments/status ingresses "
    "ingresses/status networkpolicies replicasets replicasets/scale replicasets/status "
    "replicationcontrollers/scale"
)
_STREAMS = "pods/attach pods/exec pods/portforward pods/proxy"
_HEALTH = "/healthz /livez /readyz"

ROLES: dict[str, tuple[str, ...]] = {
    "cluster-admin": ("*: *: *", "*: url: *"),
    "system:discovery": (
        f"get: url: /api /api/* /apis /apis/* {_HEALTH} /openapi /openapi/* /version /version/",
    ),
    "system:monitoring": (
        "get: url: /healthz /healthz/* /livez /livez/* /metrics /metrics/slis /readyz /readyz/*",
        "get: url: /flagz",
        "get: url: /statusz",
    ),
    "system:basic-user": (
        "create: authorization.k8s.io: selfsubjectaccessreviews selfsubjectrulesreviews",
        "create: authentication.k8s.io: selfsubjectreviews",
    ),
    "system:public-info-viewer": (f"get: url: {_HEALTH} /version /version/",),
    "system:aggregate-to-admin": (
        "create: authorization.k8s.io: localsubjectaccessreviews",
        f"{ALL}: rbac.authorization.k8s.io: roles rolebindings",
    ),
    "system:aggregate-to-edit": (
        f"{READ}: core: {_STREAMS} secrets services/proxy",
        "impersonate: core: serviceaccounts",
        f"{WRITE}: core: pods {_STREAMS}",
        "create: core: pods/eviction",
        f"{WRITE}: core: configmaps events persistentvolumeclaims replicationcontrollers "
        "replicationcontrollers/scale secrets serviceaccounts services services/proxy",
        "create: core: serviceaccounts/token",
        f"{WRITE}: apps: {_APPS}",
        f"{WRITE}: autoscaling: horizontalpodautoscalers",
        f"{WRITE}: batch: cronjobs jobs",
        f"{WRITE}: extensions: {_EXTENSIONS}",
        f"{WRITE}: policy: poddisruptionbudgets",
        f"{WRITE}: networking.k8s.io: ingresses networkpolicies",
        f"{ALL}: coordination.k8s.io: leases",
        f"{WRITE}: resource.k8s.io: resourceclaims resourceclaimtemplates",
    ),
    "system:aggregate-to-view": (
        f"{READ}: core: configmaps endpoints persistentvolumeclaims persistentvolumeclaims/status "
        "pods replicationcontrollers replicationcontrollers/scale serviceaccounts services "
        "services/status",
        f"{READ}: core: bindings events limitranges namespaces/status pods/log pods/status "
        "replicationcontrollers/status resourcequotas resourcequotas/status",
        f"{READ}: core: namespaces",
        f"{READ}: discovery.k8s.io: endpointslices",
        f"{READ}: apps: {_APPS_SEEN}",
        f"{READ}: autoscaling: horizontalpodautoscalers horizontalpodautoscalers/status",
        f"{READ}: batch: cronjobs cronjobs/status jobs jobs/status",
        f"{READ}: extensions: {_EXTENSIONS_SEEN}",
        f"{READ}: policy: poddisruptionbudgets poddisruptionbudgets/status",
        f"{READ}: networking.k8s.io: ingresses ingresses/status networkpolicies",
        f"{READ}: resource.k8s.io: resourceclaims resourceclaims/status resourceclaimtemplates",
    ),
    # metrics-server brings this one, with the API that is built in here
    "system:aggregated-metrics-reader": (f"{READ}: metrics.k8s.io: nodes pods",),
    "system:heapster": (
        f"{READ}: core: events namespaces nodes pods",
        f"{READ}: extensions: deployments",
    ),
    "system:node": (
        "create: authentication.k8s.io: tokenreviews",
        "create: authorization.k8s.io: localsubjectaccessreviews subjectaccessreviews",
        f"{READ}: core: services",
        f"create {READ}: core: nodes",
        "update patch: core: nodes/status",
        "update patch: core: nodes",
        "create update patch: core: events",
        f"{READ}: core: pods",
        "create delete: core: pods",
        "update patch: core: pods/status",
        "create: core: pods/eviction",
        f"{READ}: core: configmaps secrets",
        "get: core: persistentvolumeclaims persistentvolumes",
        "get: core: endpoints",
        f"create {READ}: certificates.k8s.io: certificatesigningrequests",
        "get create update patch delete: coordination.k8s.io: leases",
        "get: storage.k8s.io: volumeattachments",
        "create: core: serviceaccounts/token",
        "get update patch: core: persistentvolumeclaims/status",
        f"{READ}: storage.k8s.io: csidrivers",
        "get create update patch delete: storage.k8s.io: csinodes",
        f"{READ}: node.k8s.io: runtimeclasses",
        "get: resource.k8s.io: resourceclaims",
        "deletecollection: resource.k8s.io: resourceslices",
        f"{READ}: certificates.k8s.io: clustertrustbundles",
        "get: core: serviceaccounts",
    ),
    "system:node-problem-detector": (
        "get: core: nodes",
        "patch: core: nodes/status",
        EVENTS,
    ),
    "system:kubelet-api-admin": (
        f"{READ}: core: nodes",
        "proxy: core: nodes",
        "*: core: nodes/log nodes/metrics nodes/proxy nodes/stats",
        "*: core: nodes/configz nodes/healthz nodes/pods",
    ),
    "system:node-bootstrapper": (
        f"create {READ}: certificates.k8s.io: certificatesigningrequests",
    ),
    "system:auth-delegator": (
        "create: authentication.k8s.io: tokenreviews",
        "create: authorization.k8s.io: subjectaccessreviews",
    ),
    "system:kube-aggregator": (f"{READ}: core: endpoints services",),
    "system:kube-controller-manager": (
        EVENTS,
        "create: coordination.k8s.io: leases",
        "get update: coordination.k8s.io: leases: kube-controller-manager",
        "create: core: secrets serviceaccounts",
        "delete: core: secrets",
        "get: core: configmaps namespaces secrets serviceaccounts",
        "update: core: secrets serviceaccounts",
        "create: authentication.k8s.io: tokenreviews",
        "create: authorization.k8s.io: subjectaccessreviews",
        "list watch: *: *",
        "create: core: serviceaccounts/token",
    ),
    "system:kube-dns": ("list watch: core: endpoints services",),
    "system:kube-scheduler": (
        EVENTS,
        "create: coordination.k8s.io: leases",
        f"{READ} update: coordination.k8s.io: leases: kube-scheduler",
        f"{ALL}: coordination.k8s.io: leasecandidates",
        f"{READ}: core: nodes",
        f"{READ} delete: core: pods",
        "create: core: bindings pods/binding",
        "update patch: core: pods/status",
        f"{READ}: core: replicationcontrollers services",
        f"{READ}: apps extensions: replicasets",
        f"{READ}: apps: statefulsets",
        f"{READ}: policy: poddisruptionbudgets",
        f"{READ}: core: persistentvolumeclaims persistentvolumes",
        "create: authentication.k8s.io: tokenreviews",
        "create: authorization.k8s.io: subjectaccessreviews",
        f"{READ}: storage.k8s.io: csinodes",
        f"{READ}: storage.k8s.io: volumeattachments",
        f"{READ}: core: namespaces",
        f"{READ}: storage.k8s.io: csidrivers",
        f"{READ}: storage.k8s.io: csistoragecapacities",
        f"{READ}: resource.k8s.io: deviceclasses",
        f"{CHANGE}: resource.k8s.io: resourceclaims",
        f"{CHANGE}: resource.k8s.io: resourceclaims/status",
        f"{CHANGE}: core: pods/finalizers",
        f"{READ}: resource.k8s.io: resourceslices",
        f"{READ}: resource.k8s.io: devicetaintrules",
    ),
    "system:node-proxier": (
        "list watch: core: endpoints services",
        f"{READ}: core: nodes",
        EVENTS,
        "list watch: networking.k8s.io: servicecidrs",
        "list watch: discovery.k8s.io: endpointslices",
    ),
    "system:persistent-volume-provisioner": (
        f"{READ} create delete: core: persistentvolumes",
        f"{READ} update: core: persistentvolumeclaims",
        f"{READ}: storage.k8s.io: storageclasses",
        "watch: core: events",
        EVENTS,
    ),
    "system:volume-scheduler": (
        f"{CHANGE}: core: persistentvolumes",
        f"{READ}: storage.k8s.io: storageclasses",
        f"{CHANGE}: core: persistentvolumeclaims",
    ),
    "system:service-account-issuer-discovery": (
        "get: url: /.well-known/openid-configuration /.well-known/openid-configuration/ "
        "/openid/v1/jwks /openid/v1/jwks/",
    ),
    "system:cluster-trust-bundle-discovery": (f"{READ}: certificates.k8s.io: clustertrustbundles",),
    "system:certificates.k8s.io:certificatesigningrequests:nodeclient": (
        "create: certificates.k8s.io: certificatesigningrequests/nodeclient",
    ),
    "system:certificates.k8s.io:certificatesigningrequests:selfnodeclient": (
        "create: certificates.k8s.io: certificatesigningrequests/selfnodeclient",
    ),
    "system:certificates.k8s.io:kube-apiserver-client-approver": (
        "approve: certificates.k8s.io: signers: kubernetes.io/kube-apiserver-client",
    ),
    "system:certificates.k8s.io:kube-apiserver-client-kubelet-approver": (
        "approve: certificates.k8s.io: signers: kubernetes.io/kube-apiserver-client-kubelet",
    ),
    "system:certificates.k8s.io:kubelet-serving-approver": (
        "approve: certificates.k8s.io: signers: kubernetes.io/kubelet-serving",
    ),
    "system:certificates.k8s.io:legacy-unknown-approver": (
        "approve: certificates.k8s.io: signers: kubernetes.io/legacy-unknown",
    ),
}

BINDINGS: dict[str, tuple[str, ...]] = {
    "cluster-admin": ("Group system:masters",),
    "system:monitoring": ("Group system:monitoring",),
    "system:discovery": ("Group system:authenticated",),
    "system:basic-user": ("Group system:authenticated",),
    "system:public-info-viewer": (
        "Group system:authenticated", "Group system:unauthenticated",
    ),
    "system:node-proxier": ("User system:kube-proxy",),
    "system:kube-controller-manager": ("User system:kube-controller-manager",),
    "system:kube-dns": ("ServiceAccount kube-system/kube-dns",),
    "system:kube-scheduler": ("User system:kube-scheduler",),
    "system:volume-scheduler": ("User system:kube-scheduler",),
    "system:node": (),
    "system:service-account-issuer-discovery": ("Group system:serviceaccounts",),
    "system:cluster-trust-bundle-discovery": ("Group system:serviceaccounts",),
}  # fmt: skip
"""Cluster roles and who has them; the bindings have the roles' names."""
