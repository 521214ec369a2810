"""RBAC, the node authorizer, impersonation and escalation, by the words that clients see."""

from __future__ import annotations

import itertools
import time
from typing import Any

import pytest

from apiserver.auth.authorization import forbidden_error
from apiserver.auth.build import AuthOptions, Authorization, build_authorization
from apiserver.auth.interface import Attributes, User
from apiserver.auth.rbac.coverage import break_down, missing_parts, uncovered_rules
from machinery.meta.errors import ApiError

GROUP = "rbac.authorization.k8s.io"
ANN = User("ann", groups=("devs", "system:authenticated"))
NODE = User("system:node:n1", groups=("system:nodes", "system:authenticated"))


@pytest.fixture
def authorization(options: AuthOptions, reader: Any) -> Authorization:
    return build_authorization(options, reader)


def role(reader: Any, name: str, *rules: dict[str, Any], namespace: str = "ns") -> None:
    resource = "roles" if namespace else "clusterroles"
    reader.put(resource, {"metadata": {"namespace": namespace, "name": name}, "rules": list(rules)}, GROUP)


def bind(reader: Any, name: str, subject: dict[str, str], *, kind: str = "Role", namespace: str = "ns") -> None:
    resource = "rolebindings" if namespace else "clusterrolebindings"
    reader.put(
        resource,
        {"metadata": {"namespace": namespace, "name": f"to-{name}"}, "subjects": [subject],
         "roleRef": {"apiGroup": GROUP, "kind": kind, "name": name}},
        GROUP,
    )  # fmt: skip


def on(user: User, verb: str, resource: str, name: str = "", namespace: str = "ns", **more: str) -> Attributes:
    return Attributes(user, verb, "", True, resource=resource, name=name, namespace=namespace, **more)


def rule(verbs: str, resources: str, *names: str, group: str = "") -> dict[str, Any]:
    made = {"verbs": verbs.split(","), "apiGroups": [group], "resources": resources.split(",")}
    return {**made, "resourceNames": list(names)} if names else made


USER_ANN = {"kind": "User", "name": "ann", "apiGroup": GROUP}


def test_a_role_counts_in_its_namespace_until_it_is_gone(authorization: Authorization, reader: Any) -> None:
    ask = authorization.authorizer.authorize
    assert not ask(on(ANN, "get", "pods", "p")).allowed
    role(reader, "r", rule("get,list", "pods"))
    bind(reader, "r", USER_ANN)
    assert ask(on(ANN, "get", "pods", "p")).allowed
    assert not ask(on(ANN, "get", "pods", "p", "other")).allowed
    assert not ask(on(ANN, "get", "pods", "p", subresource="log")).allowed
    assert not ask(on(User("bob"), "get", "pods", "p")).allowed
    role(reader, "r", rule("list", "pods"))
    assert not ask(on(ANN, "get", "pods", "p")).allowed
    reader.remove("roles", "ns", "r", GROUP)
    assert ask(on(ANN, "list", "pods")).reason == f'RBAC: role.{GROUP} "r" not found'
    reader.remove("rolebindings", "ns", "to-r", GROUP)
    assert ask(on(ANN, "list", "pods")).reason == ""


def test_resource_names_bind_the_name_and_only_it(authorization: Authorization, reader: Any) -> None:
    role(reader, "r", rule("get,create", "configmaps", "cfg"))
    bind(reader, "r", USER_ANN)
    ask = authorization.authorizer.authorize
    for _ in range(2):  # the second time from the cache
        assert ask(on(ANN, "get", "configmaps", "cfg")).allowed
        assert not ask(on(ANN, "get", "configmaps", "other")).allowed
        assert not ask(on(ANN, "create", "configmaps")).allowed


