"""Upstream's own structs, as far as refusals print them.

Some refusals show a value or a difference in the notation of upstream's internal types: fields by their Go names,
in the order of the struct, unset ones as null or zero. Each line of the table is one struct: `GoName` or
`GoName:jsonName` with a mark for what an absent one is. A name without a mark is text.

    .name a number      !name a flag       ?name a pointer or anything that is null when absent
    =Struct inline      *, [], + before a struct's name in braces: a pointer to it, a list of it, the struct itself
"""

from __future__ import annotations

from functools import cache
from typing import Any, NamedTuple

_TABLE = """
PodTemplateSpec = =ObjectMeta Spec{+PodSpec}
PodSpec = Volumes{[]Volume} InitContainers{[]Container} Containers{[]Container} \
EphemeralContainers{[]EphemeralContainer} RestartPolicy ?TerminationGracePeriodSeconds ?ActiveDeadlineSeconds \
DNSPolicy ?NodeSelector ServiceAccountName ?AutomountServiceAccountToken NodeName \
SecurityContext{*PodSecurityContext} ImagePullSecrets{[]Named} Hostname Subdomain ?SetHostnameAsFQDN \
Affinity{*Affinity} SchedulerName Tolerations{[]Toleration} HostAliases{[]HostAlias} PriorityClassName ?Priority \
?PreemptionPolicy DNSConfig{*PodDNSConfig} ReadinessGates{[]ReadinessGate} ?RuntimeClassName ?Overhead \
?EnableServiceLinks TopologySpreadConstraints{[]TopologySpreadConstraint} OS{*Named} SchedulingGates{[]Named} \
ResourceClaims{[]PodResourceClaim} Resources{*ResourceRequirements} ?HostnameOverride ?SchedulingGroup
PodSecurityContext = !HostNetwork !HostPID !HostIPC ?ShareProcessNamespace ?HostUsers \
SELinuxOptions{*SELinuxOptions} ?WindowsOptions ?RunAsUser ?RunAsGroup ?RunAsNonRoot ?SupplementalGroups \
?SupplementalGroupsPolicy ?FSGroup ?FSGroupChangePolicy Sysctls{[]Pair} SeccompProfile{*Profile} \
AppArmorProfile{*Profile} ?SELinuxChangePolicy
Volume = Name =VolumeSource
VolumeSource = HostPath{*HostPath} EmptyDir{*EmptyDir} ?GCEPersistentDisk ?AWSElasticBlockStore ?GitRepo \
Secret{*SecretVolume} NFS{*NFS} ?ISCSI ?Glusterfs PersistentVolumeClaim{*ClaimVolume} ?RBD ?Quobyte ?FlexVolume \
?Cinder ?CephFS ?Flocker DownwardAPI{*DownwardAPI} ?FC ?AzureFile ConfigMap{*ConfigMapVolume} ?VsphereVolume \
?AzureDisk ?PhotonPersistentDisk Projected{*Projected} ?PortworxVolume ?ScaleIO ?StorageOS CSI{*CSIVolume} \
Ephemeral{*Ephemeral} Image{*ImageVolume}
PersistentVolumeSource = ?GCEPersistentDisk ?AWSElasticBlockStore HostPath{*HostPath} ?Glusterfs NFS{*NFS} ?RBD \
?Quobyte ?ISCSI ?FlexVolume ?Cinder ?CephFS ?FC ?Flocker ?AzureFile ?VsphereVolume ?AzureDisk ?PhotonPersistentDisk \
?PortworxVolume ?ScaleIO ?Local ?StorageOS ?CSI
HostPath = Path ?Type
EmptyDir = Medium ?SizeLimit
SecretVolume = SecretName Items{[]KeyToPath} ?DefaultMode ?Optional
ConfigMapVolume = Name Items{[]KeyToPath} ?DefaultMode ?Optional
KeyToPath = Key Path ?Mode
NFS = Server Path !ReadOnly
ClaimVolume = ClaimName !ReadOnly
DownwardAPI = Items{[]DownwardAPIFile} ?DefaultMode
DownwardAPIFile = Path FieldRef{*FieldRef} ResourceFieldRef{*ResourceFieldRef} ?Mode
Projected = Sources{[]Projection} ?DefaultMode
Projection = Secret{*ProjectedItems} DownwardAPI{*ProjectedDownward} ConfigMap{*ProjectedItems} \
ServiceAccountToken{*TokenProjection} ?ClusterTrustBundle ?PodCertificate
ProjectedItems = Name Items{[]KeyToPath} ?Optional
ProjectedDownward = Items{[]DownwardAPIFile}
TokenProjection = Audience .ExpirationSeconds Path
CSIVolume = Driver ?ReadOnly ?FSType ?VolumeAttributes NodePublishSecretRef{*Named}
Ephemeral = VolumeClaimTemplate{*ClaimTemplate}
ClaimTemplate = =ObjectMeta Spec{+PersistentVolumeClaimSpec}
PersistentVolumeClaimSpec = ?AccessModes Selector{*LabelSelector} Resources{+VolumeResources} VolumeName \
?StorageClassName ?VolumeMode DataSource{*TypedReference} DataSourceRef{*TypedObjectReference} \
?VolumeAttributesClassName
VolumeResources = ?Limits ?Requests
TypedReference = ?APIGroup Kind Name
TypedObjectReference = ?APIGroup Kind Name ?Namespace
ImageVolume = Reference PullPolicy
EphemeralContainer = =Container TargetContainerName
Container = Name Image ?Command ?Args WorkingDir Ports{[]ContainerPort} EnvFrom{[]EnvFrom} Env{[]EnvVar} \
Resources{+ResourceRequirements} ResizePolicy{[]ResizePolicy} ?RestartPolicy ?RestartPolicyRules \
VolumeMounts{[]VolumeMount} VolumeDevices{[]VolumeDevice} LivenessProbe{*Probe} ReadinessProbe{*Probe} \
StartupProbe{*Probe} Lifecycle{*Lifecycle} TerminationMessagePath TerminationMessagePolicy ImagePullPolicy \
SecurityContext{*SecurityContext} !Stdin !StdinOnce !TTY
ContainerPort = Name .HostPort .ContainerPort Protocol HostIP
EnvVar = Name Value ValueFrom{*EnvVarSource}
EnvVarSource = FieldRef{*FieldRef} ResourceFieldRef{*ResourceFieldRef} ConfigMapKeyRef{*KeySelector} \
SecretKeyRef{*KeySelector} ?FileKeyRef
FieldRef = APIVersion FieldPath
ResourceFieldRef = ContainerName Resource %Divisor
KeySelector = Name Key ?Optional
EnvFrom = Prefix ConfigMapRef{*Reference} SecretRef{*Reference}
Reference = Name ?Optional
ResourceRequirements = ?Limits ?Requests Claims{[]ResourceClaim}
ResourceClaim = Name Request
ResizePolicy = ResourceName RestartPolicy
VolumeMount = Name !ReadOnly ?RecursiveReadOnly MountPath SubPath ?MountPropagation SubPathExpr
VolumeDevice = Name DevicePath
Probe = Exec{*Exec} HTTPGet{*HTTPGet} TCPSocket{*TCPSocket} GRPC{*GRPC} .InitialDelaySeconds .TimeoutSeconds \
.PeriodSeconds .SuccessThreshold .FailureThreshold ?TerminationGracePeriodSeconds
Exec = ?Command
HTTPGet = Path .Port Host Scheme HTTPHeaders{[]Pair}
TCPSocket = .Port Host
GRPC = .Port ?Service
Lifecycle = PostStart{*Handler} PreStop{*Handler} ?StopSignal
Handler = Exec{*Exec} HTTPGet{*HTTPGet} TCPSocket{*TCPSocket} Sleep{*Sleep}
Sleep = .Seconds
SecurityContext = Capabilities{*Capabilities} ?Privileged SELinuxOptions{*SELinuxOptions} ?WindowsOptions ?RunAsUser \
?RunAsGroup ?RunAsNonRoot ?ReadOnlyRootFilesystem ?AllowPrivilegeEscalation ?ProcMount SeccompProfile{*Profile} \
AppArmorProfile{*Profile}
Capabilities = ?Add ?Drop
SELinuxOptions = User Role Type Level
Profile = Type ?LocalhostProfile
Pair = Name Value
Named = Name
Affinity = NodeAffinity{*NodeAffinity} PodAffinity{*PodAffinity} PodAntiAffinity{*PodAffinity}
NodeAffinity = RequiredDuringSchedulingIgnoredDuringExecution{*NodeSelector} \
PreferredDuringSchedulingIgnoredDuringExecution{[]PreferredNode}
NodeSelector = NodeSelectorTerms{[]NodeSelectorTerm}
NodeSelectorTerm = MatchExpressions{[]NodeRequirement} MatchFields{[]NodeRequirement}
NodeRequirement = Key Operator ?Values
PreferredNode = .Weight Preference{+NodeSelectorTerm}
PodAffinity = RequiredDuringSchedulingIgnoredDuringExecution{[]PodAffinityTerm} \
PreferredDuringSchedulingIgnoredDuringExecution{[]WeightedTerm}
PodAffinityTerm = LabelSelector{*LabelSelector} ?Namespaces TopologyKey NamespaceSelector{*LabelSelector} \
?MatchLabelKeys ?MismatchLabelKeys
WeightedTerm = .Weight PodAffinityTerm{+PodAffinityTerm}
Toleration = Key Operator Value Effect ?TolerationSeconds
HostAlias = IP ?Hostnames
PodDNSConfig = ?Nameservers ?Searches Options{[]DNSOption}
DNSOption = Name ?Value
ReadinessGate = ConditionType
TopologySpreadConstraint = .MaxSkew TopologyKey WhenUnsatisfiable LabelSelector{*LabelSelector} ?MinDomains \
?NodeAffinityPolicy ?NodeTaintsPolicy ?MatchLabelKeys
PodResourceClaim = Name ?ResourceClaimName ?ResourceClaimTemplateName
VolumeNodeAffinity = Required{*NodeSelector}
"""

