"""What the runtime is asked for."""

from __future__ import annotations

import base64

import pytest

from kubelet.config.container import ContainerInputs, container_config
from kubelet.config.dns import ClusterDns, DnsSettings, compute_dns, parse_resolv_conf
from kubelet.config.environment import Facts, compute_environment
from kubelet.config.errors import ConfigError
from kubelet.config.expansion import expand, unresolved
from kubelet.config.fieldref import field_value, quote, resource_value
from kubelet.config.hosts import hosts_file, kernel_hostname, pod_hostname
from kubelet.config.resources import cpu_quota, cpu_shares, linux_resources, oom_score_adjust, pod_requests
from kubelet.config.sandbox import sandbox_config
from kubelet.config.security import check_run_as_non_root, container_security
from kubelet.config.serviceenv import service_variables
from proto import cri_pb2 as cri
from tests.unit.kubelet.builders import container, pod

GIB = 1 << 30


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("$(A)", "a"),
        ("x$(A)y", "xay"),
        ("$$(A)", "$(A)"),
        ("$(NONE)", "$(NONE)"),
        ("$", "$"),
        ("$(A", "$(A"),
        ("$$$(A)", "$a"),
        ("$x", "$x"),
    ],
)
def test_expansion(text: str, result: str) -> None:
    assert expand(text, {"A": "a"}) == result


def test_unresolved_names() -> None:
    assert unresolved("$(A)/$(B)/$$(C)", {"A": "a"}) == ["B"]


def test_environment_in_order_with_references_backwards() -> None:
    spec = container(
        env=[
            {"name": "A", "value": "1"},
            {"name": "B", "value": "$(A)$(HOST)$(LATER)"},
            {"name": "LATER", "value": "x"},
        ],
        envFrom=[{"prefix": "X_", "secretRef": {"name": "s"}}, {"configMapRef": {"name": "m"}}],
    )
    facts = Facts(
        config_maps={"m": {"data": {"k": "v", "bad=": "x"}}},
        secrets={"s": {"data": {"p": base64.b64encode(b"word").decode()}}},
        service_variables={"HOST": "h", "A": "service"},
    )
    assert compute_environment(pod(spec), spec, facts) == {
        "X_p": "word",
        "k": "v",
        "A": "1",
        "B": "1h$(LATER)",
        "LATER": "x",
        "HOST": "h",
    }


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ({"configMapKeyRef": {"name": "m", "key": "k"}}, 'configmap "m" not found'),
        ({"secretKeyRef": {"name": "s", "key": "k"}}, 'secret "s" not found'),
        ({"configMapKeyRef": {"name": "have", "key": "k"}}, "couldn't find key k in ConfigMap ns/have"),
    ],
)
def test_what_is_missing_is_named(source, message: str) -> None:
    spec = container(env=[{"name": "A", "valueFrom": source}])
    facts = Facts(config_maps={"have": {"data": {}}})
    with pytest.raises(ConfigError) as caught:
        compute_environment(pod(spec), spec, facts)
    assert (caught.value.reason, caught.value.message) == ("CreateContainerConfigError", message)
    for ref in source.values():
        ref["optional"] = True
    assert compute_environment(pod(spec), spec, facts) == {}


def test_fields() -> None:
    p = pod()
    p["metadata"] |= {"labels": {"b": "2", "a": 'q"q'}, "annotations": {"x": "line\nline"}}
    assert field_value(p, "metadata.labels['b']") == "2"
    assert field_value(p, "metadata.labels") == 'a="q\\"q"\nb="2"'
    assert field_value(p, "status.podIPs", ("1.1.1.1", "::1")) == "1.1.1.1,::1"
    assert quote("é\x01") == '"é\\x01"'
    with pytest.raises(ConfigError):
        field_value(p, "spec.containers")


@pytest.mark.parametrize(
    ("ref", "value"),
    [
        ({"resource": "limits.cpu"}, "1"),
        ({"resource": "limits.cpu", "divisor": "1m"}, "250"),
        ({"resource": "limits.memory", "divisor": "1Mi"}, "64"),
        ({"resource": "requests.memory", "divisor": "1Gi"}, "1"),
        ({"resource": "limits.ephemeral-storage"}, "100"),
        ({"resource": "requests.cpu"}, "0"),
    ],
)
def test_resources_round_up_and_fall_back_to_the_node(ref, value: str) -> None:
    p = pod(container(resources={"limits": {"cpu": "250m", "memory": "64Mi"}, "requests": {"memory": "1Mi"}}))
    assert resource_value(p, "c", ref, {"ephemeral-storage": "100"}) == value


