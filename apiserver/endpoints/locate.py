"""Where a pod's agent, a pod or a service answers. Reads the cache; connects to nothing."""

from __future__ import annotations

import ipaddress
import random
import ssl
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from multidict import MultiMapping

from apiserver.endpoints.options import is_true
from apiserver.registry.interface import ObjectReader
from apiserver.server.takeover import Backend
from machinery.meta.errors import ApiError, bad_request, not_found, service_unavailable
from machinery.meta.objects import Object

AGENT_PORT = 10250
_CONTAINER_LISTS = ("containers", "initContainers", "ephemeralContainers")


class Locator:
    def __init__(
        self, reader: ObjectReader, *, certificate: Path, key: Path, authority: Path | None,
        address_types: Sequence[str],
    ) -> None:
        self._reader = reader
        self._files = (certificate, key, authority)
        self._address_types = tuple(address_types)
        self._agent_tls: ssl.SSLContext | None = None
        self._open_tls: ssl.SSLContext | None = None

    # -- agents

    def agent(self, node_name: str, path: str, query: Sequence[tuple[str, str]]) -> Backend:
        node = self._reader.get("", "nodes", "", node_name)
        if node is None:
            raise not_found("", "pods", node_name)
        target = quote(path, safe="/:") + (f"?{urlencode(query)}" if query else "")
        return Backend(self._address(node), agent_port(node), target, self._tls())

    def _address(self, node: Object) -> str:
        addresses = (node.get("status") or {}).get("addresses") or ()
        for wanted in self._address_types:
            for each in addresses:
                if each.get("type") == wanted:
                    return str(each["address"])
        name = node["metadata"]["name"]
        types = ", ".join(self._address_types)
        text = f"no preferred addresses found; known addresses: [] (node {name}, wanted {types})"
        raise ApiError(500, "", text, None)

    def _tls(self) -> ssl.SSLContext:
        """Our client certificate. The agent's own certificate is checked only if we are told whose it must be."""
        if self._agent_tls is None:
            certificate, key, authority = self._files
            context = ssl.create_default_context(cafile=str(authority) if authority else None)
            if authority is None:
                context.check_hostname = False
                context.verify_mode = ssl.CERT_NONE
            context.load_cert_chain(certificate, key)
            self._agent_tls = context
        return self._agent_tls

    def _any_tls(self) -> ssl.SSLContext:
        """To pods and services that speak TLS: nobody has told us whose certificates they have."""
        if self._open_tls is None:
            self._open_tls = ssl.create_default_context()
            self._open_tls.check_hostname = False
            self._open_tls.verify_mode = ssl.CERT_NONE
        return self._open_tls

    # -- streams of a pod

    @staticmethod
    def container(pod: Object, asked: str) -> str:
        """The container that is meant: as named, or the only one."""
        spec, name = pod["spec"], pod["metadata"]["name"]
        groups = [[each["name"] for each in spec.get(part) or ()] for part in _CONTAINER_LISTS]
        if asked:
            if not any(asked in group for group in groups):
                raise bad_request(f"container {asked} is not valid for pod {name}")
            return asked
        if len(groups[0]) == 1:
            return str(groups[0][0])
        text = f"a container name must be specified for pod {name}, choose one of: [{' '.join(groups[0])}]"
        if groups[1]:
            text += f" or one of the init containers: [{' '.join(groups[1])}]"
        if groups[2]:
            text += f" or one of the ephemeral containers: [{' '.join(groups[2])}]"
        raise bad_request(text)

    def stream_target(
        self, pod: Object, what: str, query: MultiMapping[str]
    ) -> tuple[str, list[tuple[str, str]]]:
        """Path and query at the agent for exec, attach and portforward."""
        meta = pod["metadata"]
        where = f"{meta['namespace']}/{meta['name']}"
        wanted: list[tuple[str, str]] = []
        container = "" if what == "portforward" else self.container(pod, query.get("container", ""))
        if not pod["spec"].get("nodeName"):
            raise bad_request(f"pod {meta['name']} does not have a host assigned")
        if what == "portforward":
            return f"/portForward/{where}", [("port", port) for port in query.getall("ports", [])]
        for ours, theirs in (("stdin", "input"), ("stdout", "output"), ("stderr", "error"), ("tty", "tty")):
            if is_true(query.get(ours)):
                wanted.append((theirs, "1"))
        if what == "exec":
            wanted += [("command", word) for word in query.getall("command", [])]
        return f"/{what}/{where}/{container}", wanted

    # -- proxies

    async def proxy_target(self, resource: str, namespace: str, name: str, path: str, query: str) -> Backend:
        scheme, name, port = split_proxy_name(name)
        target = (path or "/") + (f"?{query}" if query else "")
        if resource == "nodes":
            return self._node_target(name, port, target)
        if resource == "pods":
            host, number = self._pod_target(namespace, name, port)
        else:
            host, number = self._service_target(namespace, name, port)
        check_address(host)
        return Backend(host, number, target, self._any_tls() if scheme == "https" else None)

    def _node_target(self, name: str, port: str, target: str) -> Backend:
        node = self._reader.get("", "nodes", "", name)
        if node is None:
            raise not_found("", "nodes", name)
        number = int(port) if port.isdigit() else agent_port(node)
        tls = self._tls() if number == agent_port(node) else None
        return Backend(self._address(node), number, target, tls)

    def _pod_target(self, namespace: str, name: str, port: str) -> tuple[str, int]:
        pod = self._reader.get("", "pods", namespace, name)
        if pod is None:
            raise not_found("", "pods", name)
        number = _number(port) or _pod_port(pod, port)
        return (pod.get("status") or {}).get("podIP") or "", number

    def _service_target(self, namespace: str, name: str, port: str) -> tuple[str, int]:
        service = self._reader.get("", "services", namespace, name)
        endpoints = self._reader.get("", "endpoints", namespace, name)
        if service is None or endpoints is None:
            raise not_found("", "services", name)
        port_name = _service_port_name(service, port)
        if port_name is None:
            raise service_unavailable(f'no service port "{port}" found for service "{name}"')
        candidates = [
            (address["ip"], each["port"])
            for subset in endpoints.get("subsets") or ()
            for each in subset.get("ports") or () if (each.get("name") or "") == port_name
            for address in subset.get("addresses") or ()
        ]  # fmt: skip
        if not candidates:
            raise service_unavailable(f'no endpoints available for service "{name}"')
        return random.choice(candidates)


