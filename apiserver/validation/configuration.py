"""ConfigMaps, Secrets, ServiceAccounts."""

from __future__ import annotations

import base64
from typing import Any

import orjson

from apiserver.validation.field import IMMUTABLE, Errors, Object
from apiserver.validation.objectmeta import validate_metadata, validate_metadata_update
from apiserver.validation.rules import Rules, revalidate
from machinery.meta import names
from machinery.meta.patches.json_patch import json_complaint

MAX_BYTES = 1 << 20
_WHEN_SET = "field is immutable when `immutable` is set"
#: Secret type -> keys its data must have.
_KEYS = {
    "kubernetes.io/dockercfg": (".dockercfg",), "kubernetes.io/dockerconfigjson": (".dockerconfigjson",),
    "kubernetes.io/tls": ("tls.crt", "tls.key"), "kubernetes.io/ssh-auth": ("ssh-privatekey",),
}


def _size_of(value: Any) -> int:
    return len(base64.b64decode(value or ""))


def create_config_map(errors: Errors, config: Object) -> None:
    validate_metadata(errors, config, True)
    data, binary = config.get("data") or {}, config.get("binaryData") or {}
    total = 0
    for key in sorted(data):
        errors.invalid_all(f"data[{key}]", key, names.config_map_key(key))
        if key in binary:
            errors.invalid(f"data[{key}]", key, "duplicate of key present in binaryData")
        total += len((data[key] or "").encode("utf-8", "surrogatepass"))
    for key in sorted(binary):
        errors.invalid_all(f"binaryData[{key}]", key, names.config_map_key(key))
        total += _size_of(binary[key])
    if total > MAX_BYTES:
        errors.too_long("", MAX_BYTES)


def update_config_map(errors: Errors, config: Object, old: Object, subresource: str) -> None:
    validate_metadata_update(errors, config, old)
    if old.get("immutable"):
        if not config.get("immutable"):
            errors.forbidden("immutable", _WHEN_SET)
        for field in ("data", "binaryData"):
            if (config.get(field) or {}) != (old.get(field) or {}):
                errors.forbidden(field, _WHEN_SET)
    create_config_map(errors, config)


def create_secret(errors: Errors, secret: Object) -> None:
    validate_metadata(errors, secret, True)
    data, kind = secret.get("data") or {}, secret.get("type") or ""
    total = 0
    for key in sorted(data):
        errors.invalid_all(f"data[{key}]", key, names.config_map_key(key))
        total += _size_of(data[key])
    if total > MAX_BYTES:
        errors.too_long("data", MAX_BYTES)
    if kind == "kubernetes.io/service-account-token":
        annotations = (secret.get("metadata") or {}).get("annotations") or {}
        if not annotations.get("kubernetes.io/service-account.name"):
            errors.required("metadata.annotations[kubernetes.io/service-account.name]")
    elif kind == "kubernetes.io/basic-auth":
        if "username" not in data and "password" not in data:
            errors.required("data[username]")
            errors.required("data[password]")
    for key in _KEYS.get(kind, ()):
        if key not in data:
            errors.required(f"data[{key}]")
        elif key.startswith(".docker"):
            _must_be_json(errors, f"data[{key}]", base64.b64decode(data[key] or ""))


def _must_be_json(errors: Errors, path: str, text: bytes) -> None:
    try:
        orjson.loads(text)
    except orjson.JSONDecodeError as error:
        errors.invalid(path, "<secret contents redacted>", json_complaint(text, error))


def update_secret(errors: Errors, secret: Object, old: Object, subresource: str) -> None:
    validate_metadata_update(errors, secret, old)
    errors.immutable("type", secret.get("type") or "", old.get("type") or "", IMMUTABLE)
    if old.get("immutable"):
        if not secret.get("immutable"):
            errors.forbidden("immutable", _WHEN_SET)
        if (secret.get("data") or {}) != (old.get("data") or {}):
            errors.forbidden("data", _WHEN_SET)
    create_secret(errors, secret)


def create_account(errors: Errors, account: Object) -> None:
    validate_metadata(errors, account, True)


RULES = {
    ("", "ConfigMap"): Rules(create_config_map, update_config_map),
    ("", "Secret"): Rules(create_secret, update_secret),
    ("", "ServiceAccount"): revalidate(create_account),
}
