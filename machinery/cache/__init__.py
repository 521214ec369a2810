"""Local copies that follow the server: see :mod:`machinery.cache.informer`."""

from machinery.cache.indexed_store import IndexedStore, Indexer
from machinery.cache.informer import Informer, InformerFactory

__all__ = ["IndexedStore", "Indexer", "Informer", "InformerFactory"]
