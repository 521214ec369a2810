"""Values of enumerated strings, as the published schemas list them, with what each means where that is said.

The packaged definitions leave enumerations out; ``kubectl explain`` shows them. Named types of :mod:`gotypes` are the
keys, so one entry serves every field of the type. Where two groups use one name for two types, the struct decides.
"""

from __future__ import annotations

from machinery.api.gotypes import named_type

_PULL_FAIL = "Container will fail"
_PREEMPTION = {
    "Never": "means that pod never preempts other pods with lower priority.",
    "PreemptLowerPriority": "means that pod can preempt other pods with lower priority.",
}
_HEALTHY = "Healthy pods will be subject to the PDB for eviction."

#: type -> value -> meaning ("" where none is given).
_ENUMS: dict[str, dict[str, str]] = {
    "v1.DNSPolicy": {
        "ClusterFirst": "indicates that the pod should use cluster DNS first unless hostNetwork is true, if it is "
        "available, then fall back on the default (as determined by kubelet) DNS settings.",
        "ClusterFirstWithHostNet": "indicates that the pod should use cluster DNS first, if it is available, then fall "
        "back on the default (as determined by kubelet) DNS settings.",
        "Default": "indicates that the pod should use the default (as determined by kubelet) DNS settings.",
        "None": "indicates that the pod should use empty DNS settings. DNS parameters such as nameservers and search "
        "paths should be defined via DNSConfig.",
    },
    "v1.PreemptionPolicy": _PREEMPTION,
    "v1.RestartPolicy": {"Always": "", "Never": "", "OnFailure": ""},
    "v1.PullPolicy": {
        "Always": f"means that kubelet always attempts to pull the latest image. {_PULL_FAIL} If the pull fails.",
        "IfNotPresent": f"means that kubelet pulls if the image isn't present on disk. {_PULL_FAIL} if the image isn't "
        "present and the pull fails.",
        "Never": "means that kubelet never pulls an image, but only uses a local image. "
        f"{_PULL_FAIL} if the image isn't present",
    },
    "v1.TerminationMessagePolicy": {
        "FallbackToLogsOnError": "will read the most recent contents of the container logs for the container status "
        "message when the container exits with an error and the terminationMessagePath has no contents.",
        "File": "is the default behavior and will set the container status message to the contents of the container's "
        "terminationMessagePath when the container exits.",
    },
    "v1.DeploymentStrategyType": {
        "Recreate": "Kill all existing pods before creating new ones.",
        "RollingUpdate": "Replace the old ReplicaSets by new one using rolling update i.e gradually scale down the old "
        "ReplicaSets and scale up the new one.",
    },
    "v1.PodManagementPolicyType": {
        "OrderedReady": "will create pods in strictly increasing order on scale up and strictly decreasing order on "
        "scale down, progressing only when the previous pod is ready or terminated. At most one pod will be changed at "
        "any time.",
        "Parallel": "will create and delete pods as soon as the stateful set replica count is changed, and will not "
        "wait for pods to be ready or complete termination.",
    },
    "v1.CompletionMode": {
        "Indexed": "is a Job completion mode. In this mode, the Pods of a Job get an associated completion index from "
        "0 to (.spec.completions - 1). The Job is considered complete when a Pod completes for each completion index.",
        "NonIndexed": "is a Job completion mode. In this mode, the Job is considered complete when there have been "
        ".spec.completions successfully completed Pods. Pod completions are homologous to each other.",
    },
    "v1.PodReplacementPolicy": {
        "Failed": "means to wait until a previously created Pod is fully terminated (has phase Failed or Succeeded) "
        "before creating a replacement Pod.",
        "TerminatingOrFailed": "means that we recreate pods when they are terminating (has a "
        "metadata.deletionTimestamp) or failed.",
    },
    "v1.ConcurrencyPolicy": {
        "Allow": "allows CronJobs to run concurrently.",
        "Forbid": "forbids concurrent runs, skipping next run if previous hasn't finished yet.",
        "Replace": "cancels currently running job and replaces it with a new one.",
    },
    "v1.PersistentVolumeMode": {
        "Block": "means the volume will not be formatted with a filesystem and will remain a raw block device.",
        "Filesystem": "means the volume will be or is formatted with a filesystem.",
    },
    "v1.PersistentVolumeReclaimPolicy": {
        "Delete": "means the volume will be deleted from Kubernetes on release from its claim. The volume plugin must "
        "support Deletion.",
        "Recycle": "means the volume will be recycled back into the pool of unbound persistent volumes on release from "
        "its claim. The volume plugin must support Recycling.",
        "Retain": "means the volume will be left in its current phase (Released) for manual reclamation by the "
        "administrator. The default policy is Retain.",
    },
    "v1.NodePhase": {
        "Pending": "means the node has been created/added by the system, but not configured.",
        "Running": "means the node has been configured and has Kubernetes components running.",
        "Terminated": "means the node has been removed from the cluster.",
    },
    "v1.UnhealthyPodEvictionPolicyType": {
        "AlwaysAllow": 'policy means that all running pods (status.phase="Running"), but not yet healthy are '
        "considered disrupted and can be evicted regardless of whether the criteria in a PDB is met. This means "
        f"perspective running pods of a disrupted application might not get a chance to become healthy. {_HEALTHY}",
        "IfHealthyBudget": 'policy means that running pods (status.phase="Running"), but not yet healthy can be '
        "evicted only if the guarded application is not disrupted (status.currentHealthy is at least equal to "
        f"status.desiredHealthy). {_HEALTHY}",
    },
}
_WITHOUT_MEANING = {
    "v1.NodeSelectorOperator": "DoesNotExist Exists Gt In Lt NotIn",
    "v1.URIScheme": "HTTP HTTPS",
    "v1.Protocol": "SCTP TCP UDP",
    "v1.SeccompProfileType": "Localhost RuntimeDefault Unconfined",
    "v1.AppArmorProfileType": "Localhost RuntimeDefault Unconfined",
    "v1.ProcMountType": "Default Unmasked",
    "v1.MountPropagationMode": "Bidirectional HostToContainer None",
    "v1.PodFSGroupChangePolicy": "Always OnRootMismatch",
    "v1.SupplementalGroupsPolicy": "Merge Strict",
    "v1.TaintEffect": "NoExecute NoSchedule PreferNoSchedule",
    "v1.TolerationOperator": "Equal Exists Gt Lt",
    "v1.NodeInclusionPolicy": "Honor Ignore",
    "v1.UnsatisfiableConstraintAction": "DoNotSchedule ScheduleAnyway",
    "v1.AzureDataDiskCachingMode": "None ReadOnly ReadWrite",
    "v1.AzureDataDiskKind": "Dedicated Managed Shared",
    "v1.Signal": "SIGABRT SIGALRM SIGBUS SIGCHLD SIGCLD SIGCONT SIGFPE SIGHUP SIGILL SIGINT SIGIO SIGIOT SIGKILL "
    "SIGPIPE SIGPOLL SIGPROF SIGPWR SIGQUIT SIGRTMAX SIGRTMIN SIGSEGV SIGSTKFLT SIGSTOP SIGSYS SIGTERM SIGTRAP SIGTSTP "
    "SIGTTIN SIGTTOU SIGURG SIGUSR1 SIGUSR2 SIGVTALRM SIGWINCH SIGXCPU SIGXFSZ",
    "v1.ServiceAffinity": "ClientIP None",
    "v1.ServiceType": "ClusterIP ExternalName LoadBalancer NodePort",
    "v1.ServiceExternalTrafficPolicy": "Cluster Local",
    "v1.ServiceInternalTrafficPolicy": "Cluster Local",
    "v1.DaemonSetUpdateStrategyType": "OnDelete RollingUpdate",
    "v1.StatefulSetUpdateStrategyType": "OnDelete RollingUpdate",
    "v1.PathType": "Exact ImplementationSpecific Prefix",
    "v1.PodPhase": "Failed Pending Running Succeeded Unknown",
    "v1.NamespacePhase": "Active Terminating",
    "v1.VolumeBindingMode": "Immediate WaitForFirstConsumer",
    "v1.AddressType": "FQDN IPv4 IPv6",
    "v1.PodFailurePolicyAction": "Count FailIndex FailJob Ignore",
    "v1.PodFailurePolicyOnExitCodesOperator": "In NotIn",
}
_ENUMS |= {name: dict.fromkeys(values.split(), "") for name, values in _WITHOUT_MEANING.items()}
_ENUMS["v1.HostPathType"] = dict.fromkeys(
    ["", "BlockDevice", "CharDevice", "Directory", "DirectoryOrCreate", "File", "FileOrCreate", "Socket"], ""
)

#: Fields of enumerated types that no error text names, and fields whose type is not published as an enumeration.
_EXTRA = {"NodeStatus.phase": "v1.NodePhase"}
_PLAIN = frozenset({"DeviceTaint.effect", "DeviceToleration.effect", "NetworkPolicyPort.protocol"})


def values_of(struct: str, field: str) -> dict[str, str] | None:
    """The values of a field and their meanings; None for a field without an enumeration."""
    where = f"{struct}.{field}"
    if where in _PLAIN:
        return None
    return _ENUMS.get(_EXTRA.get(where) or named_type(struct, field) or "")


def describe_values(values: dict[str, str]) -> str:
    """The paragraph that published descriptions end with."""
    lines = [f' - `"{value}"`' + (f" {meaning}" if meaning else "") for value, meaning in sorted(values.items())]
    return "\n\nPossible enum values:\n" + "\n".join(lines)