@pytest.mark.parametrize(
    ("resources", "asked", "allowed"),
    [
        ("*", ("pods", "log"), True), ("pods/*", ("pods", "log"), False), ("*/scale", ("deployments", "scale"), True),
        ("*/scale", ("deployments", "status"), False), ("pods/log", ("pods", "log"), True),
        ("PODS", ("pods", ""), False),
    ],
)  # fmt: skip
def test_stars_and_subresources(
    authorization: Authorization, reader: Any, resources: str, asked: tuple[str, str], allowed: bool
) -> None:
    role(reader, "r", rule("get", resources))
    bind(reader, "r", USER_ANN)
    answer = authorization.authorizer.authorize(on(ANN, "get", asked[0], "x", subresource=asked[1]))
    assert answer.allowed is allowed


@pytest.mark.parametrize(
    ("path", "allowed"), [("/x/y", True), ("/x/", True), ("/x", False), ("/metrics", True), ("/metrics/a", False)]
)
def test_paths_are_given_by_cluster_bindings(
    authorization: Authorization, reader: Any, path: str, allowed: bool
) -> None:
    role(reader, "c", {"verbs": ["get"], "nonResourceURLs": ["/x/*", "/metrics"]}, namespace="")
    bind(reader, "c", USER_ANN, kind="ClusterRole")
    assert not authorization.authorizer.authorize(Attributes(ANN, "get", path)).allowed
    bind(reader, "c", USER_ANN, kind="ClusterRole", namespace="")
    assert authorization.authorizer.authorize(Attributes(ANN, "get", path)).allowed is allowed


def test_a_review_names_binding_role_and_subject(authorization: Authorization, reader: Any) -> None:
    role(reader, "r", rule("get", "pods"))
    bind(reader, "r", {"kind": "ServiceAccount", "name": "robot", "namespace": "ns"})
    robot = User("system:serviceaccount:ns:robot")
    assert authorization.authorizer.explain(on(robot, "get", "pods")).reason == (
        'RBAC: allowed by RoleBinding "to-r/ns" of Role "r" to ServiceAccount "robot/ns"'
    )


def test_refusals_read_as_people_and_tools_parse_them() -> None:
    error = forbidden_error(on(ANN, "get", "pods", "p", subresource="log"), "because")
    assert error.message == (
        'pods "p" is forbidden: User "ann" cannot get resource "pods/log" in API group "" '
        'in the namespace "ns": because'
    )
    error = forbidden_error(Attributes(ANN, "get", "/metrics"))
    assert error.status()["message"] == 'forbidden: User "ann" cannot get path "/metrics"'
    assert error.details == {}


def test_masters_may_do_everything(authorization: Authorization) -> None:
    assert authorization.authorizer.authorize(on(User("x", groups=("system:masters",)), "fly", "moons")).allowed


def test_a_decision_asked_before_costs_microseconds(authorization: Authorization, reader: Any) -> None:
    role(reader, "r", rule("get", "pods"))
    bind(reader, "r", USER_ANN)
    questions = [on(ANN, "get", "pods", f"p{number}") for number in range(2000)]
    best = min(_timed(authorization, questions) for _ in range(5))
    assert best / len(questions) < 50e-6


def _timed(authorization: Authorization, questions: list[Attributes]) -> float:
    started = time.perf_counter()
    for question in questions:
        authorization.authorizer.authorize(question)
    return time.perf_counter() - started


def test_what_is_uncovered_covers_when_it_is_added() -> None:
    rules = [
        rule("get,list", "pods,secrets"), rule("*", "*"), rule("get", "pods", "a", "b"), rule("get", "*/scale"),
        {"verbs": ["get"], "nonResourceURLs": ["/a/*", "/b"]}, rule("update", "deployments/scale", group="apps"),
    ]  # fmt: skip
    for held, wanted in itertools.product(itertools.combinations(rules, 2), rules):
        added = [*held, *uncovered_rules(held, [wanted])]
        assert missing_parts(added, [wanted]) == []
    assert len(break_down(rules[0])) == 4


