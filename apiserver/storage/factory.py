"""From what the command line says to an engine. Engines are imported when asked for: gRPC costs 20 MB and 0.2 s."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from apiserver.storage.interface import Storage


def open_storage(
    kind: str, home: Path | str = ".", *, endpoints: Sequence[str] = (), ca_file: str = "", cert_file: str = "",
    key_file: str = "", keep_seconds: float = 300.0,
) -> Storage:
    """``kind`` is "memory", "sqlite" (HOME/db/navarch.db), "sqlite:PATH", "etcd" (with ``endpoints``) or an
    ``http(s)://host:port[,host:port…]`` address of etcd. The caller starts and closes it."""
    if kind == "memory":
        from apiserver.storage.memory import MemoryStorage

        return MemoryStorage(keep_seconds=keep_seconds)
    if kind == "sqlite" or kind.startswith("sqlite:"):
        from apiserver.storage.sqlite import SqliteStorage

        path = kind.partition(":")[2]
        return SqliteStorage(Path(path) if path else Path(home) / "db" / "navarch.db", keep_seconds=keep_seconds)
    if kind.startswith(("http://", "https://")):
        endpoints = kind.split(",")
    elif kind != "etcd":
        raise ValueError(f"unknown store {kind!r}: memory, sqlite, sqlite:PATH, etcd or the address of etcd")
    from apiserver.storage.etcd import EtcdStorage

    return EtcdStorage(
        list(endpoints) or ["http://127.0.0.1:2379"], ca_file=ca_file, cert_file=cert_file, key_file=key_file,
        keep_seconds=keep_seconds,
    )
