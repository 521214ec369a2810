"""What a cluster is born with besides its roles: flow control, and what others need to believe our clients."""

from __future__ import annotations

from typing import Any

from apiserver.auth.bootstrap.published import authentication_data, ensure_published
from apiserver.auth.build import AuthOptions
from apiserver.flowcontrol.bootstrap import AUTOUPDATE, ensure_flow_control, flow_schemas, plan_update, priority_levels
from machinery.meta.objects import deep_copy
from machinery.testing.fake_clock import FakeClock


class Cluster:
    def __init__(self) -> None:
        self.objects: dict[tuple[str, str], dict[str, Any]] = {}
        self.writes = 0

    def get(self, group: str, resource: str, namespace: str, name: str) -> dict[str, Any] | None:
        return self.objects.get((resource, name))

    async def create(self, group: str, resource: str, namespace: str, obj: dict[str, Any]) -> dict[str, Any]:
        self.writes += 1
        self.objects[resource, obj["metadata"]["name"]] = deep_copy(obj)
        return obj

    async def update(
        self, group: str, resource: str, namespace: str, name: str, change: Any, *, subresource: str = ""
    ) -> dict[str, Any]:
        self.writes += 1
        current = self.objects[resource, name]
        self.objects[resource, name] = change(deep_copy(current)) or current
        return self.objects[resource, name]

    async def apply_status(
        self, group: str, resource: str, namespace: str, name: str, status: dict[str, Any], *, manager: str
    ) -> dict[str, Any]:
        self.writes += 1
        self.objects[resource, name]["status"] = deep_copy(status)
        return self.objects[resource, name]


async def test_a_second_start_writes_nothing(options: AuthOptions, clock: FakeClock) -> None:
    cluster: Any = Cluster()
    for writes in (True, False):
        cluster.writes = 0
        await ensure_flow_control(cluster, cluster, clock)
        await ensure_published(options, cluster, cluster)
        assert bool(cluster.writes) is writes


async def test_every_schema_names_a_level_that_is_there(clock: FakeClock) -> None:
    levels = {level["metadata"]["name"] for level in priority_levels()}
    assert {schema["spec"]["priorityLevelConfiguration"]["name"] for schema in flow_schemas()} <= levels
    precedences = {schema["metadata"]["name"]: schema["spec"]["matchingPrecedence"] for schema in flow_schemas()}
    assert min(precedences, key=precedences.__getitem__) == "exempt"
    assert max(precedences, key=precedences.__getitem__) == "catch-all"


def test_a_schema_follows_the_tables_until_someone_takes_it_over() -> None:
    wanted = flow_schemas()[3]
    present = deep_copy(wanted)
    assert plan_update(wanted, present) is None
    present["spec"]["matchingPrecedence"] = 7
    assert plan_update(wanted, present) == wanted
    present["metadata"]["annotations"][AUTOUPDATE] = "false"
    assert plan_update(wanted, present) is None


def test_the_published_authorities_are_the_configured_ones(options: AuthOptions) -> None:
    data = authentication_data(options)
    assert options.client_ca_file is not None
    assert data["client-ca-file"] == options.client_ca_file.read_text()
    assert data["requestheader-allowed-names"] == '["front-proxy-client"]'
