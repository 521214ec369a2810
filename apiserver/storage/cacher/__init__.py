"""The watch cache, one per resource."""

from __future__ import annotations

from apiserver.storage.cacher.cacher import CachedList, Cacher
from apiserver.storage.cacher.continuation import BadContinue, decode_continue, encode_continue
from apiserver.storage.cacher.entry import Entry
from apiserver.storage.cacher.events import Change, WatchEvent, bookmark_json
from apiserver.storage.cacher.predicate import EVERYTHING, Predicate, make_predicate
from apiserver.storage.cacher.watcher import Watcher

__all__ = [
    "EVERYTHING", "BadContinue", "CachedList", "Cacher", "Change", "Entry", "Predicate", "WatchEvent", "Watcher",
    "bookmark_json", "decode_continue", "encode_continue", "make_predicate",
]
