"""The table of controllers and their common life: build the enabled ones, start the informers, run, end together.

A controller is a module with ``build(context) -> list of controllers``; each controller has ``run(workers)``. The names
of the table are those of ``--controllers`` (upstream's names where upstream has the controller).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import structlog

from controllers.autoscaling import controller as autoscaling
from controllers.bootstrap import controller as bootstrap
from controllers.certificates import controller as certificates
from controllers.clusterroleaggregation import controller as clusterroleaggregation
from controllers.context import Context, SharedInformers, drop_managed_fields
from controllers.cronjob import controller as cronjob
from controllers.daemonset import controller as daemonset
from controllers.deployment import controller as deployment
from controllers.disruption import controller as disruption
from controllers.endpoints import controller as endpoints
from controllers.endpointslice import controller as endpointslice
from controllers.endpointslicemirroring import controller as endpointslicemirroring
from controllers.garbagecollector import controller as garbagecollector
from controllers.job import controller as job
from controllers.namespace import controller as namespace
from controllers.nodeipam import controller as nodeipam
from controllers.nodelifecycle import controller as nodelifecycle
from controllers.options import Options
from controllers.podgc import controller as podgc
from controllers.replicaset import controller as replicaset
from controllers.resourcequota import controller as resourcequota
from controllers.serviceaccount import controller as serviceaccount
from controllers.statefulset import controller as statefulset
from controllers.tainteviction import controller as tainteviction
from controllers.ttlafterfinished import controller as ttlafterfinished
from controllers.volumes import controller as volumes
from machinery.client import Client
from machinery.runtime.tasks import Tasks

log = structlog.get_logger(__name__)


Build = Callable[[Context], Sequence[Any]]

#: name -> (builder, workers)
CONTROLLERS: dict[str, tuple[Build, int]] = {
    "deployment-controller": (deployment.build, 5),
    "replicaset-controller": (replicaset.build, 5),
    "replicationcontroller-controller": (replicaset.build_replication_controller, 5),
    "daemonset-controller": (daemonset.build, 2),
    "statefulset-controller": (statefulset.build, 5),
    "job-controller": (job.build, 5),
    "cronjob-controller": (cronjob.build, 2),
    "horizontal-pod-autoscaler-controller": (autoscaling.build, 2),
    "endpoints-controller": (endpoints.build, 5),
    "endpointslice-controller": (endpointslice.build, 5),
    "endpointslice-mirroring-controller": (endpointslicemirroring.build, 2),
    "node-lifecycle-controller": (nodelifecycle.build, 4),
    "taint-eviction-controller": (tainteviction.build, 8),
    "node-ipam-controller": (nodeipam.build, 2),
    "garbage-collector-controller": (garbagecollector.build, 10),
    "namespace-controller": (namespace.build, 5),
    "serviceaccount-controller": (serviceaccount.build, 2),
    "serviceaccount-token-controller": (serviceaccount.build_tokens, 2),
    "root-ca-certificate-publisher-controller": (serviceaccount.build_root_ca_publisher, 2),
    "certificatesigningrequest-approving-controller": (certificates.build_approver, 2),
    "certificatesigningrequest-signing-controller": (certificates.build_signer, 2),
    "certificatesigningrequest-cleaner-controller": (certificates.build_cleaner, 1),
    "token-cleaner-controller": (bootstrap.build, 1),
    "pod-garbage-collector-controller": (podgc.build, 1),
    "ttl-after-finished-controller": (ttlafterfinished.build, 2),
    "clusterrole-aggregation-controller": (clusterroleaggregation.build, 1),
    "disruption-controller": (disruption.build, 2),
    "resourcequota-controller": (resourcequota.build, 3),
    "persistentvolume-binder-controller": (volumes.build_binder, 2),
    "persistentvolumeclaim-protection-controller": (volumes.build_claim_protection, 2),
    "persistentvolume-protection-controller": (volumes.build_volume_protection, 2),
}


def build_context(client: Client, options: Options) -> Context:
    return Context(client, SharedInformers(client, drop_managed_fields), options)


async def run_controllers(context: Context) -> None:
    """Until cancelled, or until one of them fails for good."""
    async with Tasks("controllers") as tasks:
        running: list[tuple[Any, int]] = []
        for name, (build, workers) in CONTROLLERS.items():
            if context.options.enabled(name):
                running += [(controller, workers) for controller in build(context)]
        context.informers.start(tasks)
        for component, recorder in context.recorders.items():
            tasks.spawn(f"events-{component}", recorder.run())
        for controller, workers in running:
            tasks.spawn(controller.name, controller.run(workers))
        log.info("controllers started", count=len(running))
        try:
            await tasks.wait()
        finally:
            await context.identities.close()
