"""GET of nodes and pods in ``metrics.k8s.io``: selected from the cache, measured by the agents."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from apiserver.endpoints.options import ListOptions, read_list_options
from apiserver.endpoints.request import Request, reply
from apiserver.metricsapi.documents import node_metrics, pod_metrics, pods_of_summaries
from apiserver.metricsapi.source import SummarySource
from apiserver.registry.interface import ObjectReader
from apiserver.server.negotiate import CUSTOM_TYPES, negotiate
from apiserver.server.responses import Reply
from machinery.meta.errors import bad_request, method_not_allowed, not_found
from machinery.meta.selectors import SelectorError, parse_field_selector, parse_label_selector

Object = dict[str, Any]
GROUP = "metrics.k8s.io"


class MetricsEndpoints:
    """Read-only, never stored, no watch."""

    def __init__(self, reader: ObjectReader, source: SummarySource) -> None:
        self._reader, self._source = reader, source

    async def nodes(self, request: Request) -> Reply:
        chosen = self._chosen(request, "nodes")
        summaries = await self._source.summaries(node["metadata"]["name"] for node in chosen)
        made = [node_metrics(node, summaries.get(node["metadata"]["name"], {})) for node in chosen]
        return self._answer(request, "nodes", [each for each in made if each is not None])

    async def pods(self, request: Request) -> Reply:
        chosen = [pod for pod in self._chosen(request, "pods") if pod["spec"].get("nodeName")]
        names = dict.fromkeys(pod["spec"]["nodeName"] for pod in chosen)
        known = [name for name in names if self._reader.get("", "nodes", "", name) is not None]
        measured = pods_of_summaries((await self._source.summaries(known)).values())
        made = []
        for pod in chosen:
            meta = pod["metadata"]
            document = pod_metrics(pod, measured.get((meta["namespace"], meta["name"]), {}))
            if document is not None:
                made.append(document)
        return self._answer(request, "pods", made)

    def _chosen(self, request: Request, resource: str) -> Sequence[Object]:
        route = request.route
        if route.verb not in ("get", "list"):
            raise method_not_allowed()
        if route.name:
            found = self._reader.get("", resource, route.namespace, route.name)
            if found is None:
                raise not_found(GROUP, resource, route.name)
            return [found]
        keep = _filter(read_list_options(request.context.query, watch=False))
        found_all = [obj for obj in self._reader.list("", resource, route.namespace) if keep(obj)]
        return sorted(found_all, key=lambda obj: (obj["metadata"].get("namespace", ""), obj["metadata"]["name"]))

    def _answer(self, request: Request, resource: str, made: list[Object]) -> Reply:
        # No protobuf: these kinds are not in the tables of the codec, and clients take JSON as well.
        media = negotiate(request.context.accept, CUSTOM_TYPES, transforms=True)
        presenter = request.presenter(media)
        if not request.route.name:
            return reply(presenter.objects(made, {}), media)
        if not made:
            raise not_found(GROUP, resource, request.route.name)
        return reply(presenter.object(made[0]), media)


def _filter(options: ListOptions) -> Callable[[Object], bool]:
    try:
        labels = parse_label_selector(options.label_selector)
        fields = parse_field_selector(options.field_selector)
    except SelectorError as error:
        raise bad_request(str(error)) from None

    def keep(obj: Object) -> bool:
        meta = obj["metadata"]
        names = {"metadata.name": meta["name"], "metadata.namespace": meta.get("namespace", "")}
        return labels.matches(meta.get("labels") or {}) and fields.matches(names)

    return keep