_ZERO = {".": 0, "!": False, "?": None, "%": "0"}
#: Go names whose JSON names do not simply begin in lower case.
_JSON_NAMES = {
    "DNSPolicy": "dnsPolicy", "DNSConfig": "dnsConfig", "OS": "os", "TTY": "tty",
    "GCEPersistentDisk": "gcePersistentDisk",
    "AWSElasticBlockStore": "awsElasticBlockStore", "NFS": "nfs", "ISCSI": "iscsi", "RBD": "rbd", "CephFS": "cephfs",
    "FC": "fc", "StorageOS": "storageos", "CSI": "csi", "FSType": "fsType", "APIGroup": "apiGroup",
    "HTTPGet": "httpGet",
    "TCPSocket": "tcpSocket", "GRPC": "grpc", "HTTPHeaders": "httpHeaders", "APIVersion": "apiVersion", "IP": "ip",
    "SELinuxOptions": "seLinuxOptions", "SELinuxChangePolicy": "seLinuxChangePolicy", "FSGroup": "fsGroup",
    "FSGroupChangePolicy": "fsGroupChangePolicy", "SetHostnameAsFQDN": "setHostnameAsFQDN",
    "DownwardAPI": "downwardAPI",
}
#: Written by their JSON tags: types of the common machinery.
_META = ("name", "generateName", "namespace", "labels", "annotations", "ownerReferences", "finalizers")


