"""Which strategy a kind has. A kind that is not listed has the base strategy, or the spec-counting one."""

from __future__ import annotations

from collections.abc import Callable

from apiserver.registry.interface import ObjectReader, ObjectWriter
from apiserver.registry.strategies import workloads as w
from apiserver.registry.strategies.customresources import CustomStrategy, DefinitionStrategy
from apiserver.registry.strategies.namespaces import NamespaceStrategy
from apiserver.registry.strategies.pods import PodStrategy
from apiserver.registry.strategies.policies import PolicyStrategy
from apiserver.registry.strategies.services import ServiceStrategy
from apiserver.registry.strategies.volumes import ClaimStrategy, VolumeStrategy
from apiserver.registry.strategy import SpecStrategy, Strategy
from machinery.api.kinds import Kind

RBAC, ADMISSION, FLOW = "rbac.authorization.k8s.io", "admissionregistration.k8s.io", "flowcontrol.apiserver.k8s.io"

TABLE: dict[tuple[str, str], type[Strategy]] = {
    ("", "pods"): PodStrategy,
    ("", "namespaces"): NamespaceStrategy,
    ("", "nodes"): w.NodeStrategy,
    ("", "events"): w.EventStrategy,
    ("", "endpoints"): w.CreateOnUpdateStrategy,
    ("", "limitranges"): w.CreateOnUpdateStrategy,
    ("", "podtemplates"): w.PodTemplateStrategy,
    ("", "replicationcontrollers"): w.ReplicationControllerStrategy,
    ("", "serviceaccounts"): w.ReturnsDeletedStrategy,
    ("", "resourcequotas"): w.ReturnsDeletedStrategy,
    ("", "persistentvolumes"): VolumeStrategy,
    ("", "persistentvolumeclaims"): ClaimStrategy,
    ("batch", "jobs"): w.JobStrategy,
    ("certificates.k8s.io", "certificatesigningrequests"): w.CertificateRequestStrategy,
    ("coordination.k8s.io", "leases"): w.LeaseStrategy,
    ("discovery.k8s.io", "endpointslices"): w.WholeStrategy,
    ("node.k8s.io", "runtimeclasses"): w.RuntimeClassStrategy,
    ("policy", "poddisruptionbudgets"): w.BudgetStrategy,
    ("resource.k8s.io", "resourceclaims"): w.ReturnsDeletedStrategy,
    ("resource.k8s.io", "deviceclasses"): w.DeviceClassStrategy,
    ("scheduling.k8s.io", "priorityclasses"): w.PriorityClassStrategy,
    ("storage.k8s.io", "storageclasses"): w.ReturnsDeletedStrategy,
    ("storage.k8s.io", "csidrivers"): w.DriverStrategy,
    ("storage.k8s.io", "csinodes"): w.AttachmentStrategy,
    ("storage.k8s.io", "csistoragecapacities"): w.ConditionalStrategy,
    ("storage.k8s.io", "volumeattachments"): w.AttachmentStrategy,
    ("apps", "daemonsets"): w.DaemonSetStrategy,
    ("apps", "deployments"): w.DeploymentStrategy,
    (RBAC, "roles"): w.CreateOnUpdateStrategy,
    (RBAC, "clusterroles"): w.CreateOnUpdateStrategy,
    (RBAC, "rolebindings"): w.CreateOnUpdateStrategy,
    (RBAC, "clusterrolebindings"): w.CreateOnUpdateStrategy,
    (ADMISSION, "mutatingwebhookconfigurations"): w.WebhooksStrategy,
    (ADMISSION, "validatingwebhookconfigurations"): w.WebhooksStrategy,
    (ADMISSION, "validatingadmissionpolicies"): PolicyStrategy,
    (ADMISSION, "validatingadmissionpolicybindings"): w.ConditionalSpecStrategy,
    (ADMISSION, "mutatingadmissionpolicies"): PolicyStrategy,
    (ADMISSION, "mutatingadmissionpolicybindings"): w.ConditionalSpecStrategy,
}

#: Kinds whose generation counts changes of spec and that need nothing else.
SPEC_KINDS = {
    ("apps", "replicasets"), ("apps", "statefulsets"),
    ("batch", "cronjobs"), ("networking.k8s.io", "ingresses"), ("networking.k8s.io", "networkpolicies"),
    ("networking.k8s.io", "ingressclasses"), (FLOW, "flowschemas"), (FLOW, "prioritylevelconfigurations"),
    ("resource.k8s.io", "resourceslices"),
}  # fmt: skip


class StrategyTable:
    """Strategies are made with what they need; the registry that provides it is made later, so it is handed in."""

    def __init__(self, *, node_ports: tuple[int, int] = (30000, 32767)) -> None:
        self._node_ports = node_ports
        self.reader: ObjectReader | None = None
        self.writer: ObjectWriter | None = None
        self._services: list[ServiceStrategy] = []

    def __call__(self, kind: Kind) -> Strategy:
        resource = kind.storage_resource
        if kind.custom:
            return CustomStrategy(kind)
        if resource == ("", "services"):
            strategy = ServiceStrategy(kind, self._node_ports)
            self._services.append(strategy)
            return strategy
        if resource == ("apiextensions.k8s.io", "customresourcedefinitions"):
            return DefinitionStrategy(kind)
        found = TABLE.get(resource)
        if found is not None:
            return found(kind)
        return SpecStrategy(kind) if resource in SPEC_KINDS else Strategy(kind)

    def connect(self, reader: ObjectReader, writer: ObjectWriter) -> None:
        for strategy in self._services:
            strategy.connect(reader, writer)


StrategyFor = Callable[[Kind], Strategy]
