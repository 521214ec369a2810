"""JSON patch (RFC 6902), with the liberties that upstream takes.

Clients have come to rely on what upstream's library does beyond the RFC: replacing a missing map key adds it,
copying from a missing key copies null, a missing `value` is null, negative indexes count from the end, and a path
without the leading slash loses its first part. Everything else that does not apply is one and the same refusal,
422, without a word on why.

Containers on the way to a change are copied, the rest is shared with the input, which stays as it was.
"""

from __future__ import annotations

from typing import Any

import orjson

from machinery.meta.errors import ApiError, bad_request, too_large
from machinery.meta.go_format import go_type

MAX_OPERATIONS = 10_000
MAX_COPIED_BYTES = 3 << 20  # what all `copy` operations of one patch may add: a small patch must not make a huge object
_MEMBERS = frozenset(("op", "path", "from", "value"))
_REFUSED = "the server rejected our request due to an error in our request"

Operation = dict[str, Any]


class _Refused(Exception):
    """The operation does not apply; becomes the one 422."""


def parse_json_patch(body: bytes) -> list[Operation]:
    """Decode a request body. `null` is a patch of nothing."""
    try:
        patch = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise bad_request(f"error decoding patch: {json_complaint(body, error)}") from None
    if patch is None:
        return []
    if not isinstance(patch, list):
        raise bad_request(f"error decoding patch: json: cannot unmarshal {go_type(patch)} into Go value of type "
                          "[]handlers.jsonPatchOp")
    for operation in patch:
        if operation is not None and not isinstance(operation, dict):
            raise bad_request(f"error decoding patch: json: cannot unmarshal {go_type(operation)} into Go value of "
                              "type handlers.jsonPatchOp")
    if len(patch) > MAX_OPERATIONS:
        raise too_large("Request entity too large: The allowed maximum operations in a JSON patch is "
                        f"{MAX_OPERATIONS}, got {len(patch)}")
    return [operation or {} for operation in patch]


def json_complaint(body: bytes, error: Exception | None = None) -> str:
    """What upstream's decoder says of the two mistakes people make: a body cut off, or no JSON at all."""
    text = body.strip()
    if not text:
        return "unexpected end of JSON input"
    word = text[:1] in b"tfn" and not text.startswith((b"true", b"false", b"null"))
    if word or text[:1] not in b'{["-0123456789tfn':
        return f"invalid character '{chr(text[0])}' looking for beginning of value"
    position = getattr(error, "pos", None)
    rest = text[position:] if isinstance(position, int) else b""
    if position is None or not rest.strip():
        return "unexpected end of JSON input"
    return f"invalid character '{chr(rest.strip()[0])}' looking for beginning of value"


def unknown_operation_members(patch: list[Operation]) -> list[str]:
    """Strictness: members of operations that mean nothing, in the words of the warning."""
    return [
        f'json patch unknown field "[{i}].{member}"'
        for i, operation in enumerate(patch)
        for member in operation
        if member not in _MEMBERS
    ]


def apply_json_patch(document: Any, patch: list[Operation]) -> Any:
    """The document after all operations, or an error; never part of them."""
    root = _Copier(document)
    try:
        for operation in patch:
            _apply(root, operation)
    except _Refused as error:
        raise ApiError(422, "Invalid", _REFUSED, {}) from error
    return root.value


class _Copier:
    """A document whose containers are copied the first time they are changed."""

    def __init__(self, value: Any) -> None:
        self.value = value
        self.owned: set[int] = set()
        self.keep: list[Any] = []  # holds what `owned` names, so that no id is used twice
        self.copied_bytes = 0

    def own(self, container: Any) -> Any:
        if id(container) in self.owned:
            return container
        mine = container.copy()
        self.owned.add(id(mine))
        self.keep.append(mine)
        return mine

    def parent(self, path: str, change: bool) -> tuple[Any, str]:
        """The container that `path` points into, ready to be changed, and the last part of the path."""
        parts = path.split("/")
        if len(parts) < 2:
            raise _Refused(path)
        if not isinstance(self.value, dict | list):
            raise _Refused(path)
        if change:
            self.value = self.own(self.value)
        at = self.value
        for raw in parts[1:-1]:
            key: Any = _decode(raw)
            if isinstance(at, list):
                key = _index(key, len(at))
            inner = at[key] if isinstance(at, list) else at.get(key)
            if not isinstance(inner, dict | list):
                raise _Refused(path)
            if change:
                inner = at[key] = self.own(inner)
            at = inner
        return at, _decode(parts[-1])


def _apply(root: _Copier, operation: Operation) -> None:
    name, path = operation.get("op"), operation.get("path")
    if not isinstance(path, str):
        raise _Refused("path")
    value = operation.get("value")
    if name == "add":
        _add(root, path, value)
    elif name == "replace":
        container, key = root.parent(path, change=True)
        if isinstance(container, list):
            container[_index(key, len(container))] = value
        else:
            container[key] = value
    elif name == "remove":
        _remove(root, path)
    elif name == "move":
        source = _source(operation)
        moved = _get(root, source)
        _remove(root, source)
        _add(root, path, moved)
    elif name == "copy":
        copied = _get(root, _source(operation))
        root.copied_bytes += len(orjson.dumps(copied))
        if root.copied_bytes > MAX_COPIED_BYTES:
            raise _Refused("copies are too large")
        _add(root, path, copied)
    elif name == "test":
        if path == "":
            found = root.value
        else:
            found = _get(root, path)
        if not json_equal(found, value):
            raise _Refused("test")
    else:
        raise _Refused(f"op {name!r}")


def _source(operation: Operation) -> str:
    source = operation.get("from")
    if not isinstance(source, str):
        raise _Refused("from")
    return source


def _get(root: _Copier, path: str) -> Any:
    container, key = root.parent(path, change=False)
    return container[_index(key, len(container))] if isinstance(container, list) else container.get(key)


def _add(root: _Copier, path: str, value: Any) -> None:
    container, key = root.parent(path, change=True)
    if isinstance(container, list):
        # One past the end is a place to add at; -1 then means the end.
        at = len(container) if key == "-" else _index(key, len(container) + 1)
        container.insert(at, value)
    else:
        container[key] = value


def _remove(root: _Copier, path: str) -> None:
    container, key = root.parent(path, change=True)
    if isinstance(container, list):
        del container[_index(key, len(container))]
    elif key in container:
        del container[key]
    else:
        raise _Refused(path)


def _decode(part: str) -> str:
    return part.replace("~1", "/").replace("~0", "~") if "~" in part else part


def _index(text: str, size: int) -> int:
    digits = text[1:] if text[:1] in ("-", "+") else text
    if not (digits.isascii() and digits.isdigit()):
        raise _Refused(text)
    index = int(text)
    if index < 0:
        index += size
    if not 0 <= index < size:
        raise _Refused(text)
    return index


def json_equal(a: Any, b: Any) -> bool:
    """Equal as JSON: 1 and true differ, and so do 1 and 1.0."""
    if isinstance(a, dict):
        return isinstance(b, dict) and a.keys() == b.keys() and all(json_equal(v, b[k]) for k, v in a.items())
    if isinstance(a, list):
        return isinstance(b, list) and len(a) == len(b) and all(map(json_equal, a, b))
    return type(a) is type(b) and a == b
