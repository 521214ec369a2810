"""The server of the API server's tests."""

from tests.component.apiserver.conftest import plane

__all__ = ["plane"]
