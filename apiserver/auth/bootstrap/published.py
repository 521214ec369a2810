"""What the server publishes of its authentication: how others know its clients, and since when tokens are tracked."""

from __future__ import annotations

import json
from functools import partial
from typing import Any

from apiserver.auth.build import AuthOptions
from apiserver.registry.interface import ObjectReader, ObjectWriter
from machinery.meta.errors import is_already_exists

Object = dict[str, Any]

NAMESPACE = "kube-system"
AUTHENTICATION = "extension-apiserver-authentication"
TRACKING = "kube-apiserver-legacy-service-account-token-tracking"


async def ensure_published(options: AuthOptions, reader: ObjectReader, writer: ObjectWriter) -> None:
    await _ensure(AUTHENTICATION, authentication_data(options), reader, writer)
    if reader.get("", "configmaps", NAMESPACE, TRACKING) is None:
        await _ensure(TRACKING, {"since": options.clock.now().strftime("%Y-%m-%d")}, reader, writer)


def authentication_data(options: AuthOptions) -> dict[str, str]:
    """The authorities and header names by which an extension server believes a request that we pass on."""
    data: dict[str, str] = {}
    if options.client_ca_file is not None:
        data["client-ca-file"] = options.client_ca_file.read_text()
    if options.requestheader_client_ca_file is not None:
        data["requestheader-client-ca-file"] = options.requestheader_client_ca_file.read_text()
        data["requestheader-allowed-names"] = json.dumps(list(options.requestheader_allowed_names))
        data["requestheader-username-headers"] = '["X-Remote-User"]'
        data["requestheader-group-headers"] = '["X-Remote-Group"]'
        data["requestheader-extra-headers-prefix"] = '["X-Remote-Extra-"]'
    return data


async def _ensure(name: str, data: dict[str, str], reader: ObjectReader, writer: ObjectWriter) -> None:
    present = reader.get("", "configmaps", NAMESPACE, name)
    if present is None:
        try:
            await writer.create("", "configmaps", NAMESPACE, {"metadata": {"name": name}, "data": data})
        except Exception as error:  # another server of the cluster may have been quicker
            if not is_already_exists(error):
                raise
    elif present.get("data") != data:
        await writer.update("", "configmaps", NAMESPACE, name, partial(_with_data, data))


def _with_data(data: dict[str, str], config_map: Object) -> Object:
    return {**config_map, "data": data}
