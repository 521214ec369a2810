"""Pure parts: which APIServices are wanted, where services answer, who is named to remote servers, merged discovery."""

from __future__ import annotations

from typing import Any

import pytest

from apiserver.aggregation.automatic import api_service, plan
from apiserver.aggregation.availability import LOCAL, PASSED, judge_service, plan_condition
from apiserver.aggregation.backend import identity_headers
from apiserver.aggregation.merging import aggregated, group, group_list
from apiserver.aggregation.registrations import Registrations, Remote, compile_remote
from apiserver.aggregation.services import ServiceError, resolve_service
from apiserver.auth.interface import User
from machinery.api.table import new_table


class Reader:
    def __init__(self, **objects: list[Any]) -> None:
        self.objects = objects

    def list(self, group: str, resource: str, namespace: str = "") -> list[Any]:
        return self.objects.get(resource, [])

    def get(self, group: str, resource: str, namespace: str, name: str) -> Any:
        return next((each for each in self.list(group, resource) if each["metadata"]["name"] == name), None)

    def on_change(self, group: str, resource: str, callback: Any) -> None: ...

    async def get_fresh(self, group: str, resource: str, namespace: str, name: str) -> Any: ...


def service(**spec: Any) -> Any:
    return {"metadata": {"name": "s"}, "spec": {"ports": [{"name": "web", "port": 443}], **spec}}


def endpoints(ready: bool = True) -> Any:
    return {
        "metadata": {"labels": {"kubernetes.io/service-name": "s"}}, "ports": [{"name": "web", "port": 8443}],
        "endpoints": [{"addresses": ["10.0.0.1"], "conditions": {"ready": ready}}],
    }  # fmt: skip


def remote(**more: Any) -> Remote:
    spec = {"group": "g.io", "version": "v1", "groupPriorityMinimum": 2000, "versionPriority": 10,
            "service": {"namespace": "n", "name": "s"}, **more}  # fmt: skip
    status = {"conditions": [{"type": "Available", "status": "True"}]}
    found = compile_remote({"metadata": {"name": "v1.g.io"}, "spec": spec, "status": status})
    assert found is not None
    return found


def test_a_ready_endpoint_is_taken() -> None:
    reader = Reader(services=[service()], endpointslices=[endpoints()])
    assert resolve_service(reader, "n", "s", 443) == ("10.0.0.1", 8443)
    external = Reader(services=[service(type="ExternalName", externalName="there.example")])
    assert resolve_service(external, "n", "s", 443) == ("there.example", 443)


@pytest.mark.parametrize(("reader", "why"), [
    (Reader(), 'service "s" not found'),
    (Reader(services=[service(ports=[{"port": 80}])]), 'no service port 443 found for service "s"'),
    (Reader(services=[service()], endpointslices=[endpoints(ready=False)]), 'no endpoints available for service "s"'),
])  # fmt: skip
def test_no_way_to_a_service(reader: Reader, why: str) -> None:
    with pytest.raises(ServiceError, match=why):
        resolve_service(reader, "n", "s", 443)


@pytest.mark.parametrize(("reader", "reason"), [
    (Reader(), "ServiceNotFound"), (Reader(services=[service(ports=[{"port": 80}])]), "ServicePortError"),
    (Reader(services=[service()]), "EndpointsNotFound"),
    (Reader(services=[service()], endpointslices=[endpoints(ready=False)]), "MissingEndpoints"),
])  # fmt: skip
def test_what_is_wrong_with_a_service(reader: Reader, reason: str) -> None:
    found = judge_service(remote(), reader)
    assert found is not None
    assert (found.available, found.reason) == (False, reason)


def test_nothing_wrong_with_a_service() -> None:
    assert judge_service(remote(), Reader(services=[service()], endpointslices=[endpoints()])) is None


def test_condition_is_written_when_it_changes() -> None:
    first = plan_condition({"metadata": {}}, LOCAL, "t1")
    assert first is not None
    assert plan_condition(first, LOCAL, "t2") is None
    second = plan_condition(first, PASSED, "t2")
    assert second is not None
    (condition,) = second["status"]["conditions"]
    assert (condition["reason"], condition["lastTransitionTime"]) == ("Passed", "t1")  # it was true all the time


def test_identity() -> None:
    user = User("ann", "7", ("a", "b"), {"example.com/scope": ("x", "y")})
    assert identity_headers(user) == (
        ("X-Remote-User", "ann"), ("X-Remote-Uid", "7"), ("X-Remote-Group", "a"), ("X-Remote-Group", "b"),
        ("X-Remote-Extra-example.com%2Fscope", "x"), ("X-Remote-Extra-example.com%2Fscope", "y"),
    )  # fmt: skip


def test_group_of_two_servers_lists_both_versions() -> None:
    doc = group(new_table(), "apps", [remote(group="apps", version="v2beta1")])
    assert doc is not None
    assert [each["version"] for each in doc["versions"]] == ["v1", "v2beta1"]


def test_groups_stand_by_priority() -> None:
    names = [each["name"] for each in group_list(new_table(), [remote(groupPriorityMinimum=20000)])["groups"]]
    assert names[0] == "g.io"
    names = [each["name"] for each in group_list(new_table(), [remote(groupPriorityMinimum=1)])["groups"]]
    assert names[-1] == "g.io"


def test_server_that_is_away_is_stale() -> None:
    away = remote()
    away.available, away.resources = False, [{"name": "pears", "kind": "Pear", "namespaced": True, "verbs": ["get"]}]
    (item,) = [each for each in aggregated(new_table(), [away])["items"] if each["metadata"]["name"] == "g.io"]
    assert item["versions"][0]["freshness"] == "Stale"
    assert item["versions"][0]["resources"][0]["resource"] == "pears"


def definition(name: str, *versions: str, established: bool = True) -> Any:
    conditions = [{"type": "Established", "status": "True" if established else "False"}]
    return {"spec": {"group": name, "versions": [{"name": each, "served": True} for each in versions]},
            "status": {"conditions": conditions}}  # fmt: skip


def test_custom_groups_have_api_services() -> None:
    definitions = [definition("a.io", "v1", "v2"), definition("b.io", "v1", established=False)]
    foreign = {"metadata": {"name": "v9.x.io"}, "spec": {"group": "x.io", "version": "v9"}}
    services = [api_service("a.io", "v1"), api_service("old.io", "v1"), foreign]
    assert plan(definitions, services) == ([("a.io", "v2")], ["v1.old.io"])


def test_own_conditions_are_no_reason_to_look_again() -> None:
    """Else a message that differs from look to look would be written for ever."""
    looks: list[int] = []
    registrations = Registrations(Reader())
    registrations.listen(lambda: looks.append(1))
    obj: dict[str, Any] = {"metadata": {"name": "v1.g.io"}, "spec": {"group": "g.io", "version": "v1"}}
    registrations._take("ADDED", obj)
    generation = registrations.generation
    registrations._take("MODIFIED", {**obj, "status": {"conditions": []}})
    assert len(looks) == 1
    assert registrations.generation > generation  # clients may see the difference, though
    registrations._take("MODIFIED", {**obj, "spec": {**obj["spec"], "versionPriority": 2}})
    registrations._take("DELETED", obj)
    assert len(looks) == 3
