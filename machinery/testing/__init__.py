"""Fakes for tests; each stands behind the interface of the real thing."""

from machinery.testing.fake_clock import FakeClock

__all__ = ["FakeClock"]