class _Field(NamedTuple):
    go: str
    json: str
    mark: str     # of _ZERO, or "" for text, "=" inline, "*", "[]", "+" for structs
    struct: str


@cache
def _structs() -> dict[str, tuple[_Field, ...]]:
    out: dict[str, tuple[_Field, ...]] = {}
    for line in _TABLE.strip().splitlines():
        name, _, words = line.partition(" = ")
        out[name] = tuple(map(_field, words.split()))
    return out


def _field(word: str) -> _Field:
    if word[0] == "=":
        return _Field(word[1:], "", "=", word[1:])
    if "{" in word:
        go, _, struct = word[:-1].partition("{")
        mark = "[]" if struct.startswith("[]") else struct[0]
        return _Field(go, _json_name(go), mark, struct.removeprefix(mark))
    mark = word[0] if word[0] in _ZERO else ""
    go = word.removeprefix(mark)
    return _Field(go, _json_name(go), mark, "")


def _json_name(go: str) -> str:
    return _JSON_NAMES.get(go) or go[0].lower() + go[1:]


def to_struct(name: str, value: dict[str, Any] | None) -> Any:
    """A value as upstream's struct of that name, with its fields in order."""
    if value is None:
        return None
    if name == "LabelSelector":
        from apiserver.validation.objectmeta import shown_selector

        return shown_selector(value)
    if name == "ObjectMeta":
        meta = value.get("metadata") or {}
        return {key: _sorted(meta[key]) for key in _META if meta.get(key)}
    if name == "PodSpec":
        # What the API keeps in the spec, upstream's own type keeps in the security context.
        shared = {key: value[key] for key in (
            "hostNetwork", "hostPID", "hostIPC", "shareProcessNamespace", "hostUsers"
        ) if key in value}
        if value.get("securityContext") is not None:
            value = {**value, "securityContext": {**value["securityContext"], **shared}}
    out: dict[str, Any] = {}
    for field in _structs()[name]:
        if field.mark == "=":
            out.update(to_struct(field.struct, value))
            continue
        given = value.get(field.json)
        if field.mark == "*":
            out[field.go] = to_struct(field.struct, given)
        elif field.mark == "+":
            out[field.go] = to_struct(field.struct, given or {})
        elif field.mark == "[]":
            out[field.go] = None if given is None else [to_struct(field.struct, item or {}) for item in given]
        elif given is None:
            out[field.go] = _ZERO.get(field.mark, "")
        else:
            out[field.go] = _sorted(given)
    return out


def _sorted(value: Any) -> Any:
    return dict(sorted(value.items())) if isinstance(value, dict) else value
