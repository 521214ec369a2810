"""Objects from files: YAML or JSON, many in one, folders, standard input. Errors name the file and the place."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import yaml

SUFFIXES = (".yaml", ".yml", ".json")

Object = dict[str, Any]


class ManifestError(Exception):
    pass


def read_manifests(names: Iterable[str], *, recursive: bool = False) -> list[Object]:
    objects = []
    for name in names:
        if name == "-":
            objects += list(parse_objects(sys.stdin.buffer.read(), "STDIN"))
        else:
            for path in _files(Path(name), recursive):
                objects += list(parse_objects(path.read_bytes(), str(path)))
    if not objects:
        raise ManifestError("error: no objects passed to apply")
    return objects


def _files(path: Path, recursive: bool) -> list[Path]:
    if not path.exists():
        raise ManifestError(f'error: the path "{path}" does not exist')
    if not path.is_dir():
        return [path]
    found = path.rglob("*") if recursive else path.glob("*")
    files = sorted(entry for entry in found if entry.suffix in SUFFIXES and entry.is_file())
    if not files:
        raise ManifestError(f"error: error reading [{path}]: recognized file extensions are [.json .yaml .yml]")
    return files


def parse_objects(text: bytes, source: str) -> Iterator[Object]:
    """Every object of a text, lists opened."""
    try:
        documents = list(yaml.load_all(text, Loader=yaml.CSafeLoader))
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f" line {mark.line + 1}" if mark else ""
        problem = getattr(error, "problem", None) or str(error).splitlines()[0]
        complaint = f"error converting YAML to JSON: yaml:{place}: {problem}"
        raise ManifestError(f"error: error parsing {source}: {complaint}") from error
    for document in documents:
        if document is not None:
            yield from _open(document, source)


def _open(document: Any, source: str) -> Iterator[Object]:
    if not isinstance(document, dict):
        raise ManifestError(f"error: {source}: an object is a mapping, this is a {type(document).__name__}")
    missing = [key for key in ("apiVersion", "kind") if not document.get(key)]
    if missing:
        names = ", ".join(f"{key} not set" for key in missing)
        names = f"[{names}]" if len(missing) > 1 else names
        raise ManifestError(f'error: error validating "{source}": error validating data: {names}; if you choose to '
                            "ignore these errors, turn validation off with --validate=false")
    if document["kind"].endswith("List") and isinstance(document.get("items"), list):
        for item in document["items"]:
            yield from _open(item, source)
    else:
        yield document
