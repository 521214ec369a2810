"""One entry for the server: the built-in plugins in their order."""

from __future__ import annotations

import random
from collections.abc import Collection
from dataclasses import dataclass, field

from apiserver.admission.chain import AdmissionChain
from apiserver.admission.interface import AdmissionPlugin
from apiserver.admission.plugins.certificates import (
    CertificateApproval,
    CertificateSigning,
    CertificateSubjectRestriction,
    ClusterTrustBundleAttest,
)
from apiserver.admission.plugins.create_on_update import CreateOnUpdate
from apiserver.admission.plugins.escalation import PrivilegeEscalation
from apiserver.admission.plugins.limit_ranger import LimitRanger
from apiserver.admission.plugins.namespace_lifecycle import NamespaceLifecycle
from apiserver.admission.plugins.node_defaults import DefaultTolerationSeconds, PodTopologyLabels, TaintNodesByCondition
from apiserver.admission.plugins.node_restriction import NodeRestriction
from apiserver.admission.plugins.priority import Priority
from apiserver.admission.plugins.runtime_class import RuntimeClass
from apiserver.admission.plugins.service_account import ServiceAccount
from apiserver.admission.plugins.storage import (
    DefaultIngressClass,
    DefaultStorageClass,
    PersistentVolumeClaimResize,
    StorageObjectInUseProtection,
)
from apiserver.admission.pod_security.plugin import PodSecurity
from apiserver.admission.quota.plugin import ResourceQuota
from apiserver.auth.interface import Authorizer
from apiserver.auth.rbac.escalation import EscalationGuard
from apiserver.registry.interface import ObjectReader, ObjectWriter


@dataclass(frozen=True)
class AdmissionOptions:
    """``enable`` and ``disable`` name plugins. NodeRestriction is on here: an agent is not to be trusted with more."""

    authorizer: Authorizer
    api_audiences: tuple[str, ...]
    enable: Collection[str] = ("NodeRestriction",)
    disable: Collection[str] = ()
    escalation: EscalationGuard | None = None
    rng: random.Random = field(default_factory=random.SystemRandom)


def build_chain(options: AdmissionOptions, reader: ObjectReader, writer: ObjectWriter) -> AdmissionChain:
    authorizer = options.authorizer
    default: list[AdmissionPlugin] = [
        CreateOnUpdate(authorizer),
        NamespaceLifecycle(reader),
        LimitRanger(reader),
        ServiceAccount(reader, options.rng),
        TaintNodesByCondition(),
        PodSecurity(reader),
        Priority(reader),
        DefaultTolerationSeconds(),
        DefaultStorageClass(reader),
        StorageObjectInUseProtection(),
        PersistentVolumeClaimResize(reader),
        RuntimeClass(reader),
        CertificateApproval(authorizer),
        CertificateSigning(authorizer),
        ClusterTrustBundleAttest(authorizer),
        CertificateSubjectRestriction(),
        DefaultIngressClass(reader),
        PodTopologyLabels(reader),
    ]
    last: list[AdmissionPlugin] = [ResourceQuota(reader, writer)]
    if "NodeRestriction" in options.enable:
        default.insert(4, NodeRestriction(reader, options.api_audiences))
    if options.escalation is not None:
        default.append(PrivilegeEscalation(options.escalation))
    known = {plugin.name for plugin in (*default, *last)} | {"NodeRestriction"}
    unknown = sorted({*options.enable, *options.disable} - known)
    if unknown:
        raise ValueError(f"unknown admission plugin {unknown[0]!r}: choose from {', '.join(sorted(known))}")
    return AdmissionChain(
        [plugin for plugin in default if plugin.name not in options.disable],
        [plugin for plugin in last if plugin.name not in options.disable],
    )
