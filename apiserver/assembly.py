"""Wiring: every part of the server made once, in the order in which they need each other.

Nothing here decides anything; it is the one place that knows all the packages.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

import structlog

from apiserver.admission.build import AdmissionOptions, build_chain
from apiserver.admission.policies.mutating import MutatingPolicies
from apiserver.admission.policies.plugin import ValidatingPolicies
from apiserver.admission.webhooks.build import Webhooks
from apiserver.aggregation.automatic import CustomGroups
from apiserver.aggregation.availability import Availability
from apiserver.aggregation.backend import Backends
from apiserver.aggregation.filter import AggregationFilter
from apiserver.aggregation.registrations import Registrations
from apiserver.auth.bootstrap.published import ensure_published
from apiserver.auth.bootstrap.reconcile import ensure_bootstrap_roles
from apiserver.auth.build import (
    AuthOptions,
    build_authenticator,
    build_authorization,
    build_reviews,
    verifying_keys,
)
from apiserver.auth.discovery_documents import (
    CONFIGURATION_PATH,
    KEYS_MEDIA_TYPE,
    KEYS_PATH,
    key_set,
    openid_configuration,
)
from apiserver.bootstrap import ensure_system_objects
from apiserver.crd.controller import DefinitionController
from apiserver.crd.registry import CustomKinds
from apiserver.discovery.documents import DiscoveryDocuments
from apiserver.discovery.health import Health
from apiserver.discovery.openapi import OpenApi
from apiserver.discovery.paths import Paths
from apiserver.endpoints.binding import create_binding
from apiserver.endpoints.bodies import BodyReader
from apiserver.endpoints.connect import Connections
from apiserver.endpoints.eviction import create_eviction
from apiserver.endpoints.locate import Locator
from apiserver.endpoints.printers import TablePrinters
from apiserver.endpoints.request import Parts
from apiserver.endpoints.reviews import review_endpoint
from apiserver.endpoints.scale import scale
from apiserver.flowcontrol.dispatcher import Dispatcher
from apiserver.flowcontrol.filter import FlowControlFilter
from apiserver.flowcontrol.upkeep import Upkeep
from apiserver.metricsapi.endpoints import MetricsEndpoints
from apiserver.metricsapi.source import SummarySource
from apiserver.registry.access import RegistryReader, RegistryWriter
from apiserver.registry.objectmeta import update_causes
from apiserver.registry.pipeline import Schemas, WritePipeline
from apiserver.registry.resources import Resources
from apiserver.registry.strategies import StrategyTable
from apiserver.registry.tracking import track
from apiserver.server.api import Api
from apiserver.server.chain import (
    AuthenticationFilter,
    AuthorizationFilter,
    Edge,
    ImpersonationFilter,
    deadline_filter,
    fold,
)
from apiserver.server.context import RequestContext
from apiserver.server.negotiate import JSON, negotiate
from apiserver.server.responses import Reply, encode_json
from apiserver.server.reverse_proxy import ReverseProxy
from apiserver.storage.factory import open_storage
from machinery.api.builtin import METRICS_KINDS
from machinery.api.defaults import apply_defaults
from machinery.api.kinds import Kind
from machinery.api.table import new_table

if TYPE_CHECKING:
    from apiserver.main import Options


log = structlog.get_logger("apiserver")


class Assembly:
    def __init__(self, options: Options) -> None:
        self.options = options
        self.kinds = new_table()
        self.health = Health()
        self.policy_there = asyncio.Event()
        self.storage = open_storage(
            options.store, options.home, endpoints=options.etcd_servers, ca_file=options.etcd_ca_file,
            cert_file=options.etcd_cert_file, key_file=options.etcd_key_file,
        )
        self.schemas = Schemas()
        self.proxy = ReverseProxy()
        self.printers = TablePrinters()
        self.summaries: SummarySource | None = None
        self.upkeep: Upkeep | None = None
        self.availability: Availability | None = None
        self.custom_groups: CustomGroups | None = None
        self.custom = CustomKinds(self.kinds)
        self.pipeline = WritePipeline(
            self.schemas, defaulter=apply_defaults, validator=_validator(), tracker=track,
        )
        low, _, high = options.service_node_port_range.partition("-")
        self.strategies = StrategyTable(node_ports=(int(low), int(high)))
        self.resources = Resources(self.kinds, self.storage, self.pipeline, self.strategies)
        self.reader = RegistryReader(self.resources)
        self.writer = RegistryWriter(self.resources)
        self.auth_options = AuthOptions.from_home(
            options.home, token_auth_file=options.token_auth_file, anonymous=options.anonymous,
            authorization_modes=options.authorization_modes,
        )  # fmt: skip

    async def start(self) -> None:
        await self.storage.start()
        self.health.store_ok = True
        await self.resources.start()
        self.strategies.connect(self.reader, self.writer)
        self.definitions = DefinitionController(self.kinds, self.resources, self.reader, self.writer)
        await self.definitions.start()
        self.health.caches_ok = True
        self.registrations = Registrations(self.reader)
        pki = self.options.home / "pki"
        self.backends = Backends(self.reader, pki / "front-proxy-client.crt", pki / "front-proxy-client.key")
        self._build_edge()

    async def bootstrap(self) -> None:
        await ensure_system_objects(self.options, self.reader, self.writer, self.kinds)
        born_with = RegistryWriter(self.resources, judged=False)
        await ensure_bootstrap_roles(self.reader, born_with)
        self.policy_there.set()
        await ensure_published(self.auth_options, self.reader, born_with)
        self.upkeep = Upkeep(self.reader, self.writer, self.auth_options.clock)
        await self.upkeep.restore()
        self.upkeep.start()
        self.availability = Availability(
            self.reader, self.writer, self.registrations, self.backends, self.auth_options.clock
        )
        self.availability.start()
        self.custom_groups = CustomGroups(self.reader, self.writer)
        self.custom_groups.start()
        self.health.bootstrapped = True

    async def close(self) -> None:
        await self.definitions.close()
        if self.upkeep is not None:
            await self.upkeep.close()
        if self.availability is not None:
            await self.availability.close()
        if self.custom_groups is not None:
            await self.custom_groups.close()
        await self.webhooks.close()
        await self.proxy.close()
        if self.summaries is not None:
            await self.summaries.close()
        await self.resources.close()
        await self.storage.close()

    def _build_edge(self) -> None:
        options = self.auth_options
        authenticator = build_authenticator(options, self.reader)
        authorization = build_authorization(options, self.reader)
        plugins = self.options.enable_admission_plugins
        admission = AdmissionOptions(
            authorization.authorizer, options.audiences, plugins or ("NodeRestriction",),
            self.options.disable_admission_plugins, authorization.escalation,
        )  # fmt: skip
        chain = build_chain(admission, self.reader, self.writer)
        judges = [kind(self.reader, self.kinds, authorization.authorizer) for kind in (MutatingPolicies, ValidatingPolicies)]
        self.webhooks = Webhooks(self.reader, self.kinds, authorization.authorizer)
        chain.set_dynamic((*judges, *self.webhooks.plugins))
        self.pipeline.plugins = (chain,)
        reviews = build_reviews(options, self.reader, authenticator, authorization)
        documents = DiscoveryDocuments(self.kinds, f"{self.options.bind[0]}:{self.options.port}")
        paths = Paths(documents, self.health, OpenApi(self.kinds, self.custom))
        self._add_key_documents(paths)
        parts = Parts(self.kinds, self.resources, self.schemas, BodyReader(self.kinds), self.printers, self.custom)
        api = Api(parts, paths)
        self._add_reviews(api, reviews)
        api.answer("*", "*", "scale", scale)
        api.answer("", "bindings", "", create_binding)
        api.answer("", "pods", "binding", create_binding)
        api.answer("", "pods", "eviction", create_eviction)
        self._add_connections(api)
        self.edge = Edge(fold([
            AuthenticationFilter(authenticator, anonymous=options.anonymous),
            ImpersonationFilter(authorization.impersonation),
            FlowControlFilter(Dispatcher(self.reader)),
            AuthorizationFilter(authorization.authorizer, self.policy_there),
            deadline_filter,
            AggregationFilter(self.registrations, self.backends, self.proxy, self.kinds),
        ], api))  # fmt: skip

    @staticmethod
    def _add_reviews(api: Api, reviews: Any) -> None:
        authz, authn = "authorization.k8s.io", "authentication.k8s.io"
        for group, resource, answer in (
            (authn, "tokenreviews", lambda user, obj, ns, name: reviews.token_review(user, obj)),
            (authn, "selfsubjectreviews", lambda user, obj, ns, name: reviews.self_subject_review(user, obj)),
            (authz, "subjectaccessreviews", lambda user, obj, ns, name: reviews.subject_access_review(user, obj)),
            (authz, "selfsubjectaccessreviews",
             lambda user, obj, ns, name: reviews.self_subject_access_review(user, obj)),
            (authz, "selfsubjectrulesreviews",
             lambda user, obj, ns, name: reviews.self_subject_rules_review(user, obj)),
            (authz, "localsubjectaccessreviews",
             lambda user, obj, ns, name: reviews.local_subject_access_review(user, obj, ns)),
        ):  # fmt: skip
            api.answer(group, resource, "", review_endpoint(answer))
        api.answer("", "serviceaccounts", "token", review_endpoint(reviews.token_request))

    def _add_connections(self, api: Api) -> None:
        pki = self.options.home / "pki"
        locator = Locator(
            self.reader, certificate=pki / "apiserver-kubelet-client.crt", key=pki / "apiserver-kubelet-client.key",
            authority=self.options.kubelet_certificate_authority,
            address_types=self.options.kubelet_preferred_address_types,
        )
        if self.options.metrics_api:
            self._add_metrics(api, locator)
        connections = Connections(locator, self.proxy, self.pipeline)
        api.answer("", "pods", "log", connections.log)
        for name in ("exec", "attach", "portforward"):
            api.answer("", "pods", name, connections.stream)
        for resource in ("pods", "services", "nodes"):
            api.answer("", resource, "proxy", connections.proxy)

    def _add_metrics(self, api: Api, locator: Locator) -> None:
        self.kinds.add(*METRICS_KINDS)
        self.summaries = SummarySource(locator, time.monotonic)
        metrics = MetricsEndpoints(self.reader, self.summaries)
        api.answer("metrics.k8s.io", "nodes", "", metrics.nodes)
        api.answer("metrics.k8s.io", "pods", "", metrics.pods)

    def _add_key_documents(self, paths: Paths) -> None:
        keys = verifying_keys(self.auth_options)
        issuer = self.auth_options.service_account_issuer
        uri = f"{self.options.url}{KEYS_PATH}"

        def serve(doc: dict[str, Any], media: str) -> Callable[[RequestContext], Awaitable[Reply]]:
            body = encode_json(doc)

            async def handler(context: RequestContext) -> Reply:
                negotiate(context.accept, (media,))
                return Reply(body, media)

            return handler

        paths.add(CONFIGURATION_PATH, serve(openid_configuration(issuer, uri, keys), JSON))
        paths.add(KEYS_PATH, serve(key_set(keys), KEYS_MEDIA_TYPE))


def _validator() -> Any:
    """Validation of the kinds that have rules; of the others only what holds for every update."""
    from apiserver import validation

    known = validation.rules._table()

    def validate(kind: Kind, obj: dict[str, Any], old: dict[str, Any] | None, subresource: str) -> list[dict[str, Any]]:
        if kind.custom or (kind.group, kind.kind) in known:
            return validation.validate(kind, obj, old, subresource)
        return update_causes(obj, old) if old is not None else []  # once more, as upstream's strategies do

    return validate
