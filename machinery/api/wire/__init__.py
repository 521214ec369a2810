"""The protobuf form of objects, driven by one table of fields instead of generated classes."""

from machinery.api.wire.codec import (
    CONTENT_TYPE,
    STREAM_CONTENT_TYPE,
    WireError,
    decode_object,
    decode_watch_frames,
    encode_object,
    encode_watch_frame,
    has_wire_form,
)

__all__ = [
    "CONTENT_TYPE",
    "STREAM_CONTENT_TYPE",
    "WireError",
    "decode_object",
    "decode_watch_frames",
    "encode_object",
    "encode_watch_frame",
    "has_wire_form",
]
