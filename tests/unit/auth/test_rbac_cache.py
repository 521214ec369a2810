"""The cache of decisions never says anything else than the policy does, whatever is asked and changed in between."""

from __future__ import annotations

from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from apiserver.auth.interface import Attributes, User
from apiserver.auth.rbac.authorizer import RbacAuthorizer
from apiserver.auth.rbac.index import GROUP, RbacIndex

VERBS, RESOURCES, NAMES = ["get", "list", "*"], ["pods", "pods/log", "secrets", "*", "*/log"], ["a", "b"]
NAMESPACES = ["", "ns1", "ns2"]
SUBJECTS = [
    {"kind": "User", "name": "ann"}, {"kind": "Group", "name": "devs"},
    {"kind": "ServiceAccount", "name": "robot", "namespace": "ns1"},
]  # fmt: skip
USERS = [User("ann"), User("bob", groups=("devs",)), User("system:serviceaccount:ns1:robot", groups=("x",))]

rules = st.fixed_dictionaries(
    {
        "verbs": st.lists(st.sampled_from(VERBS), min_size=1, max_size=2),
        "apiGroups": st.just([""]),
        "resources": st.lists(st.sampled_from(RESOURCES), min_size=1, max_size=2),
    },
    optional={"resourceNames": st.lists(st.sampled_from(NAMES), min_size=1, max_size=1)},
)
roles = st.tuples(
    st.just("role"), st.sampled_from(NAMESPACES), st.sampled_from(["r1", "r2"]), st.lists(rules, max_size=2)
)
bindings = st.tuples(
    st.just("binding"),
    st.sampled_from(NAMESPACES),
    st.sampled_from(["b1", "b2"]),
    st.tuples(st.lists(st.sampled_from(SUBJECTS), max_size=2), st.booleans(), st.sampled_from(["r1", "r2"])),
)
removals = st.tuples(st.just("remove"), st.sampled_from(NAMESPACES), st.sampled_from(["r1", "b1", "b2"]), st.none())
questions = st.tuples(
    st.just("ask"),
    st.sampled_from(NAMESPACES),
    st.sampled_from(["", *NAMES]),
    st.tuples(st.sampled_from(USERS), st.sampled_from(["get", "list"]), st.sampled_from(["pods", "secrets"]),
              st.sampled_from(["", "log"])),
)  # fmt: skip


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.one_of(roles, bindings, removals, questions), max_size=25))
def test_cached_and_fresh_decisions_agree(reader: Any, steps: list[tuple[str, str, str, Any]]) -> None:
    reader.objects.clear()
    reader.callbacks.clear()
    authorizer = RbacAuthorizer(RbacIndex(reader))
    for kind, namespace, name, detail in steps:
        metadata = {"namespace": namespace, "name": name}
        if kind == "role":
            reader.put("roles" if namespace else "clusterroles", {"metadata": metadata, "rules": detail}, GROUP)
        elif kind == "binding":
            subjects, to_cluster_role, role = detail
            reference = {"kind": "ClusterRole" if to_cluster_role or not namespace else "Role", "name": role}
            binding = {"metadata": metadata, "subjects": subjects, "roleRef": reference}
            reader.put("rolebindings" if namespace else "clusterrolebindings", binding, GROUP)
        elif kind == "remove":
            for resource in ("roles", "clusterroles", "rolebindings", "clusterrolebindings"):
                if reader.get(GROUP, resource, namespace, name) is not None:
                    reader.remove(resource, namespace, name, GROUP)
        else:
            user, verb, resource, subresource = detail
            question = Attributes(
                user, verb, "", True, resource=resource, subresource=subresource, namespace=namespace, name=name
            )
            cached, fresh = authorizer.authorize(question), authorizer.explain(question)
            assert cached.allowed is fresh.allowed
            assert authorizer.authorize(question).allowed is fresh.allowed
            assert fresh.allowed is RbacAuthorizer(RbacIndex(reader)).explain(question).allowed
