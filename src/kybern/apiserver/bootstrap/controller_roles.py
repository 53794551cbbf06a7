"""The role of each controller: `system:controller:NAME`, bound to its account in kube-system.

In:   nothing: a table, in the notation of bootstrap.roles.
Out:  CONTROLLERS.
By:   bootstrap.policy.
"""

from __future__ import annotations

from kybern.apiserver.bootstrap.roles import EVENTS, READ

CSI = (
    f"{READ}: storage.k8s.io: csinodes csidrivers",
    "list: coordination.k8s.io: leases",
    "get: core: secrets",
    "create: core: nodes/proxy",
    EVENTS,
)
"""What every controller of storage drivers needs."""

CONTROLLERS: dict[str, tuple[str, ...]] = {
    "attachdetach-controller": (
        "list watch: core: persistentvolumes persistentvolumeclaims",
        f"{READ}: core: nodes",
        "patch update: core: nodes/status",
        "list watch: core: pods",
        EVENTS,
        f"{READ} create delete: storage.k8s.io: volumeattachments",
        f"{READ}: storage.k8s.io: csidrivers",
        f"{READ}: storage.k8s.io: csinodes",
    ),
    "clusterrole-aggregation-controller": (
        f"escalate {READ} update patch: rbac.authorization.k8s.io: clusterroles",
    ),
    "cronjob-controller": (
        f"{READ} update: batch: cronjobs",
        f"{READ} create update delete patch: batch: jobs",
        "update: batch: cronjobs/status",
        "update: batch: cronjobs/finalizers",
        "list watch delete: core: pods",
        EVENTS,
    ),
    "daemon-set-controller": (
        f"{READ}: extensions apps: daemonsets",
        "update: extensions apps: daemonsets/status",
        "update: extensions apps: daemonsets/finalizers",
        "list watch: core: nodes",
        "list watch create delete patch: core: pods",
        "create: core: pods/binding",
        f"{READ} create delete update patch: apps: controllerrevisions",
        EVENTS,
    ),
    "deployment-controller": (
        f"{READ} update: extensions apps: deployments",
        "update: extensions apps: deployments/status",
        "update: extensions apps: deployments/finalizers",
        f"{READ} create update patch delete: apps extensions: replicasets",
        f"{READ} update: core: pods",
        EVENTS,
    ),
    "disruption-controller": (
        f"{READ}: extensions apps: deployments",
        f"{READ}: apps extensions: replicasets",
        f"{READ}: core: replicationcontrollers",
        f"{READ}: policy: poddisruptionbudgets",
        f"{READ}: apps: statefulsets",
        "update: policy: poddisruptionbudgets/status",
        "patch update: core: pods/status",
        "get: *: */scale",
        EVENTS,
    ),
    "endpoint-controller": (
        f"{READ}: core: services pods",
        f"{READ} create update delete: core: endpoints",
        "create: core: endpoints/restricted",
        EVENTS,
    ),
    "endpointslice-controller": (
        f"{READ}: core: services pods nodes",
        "update: core: services/finalizers",
        f"{READ} create update delete: discovery.k8s.io: endpointslices",
        EVENTS,
    ),
    "endpointslicemirroring-controller": (
        f"{READ}: core: services endpoints",
        "update: core: services/finalizers",
        "update: core: endpoints/finalizers",
        f"{READ} create update delete: discovery.k8s.io: endpointslices",
        EVENTS,
    ),
    "expand-controller": (
        f"{READ} update patch: core: persistentvolumes",
        "update patch: core: persistentvolumeclaims/status",
        f"{READ}: core: persistentvolumeclaims",
        EVENTS,
    ),
    "ephemeral-volume-controller": (
        f"{READ}: core: pods",
        "update: core: pods/finalizers",
        f"{READ} create: core: persistentvolumeclaims",
        EVENTS,
    ),
    "resource-claim-controller": (
        f"{READ}: core: pods",
        "update: core: pods/finalizers",
        f"{READ} create delete: resource.k8s.io: resourceclaims",
        "update patch: resource.k8s.io: resourceclaims resourceclaims/status",
        "update patch: core: pods/status",
        EVENTS,
    ),
    "device-taint-eviction-controller": (
        f"{READ} delete: core: pods",
        "update patch: core: pods/status",
        f"{READ}: resource.k8s.io: resourceclaims",
        f"{READ}: resource.k8s.io: resourceslices",
        f"{READ}: resource.k8s.io: deviceclasses",
        f"{READ}: resource.k8s.io: devicetaintrules",
        EVENTS,
    ),
    "generic-garbage-collector": (
        f"{READ} patch update delete: *: *",
        EVENTS,
    ),
    "horizontal-pod-autoscaler": (
        f"{READ}: autoscaling: horizontalpodautoscalers",
        "update: autoscaling: horizontalpodautoscalers/status",
        "get update: *: */scale",
        "list watch: core: pods",
        "list watch: metrics.k8s.io: pods",
        f"{READ}: custom.metrics.k8s.io: *",
        f"{READ}: external.metrics.k8s.io: *",
        EVENTS,
    ),
    "job-controller": (
        f"{READ} update patch: batch: jobs",
        "update: batch: jobs/status",
        "update: batch: jobs/finalizers",
        "list watch create delete patch: core: pods",
        EVENTS,
    ),
    "namespace-controller": (
        f"{READ} delete: core: namespaces",
        "update: core: namespaces/finalize namespaces/status",
        f"{READ} delete deletecollection: *: *",
    ),
    "node-controller": (
        f"{READ} update delete patch: core: nodes",
        "patch update: core: nodes/status",
        "patch update: core: pods/status",
        f"{READ} delete: core: pods",
        EVENTS,
    ),
    "persistent-volume-binder": (
        f"{READ} update create delete: core: persistentvolumes",
        "update: core: persistentvolumes/status",
        f"{READ} update: core: persistentvolumeclaims",
        "update: core: persistentvolumeclaims/status",
        f"{READ} create delete: core: pods",
        f"{READ}: storage.k8s.io: storageclasses",
        "list watch: core: nodes",
        EVENTS,
        "watch: core: events",
    ),
    # not upstream's: the provisioner of the class local-path
    "local-path-provisioner": (
        f"{READ} create update delete: core: persistentvolumes",
        f"{READ} update: core: persistentvolumeclaims",
        "update: core: persistentvolumeclaims/status",
        f"{READ}: storage.k8s.io: storageclasses",
        f"{READ}: core: nodes",
        "create update delete: core: nodes/proxy",
        EVENTS,
    ),
    # not upstream's: what its sidecars of storage drivers are allowed where they are deployed
    "csi-attacher": (
        f"{READ} update: storage.k8s.io: volumeattachments",
        "update: storage.k8s.io: volumeattachments/status",
        f"{READ} update: core: persistentvolumes",
        *CSI,
    ),
    "csi-provisioner": (
        f"{READ} create update delete: core: persistentvolumes",
        f"{READ} update: core: persistentvolumeclaims",
        "update: core: persistentvolumeclaims/status",
        f"{READ}: storage.k8s.io: storageclasses volumeattachments volumeattributesclasses",
        f"{READ} create update delete: storage.k8s.io: csistoragecapacities",
        f"{READ}: snapshot.storage.k8s.io: volumesnapshots volumesnapshotcontents",
        f"{READ}: core: nodes",
        *CSI,
    ),
    "csi-resizer": (
        f"{READ} update: core: persistentvolumes persistentvolumeclaims",
        "update: core: persistentvolumeclaims/status",
        f"{READ}: storage.k8s.io: storageclasses volumeattributesclasses",
        *CSI,
    ),
    "csi-snapshotter": (
        f"{READ} update: snapshot.storage.k8s.io: volumesnapshotcontents",
        "update: snapshot.storage.k8s.io: volumesnapshotcontents/status",
        f"{READ}: snapshot.storage.k8s.io: volumesnapshots volumesnapshotclasses",
        *CSI,
    ),
    "snapshot-controller": (
        f"{READ} create update delete: snapshot.storage.k8s.io: volumesnapshotcontents",
        "update: snapshot.storage.k8s.io: volumesnapshotcontents/status volumesnapshots/status",
        f"{READ} update: snapshot.storage.k8s.io: volumesnapshots",
        f"{READ}: snapshot.storage.k8s.io: volumesnapshotclasses",
        f"{READ} update: core: persistentvolumeclaims",
        f"{READ}: core: persistentvolumes",
        EVENTS,
    ),
    "pod-garbage-collector": (
        "list watch delete: core: pods",
        f"{READ}: core: nodes",
        "patch: core: pods/status",
    ),
    "replicaset-controller": (
        f"{READ} update: apps extensions: replicasets",
        "update: apps extensions: replicasets/status",
        "update: apps extensions: replicasets/finalizers",
        "list watch patch create delete: core: pods",
        EVENTS,
    ),
    "replication-controller": (
        f"{READ} update: core: replicationcontrollers",
        "update: core: replicationcontrollers/status",
        "update: core: replicationcontrollers/finalizers",
        "list watch patch create delete: core: pods",
        EVENTS,
    ),
    "resourcequota-controller": (
        "list watch: *: *",
        "update: core: resourcequotas/status",
        EVENTS,
    ),
    "route-controller": (
        "list watch: core: nodes",
        "patch: core: nodes/status",
        EVENTS,
    ),
    "service-account-controller": (
        "create: core: serviceaccounts",
        EVENTS,
    ),
    "service-controller": (
        f"{READ}: core: services",
        "patch update: core: services/status",
        "list watch: core: nodes",
        EVENTS,
    ),
    "service-cidrs-controller": (
        f"{READ} patch update: networking.k8s.io: servicecidrs",
        "patch update: networking.k8s.io: servicecidrs/finalizers",
        "patch update: networking.k8s.io: servicecidrs/status",
        f"{READ}: networking.k8s.io: ipaddresses",
        EVENTS,
    ),
    "statefulset-controller": (
        "list watch: core: pods",
        f"{READ}: apps: statefulsets",
        "update: apps: statefulsets/status",
        "update: apps: statefulsets/finalizers",
        "get create delete update patch: core: pods",
        f"{READ} create delete update patch: apps: controllerrevisions",
        f"{READ} create: core: persistentvolumeclaims",
        "update delete: core: persistentvolumeclaims",
        "update: core: pods/finalizers",
        EVENTS,
    ),
    "ttl-controller": (
        "update patch list watch: core: nodes",
        EVENTS,
    ),
    "certificate-controller": (
        f"{READ} delete: certificates.k8s.io: certificatesigningrequests",
        "update: certificates.k8s.io: certificatesigningrequests/approval "
        "certificatesigningrequests/status",
        "approve: certificates.k8s.io: signers: kubernetes.io/kube-apiserver-client-kubelet",
        "sign: certificates.k8s.io: signers: kubernetes.io/kube-apiserver-client "
        "kubernetes.io/kube-apiserver-client-kubelet kubernetes.io/kubelet-serving "
        "kubernetes.io/legacy-unknown",
        "create: authorization.k8s.io: subjectaccessreviews",
        EVENTS,
    ),
    "pvc-protection-controller": (
        f"{READ} update: core: persistentvolumeclaims",
        f"{READ}: core: pods",
        EVENTS,
    ),
    "pv-protection-controller": (
        f"{READ} update: core: persistentvolumes",
        EVENTS,
    ),
    "volumeattributesclass-protection-controller": (
        f"{READ}: core: persistentvolumeclaims",
        f"{READ}: core: persistentvolumes",
        f"{READ} update: storage.k8s.io: volumeattributesclasses",
        EVENTS,
    ),
    "ttl-after-finished-controller": (
        f"{READ} delete: batch: jobs",
        EVENTS,
    ),
    "root-ca-cert-publisher": (
        "create update: core: configmaps",
        EVENTS,
    ),
    "validatingadmissionpolicy-status-controller": (
        f"{READ}: admissionregistration.k8s.io: validatingadmissionpolicies",
        "get patch update: admissionregistration.k8s.io: validatingadmissionpolicies/status",
        EVENTS,
    ),
    "legacy-service-account-token-cleaner": (
        "get: core: configmaps: kube-apiserver-legacy-service-account-token-tracking",
        "patch delete: core: secrets",
    ),
    "selinux-warning-controller": (
        EVENTS,
        f"{READ}: core: persistentvolumes",
        f"{READ}: core: persistentvolumeclaims",
        f"{READ}: core: pods",
        f"{READ}: storage.k8s.io: csidrivers",
    ),
}
