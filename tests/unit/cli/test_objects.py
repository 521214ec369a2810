"""What is typed after a verb, how files are read, how answers are printed."""

from __future__ import annotations

import json
from typing import Any

import pytest

from cli.commands.logs import query
from cli.commands.port_forward import target_port
from cli.errors import CommandError
from cli.objects.age import format_age
from cli.objects.applying import LAST_APPLIED, three_way_merge, with_last_applied
from cli.objects.columns import format_columns
from cli.objects.durations import parse_seconds
from cli.objects.forwarding import Forward, parse_forwards
from cli.objects.jsonpath import render_template
from cli.objects.manifests import ManifestError, parse_objects
from cli.objects.printing import custom_columns, to_yaml
from cli.objects.resources import Resources, parse_discovery
from cli.objects.revisions import undo_patch
from cli.objects.tables import Style, format_table
from cli.objects.targets import Target, parse_targets
from cli.objects.workloads import choose_container, preference, selector_of


def test_targets() -> None:
    assert parse_targets(["pods"]) == [Target("pods")]
    assert parse_targets(["pod", "a", "b"]) == [Target("pod", "a"), Target("pod", "b")]
    assert parse_targets(["deploy/a", "svc/b"]) == [Target("deploy", "a"), Target("svc", "b")]


@pytest.mark.parametrize("words", [[], ["pod/a", "b"], ["/a"], ["pod/"], ["a/b/c"]])
def test_targets_that_make_no_sense(words: list[str]) -> None:
    with pytest.raises(CommandError, match=r"^error: "):
        parse_targets(words)


def discovery() -> Resources:
    def item(plural: str, kind: str, **more: Any) -> dict[str, Any]:
        return {"resource": plural, "singularResource": kind.lower(), "scope": "Namespaced", "verbs": ["get", "list"],
                "responseKind": {"kind": kind}, **more}  # fmt: skip

    core = {"metadata": {}, "versions": [{"version": "v1", "resources": [
        item("pods", "Pod", shortNames=["po"], categories=["all"]), item("events", "Event", shortNames=["ev"]),
    ]}]}  # fmt: skip
    apps = {"metadata": {"name": "apps"}, "versions": [{"version": "v1", "resources": [
        item("deployments", "Deployment", shortNames=["deploy"], categories=["all"],
             subresources=[{"subresource": "scale"}]),
    ]}]}  # fmt: skip
    events = {
        "metadata": {"name": "events.k8s.io"},
        "versions": [{"version": "v1", "resources": [item("events", "Event")]}],
    }
    return Resources(parse_discovery({"items": [core, apps, events]}))


@pytest.mark.parametrize(
    "word", ["deploy", "deployment", "deployments", "Deployment", "deployments.apps", "deploy.v1.apps"]
)
def test_a_resource_by_all_its_names(word: str) -> None:
    found = discovery().find(word)
    assert (found.gv, found.plural, found.label) == ("apps/v1", "deployments", "deployment.apps")
    assert "scale" in found.subresources


def test_a_bare_word_means_the_first_group_and_a_category_all_its_members() -> None:
    assert discovery().find("events").gv == "v1"
    assert discovery().find("events.events.k8s.io").gv == "events.k8s.io/v1"
    assert [r.plural for r in discovery().find_list("all,ev")] == ["pods", "deployments", "events"]
    with pytest.raises(CommandError, match='the server doesn\'t have a resource type "nope"'):
        discovery().find_list("nope")


def test_manifests_open_lists_and_skip_empty_documents() -> None:
    text = b"---\n---\nkind: List\napiVersion: v1\nitems: [{kind: A, apiVersion: v1}]\n---\n{kind: B, apiVersion: v1}\n"
    assert [obj["kind"] for obj in parse_objects(text, "x")] == ["A", "B"]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (b"a: [1", "error: error parsing f.yaml: error converting YAML to JSON: yaml: line"),
        (b"- 1", "a mapping"),
        (b"kind: A", r'error validating "f.yaml": error validating data: apiVersion not set'),
        (b"x: 1", r"\[apiVersion not set, kind not set\]"),
        (b"\xff\xfe\x00", "f.yaml"),
    ],
)
def test_bad_manifests_name_file_and_place(text: bytes, complaint: str) -> None:
    with pytest.raises(ManifestError, match=complaint):
        list(parse_objects(text, "f.yaml"))


TABLE = {
    "columnDefinitions": [{"name": "Name"}, {"name": "Ready"}, {"name": "IP", "priority": 1}],
    "rows": [{"cells": ["web", "1/1", "10.0.0.1"], "object": {"metadata": {"namespace": "d", "labels": {"app": "w"}}}}],
}


