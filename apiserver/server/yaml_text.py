"""YAML as answers show it: sorted keys, text of several lines as blocks. Imported when first asked for."""

from __future__ import annotations

from typing import Any

import yaml


class _Dumper(yaml.CSafeDumper):
    pass


def _text(dumper: _Dumper, value: str) -> yaml.Node:
    style = "|" if "\n" in value else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)


_Dumper.add_representer(str, _text)


def dump(doc: Any) -> bytes:
    return yaml.dump(doc, Dumper=_Dumper, default_flow_style=False, allow_unicode=True).encode()