def test_service_variables() -> None:
    port = {"port": 80, "name": "web", "protocol": "TCP"}
    services = [
        {"metadata": {"name": "my-svc", "namespace": "ns"}, "spec": {"clusterIP": "10.96.0.5", "ports": [port]}},
        {"metadata": {"name": "headless", "namespace": "ns"}, "spec": {"clusterIP": "None", "ports": [port]}},
        {"metadata": {"name": "far", "namespace": "other"}, "spec": {"clusterIP": "10.96.0.6", "ports": [port]}},
        {
            "metadata": {"name": "kubernetes", "namespace": "default"},
            "spec": {"clusterIP": "10.96.0.1", "ports": [{"port": 443, "name": "https"}]},
        },
    ]
    found = service_variables(services, "ns", links=True)
    assert found["MY_SVC_SERVICE_HOST"] == "10.96.0.5"
    assert found["MY_SVC_SERVICE_PORT_WEB"] == "80"
    assert found["MY_SVC_PORT_80_TCP"] == "tcp://10.96.0.5:80"
    assert found["KUBERNETES_SERVICE_PORT_HTTPS"] == "443"
    assert not [name for name in found if name.startswith(("HEADLESS", "FAR"))]
    assert {name.split("_")[0] for name in service_variables(services, "ns", links=False)} == {"KUBERNETES"}


def test_dns_by_policy() -> None:
    machine = parse_resolv_conf("search corp.example\nnameserver 9.9.9.9 # x\noptions timeout:1\n")
    cluster = ClusterDns(("10.96.0.10",))
    first = compute_dns(pod(), cluster, machine)
    assert first == DnsSettings(
        ("10.96.0.10",), ("ns.svc.cluster.local", "svc.cluster.local", "cluster.local", "corp.example"), ("ndots:5",)
    )
    assert compute_dns(pod(hostNetwork=True), cluster, machine) == machine
    assert compute_dns(pod(dnsPolicy="Default"), cluster, machine) == machine
    in_host = compute_dns(pod(hostNetwork=True, dnsPolicy="ClusterFirstWithHostNet"), cluster, machine)
    assert in_host.servers == ("10.96.0.10",)
    own = {
        "nameservers": ["1.1.1.1"],
        "searches": ["a"],
        "options": [{"name": "ndots", "value": "2"}, {"name": "edns0"}],
    }
    assert compute_dns(pod(dnsPolicy="None", dnsConfig=own), cluster, machine) == DnsSettings(
        ("1.1.1.1",), ("a",), ("ndots:2", "edns0")
    )
    assert compute_dns(pod(dnsConfig=own), cluster, machine).options == ("ndots:2", "edns0")


def test_names_and_hosts() -> None:
    p = pod(hostname="h", subdomain="sub", hostAliases=[{"ip": "192.0.2.7", "hostnames": ["a", "b"]}])
    content = hosts_file(p, ("10.244.0.5",), "cluster.local")
    assert "10.244.0.5\th.sub.ns.svc.cluster.local\th\n" in content
    assert content.endswith("\n# Entries added by HostAliases.\n192.0.2.7\ta\tb\n")
    assert kernel_hostname(p, "cluster.local") == "h"
    p["spec"]["setHostnameAsFQDN"] = True
    assert kernel_hostname(p, "cluster.local") == "h.sub.ns.svc.cluster.local"
    assert kernel_hostname(pod(hostNetwork=True), "cluster.local") == ""
    long = pod()
    long["metadata"]["name"] = "x" * 62 + "-y"
    assert pod_hostname(long) == "x" * 62
    assert hosts_file(pod(hostNetwork=True), (), "c", "127.0.0.1 me\n").endswith("127.0.0.1 me\n")


@pytest.mark.parametrize(
    ("milli", "shares", "quota"), [(0, 2, 0), (1, 2, 1000), (250, 256, 25000), (2000, 2048, 200000)]
)
def test_cpu_numbers(milli: int, shares: int, quota: int) -> None:
    assert (cpu_shares(milli), cpu_quota(milli)) == (shares, quota)


def test_a_limit_alone_is_also_the_request() -> None:
    p = pod(container(resources={"limits": {"cpu": "1", "memory": "64Mi", "hugepages-2Mi": "4Mi"}}))
    found = linux_resources(p, p["spec"]["containers"][0], GIB)
    assert (found.cpu_shares, found.cpu_quota, found.memory_limit_in_bytes) == (1024, 100000, 64 << 20)
    assert [(page.page_size, page.limit) for page in found.hugepage_limits] == [("2MB", 4 << 20)]


