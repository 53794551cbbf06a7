"""The controllers there are.

In:   nothing.
Out:  `ALL`, in the order they are started.
By:   cmd, `runtime.host`.

Service accounts and namespaces come first, as everything needs them; the garbage collector comes
last, as it joins the informers that others have started.
"""

from __future__ import annotations

from kybern.controllers.attachdetach.controller import AttachDetachController
from kybern.controllers.bootstrapsigner.controller import BootstrapSigner
from kybern.controllers.clusterrole_aggregation.controller import (
    ClusterRoleAggregationController,
)
from kybern.controllers.cronjob.controller import CronJobController
from kybern.controllers.csiattacher.controller import CsiAttacher
from kybern.controllers.csicapacity.controller import CsiCapacity
from kybern.controllers.csiprovisioner.controller import CsiProvisioner
from kybern.controllers.csiresizer.controller import CsiResizer
from kybern.controllers.csisnapshotter.controller import CsiSnapshotter
from kybern.controllers.csrapproving.controller import CsrApprovingController
from kybern.controllers.csrcleaner.controller import CsrCleanerController
from kybern.controllers.csrsigning.controller import CsrSigningController
from kybern.controllers.daemonset.controller import DaemonSetController
from kybern.controllers.deployment.controller import DeploymentController
from kybern.controllers.disruption.controller import DisruptionController
from kybern.controllers.endpoints.controller import EndpointsController
from kybern.controllers.endpointslice.controller import EndpointSliceController
from kybern.controllers.endpointslicemirroring.controller import EndpointSliceMirroringController
from kybern.controllers.ephemeralvolume.controller import EphemeralVolumeController
from kybern.controllers.garbagecollector.controller import GarbageCollector
from kybern.controllers.job.controller import JobController
from kybern.controllers.loadbalancer.controller import LoadBalancerController
from kybern.controllers.localpath.controller import LocalPathController
from kybern.controllers.namespace.controller import NamespaceController
from kybern.controllers.nodeipam.controller import NodeIpamController
from kybern.controllers.nodelifecycle.controller import NodeLifecycleController
from kybern.controllers.podautoscaler.controller import PodAutoscalerController
from kybern.controllers.podgc.controller import PodGarbageCollector
from kybern.controllers.pvcprotection.controller import PvcProtectionController
from kybern.controllers.pvprotection.controller import PvProtectionController
from kybern.controllers.replicaset.controller import ReplicaSetController
from kybern.controllers.replicationcontroller.controller import ReplicationControllerController
from kybern.controllers.resourceclaim.controller import ResourceClaimController
from kybern.controllers.resourcequota.controller import ResourceQuotaController
from kybern.controllers.root_ca.controller import RootCaController
from kybern.controllers.runtime.host import Descriptor
from kybern.controllers.serviceaccount.controller import ServiceAccountController
from kybern.controllers.serviceaccount_token.controller import ServiceAccountTokenController
from kybern.controllers.serviceaccount_token_cleaner.controller import ServiceAccountTokenCleaner
from kybern.controllers.statefulset.controller import StatefulSetController
from kybern.controllers.tainteviction.controller import TaintEvictionController
from kybern.controllers.tokencleaner.controller import TokenCleaner
from kybern.controllers.ttl.controller import TtlController
from kybern.controllers.ttlafterfinished.controller import TtlAfterFinishedController
from kybern.controllers.vacprotection.controller import VacProtectionController
from kybern.controllers.validatingadmissionpolicystatus.controller import PolicyStatusController
from kybern.controllers.volumebinder.controller import VolumeBinder
from kybern.controllers.volumesnapshot.controller import VolumeSnapshotController