def test_nobody_gives_what_they_do_not_hold(authorization: Authorization, reader: Any) -> None:
    assert authorization.escalation is not None
    role(reader, "mine", rule("get", "configmaps"))
    bind(reader, "mine", USER_ANN)
    obj = {
        "metadata": {"name": "new"},
        "rules": [rule("get", "configmaps"), rule("create,delete", "jobs", group="batch")],
    }
    with pytest.raises(ApiError) as refusal:
        authorization.escalation.check(ANN, "roles", "ns", obj)
    assert refusal.value.message == (
        'roles.rbac.authorization.k8s.io "new" is forbidden: user "ann" (groups=["devs" "system:authenticated"]) is '
        "attempting to grant RBAC permissions not currently held:\n"
        '{APIGroups:["batch"], Resources:["jobs"], Verbs:["create" "delete"]}'
    )
    authorization.escalation.check(ANN, "roles", "ns", {**obj, "rules": obj["rules"][:1]})
    collected = {**obj, "metadata": {"name": "new", "finalizers": ["x"]}}
    authorization.escalation.check(ANN, "roles", "ns", collected, obj)
    binding = {"metadata": {"name": "b"}, "roleRef": {"kind": "Role", "name": "none"}}
    with pytest.raises(ApiError) as missing:
        authorization.escalation.check(ANN, "rolebindings", "ns", binding)
    assert missing.value.code == 404


def pod(name: str, node: str, secret: str) -> dict[str, Any]:
    return {
        "metadata": {"namespace": "ns", "name": name},
        "spec": {
            "nodeName": node, "serviceAccountName": "robot",
            "ephemeralContainers": [{"name": "e", "envFrom": [{"secretRef": {"name": f"{secret}-debug"}}]}],
            "containers": [{"name": "c", "env": [{"name": "A", "valueFrom": {"secretKeyRef": {"name": secret}}}]}],
            "volumes": [{"name": "v", "persistentVolumeClaim": {"claimName": "claim"}}],
        },
    }  # fmt: skip


def test_a_node_reads_what_its_pods_use_while_they_are_there(authorization: Authorization, reader: Any) -> None:
    ask = authorization.authorizer.authorize
    reader.put("pods", pod("a", "n1", "mine"))
    reader.put("pods", pod("b", "n1", "mine"))
    reader.put("pods", pod("c", "n2", "theirs"))
    for name in ("mine", "mine-debug"):
        assert ask(on(NODE, "get", "secrets", name)).allowed
    refused = ask(on(NODE, "get", "secrets", "theirs"))
    assert refused.reason == "no relationship found between node 'n1' and this object"
    reader.remove("pods", "ns", "a")
    assert ask(on(NODE, "get", "secrets", "mine")).allowed
    reader.remove("pods", "ns", "b")
    assert not ask(on(NODE, "get", "secrets", "mine")).allowed


def test_a_volume_is_reached_through_its_claim(authorization: Authorization, reader: Any) -> None:
    ask = authorization.authorizer.authorize
    spec = {
        "claimRef": {"namespace": "ns", "name": "claim"},
        "csi": {"nodeStageSecretRef": {"name": "s", "namespace": "x"}},
    }
    reader.put("persistentvolumes", {"metadata": {"name": "pv"}, "spec": spec})
    assert not ask(on(NODE, "get", "persistentvolumes", "pv", "")).allowed
    reader.put("pods", pod("a", "n1", "mine"))
    assert ask(on(NODE, "get", "persistentvolumes", "pv", "")).allowed
    assert ask(on(NODE, "get", "secrets", "s", "x")).allowed


@pytest.mark.parametrize(
    ("attributes", "reason"),
    [
        (on(NODE, "list", "secrets"), "No Object name found"),
        (on(NODE, "update", "secrets", "s"), "can only read resources of this type"),
        (on(NODE, "list", "pods"), "can only list/watch pods with spec.nodeName field selector"),
        (on(NODE, "list", "nodes", "", ""), "node 'n1' cannot read all nodes, only its own Node object"),
        (on(NODE, "get", "leases", "n2", "kube-node-lease", api_group="coordination.k8s.io"),
         "can only access node lease with the same name as the requesting node"),
        (on(User("system:node:n1"), "get", "secrets", "s"), ""),
        (on(User("kubelet", groups=("system:nodes",)), "get", "secrets", "s"), ""),
    ],
)  # fmt: skip
def test_a_node_is_told_why_not(authorization: Authorization, attributes: Attributes, reason: str) -> None:
    decision = authorization.authorizer.authorize(attributes)
    assert (decision.allowed, decision.reason) == (False, reason)