def test_tables() -> None:
    assert format_table(TABLE, Style()) == ["NAME   READY", "web    1/1"]
    assert format_table(TABLE, Style(wide=True, headers=False)) == ["web   1/1   10.0.0.1"]
    style = Style(namespaces=True, labels=True, label_columns=("app", "x/y"), prefix="pod/")
    assert format_table(TABLE, style)[0].split() == ["NAMESPACE", "NAME", "READY", "APP", "Y", "LABELS"]
    assert format_table(TABLE, style)[1].split() == ["d", "pod/web", "1/1", "w", "app=w"]
    assert format_columns(None, []) == []
    assert format_columns(["A", "LONG"], [["1", "2"]], closed=True) == ["A   LONG   ", "1   2      "]


POD = {
    "metadata": {"name": "p", "labels": {"a.b/c": "x"}},
    "spec": {
        "containers": [
            {"name": "one", "image": "i1", "ports": [{"containerPort": 80}]},
            {"name": "two", "image": "i2"},
        ]
    },
    "status": {
        "conditions": [{"type": "Ready", "status": "True"}, {"type": "X", "status": "False"}],
        "n": 3,
        "t": True,
    },
}


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("{.metadata.name}", "p"),
        ("{.spec.containers[*].image}", "i1 i2"),
        ("{.spec.containers[0].ports[0].containerPort}", "80"),
        ("{.spec.containers[-1].name}", "two"),
        ("{.spec.containers[0:1].name}", "one"),
        ('{range .spec.containers[*]}{.name}{"="}{.image}{"\\n"}{end}', "one=i1\ntwo=i2\n"),
        ('{.status.conditions[?(@.type=="Ready")].status}', "True"),
        ("{.metadata.labels.a\\.b/c}", "x"),
        ("{.metadata.labels['a.b/c']}", "x"),
        ("{..image}", "i1 i2"),
        ("{.status.n}-{.status.t}", "3-true"),
        ("{.missing.field}", ""),
        ("{.metadata.labels}", '{"a.b/c":"x"}'),
        ("plain", "plain"),
    ],
)
def test_jsonpath(template: str, text: str) -> None:
    assert render_template(template, POD) == text


@pytest.mark.parametrize("template", ["{range .a}", "{end}", "{.a[}"])
def test_bad_jsonpath(template: str) -> None:
    with pytest.raises(CommandError, match="error parsing jsonpath"):
        render_template(template, POD)


def test_custom_columns() -> None:
    assert custom_columns("NAME:.metadata.name,IMAGE:.spec.containers[*].image,X:.x", [POD]) == [
        "NAME   IMAGE   X", "p      i1,i2   <none>",
    ]  # fmt: skip


def test_yaml_as_kubectl_writes_it() -> None:
    text = to_yaml({"b": "1", "a": ["x"], "t": "2026-01-01T00:00:00Z", "m": "l1\nl2\n", "y": "yes", "plain": "w: x"})
    assert text == 'a:\n- x\nb: "1"\nm: |\n  l1\n  l2\nplain: \'w: x\'\nt: "2026-01-01T00:00:00Z"\ny: "yes"\n'


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0s"), (119, "119s"), (120, "2m"), (125, "2m5s"), (599, "9m59s"), (600, "10m"), (3 * 3600, "3h"),
     (3 * 3600 + 60, "3h1m"), (8 * 3600 + 61, "8h"), (48 * 3600, "2d"), (49 * 3600, "2d1h"), (8 * 86400 + 3600, "8d"),
     (800 * 86400, "2y70d"), (-5, "<invalid>")],
)  # fmt: skip
def test_ages(seconds: int, text: str) -> None:
    assert format_age(seconds) == text


def test_client_side_apply_sends_only_the_difference() -> None:
    before = {
        "spec": {"replicas": 2, "old": 1, "containers": [{"name": "a", "image": "1"}, {"name": "b", "image": "1"}]}
    }
    present = {"spec": {**before["spec"], "added": "by the server"}, "status": {}}
    assert three_way_merge(before, before, present) == {}
    wanted = {"spec": {"replicas": 3, "containers": [{"name": "a", "image": "2"}]}}
    assert three_way_merge(before, wanted, present) == {"spec": {
        "replicas": 3, "old": None,
        "containers": [{"name": "a", "image": "2"}, {"name": "b", "$patch": "delete"}],
    }}  # fmt: skip


def test_defaults_of_the_server_are_no_difference() -> None:
    wanted = {"spec": {"ports": [{"port": 80}]}}
    present = {"spec": {"ports": [{"port": 80, "protocol": "TCP", "targetPort": 80}], "type": "ClusterIP"}}
    assert three_way_merge(wanted, wanted, present) == {}


def test_last_applied_is_the_file_without_itself() -> None:
    obj = {"kind": "A", "metadata": {"name": "x", "namespace": "d"}}
    text = with_last_applied(with_last_applied(obj))["metadata"]["annotations"][LAST_APPLIED]
    assert json.loads(text) == {"kind": "A", "metadata": {"name": "x", "namespace": "d", "annotations": {}}}
    assert text.endswith("}\n")