ALL: tuple[Descriptor, ...] = (
    Descriptor(
        "serviceaccount-controller",
        account="service-account-controller",
        component="serviceaccount-controller",
        make=ServiceAccountController,
        aliases=("serviceaccount",),
    ),
    Descriptor(
        "root-ca-certificate-publisher-controller",
        account="root-ca-cert-publisher",
        component="root-ca-cert-publisher",
        make=RootCaController,
        aliases=("root-ca-cert-publisher",),
    ),
    Descriptor(
        "namespace-controller",
        account="namespace-controller",
        component="namespace-controller",
        make=NamespaceController,
        aliases=("namespace",),
    ),
    Descriptor(
        "deployment-controller",
        account="deployment-controller",
        component="deployment-controller",
        make=DeploymentController,
        aliases=("deployment",),
    ),
    Descriptor(
        "replicaset-controller",
        account="replicaset-controller",
        component="replicaset-controller",
        make=ReplicaSetController,
        aliases=("replicaset",),
    ),
    Descriptor(
        "job-controller",
        account="job-controller",
        component="job-controller",
        make=JobController,
        aliases=("job",),
    ),
    Descriptor(
        "cronjob-controller",
        account="cronjob-controller",
        component="cronjob-controller",
        make=CronJobController,
        aliases=("cronjob",),
    ),
    Descriptor(
        "replicationcontroller-controller",
        account="replication-controller",
        component="replication-controller",
        make=ReplicationControllerController,
        aliases=("replicationcontroller",),
    ),
    Descriptor(
        "daemonset-controller",
        account="daemon-set-controller",
        component="daemonset-controller",
        make=DaemonSetController,
        aliases=("daemonset",),
    ),
    Descriptor(
        "statefulset-controller",
        account="statefulset-controller",
        component="statefulset-controller",
        make=StatefulSetController,
        aliases=("statefulset",),
    ),
    Descriptor(
        "endpointslice-controller",
        account="endpointslice-controller",
        component="endpoint-slice-controller",
        make=EndpointSliceController,
        aliases=("endpointslice",),
    ),
    Descriptor(
        "endpoints-controller",
        account="endpoint-controller",
        component="endpoint-controller",
        make=EndpointsController,
        aliases=("endpoint",),
    ),
    Descriptor(
        "endpointslice-mirroring-controller",
        account="endpointslicemirroring-controller",
        component="endpoint-slice-mirroring-controller",
        make=EndpointSliceMirroringController,
        aliases=("endpointslicemirroring",),
    ),
    Descriptor(
        "node-ipam-controller",
        account="node-controller",
        component="cidrAllocator",
        make=NodeIpamController,
        aliases=("nodeipam",),
    ),
    Descriptor(
        "service-lb-controller",
        account="service-controller",
        component="service-controller",
        make=LoadBalancerController,
        aliases=("service",),
    ),
    Descriptor(
        "node-lifecycle-controller",
        account="node-controller",
        component="node-controller",
        make=NodeLifecycleController,
        aliases=("nodelifecycle",),
    ),
    Descriptor(
        "taint-eviction-controller",
        account="node-controller",
        component="taint-eviction-controller",
        make=TaintEvictionController,
        aliases=("taint-eviction",),
    ),
    Descriptor(
        "horizontal-pod-autoscaler-controller",
        account="horizontal-pod-autoscaler",
        component="horizontal-pod-autoscaler",
        make=PodAutoscalerController,
        aliases=("horizontalpodautoscaling",),
    ),
    Descriptor(
        "disruption-controller",
        account="disruption-controller",
        component="controllermanager",
        make=DisruptionController,
        aliases=("disruption",),
    ),
    Descriptor(
        "resourcequota-controller",
        account="resourcequota-controller",
        component="resourcequota-controller",
        make=ResourceQuotaController,
        aliases=("resourcequota",),
    ),
    Descriptor(
        "pod-garbage-collector-controller",
        account="pod-garbage-collector",
        component="pod-garbage-collector-controller",
        make=PodGarbageCollector,
        aliases=("podgc",),
    ),
    Descriptor(
        "clusterrole-aggregation-controller",
        account="clusterrole-aggregation-controller",
        component="clusterrole-aggregation-controller",
        make=ClusterRoleAggregationController,
        aliases=("clusterrole-aggregation",),
    ),
    Descriptor(
        "ephemeral-volume-controller",
        account="ephemeral-volume-controller",
        component="ephemeral_volume",
        make=EphemeralVolumeController,
        aliases=("ephemeral-volume",),
    ),
    Descriptor(
        "resourceclaim-controller",
        account="resource-claim-controller",
        component="resource_claim",
        make=ResourceClaimController,
        aliases=("resource-claim-controller",),
    ),
    Descriptor(
        "persistentvolume-binder-controller",
        account="persistent-volume-binder",
        component="persistentvolume-controller",
        make=VolumeBinder,
        aliases=("persistentvolume-binder",),
    ),
    Descriptor(
        "local-path-provisioner",
        account="local-path-provisioner",
        component="kybern.io/local-path",
        make=LocalPathController,
        aliases=("local-path",),
        default_on=False,
    ),
    Descriptor(
        "persistentvolume-attach-detach-controller",
        account="attachdetach-controller",
        component="attachdetach-controller",
        make=AttachDetachController,
        aliases=("attachdetach",),
    ),
    Descriptor(
        "csi-attacher",
        account="csi-attacher",
        component="csi-attacher",
        make=CsiAttacher,
    ),
    Descriptor(
        "csi-provisioner",
        account="csi-provisioner",
        component="csi-provisioner",
        make=CsiProvisioner,
    ),
    Descriptor(
        "csi-capacity",
        account="csi-provisioner",
        component="csi-provisioner",
        make=CsiCapacity,
    ),
    Descriptor(
        "csi-resizer",
        account="csi-resizer",
        component="csi-resizer",
        make=CsiResizer,
    ),
    Descriptor(
        "csi-snapshotter",
        account="csi-snapshotter",
        component="csi-snapshotter",
        make=CsiSnapshotter,
    ),
    Descriptor(
        "volume-snapshot-controller",
        account="snapshot-controller",
        component="snapshot-controller",
        make=VolumeSnapshotController,
    ),
    Descriptor(
        "volumeattributesclass-protection-controller",
        account="volumeattributesclass-protection-controller",
        component="vac-protection-controller",
        make=VacProtectionController,
        aliases=("vac-protection",),
    ),
    Descriptor(
        "persistentvolumeclaim-protection-controller",
        account="pvc-protection-controller",
        component="pvc-protection-controller",
        make=PvcProtectionController,
        aliases=("pvc-protection",),
    ),
    Descriptor(
        "persistentvolume-protection-controller",
        account="pv-protection-controller",
        component="pv-protection-controller",
        make=PvProtectionController,
        aliases=("pv-protection",),
    ),
    Descriptor(
        "serviceaccount-token-controller",
        account="",
        component="serviceaccount-token-controller",
        make=ServiceAccountTokenController,
        aliases=("serviceaccount-token",),
    ),
    Descriptor(
        "legacy-serviceaccount-token-cleaner-controller",
        account="legacy-service-account-token-cleaner",
        component="legacy-service-account-token-cleaner",
        make=ServiceAccountTokenCleaner,
        aliases=("legacy-service-account-token-cleaner",),
    ),
    Descriptor(
        "ttl-controller",
        account="ttl-controller",
        component="ttl-controller",
        make=TtlController,
        aliases=("ttl",),
    ),
    Descriptor(
        "ttl-after-finished-controller",
        account="ttl-after-finished-controller",
        component="ttl-after-finished-controller",
        make=TtlAfterFinishedController,
        aliases=("ttl-after-finished",),
    ),
    Descriptor(
        "certificatesigningrequest-signing-controller",
        account="certificate-controller",
        component="certificate-controller",
        make=CsrSigningController,
        aliases=("csrsigning",),
    ),
    Descriptor(
        "certificatesigningrequest-approving-controller",
        account="certificate-controller",
        component="certificate-controller",
        make=CsrApprovingController,
        aliases=("csrapproving",),
    ),
    Descriptor(
        "certificatesigningrequest-cleaner-controller",
        account="certificate-controller",
        component="certificate-controller",
        make=CsrCleanerController,
        aliases=("csrcleaner",),
    ),
    Descriptor(
        "bootstrap-signer-controller",
        account="bootstrap-signer",
        component="bootstrap-signer",
        make=BootstrapSigner,
        aliases=("bootstrapsigner",),
        default_on=False,
    ),
    Descriptor(
        "token-cleaner-controller",
        account="token-cleaner",
        component="token-cleaner",
        make=TokenCleaner,
        aliases=("tokencleaner",),
        default_on=False,
    ),
    Descriptor(
        "validatingadmissionpolicy-status-controller",
        account="validatingadmissionpolicy-status-controller",
        component="validatingadmissionpolicy-status-controller",
        make=PolicyStatusController,
        aliases=("validatingadmissionpolicy-status",),
    ),
    Descriptor(
        "garbage-collector-controller",
        account="generic-garbage-collector",
        component="garbage-collector-controller",
        make=GarbageCollector,
        aliases=("garbagecollector",),
    ),
)


def names() -> list[str]:
    """Return every name and alias, for checking `--controllers`."""
    return [name for one in ALL for name in (one.name, *one.aliases)]
