"""The garbage collector's graph and decisions; the end of namespaces; discovery."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controllers.discovery import Resource, parse_aggregated, parse_list
from controllers.garbagecollector.graph import Graph
from controllers.garbagecollector.plan import known_state, plan_node
from controllers.namespace.plan import Remains, deletable, display_name, finalized, with_conditions
from tests.unit.controllers.builders import NOW, ago


def obj(uid, *owners, namespace="ns", finalizers=(), deleting=False):
    refs = [{"apiVersion": "v1", "kind": "ConfigMap", "name": owner.rstrip("!"), "uid": owner.rstrip("!"),
             "blockOwnerDeletion": owner.endswith("!")} for owner in owners]  # fmt: skip
    made = {"metadata": {"name": uid, "uid": uid, "namespace": namespace, "resourceVersion": "1",
                         "ownerReferences": refs, "finalizers": list(finalizers)}}  # fmt: skip
    if deleting:
        made["metadata"]["deletionTimestamp"] = ago(1)
    return made


def observe(graph, made):
    return graph.observe("v1", "ConfigMap", "configmaps", made)


def decide(graph, uid, **states):
    node = graph.nodes[uid]
    found = {ref["uid"]: states.get(ref["uid"]) or known_state(graph, node, ref) for ref in node.owners}
    return plan_node(graph, node, found)


def graph_of(*objects):
    graph = Graph()
    for made in objects:
        observe(graph, made)
    return graph


def test_an_object_with_a_living_owner_stays():
    assert decide(graph_of(obj("owner"), obj("child", "owner")), "child").act == "nothing"


def test_an_unknown_owner_must_be_looked_for():
    graph = graph_of(obj("child", "owner"))
    assert known_state(graph, graph.nodes["child"], graph.nodes["child"].owners[0]) is None
    graph.mark_absent("owner")
    decision = decide(graph, "child")
    assert (decision.act, decision.policy) == ("delete", "Background")


def test_deleting_an_owner_brings_its_dependents_up():
    graph = graph_of(obj("owner"), obj("a", "owner"), obj("b", "owner"), obj("c"))
    assert graph.forget("owner") == {"a", "b"}
    assert decide(graph, "a").act == "delete"


def test_one_living_owner_among_dead_ones_keeps_the_object():
    graph = graph_of(obj("alive"), obj("child", "alive", "dead"))
    graph.mark_absent("dead")
    decision = decide(graph, "child")
    assert decision.act == "patch"
    assert [ref["uid"] for ref in decision.owners] == ["alive"]


def test_an_owner_in_another_namespace_is_no_owner():
    graph = graph_of(obj("owner", namespace="other"), obj("child", "owner"))
    assert decide(graph, "child").act == "delete"
    cluster = graph_of(obj("owner", namespace=""), obj("child", "owner"))
    assert decide(cluster, "child").act == "nothing"


def test_a_reference_with_the_wrong_name_is_dangling():
    graph = graph_of(obj("owner"), obj("child", "owner"))
    graph.nodes["child"].owners[0]["name"] = "another"
    assert decide(graph, "child").act == "delete"


def test_foreground_waits_for_blockers_only():
    owner = obj("owner", finalizers=["foregroundDeletion"], deleting=True)
    graph = graph_of(owner, obj("blocks", "owner!"), obj("loose", "owner"))
    assert decide(graph, "owner").act == "foreground"
    assert [node.uid for node in graph.blockers_of("owner")] == ["blocks"]
    assert decide(graph, "blocks").act == "delete"
    assert graph.forget("blocks") == {"owner"}
    assert graph.blockers_of("owner") == []


def test_a_dependent_with_dependents_goes_in_the_foreground_too():
    owner = obj("owner", finalizers=["foregroundDeletion"], deleting=True)
    graph = graph_of(owner, obj("middle", "owner!"), obj("leaf", "middle!"))
    decision = decide(graph, "middle")
    assert (decision.act, decision.policy, decision.unblock) == ("delete", "Foreground", False)


def test_a_cycle_is_broken():
    first = obj("first", "second!", finalizers=["foregroundDeletion"], deleting=True)
    graph = graph_of(first, obj("second", "first!"))
    decision = decide(graph, "second")
    assert decision.unblock
    assert all(ref["blockOwnerDeletion"] is False for ref in decision.owners)


def test_orphaning_and_own_finalizers():
    graph = graph_of(obj("owner", finalizers=["orphan"], deleting=True), obj("child", "owner"))
    assert decide(graph, "owner").act == "orphan"
    graph = graph_of(obj("child", "dead", finalizers=["orphan"]))
    graph.mark_absent("dead")
    assert decide(graph, "child").policy == "Orphan"


def test_what_is_deleted_already_is_left_alone():
    graph = graph_of(obj("child", "dead", deleting=True))
    graph.mark_absent("dead")
    assert decide(graph, "child").act == "nothing"


def test_releasing_a_dependent_wakes_the_waiting_owner():
    graph = graph_of(obj("owner", finalizers=["foregroundDeletion"], deleting=True), obj("child", "owner!"))
    assert observe(graph, obj("child")) == {"owner"}
    assert graph.blockers_of("owner") == []


@settings(max_examples=80)
@given(st.lists(st.tuples(st.integers(0, 6), st.sets(st.integers(0, 6), max_size=3), st.booleans()), max_size=40))
def test_dependents_are_always_the_inverse_of_owners(events):
    graph = Graph()
    for number, owners, gone in events:
        uid = f"u{number}"
        if gone:
            graph.forget(uid)
        else:
            observe(graph, obj(uid, *(f"u{owner}" for owner in owners)))
        expected: dict[str, set[str]] = {}
        for node in graph.nodes.values():
            for owner in node.owner_uids():
                expected.setdefault(owner, set()).add(node.uid)
        assert graph.dependents == expected


# --- namespaces ---------------------------------------------------------------------------------------------------

PODS = Resource("v1", "pods", "Pod", True, frozenset({"delete", "list", "deletecollection"}))
SECRETS = Resource("v1", "secrets", "Secret", True, frozenset({"delete", "list", "deletecollection"}))
NODES = Resource("v1", "nodes", "Node", False, frozenset({"delete", "list"}))
REVIEWS = Resource("v1", "bindings", "Binding", True, frozenset({"create"}))


def test_pods_go_first_and_only_what_can_be_deleted():
    assert deletable([SECRETS, NODES, REVIEWS, PODS]) == [PODS, SECRETS]
    assert display_name(SECRETS) == "secrets."
    assert display_name(Resource("apps/v1", "deployments", "Deployment", True, frozenset())) == "deployments.apps"


def test_conditions_as_recorded():
    remains = Remains({"secrets.": 1}, {"example.com/nobody": 1})
    conditions = with_conditions([], remains, NOW)
    assert [item["status"] for item in conditions] == ["False", "False", "False", "True", "True"]
    assert [item["reason"] for item in conditions] == [
        "ResourcesDiscovered", "ParsedGroupVersions", "ContentDeleted", "SomeResourcesRemain", "SomeFinalizersRemain",
    ]  # fmt: skip
    assert conditions[3]["message"] == "Some resources are remaining: secrets. has 1 resource instances"
    assert conditions[4]["message"] == (
        "Some content in the namespace has finalizers remaining: example.com/nobody in 1 resource instances"
    )
    conditions[3]["lastTransitionTime"] = ago(60)
    again = with_conditions(conditions, Remains({"secrets.": 2}), NOW)
    assert again[3]["lastTransitionTime"] == ago(60)
    assert again[4]["reason"] == "ContentHasNoFinalizers"


@pytest.mark.parametrize(
    ("remains", "empty"),
    [
        (Remains(), True), (Remains({"pods.": 1}), False), (Remains(discovery_errors=["x/v1"]), False),
        (Remains(deletion_errors=["boom"]), False),
    ],
)  # fmt: skip
def test_a_namespace_goes_only_when_nothing_can_be_left(remains, empty):
    assert remains.nothing_left is empty


def test_finalizing_removes_our_finalizer_only():
    made = {"metadata": {"name": "n"}, "spec": {"finalizers": ["kubernetes", "other"]}}
    assert finalized(made)["spec"]["finalizers"] == ["other"]
    assert made["spec"]["finalizers"] == ["kubernetes", "other"]


# --- discovery ----------------------------------------------------------------------------------------------------


def test_aggregated_discovery_prefers_the_first_version():
    document = {"items": [{"metadata": {"name": "g"}, "versions": [
        {"version": "v2", "resources": [{"resource": "a", "responseKind": {"kind": "A"}, "scope": "Namespaced",
                                         "verbs": ["list"]}]},
        {"version": "v1", "freshness": "Stale", "resources": [
            {"resource": "a", "responseKind": {"kind": "A"}, "scope": "Namespaced", "verbs": ["list"]},
            {"resource": "b", "responseKind": {"kind": "B"}, "scope": "Cluster", "verbs": ["get"]}]},
    ]}]}  # fmt: skip
    preferred, versions, failed = parse_aggregated(document)
    found = [(item.gv, item.plural, item.namespaced) for item in preferred]
    assert found == [("g/v2", "a", True), ("g/v1", "b", False)]
    assert len(versions) == 3
    assert failed == ["g/v1"]


def test_plain_discovery_skips_subresources():
    found = parse_list({"groupVersion": "apps/v1", "resources": [
        {"name": "deployments", "kind": "Deployment", "namespaced": True, "verbs": ["list", "watch"]},
        {"name": "deployments/scale", "kind": "Scale", "namespaced": True, "verbs": ["get"]}]})  # fmt: skip
    assert [item.group_resource for item in found] == ["deployments.apps"]
    assert found[0].can("list", "watch")
    assert not found[0].can("delete")
