"""Which optional scalars upstream holds by pointer, so that a zero in them means something.

In:   a Struct type and the name of an attribute.
Out:  whether `0`, `false` or `""` there differs from nothing at all.
By:   protobuf.py: Go writes the zeros of everything that is no pointer, and they mean "not set".

`replicas: 0` is a wish, `hostNetwork: false` is not. The table holds the pointers of v1.36's Go
types, but for times and structs, whose zeros are told apart by their form.
"""

from __future__ import annotations

import functools
from typing import Final

POINTERS: Final[dict[str, dict[str, str]]] = {
    "admissionregistration.v1": {
        "MatchResources": "matchPolicy",
        "MutatingAdmissionPolicySpec": "failurePolicy",
        "MutatingWebhook": "failurePolicy matchPolicy reinvocationPolicy timeoutSeconds",
        "NamedRuleWithOperations": "scope",
        "ParamRef": "parameterNotFoundAction",
        "RuleWithOperations": "scope",
        "ServiceReference": "path port",
        "ValidatingAdmissionPolicySpec": "failurePolicy",
        "ValidatingWebhook": "failurePolicy matchPolicy timeoutSeconds",
        "Validation": "reason",
        "WebhookClientConfig": "url",
    },
    "apiextensions.v1": {
        "CustomResourceDefinitionVersion": "deprecationWarning",
        "CustomResourceSubresourceScale": "labelSelectorPath",
        "JSONSchemaProps": (
            "maxItems maxLength maxProperties maximum minItems minLength minProperties "
            "minimum multipleOf ref_ x_kubernetes_list_type x_kubernetes_map_type "
            "x_kubernetes_preserve_unknown_fields"
        ),
        "ServiceReference": "path port",
        "ValidationRule": "optionalOldSelf reason",
        "WebhookClientConfig": "url",
    },
    "apiregistration.v1": {
        "ServiceReference": "port",
    },
    "apps.v1": {
        "DaemonSetSpec": "revisionHistoryLimit",
        "DaemonSetStatus": "collisionCount",
        "DeploymentSpec": "progressDeadlineSeconds replicas revisionHistoryLimit",
        "DeploymentStatus": "collisionCount terminatingReplicas",
        "ReplicaSetSpec": "replicas",
        "ReplicaSetStatus": "terminatingReplicas",
        "RollingUpdateDaemonSet": "maxSurge maxUnavailable",
        "RollingUpdateDeployment": "maxSurge maxUnavailable",
        "RollingUpdateStatefulSetStrategy": "maxUnavailable partition",
        "StatefulSetSpec": "replicas revisionHistoryLimit",
        "StatefulSetStatus": "collisionCount",
    },
    "authentication.v1": {
        "TokenRequestSpec": "expirationSeconds",
    },
    "autoscaling.v1": {
        "HorizontalPodAutoscalerSpec": "minReplicas targetCPUUtilizationPercentage",
        "HorizontalPodAutoscalerStatus": "currentCPUUtilizationPercentage observedGeneration",
    },
    "autoscaling.v2": {
        "HPAScalingRules": "selectPolicy stabilizationWindowSeconds tolerance",
        "HorizontalPodAutoscalerSpec": "minReplicas",
        "HorizontalPodAutoscalerStatus": "observedGeneration",
        "MetricTarget": "averageUtilization averageValue value",
        "MetricValueStatus": "averageUtilization averageValue value",
    },
    "batch.v1": {
        "CronJobSpec": (
            "failedJobsHistoryLimit startingDeadlineSeconds successfulJobsHistoryLimit "
            "suspend timeZone"
        ),
        "JobSpec": (
            "activeDeadlineSeconds backoffLimit backoffLimitPerIndex completionMode "
            "completions managedBy manualSelector maxFailedIndexes parallelism "
            "podReplacementPolicy suspend ttlSecondsAfterFinished"
        ),
        "JobStatus": "failedIndexes ready terminating",
        "PodFailurePolicyOnExitCodesRequirement": "containerName",
        "SuccessPolicyRule": "succeededCount succeededIndexes",
    },
    "certificates.v1": {
        "CertificateSigningRequestSpec": "expirationSeconds",
    },
    "coordination.v1": {
        "LeaseSpec": (
            "holderIdentity leaseDurationSeconds leaseTransitions preferredHolder strategy"
        ),
    },
    "core.v1": {
        "AppArmorProfile": "localhostProfile",
        "AzureDiskVolumeSource": "cachingMode fsType kind readOnly",
        "AzureFilePersistentVolumeSource": "secretNamespace",
        "CSIVolumeSource": "fsType readOnly",
        "ClientIPConfig": "timeoutSeconds",
        "ClusterTrustBundleProjection": "name optional signerName",
        "ConfigMap": "immutable",
        "ConfigMapEnvSource": "optional",
        "ConfigMapKeySelector": "optional",
        "ConfigMapProjection": "optional",
        "ConfigMapVolumeSource": "defaultMode optional",
        "Container": "restartPolicy",
        "ContainerStatus": "started stopSignal",
        "DownwardAPIVolumeFile": "mode",
        "DownwardAPIVolumeSource": "defaultMode",
        "EmptyDirVolumeSource": "sizeLimit",
        "EndpointAddress": "nodeName",
        "EndpointPort": "appProtocol",
        "EphemeralContainer": "restartPolicy",
        "FCVolumeSource": "lun",
        "FileKeySelector": "optional",
        "GRPCAction": "service",
        "GlusterfsPersistentVolumeSource": "endpointsNamespace",
        "HostPathVolumeSource": "type",
        "ISCSIPersistentVolumeSource": "initiatorName",
        "ISCSIVolumeSource": "initiatorName",
        "KeyToPath": "mode",
        "Lifecycle": "stopSignal",
        "LoadBalancerIngress": "ipMode",
        "LocalVolumeSource": "fsType",
        "NodeFeatures": "supplementalGroupsPolicy",
        "NodeRuntimeHandlerFeatures": "recursiveReadOnlyMounts userNamespaces",
        "NodeSwapStatus": "capacity",
        "PersistentVolumeClaimSpec": "storageClassName volumeAttributesClassName volumeMode",
        "PersistentVolumeClaimStatus": "currentVolumeAttributesClassName",
        "PersistentVolumeSpec": "volumeAttributesClassName volumeMode",
        "PodCertificateProjection": "maxExpirationSeconds",
        "PodDNSConfigOption": "value",
        "PodResourceClaim": "resourceClaimName resourceClaimTemplateName",
        "PodResourceClaimStatus": "resourceClaimName",
        "PodSchedulingGroup": "podGroupName",
        "PodSecurityContext": (
            "fsGroup fsGroupChangePolicy runAsGroup runAsNonRoot runAsUser "
            "seLinuxChangePolicy supplementalGroupsPolicy"
        ),
        "PodSpec": (
            "activeDeadlineSeconds automountServiceAccountToken enableServiceLinks hostUsers "
            "hostnameOverride preemptionPolicy priority runtimeClassName setHostnameAsFQDN "
            "shareProcessNamespace terminationGracePeriodSeconds"
        ),
        "PortStatus": "error",
        "Probe": "terminationGracePeriodSeconds",
        "ProjectedVolumeSource": "defaultMode",
        "ReplicationControllerSpec": "replicas",
        "ResourceHealth": "message",
        "SeccompProfile": "localhostProfile",
        "Secret": "immutable",
        "SecretEnvSource": "optional",
        "SecretKeySelector": "optional",
        "SecretProjection": "optional",
        "SecretVolumeSource": "defaultMode optional",
        "SecurityContext": (
            "allowPrivilegeEscalation privileged procMount readOnlyRootFilesystem runAsGroup "
            "runAsNonRoot runAsUser"
        ),
        "ServiceAccount": "automountServiceAccountToken",
        "ServiceAccountTokenProjection": "expirationSeconds",
        "ServicePort": "appProtocol",
        "ServiceSpec": (
            "allocateLoadBalancerNodePorts internalTrafficPolicy ipFamilyPolicy "
            "loadBalancerClass trafficDistribution"
        ),
        "Toleration": "tolerationSeconds",
        "TopologySpreadConstraint": "minDomains nodeAffinityPolicy nodeTaintsPolicy",
        "TypedLocalObjectReference": "apiGroup",
        "TypedObjectReference": "apiGroup namespace",
        "VolumeMount": "mountPropagation recursiveReadOnly",
        "VolumeMountStatus": "recursiveReadOnly",
        "WindowsSecurityContextOptions": (
            "gmsaCredentialSpec gmsaCredentialSpecName hostProcess runAsUserName"
        ),
    },
    "discovery.v1": {
        "Endpoint": "hostname nodeName zone",
        "EndpointConditions": "ready serving terminating",
        "EndpointPort": "appProtocol name port protocol",
    },
    "flowcontrol.v1": {
        "ExemptPriorityLevelConfiguration": "lendablePercent nominalConcurrencyShares",
        "LimitedPriorityLevelConfiguration": (
            "borrowingLimitPercent lendablePercent nominalConcurrencyShares"
        ),
    },
    "meta.v1": {
        "DeleteOptions": (
            "gracePeriodSeconds ignoreStoreReadErrorWithClusterBreakingPotential "
            "orphanDependents propagationPolicy"
        ),
        "ListMeta": "remainingItemCount",
        "ObjectMeta": "deletionGracePeriodSeconds",
        "OwnerReference": "blockOwnerDeletion controller",
        "Preconditions": "resourceVersion uid",
    },
    "networking.v1": {
        "IngressClassParametersReference": "apiGroup namespace scope",
        "IngressPortStatus": "error",
        "IngressSpec": "ingressClassName",
        "NetworkPolicyPort": "endPort port protocol",
    },
    "policy.v1": {
        "PodDisruptionBudgetSpec": "maxUnavailable minAvailable unhealthyPodEvictionPolicy",
    },
    "resource.v1": {
        "AllocatedDeviceStatus": "shareID",
        "CapacityRequestPolicy": "default",
        "CapacityRequestPolicyRange": "max step",
        "Device": "allNodes allowMultipleAllocations bindsToNode nodeName",
        "DeviceAttribute": "bool_ int_ string version",
        "DeviceClassSpec": "extendedResourceName",
        "DeviceConstraint": "distinctAttribute matchAttribute",
        "DeviceRequestAllocationResult": "adminAccess shareID",
        "DeviceToleration": "tolerationSeconds",
        "ExactDeviceRequest": "adminAccess",
        "NodeAllocatableResourceMapping": "allocationMultiplier capacityKey",
        "ResourceSliceSpec": "allNodes nodeName perDeviceNodeSelection",
    },
    "scheduling.v1": {
        "PriorityClass": "preemptionPolicy",
    },
    "storage.v1": {
        "CSIDriverSpec": (
            "attachRequired fsGroupPolicy nodeAllocatableUpdatePeriodSeconds podInfoOnMount "
            "preventPodSchedulingIfMissing requiresRepublish seLinuxMount "
            "serviceAccountTokenInSecrets storageCapacity"
        ),
        "CSIStorageCapacity": "capacity maximumVolumeSize",
        "StorageClass": "allowVolumeExpansion reclaimPolicy volumeBindingMode",
        "TokenRequest": "expirationSeconds",
        "VolumeAttachmentSource": "persistentVolumeName",
        "VolumeError": "errorCode",
        "VolumeNodeResources": "count",
    },
}


@functools.cache
def is_pointer(struct: type, attr: str) -> bool:
    """Whether the zero of an optional scalar is a value of its own."""
    group, version = struct.__module__.rsplit(".", 2)[1:]
    return attr in POINTERS.get(f"{group}.{version}", {}).get(struct.__name__, "").split()