def test_pods_of_a_workload() -> None:
    expression = {"key": "t", "operator": "NotIn", "values": ["x", "y"]}
    selector = {"matchLabels": {"b": "2", "a": "1"}, "matchExpressions": [expression]}
    deployment = {"kind": "Deployment", "metadata": {"name": "w"}, "spec": {"selector": selector}}
    assert selector_of(deployment) == "a=1,b=2,t notin (x,y)"
    assert selector_of({"kind": "Service", "metadata": {"name": "s"}, "spec": {"selector": {"a": "1"}}}) == "a=1"
    with pytest.raises(CommandError, match="service/s selects no pods"):
        selector_of({"kind": "Service", "metadata": {"name": "s"}, "spec": {}})


def test_the_best_pod_comes_first() -> None:
    def pod(name: str, phase: str, ready: str, leaving: bool = False) -> dict[str, Any]:
        metadata = {"name": name, "creationTimestamp": "t"} | ({"deletionTimestamp": "t"} if leaving else {})
        return {"metadata": metadata, "status": {"phase": phase, "conditions": [{"type": "Ready", "status": ready}]}}

    pods = [pod("a", "Pending", "False"), pod("b", "Running", "True", True), pod("c", "Running", "False"),
            pod("d", "Running", "True")]  # fmt: skip
    assert [p["metadata"]["name"] for p in sorted(pods, key=preference)] == ["d", "c", "a", "b"]


def test_the_container() -> None:
    assert choose_container(POD, "two") == ("two", False)
    assert choose_container(POD, "") == ("one", True)
    annotated = {**POD, "metadata": {"name": "p", "annotations": {"kubectl.kubernetes.io/default-container": "two"}}}
    assert choose_container(annotated, "") == ("two", False)
    with pytest.raises(CommandError, match="it has: one, two"):
        choose_container(POD, "three")


def test_log_queries() -> None:
    base = {"follow": False, "previous": False, "tail": -1, "since": "", "since_time": "", "timestamps": False,
            "limit_bytes": 0, "by_selector": False}  # fmt: skip
    assert query(**base) == {}  # type: ignore[arg-type]
    assert query(**{**base, "by_selector": True}) == {"tailLines": "10"}  # type: ignore[arg-type]
    assert query(**{**base, "tail": 0, "follow": True, "since": "1m30s"}) == {  # type: ignore[arg-type]
        "tailLines": "0", "follow": "true", "sinceSeconds": "90",
    }  # fmt: skip
    with pytest.raises(CommandError, match="not a duration"):
        parse_seconds("5 days")


def test_forwards() -> None:
    assert parse_forwards(["8080:80", "80", ":80", "1:http"], {"http": 8000}) == [
        Forward(8080, 80), Forward(80, 80), Forward(0, 80), Forward(1, 8000),
    ]  # fmt: skip
    for bad in ("x", "80:x", "80:70000", "80:0"):
        with pytest.raises(CommandError, match=r"^error: "):
            parse_forwards([bad], {})


def test_the_containers_port_behind_a_service() -> None:
    pod = {"metadata": {"name": "p"}, "spec": {"containers": [{"ports": [{"name": "http", "containerPort": 8080}]}]}}
    service = {"metadata": {"name": "s"}, "spec": {"ports": [{"port": 80, "targetPort": "http"}, {"port": 81}]}}
    assert target_port(service, pod, 80) == 8080
    assert target_port(service, pod, 81) == 81
    with pytest.raises(CommandError, match="does not have a service port 82"):
        target_port(service, pod, 82)


def replica_set(revision: int, image: str) -> dict[str, Any]:
    template = {"metadata": {"labels": {"app": "w", "pod-template-hash": "h"}}, "spec": {"image": image}}
    return {
        "metadata": {"annotations": {"deployment.kubernetes.io/revision": str(revision)}},
        "spec": {"template": template},
    }


def test_undo_goes_to_the_revision_before_or_the_named_one() -> None:
    template = {"metadata": {"labels": {"app": "w"}}, "spec": {"image": "3"}}
    deployment = {"kind": "Deployment", "metadata": {"name": "w"}, "spec": {"template": template}}
    revisions = [replica_set(1, "1"), replica_set(2, "2"), replica_set(3, "3")]
    patch = undo_patch(deployment, revisions, 0)
    assert patch is not None
    assert patch[1][0]["value"] == {"metadata": {"labels": {"app": "w"}}, "spec": {"image": "2"}}
    assert undo_patch(deployment, revisions, 3) is None, "it is there already"
    with pytest.raises(CommandError, match="unable to find specified revision 9"):
        undo_patch(deployment, revisions, 9)
    with pytest.raises(CommandError, match="no rollout history found"):
        undo_patch(deployment, revisions[:1], 0)
    deployment["spec"]["paused"] = True
    with pytest.raises(CommandError, match="cannot rollback a paused deployment"):
        undo_patch(deployment, revisions, 0)
