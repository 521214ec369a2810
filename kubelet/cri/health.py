"""The gRPC health protocol's Check call, for gRPC probes. Two tiny messages, written and read by hand."""

from __future__ import annotations

import grpc

SERVING = 1
_STATUS_NAMES = {0: "UNKNOWN", 1: "SERVING", 2: "NOT_SERVING", 3: "SERVICE_UNKNOWN"}


def encode_request(service: str) -> bytes:
    """HealthCheckRequest: field 1, the service's name."""
    name = service.encode()
    length, size = b"", len(name)
    while size > 0x7F:
        length += bytes([size & 0x7F | 0x80])
        size >>= 7
    return b"\x0a" + length + bytes([size]) + name if name else b""


def decode_status(message: bytes) -> int:
    """HealthCheckResponse: field 1, the status; absent is 0."""
    return message[1] if len(message) >= 2 and message[0] == 0x08 else 0


async def check_health(address: str, service: str, timeout: float) -> str | None:
    """None when serving, else what is wrong."""
    async with grpc.aio.insecure_channel(address, options=[("grpc.enable_http_proxy", 0)]) as channel:
        call = channel.unary_unary("/grpc.health.v1.Health/Check")
        try:
            answer = await call(encode_request(service), timeout=timeout)
        except grpc.aio.AioRpcError as error:
            return _problem(error, address, timeout)
    status = decode_status(answer)
    if status == SERVING:
        return None
    return f"service unhealthy (responded with {_STATUS_NAMES.get(status, str(status))!r})".replace("'", '"')


def _problem(error: grpc.aio.AioRpcError, address: str, timeout: float) -> str:
    match error.code():
        case grpc.StatusCode.UNIMPLEMENTED:
            return "this server does not implement the grpc health protocol (grpc.health.v1.Health): " + (
                error.details() or ""
            )
        case grpc.StatusCode.DEADLINE_EXCEEDED:
            return f'timeout: health rpc did not complete within {timeout:g}s'
        case grpc.StatusCode.UNAVAILABLE:
            return f'timeout: failed to connect service "{address}" within {timeout:g}s: {error.details()}'
        case _:
            return f"rpc error: code = {error.code().name} desc = {error.details()}"