@pytest.mark.parametrize(
    ("qos", "request_", "score"),
    [
        ("Guaranteed", "1Gi", -997),
        ("BestEffort", None, 1000),
        ("Burstable", "512Mi", 500),
        ("Burstable", "1Gi", 3),
        ("Burstable", None, 999),
    ],
)
def test_oom_scores(qos: str, request_: str | None, score: int) -> None:
    p = pod(container(resources={"requests": {"memory": request_} if request_ else {}}))
    p["status"]["qosClass"] = qos
    assert oom_score_adjust(p, p["spec"]["containers"][0], GIB) == score


def test_sidecars_add_to_what_runs_beside_them() -> None:
    def cpu(name: str, amount: str, **more):
        return container(name, resources={"requests": {"cpu": amount}}, **more)

    p = pod(cpu("a", "1"), init=[cpu("s", "500m", restartPolicy="Always"), cpu("i", "2")], overhead={"cpu": "100m"})
    assert pod_requests(p) == {"cpu": 2600}


def image(uid: int | None = None, username: str = "") -> cri.Image:
    found = cri.Image(id="x", username=username)
    if uid is not None:
        found.uid.value = uid
    return found


@pytest.mark.parametrize(
    ("own", "of_image", "refused"),
    [
        ({}, image(), "image will run as root"),
        ({}, image(0), "image will run as root"),
        ({}, image(7), ""),
        ({}, image(None, "web"), "non-numeric user (web)"),
        ({"runAsUser": 0}, image(7), "breaks non-root policy"),
        ({"runAsUser": 5}, image(), ""),
        ({"runAsNonRoot": False}, image(), ""),
    ],
)
def test_run_as_non_root(own, of_image: cri.Image, refused: str) -> None:
    p = pod(container(securityContext=own), securityContext={"runAsNonRoot": True})
    if not refused:
        check_run_as_non_root(p, p["spec"]["containers"][0], of_image)
        return
    with pytest.raises(ConfigError, match=r"non-root|runAsNonRoot") as caught:
        check_run_as_non_root(p, p["spec"]["containers"][0], of_image)
    assert refused in caught.value.message
    assert '(pod: "p_ns(u1)", container: c)' in caught.value.message


def test_a_container_security_context() -> None:
    own = {
        "runAsUser": 5,
        "readOnlyRootFilesystem": True,
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"], "add": ["NET_BIND_SERVICE"]},
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    shared = {"runAsUser": 1, "runAsGroup": 2, "fsGroup": 3, "supplementalGroups": [4]}
    p = pod(container(securityContext=own), securityContext=shared, hostPID=True)
    found = container_security(p, p["spec"]["containers"][0], None)
    assert (found.run_as_user.value, found.run_as_group.value) == (5, 2)
    assert list(found.supplemental_groups) == [4, 3]
    assert (found.readonly_rootfs, found.no_new_privs) == (True, True)
    assert list(found.capabilities.drop_capabilities) == ["ALL"]
    assert found.seccomp.profile_type == cri.SecurityProfile.RuntimeDefault
    assert found.namespace_options.pid == cri.NODE
    assert "/proc/kcore" in found.masked_paths


def test_privileged_is_unconfined_and_unmasked_shows_all() -> None:
    p = pod(container(securityContext={"privileged": True, "seccompProfile": {"type": "RuntimeDefault"}}))
    found = container_security(p, p["spec"]["containers"][0], None)
    assert found.privileged
    assert found.seccomp.profile_type == cri.SecurityProfile.Unconfined
    p = pod(container(securityContext={"procMount": "Unmasked"}))
    assert not container_security(p, p["spec"]["containers"][0], None).masked_paths


def test_an_ephemeral_container_joins_its_target() -> None:
    p = pod(ephemeralContainers=[container("dbg", targetContainerName="c")])
    found = container_security(p, p["spec"]["ephemeralContainers"][0], None, target_id="abc")
    assert (found.namespace_options.pid, found.namespace_options.target_id) == (cri.TARGET, "abc")


def test_requests_to_the_runtime_carry_what_a_restarted_agent_needs() -> None:
    p = pod(container(command=["sh", "-c", "echo $(A)"], args=["$(B)"], terminationMessagePath="/x"))
    inputs = ContainerInputs("sha256:1", None, {"A": "a"}, [], "/file", GIB)
    found = container_config(p, p["spec"]["containers"][0], inputs, restart_count=3, backoff_step=2)
    assert list(found.command) == ["sh", "-c", "echo a"]
    assert list(found.args) == ["$(B)"]
    assert (found.metadata.attempt, found.log_path) == (3, "c/3.log")
    assert found.annotations["io.kubernetes.container.restartCount"] == "3"
    assert found.annotations["navarch.io/restart-backoff"] == "2"
    sandbox = sandbox_config(p, attempt=1, hostname="h", dns=DnsSettings(), log_directory="/l", cgroup_parent="/k")
    assert sandbox.labels["io.kubernetes.pod.uid"] == "u1"
    assert not sandbox.port_mappings
