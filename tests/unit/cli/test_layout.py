"""Names, addresses and the spec: pure, and the base of everything that `down` must find again."""

from __future__ import annotations

from pathlib import Path

import pytest

from cli.local.containerd import may_lower_oom_score, render_config
from cli.local.layout import ClusterLayout, LayoutError, check_cluster_name, check_home, check_node_name
from cli.local.processes import plan_processes
from cli.local.spec import ClusterSpec, NodeSpec, parse_spec, read_spec, write_spec
from cli.local.supervise.changes import plan_changes
from cli.local.supervise.restart import DELAYS, STABLE_SECONDS, History

LAYOUT = ClusterLayout("blue", Path("/var/lib/navarch/blue"))


@pytest.mark.parametrize("name", ["", "A", "a-b", "1a", "a" * 16, "a/b", "ä"])
def test_a_cluster_name_that_could_meet_another_clusters_namespace_is_refused(name: str) -> None:
    with pytest.raises(LayoutError, match="lower-case"):
        check_cluster_name(name)


@pytest.mark.parametrize("name", ["", "-a", "a-", "A", "a.b", "a" * 31])
def test_bad_node_names_are_refused(name: str) -> None:
    with pytest.raises(LayoutError, match="lower-case"):
        check_node_name(name)


def test_a_home_too_deep_for_sockets_is_refused() -> None:
    with pytest.raises(LayoutError, match="longer than"):
        check_home(Path("/" + "x" * 80))


def test_namespaces_of_two_clusters_never_meet() -> None:
    """`nv-a-b` would be cluster `a-b` or node `b` of `a`, were dashes allowed in both."""
    red = ClusterLayout("bluex", Path("/x"))
    names = {LAYOUT.netns, red.netns, LAYOUT.node("x", 0).netns, red.node("x", 0).netns, LAYOUT.node("x-x", 1).netns}
    assert len(names) == 5


def test_addresses_follow_the_index_for_life() -> None:
    spec = ClusterSpec("blue", 6443).grown_to(3)
    assert [LAYOUT.node(n.name, n.index).address for n in spec.nodes] == ["10.200.0.11", "10.200.0.12", "10.200.0.13"]
    smaller = spec.without_node("node1")
    assert [LAYOUT.node(n.name, n.index).address for n in smaller.nodes] == ["10.200.0.12", "10.200.0.13"]
    again = smaller.new_node()
    assert (again.name, again.index) == ("node1", 0)
    assert smaller.new_node("other") == NodeSpec("other", 0)


def test_a_node_cannot_be_added_twice() -> None:
    with pytest.raises(ValueError, match="exists already"):
        ClusterSpec("blue", 6443).grown_to(1).new_node("node1")


def test_an_unknown_node_names_the_known_ones() -> None:
    with pytest.raises(KeyError, match=r"nodes: node1, node2"):
        ClusterSpec("blue", 6443).grown_to(2).node("node9")


def test_the_spec_survives_its_file(tmp_path: Path) -> None:
    layout = ClusterLayout("blue", tmp_path)
    assert read_spec(layout) is None
    spec = ClusterSpec("blue", 7000, "etcd").grown_to(2).with_node(NodeSpec("node1", 0, "off", "cut"))
    write_spec(layout, spec)
    assert read_spec(layout) == spec
    assert parse_spec({"name": "x", "port": 1}) == ClusterSpec("x", 1)


def test_what_runs_follows_from_the_spec() -> None:
    spec = ClusterSpec("blue", 7000).grown_to(2)
    names = [process.name for process in plan_processes(LAYOUT, spec)]
    assert names[0] == "apiserver", "everybody waits for it"
    assert set(names) == {"apiserver", "containerd@node1", "agent@node1", "containerd@node2", "agent@node2",
                          "controllers", "scheduler", "gateway"}  # fmt: skip
    stopped = spec.with_node(NodeSpec("node2", 1, power="off"))
    assert not [p.name for p in plan_processes(LAYOUT, stopped) if p.node == "node2"]
    cut = spec.with_node(NodeSpec("node2", 1, link="cut"))
    assert [p.name for p in plan_processes(LAYOUT, cut)] == names, "a machine without network goes on"


def test_the_store_decides_whether_etcd_runs() -> None:
    processes = {p.name: p for p in plan_processes(LAYOUT, ClusterSpec("blue", 7000, "etcd"))}
    assert "--etcd-servers" in processes["apiserver"].command
    assert processes["etcd"].netns == str(LAYOUT.netns_path), "its ports are invisible outside"
    assert "etcd" not in {p.name for p in plan_processes(LAYOUT, ClusterSpec("blue", 7000))}


def test_only_the_gateway_and_the_api_servers_socket_are_in_the_root_namespace() -> None:
    processes = plan_processes(LAYOUT, ClusterSpec("blue", 7000).grown_to(1))
    assert [p.name for p in processes if not p.netns] == ["gateway"]
    listeners = [listener for p in processes for listener in p.listeners]
    inside = str(LAYOUT.netns_path)
    found = [(listener.address, listener.port, listener.netns) for listener in listeners]
    assert found == [("127.0.0.1", 7000, ""), ("10.200.0.1", 6443, inside)]


def test_containerd_keeps_everything_in_the_nodes_folder() -> None:
    import tomllib

    node = LAYOUT.node("node1", 0)
    config = tomllib.loads(render_config(node, restrict_oom_score_adj=True))
    cri = config["plugins"]["io.containerd.grpc.v1.cri"]
    paths = [config["root"], config["state"], config["grpc"]["address"], cri["cni"]["conf_dir"],
             cri["containerd"]["runtimes"]["runc"]["options"]["Root"]]  # fmt: skip
    assert all(path.startswith(f"{node.directory}/") for path in paths)
    assert cri["restrict_oom_score_adj"] is True
    assert cri["netns_mounts_under_state_dir"] is True


@pytest.mark.parametrize(("caps", "may"), [("000001ffffffffff", True), ("000001fffeffffff", False)])
def test_whether_the_oom_score_may_be_lowered(caps: str, may: bool) -> None:
    assert may_lower_oom_score(f"Name:\tx\nCapEff:\t{caps}\n") is may


def test_changes_between_wanted_and_running() -> None:
    wanted = plan_processes(LAYOUT, ClusterSpec("blue", 7000).grown_to(1), python="python")
    running = {p.name: p.command for p in wanted}
    assert plan_changes(wanted, running).start == ()
    assert plan_changes(wanted, running).end == ()
    del running["scheduler"]
    running["agent@node1"] = ("old", "command")
    running["agent@gone"] = ("x",)
    changes = plan_changes(wanted, running)
    assert [spec.name for spec in changes.start] == ["scheduler"]
    assert sorted(changes.end) == ["agent@gone", "agent@node1"]


def test_restarts_are_quick_once_and_slower_each_time() -> None:
    history, now, waits = History(), 0.0, []
    for _ in range(10):
        history, due = history.started(now).ended(now + 0.1)
        waits.append(round(due - now - 0.1, 3))
        now = due
    assert tuple(waits[:8]) == DELAYS
    assert waits[8:] == [DELAYS[-1]] * 2
    history, due = history.started(now).ended(now + STABLE_SECONDS)
    assert due == now + STABLE_SECONDS, "it has lived for a while: at once again"
    assert history.restarts == 11