def agent_port(node: Object) -> int:
    endpoint = ((node.get("status") or {}).get("daemonEndpoints") or {}).get("kubeletEndpoint") or {}
    return int(endpoint.get("Port") or AGENT_PORT)


def split_proxy_name(text: str) -> tuple[str, str, str]:
    """``[scheme:]name[:port]``."""
    parts = text.split(":")
    if len(parts) == 3:
        return parts[0], parts[1], parts[2]
    return ("", parts[0], parts[1]) if len(parts) == 2 else ("", text, "")


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() else 0


def _pod_port(pod: Object, name: str) -> int:
    for container in pod["spec"].get("containers") or ():
        for port in container.get("ports") or ():
            if not name or port.get("name") == name:
                return int(port["containerPort"])
    return 80


def _service_port_name(service: Object, port: str) -> str | None:
    """The name by which endpoints know the port."""
    ports: Sequence[Any] = (service.get("spec") or {}).get("ports") or ()
    if not port:
        return ports[0].get("name") or "" if len(ports) == 1 else ("" if not ports else None)
    for each in ports:
        if port in (each.get("name"), str(each.get("port"))):
            return each.get("name") or ""
    return None


def check_address(host: str) -> None:
    """A pod must not lead us to ourselves."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        raise bad_request("address not allowed") from None
    if address.is_loopback or address.is_link_local or address.is_multicast or address.is_unspecified:
        raise bad_request("address not allowed")