def test_a_mirror_pod_opens_nothing(authorization: Authorization, reader: Any) -> None:
    mirror = pod("m", "n1", "stolen")
    mirror["metadata"]["annotations"] = {"kubernetes.io/config.mirror": "x"}
    reader.put("pods", mirror)
    assert not authorization.authorizer.authorize(on(NODE, "get", "secrets", "stolen")).allowed
    assert authorization.authorizer.authorize(on(NODE, "get", "pods", "m")).allowed


def test_impersonation_the_old_way(authorization: Authorization, reader: Any) -> None:
    role(reader, "imp", rule("impersonate", "users", "bob"), rule("impersonate", "groups", "qa"), namespace="")
    bind(reader, "imp", USER_ANN, kind="ClusterRole", namespace="")
    impersonate = authorization.impersonation.impersonate
    request = on(ANN, "list", "pods")
    assert impersonate(request, {}) is None
    user = impersonate(request, {"Impersonate-User": "bob", "Impersonate-Group": "qa"})
    assert user == User("bob", "", ("qa", "system:authenticated"))
    with pytest.raises(ApiError, match='cannot impersonate resource "groups"'):
        impersonate(request, {"Impersonate-User": "bob", "Impersonate-Group": "admins"})
    with pytest.raises(ApiError) as mistake:
        impersonate(request, {"Impersonate-Uid": "u-1"})
    assert mistake.value.message == (
        'requested &user.DefaultInfo{Name:"", UID:"u-1", Groups:[]string(nil), Extra:map[string][]string(nil)} '
        "without impersonating a user name"
    )


def test_constrained_impersonation_needs_both_halves(authorization: Authorization, reader: Any) -> None:
    impersonate = authorization.impersonation.impersonate
    request = on(ANN, "list", "pods")
    with pytest.raises(ApiError, match='cannot impersonate-on:user-info:list resource "pods"'):
        impersonate(request, {"Impersonate-User": "bob"})
    role(reader, "on", rule("impersonate-on:user-info:list", "pods"))
    bind(reader, "on", USER_ANN)
    with pytest.raises(ApiError, match='cannot impersonate:user-info resource "users"'):
        impersonate(request, {"Impersonate-User": "bob"})
    role(reader, "who", rule("impersonate:user-info", "users,groups", group="authentication.k8s.io"), namespace="")
    bind(reader, "who", USER_ANN, kind="ClusterRole", namespace="")
    user = impersonate(request, {"Impersonate-User": "bob"})
    assert user == User("bob", "", ("system:authenticated",))
    with pytest.raises(ApiError, match="impersonating the system:masters group is not allowed"):
        impersonate(request, {"Impersonate-User": "bob", "Impersonate-Group": "system:masters"})


def test_an_agent_may_act_as_the_node_that_it_runs_on(authorization: Authorization, reader: Any) -> None:
    impersonate = authorization.impersonation.impersonate
    on_node = {"authentication.kubernetes.io/node-name": ("n1",)}
    agent = User("system:serviceaccount:ns:agent", extra=on_node)
    subject = {"kind": "ServiceAccount", "name": "agent", "namespace": "ns"}
    role(reader, "on", rule("impersonate-on:associated-node:list", "pods"), namespace="")
    bind(reader, "on", subject, kind="ClusterRole", namespace="")
    role(reader, "who", rule("impersonate:associated-node", "nodes", group="authentication.k8s.io"), namespace="")
    bind(reader, "who", subject, kind="ClusterRole", namespace="")
    own = impersonate(on(agent, "list", "pods"), {"Impersonate-User": "system:node:n1"})
    assert own == User("system:node:n1", "", ("system:nodes", "system:authenticated"))
    for user, node in ((agent, "n2"), (User(agent.name), "n1")):
        with pytest.raises(ApiError, match="impersonate-on:arbitrary-node:list"):
            impersonate(on(user, "list", "pods"), {"Impersonate-User": f"system:node:{node}"})
