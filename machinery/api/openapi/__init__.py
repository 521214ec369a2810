"""OpenAPI documents: the v3 index with a document a group-version, and the v2 document of everything.

They are big (the core group's is 560 kB) and asked for rarely, so nothing stays in memory: definitions are read from
disk for each document, and the caller gets bytes with a hash, to keep or to drop. The hash depends on the rows of
the table and the custom schemas alone, so the index needs no document to be built.

``schemas`` maps a custom :class:`Kind` to its structural schema (``openAPIV3Schema``).
"""

from __future__ import annotations

from machinery.api.openapi.v2 import document_v2, openapi_v2
from machinery.api.openapi.v2_wire import v2_protobuf
from machinery.api.openapi.v3 import document_hash, document_v3, index_v3, openapi_v3

__all__ = ["document_hash", "document_v2", "document_v3", "index_v3", "openapi_v2", "openapi_v3", "v2_protobuf"]
