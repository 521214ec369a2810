"""Tokens: trust by signature, life time, and what a cluster must hold; units and plans for real machines."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from cli.commands.agent import _without_token
from cli.commands.token import parse_ttl
from cli.errors import CommandError
from cli.join.discovery import public_kubeconfig, sign, split_token, verify
from cli.join.objects import cluster_info, expiry, new_token, permissions, token_secret
from cli.join.tokens import is_loopback
from cli.machine.agent import AgentOptions, node_layout, plan_agent
from cli.machine.server import ServerOptions, plan_server
from cli.machine.units import TEMPLATES, render_unit, unit_name

TOKEN = "abcdef.0123456789abcdef"
CA = b"-----BEGIN CERTIFICATE-----\nx\n-----END CERTIFICATE-----\n"


def test_a_token_vouches_for_the_authority() -> None:
    info = cluster_info(public_kubeconfig("https://10.0.0.1:6443", CA), {"abcdef": "0123456789abcdef"})
    assert verify(info, TOKEN) == CA


def test_a_changed_authority_is_not_believed() -> None:
    info = cluster_info(public_kubeconfig("https://10.0.0.1:6443", CA), {"abcdef": "0123456789abcdef"})
    info["data"]["kubeconfig"] = public_kubeconfig("https://10.0.0.1:6443", b"other")
    with pytest.raises(CommandError, match="not vouched for"):
        verify(info, TOKEN)


def test_a_signature_made_with_another_secret_is_not_believed() -> None:
    info = cluster_info(public_kubeconfig("https://10.0.0.1:6443", CA), {"abcdef": "another-secret00"})
    with pytest.raises(CommandError, match="not vouched for"):
        verify(info, TOKEN)
    with pytest.raises(CommandError, match="does not know token zzzzzz"):
        verify(info, "zzzzzz.0123456789abcdef")


def test_a_signature_is_detached_and_names_its_token() -> None:
    header, content, _ = sign("text", "abcdef", "secret").split(".")
    assert content == ""
    assert header == "eyJhbGciOiJIUzI1NiIsImtpZCI6ImFiY2RlZiJ9"


@pytest.mark.parametrize(
    "token", ["", "abc", "abcdef", "ABCDEF.0123456789abcdef", "abcdef.0123456789abcde", TOKEN + "x"]
)
def test_malformed_tokens(token: str) -> None:
    with pytest.raises(CommandError, match="6 characters, a dot and 16"):
        split_token(token)


def test_new_tokens_are_well_formed_and_differ() -> None:
    tokens = {new_token() for _ in range(50)}
    assert len(tokens) == 50
    assert all(split_token(token) for token in tokens)


def test_the_secret_of_a_token() -> None:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    secret = token_secret(TOKEN, expires_at=expiry(now, 3600), description="lab")
    assert secret["metadata"] == {"name": "bootstrap-token-abcdef", "namespace": "kube-system"}
    assert secret["stringData"]["expiration"] == "2026-01-01T01:00:00Z"
    assert secret["stringData"]["usage-bootstrap-authentication"] == "true"
    assert expiry(now, 0) is None
    assert "expiration" not in token_secret(TOKEN, expires_at=None, description="")["stringData"]
    assert expiry(now, 60) == now + timedelta(minutes=1)


def test_anonymous_users_may_read_one_object_and_no_more() -> None:
    role = next(obj for obj in permissions() if obj["kind"] == "Role")
    assert role["rules"] == [
        {"apiGroups": [""], "resources": ["configmaps"], "resourceNames": ["cluster-info"], "verbs": ["get"]}
    ]


@pytest.mark.parametrize(("text", "seconds"), [("0", 0), ("30m", 1800), ("24h", 86400), ("7d", 604800), ("1.5h", 5400)])
def test_times_to_live(text: str, seconds: float) -> None:
    assert parse_ttl(text) == seconds


@pytest.mark.parametrize("text", ["", "5", "h", "-1h", "1w"])
def test_bad_times_to_live(text: str) -> None:
    with pytest.raises(CommandError, match="use a number and s, m, h or d"):
        parse_ttl(text)


@pytest.mark.parametrize("role", ["server", "agent"])
def test_units_carry_the_command_and_nothing_unfilled(role: str) -> None:
    template = (TEMPLATES / unit_name(role)).read_text()
    text = render_unit(template, ["/opt/navarch", role, "--home", "/a b", "--x", "50%"])
    assert f"ExecStart=/opt/navarch {role} --home '/a b' --x '50%%'\n" in text or "50%%" in text
    assert "@" not in text.split("[Service]")[1]
    assert "Restart=always" in text


def test_the_agents_unit_lets_containers_live_and_holds_no_token() -> None:
    assert "KillMode=process" in (TEMPLATES / unit_name("agent")).read_text()
    words = ["agent", "--server", "https://x", "--token", "secret", "--token=secret", "--home", "/h"]
    assert _without_token(words) == ["agent", "--server", "https://x", "--home", "/h"]


def test_a_server_serves_on_loopback_too_and_makes_its_rights_once() -> None:
    plan = {
        p.name: p for p in plan_server(ServerOptions(Path("/h"), ("10.0.0.1", "127.0.0.1"), names=("api.example",)))
    }
    command = plan["apiserver"].command
    assert [command[i + 1] for i, word in enumerate(command) if word == "--bind"] == ["127.0.0.1", "10.0.0.1"]
    assert command[command.index("--tls-san") + 1] == "api.example"
    assert [name for name, process in plan.items() if process.once] == ["bootstrap"]
    assert not any(process.netns for process in plan.values())


def test_an_agent_brings_its_own_containerd_unless_told_of_one() -> None:
    options = AgentOptions(Path("/h"), "n1", node_ip="10.0.0.2", labels="a=b")
    node = node_layout(options)
    own = plan_agent(node, options)
    assert [process.name for process in own] == ["containerd", "agent"]
    assert own[1].command[own[1].command.index("--runtime-endpoint") + 1] == str(node.containerd_socket)
    assert own[1].command[-4:] == ("--node-ip", "10.0.0.2", "--node-labels", "a=b")
    given = plan_agent(node, AgentOptions(Path("/h"), "n1", runtime_endpoint="/run/x.sock"))
    assert [process.name for process in given] == ["agent"]
    assert "/run/x.sock" in given[0].command


@pytest.mark.parametrize(
    ("server", "is_ours"),
    [
        ("https://127.0.0.1:6443", True),
        ("https://localhost:1", True),
        ("https://[::1]:6443", True),
        ("https://10.0.0.1:6443", False),
        ("https://api.example", False),
    ],
)
def test_an_address_that_only_this_machine_reaches(server: str, is_ours: bool) -> None:
    assert is_loopback(server) is is_ours
