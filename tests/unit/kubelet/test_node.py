"""The node's object, its cgroups, static pods, log lines, flags."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from kubelet.__main__ import parse_arguments, parse_labels, parse_taints
from kubelet.cgroups import PodCgroups, cpu_weight, pod_limits
from kubelet.eviction import (
    Usage,
    choose_victim,
    directory_bytes,
    has_storage_limits,
    limited_volumes,
    pressured_resource,
    storage_excess,
)
from kubelet.logs.format import parse_line
from kubelet.node.machine import Disk, Machine, Pressure, meminfo, read_machine
from kubelet.node.status import NodeSettings, RuntimeFacts, compute_node, compute_node_status, differs, image_list
from kubelet.source.static import StaticSource, mirror_of, parse_manifest
from kubelet.termination_message import read_log_tail, read_message_file
from tests.unit.kubelet.builders import container, pod

GIB = 1 << 30
MACHINE = Machine(4, 8 * GIB, 0, "amd64", "6.1", "Debian", "m", "s", "b", (("hugepages-2Mi", 0),))
SETTINGS = NodeSettings("n1", "n1", ("10.0.0.1",), 10250, 110, {"own": "x"}, ({"key": "k", "effect": "NoSchedule"},))
CALM = Pressure(4 * GIB, Disk(100 * GIB, 50 * GIB, 1000, 900), 100, 32768)
NOW, LATER = "2026-01-01T00:00:00Z", "2026-01-01T01:00:00Z"


def status(pressure: Pressure = CALM, runtime: RuntimeFacts | None = None, before=None, now: str = NOW):
    return compute_node_status(
        MACHINE, pressure, runtime or RuntimeFacts("containerd://1.6"), SETTINGS, before or {}, now
    )


def conditions(found):
    return {c["type"]: (c["status"], c["reason"]) for c in found["conditions"]}


def test_registration() -> None:
    node = compute_node(MACHINE, CALM.disk, SETTINGS)
    assert node["spec"]["taints"] == [{"key": "k", "effect": "NoSchedule"}]
    assert node["metadata"]["labels"]["kubernetes.io/hostname"] == "n1"
    assert node["metadata"]["labels"]["own"] == "x"


def test_a_calm_node_is_ready() -> None:
    found = status()
    assert conditions(found) == {
        "MemoryPressure": ("False", "KubeletHasSufficientMemory"),
        "DiskPressure": ("False", "KubeletHasNoDiskPressure"),
        "PIDPressure": ("False", "KubeletHasSufficientPID"),
        "Ready": ("True", "KubeletReady"),
    }
    assert found["capacity"]["memory"] == f"{8 * GIB // 1024}Ki"
    assert found["allocatable"]["memory"] == f"{(8 * GIB - (100 << 20)) // 1024}Ki"
    assert [a["type"] for a in found["addresses"]] == ["InternalIP", "Hostname"]


def test_pressure_and_a_runtime_that_is_down() -> None:
    tight = Pressure(1 << 20, Disk(100, 5, 1000, 900), 32700, 32768)
    found = conditions(status(tight, RuntimeFacts(problem="down")))
    assert found["MemoryPressure"] == ("True", "KubeletHasInsufficientMemory")
    assert found["DiskPressure"] == ("True", "KubeletHasDiskPressure")
    assert found["PIDPressure"] == ("True", "KubeletHasInsufficientPID")
    assert found["Ready"] == ("False", "KubeletNotReady")


def test_times_move_with_the_status_and_others_are_kept() -> None:
    before = status()
    before["capacity"]["example.com/gpu"] = "2"
    before["conditions"].append({"type": "NetworkUnavailable", "status": "False"})
    again = status(before=before, now=LATER)
    ready = next(c for c in again["conditions"] if c["type"] == "Ready")
    assert (ready["lastTransitionTime"], ready["lastHeartbeatTime"]) == (NOW, LATER)
    assert again["capacity"]["example.com/gpu"] == "2"
    assert any(c["type"] == "NetworkUnavailable" for c in again["conditions"])
    assert not differs(again, status(before=again, now="2026-01-01T02:00:00Z"))
    assert differs(again, status(runtime=RuntimeFacts(problem="x"), before=again))


def test_images_largest_first() -> None:
    assert image_list([(["a"], 1), ([], 9), (["b"], 2)]) == [
        {"names": ["b"], "sizeBytes": 2},
        {"names": ["a"], "sizeBytes": 1},
    ]


def test_the_machine_is_read_from_proc(tmp_path: Path) -> None:
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc" / "meminfo").write_text("MemTotal:  1000 kB\nHugePages_Total: 3\n")
    assert meminfo(tmp_path) == {"MemTotal": 1024000, "HugePages_Total": 3}
    assert read_machine().memory_bytes > 0


@pytest.fixture
def v2(tmp_path: Path) -> Path:
    (tmp_path / "cgroup.controllers").write_text("cpu memory pids")
    return tmp_path


def test_cgroup_paths_by_driver() -> None:
    p = pod()
    assert PodCgroups(prefix="/a/b").parent_of(p) == "/a/b/kubepods/besteffort/podu1"
    p["status"]["qosClass"] = "Guaranteed"
    assert PodCgroups().parent_of(p) == "/kubepods/podu1"
    p["metadata"]["uid"] = "u-1"
    p["status"]["qosClass"] = "Burstable"
    assert PodCgroups(driver="systemd").parent_of(p) == "kubepods-burstable-podu_1.slice"


def test_cgroups_of_version_2(v2: Path) -> None:
    p = pod(container(resources={"limits": {"cpu": "1", "memory": "64Mi"}}))
    cgroups = PodCgroups(root=v2)
    leaf = v2 / "kubepods" / "besteffort" / "podu1"
    leaf.mkdir(parents=True)
    for name in ("cpu.weight", "cpu.max", "memory.max"):
        (leaf / name).touch()
    cgroups.ensure(p)
    assert (leaf / "cpu.max").read_text() == "100000 100000"
    assert (leaf / "memory.max").read_text() == str(64 << 20)
    assert (v2 / "cgroup.subtree_control").read_text() == "+cpu +memory +pids"


def test_cgroups_of_version_1_come_and_go(tmp_path: Path) -> None:
    for controller in ("cpu", "memory", "freezer"):
        (tmp_path / controller).mkdir()
    cgroups = PodCgroups(prefix="x", root=tmp_path)
    cgroups.ensure(pod())
    leaf = tmp_path / "memory" / "x" / "kubepods" / "besteffort" / "podu1"
    assert leaf.is_dir()
    (tmp_path / "freezer" / "x" / "kubepods" / "besteffort" / "podu1" / "c").mkdir(parents=True)
    (tmp_path / "cpu" / "x" / "kubepods" / "besteffort" / "podu1" / "cpu.shares").unlink()
    (tmp_path / "cpu" / "x" / "kubepods" / "besteffort" / "cpu.shares").unlink()
    cgroups.remove("u1")
    assert not leaf.exists()
    assert not (tmp_path / "freezer" / "x" / "kubepods" / "besteffort" / "podu1").exists()
    cgroups.remove_all()
    assert not (tmp_path / "cpu" / "x").exists()


def test_a_limit_of_the_pod_needs_one_of_every_container() -> None:
    limited = container("a", resources={"limits": {"memory": "64Mi", "cpu": "1"}})
    assert pod_limits(pod(limited)) == {"shares": 2, "quota": 100000, "memory": 64 << 20}
    assert pod_limits(pod(limited, container("b"))) == {"shares": 2}
    assert (cpu_weight(2), cpu_weight(262144)) == (1, 10000)


def test_who_is_evicted() -> None:
    def sized(uid: str, request: str, priority: int = 0):
        p = pod(container(resources={"requests": {"memory": request}}), priority=priority)
        p["metadata"]["uid"] = uid
        return p

    usage = {"greedy": Usage(300 << 20), "within": Usage(200 << 20), "important": Usage(900 << 20)}
    pods = [sized("within", "256Mi"), sized("greedy", "100Mi"), sized("important", "1Mi", 10)]
    victim = choose_victim("memory", pods, usage)
    assert victim is not None
    assert victim["metadata"]["uid"] == "greedy"
    assert choose_victim("memory", [sized("x", "1Mi", 2_000_000_000)], usage) is None
    assert pressured_resource(CALM) == ""
    assert pressured_resource(Pressure(1, CALM.disk, 1, 2)) == "memory"


MANIFEST = b"""
kind: Pod
metadata: {name: web, annotations: {own: a}}
spec: {containers: [{name: c, image: x}]}
"""


def test_a_manifest_becomes_a_pod_of_this_node_with_an_identity_from_its_content() -> None:
    seen = datetime(2026, 1, 1, tzinfo=UTC)
    p = parse_manifest(MANIFEST, "/m/web.yaml", "n1", seen)
    assert (p["metadata"]["name"], p["metadata"]["namespace"], p["spec"]["nodeName"]) == ("web-n1", "default", "n1")
    assert p["metadata"]["uid"] == parse_manifest(MANIFEST, "/m/web.yaml", "n1", datetime.now(UTC))["metadata"]["uid"]
    assert p["metadata"]["uid"] != parse_manifest(MANIFEST + b"#\n", "/n.yaml", "n1", seen)["metadata"]["uid"]
    mirror = mirror_of(p, {"metadata": {"name": "n1", "uid": "node-uid"}})
    assert mirror["metadata"]["annotations"]["kubernetes.io/config.mirror"] == p["metadata"]["uid"]
    assert "uid" not in mirror["metadata"]
    assert p["metadata"]["uid"]


@pytest.mark.parametrize(
    "text",
    [b"{", b"kind: Service", b"kind: Pod\nspec: {}", b"- a", b"kind: Pod\nmetadata: {}\nspec: {containers: [{}]}"],
)
def test_what_is_no_manifest_is_said(text: bytes) -> None:
    with pytest.raises(ValueError, match="/m"):
        parse_manifest(text, "/m", "n1", datetime.now(UTC))


def test_a_directory_of_manifests_is_followed(tmp_path: Path) -> None:
    told: list[str] = []
    source = StaticSource(
        tmp_path,
        "n1",
        on_add=lambda p: told.append("+" + p["metadata"]["name"]),
        on_remove=lambda p: told.append("-" + p["metadata"]["name"]),
    )
    (tmp_path / "web.yaml").write_bytes(MANIFEST)
    (tmp_path / "bad.yaml").write_text("{")
    (tmp_path / ".hidden.yaml").write_bytes(MANIFEST)
    source.scan()
    source.scan()
    assert told == ["+web-n1"]
    (tmp_path / "web.yaml").write_bytes(MANIFEST.replace(b"image: x", b"image: y"))
    source.scan()
    assert told == ["+web-n1", "-web-n1", "+web-n1"]
    (tmp_path / "web.yaml").unlink()
    source.scan()
    assert told[-1] == "-web-n1"


def test_log_lines() -> None:
    entry = parse_line(b"2026-01-01T00:00:00.5Z stdout F a b\n")
    assert entry is not None
    assert (entry.stream, entry.partial, entry.content) == ("stdout", False, b"a b\n")
    piece = parse_line(b"t stderr P part")
    assert piece is not None
    assert (piece.partial, piece.content) == (True, b"part")
    assert parse_line(b"t stdout F") is not None
    assert parse_line(b"garbage") is None


def test_last_words(tmp_path: Path) -> None:
    log = tmp_path / "0.log"
    log.write_bytes(b"".join(b"t stdout F line %d\n" % n for n in range(200)) + b"t stderr P no end")
    tail = read_log_tail(str(log))
    assert tail.endswith("line 199\nno end")
    assert len(tail.splitlines()) == 80
    assert read_log_tail(str(tmp_path / "none")) == ""
    message = tmp_path / "m"
    message.write_bytes(b"x" * 5000)
    assert len(read_message_file(str(message))) == 4096
    (tmp_path / "l").symlink_to("/etc/passwd")
    assert read_message_file(str(tmp_path / "l")) == ""


def test_flags(tmp_path: Path) -> None:
    options = parse_arguments(["--kubeconfig", "k", "--node-name", "n", "--root-dir", str(tmp_path)])
    assert options.runtime_endpoint == "/run/containerd/containerd.sock"
    assert options.pod_logs == tmp_path / "log" / "pods"
    assert parse_labels("a=b,c=") == {"a": "b", "c": ""}
    assert parse_taints("k=v:NoSchedule,x:NoExecute") == (
        {"key": "k", "effect": "NoSchedule", "value": "v"},
        {"key": "x", "effect": "NoExecute"},
    )


def test_pods_that_outgrow_their_own_limits(tmp_path: Path) -> None:
    volumes = [
        {"name": "e", "emptyDir": {"sizeLimit": "1Mi"}},
        {"name": "m", "emptyDir": {"sizeLimit": "1Mi", "medium": "Memory"}},
    ]
    p = pod(container(resources={"limits": {"ephemeral-storage": "2Mi"}}), volumes=volumes)
    assert limited_volumes(p) == {"e": "1Mi"}
    assert storage_excess(p, {"e": 1 << 20}, {"c": 2 << 20}) == ""
    assert storage_excess(p, {"e": (1 << 20) + 1}, {}) == 'Usage of EmptyDir volume "e" exceeds the limit "1Mi". '
    assert storage_excess(p, {}, {"c": 3 << 20}) == 'Container c exceeded its local ephemeral storage limit "2Mi". '
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "f").write_bytes(b"x" * 9000)
    assert directory_bytes(tmp_path) >= 9000
    assert not has_storage_limits(pod())
