"""Joining with a bootstrap token: the token's rights become a certificate of the node's own."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from kubelet.node.certificates import Rotation, client_certificate, join
from machinery.client import Client, load_kubeconfig
from machinery.pki.kubeconfig import kubeconfig, write_kubeconfig
from tests.support.processes import ControlPlane

TOKEN_ID, TOKEN_SECRET = "abcdef", "0123456789abcdef"


class Later:
    """The machine's clock, a year on: due for renewal."""

    def __init__(self) -> None:
        self.ahead = timedelta(days=300)

    def now(self) -> datetime:
        return datetime.now(UTC) + self.ahead

    def monotonic(self) -> float:
        import time

        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        import asyncio

        await asyncio.sleep(min(seconds, 0.05))


@pytest.mark.timeout(90)
async def test_a_token_becomes_a_certificate_and_is_renewed(tmp_path: Path) -> None:
    plane = ControlPlane(tmp_path)
    try:
        plane.start_apiserver()
        pki = plane.home / "pki"
        plane.start_controllers(
            "--root-ca-file",
            str(pki / "ca.crt"),
            "--cluster-signing-cert-file",
            str(pki / "ca.crt"),
            "--cluster-signing-key-file",
            str(pki / "ca.key"),
        )
        async with Client.from_kubeconfig(plane.kubeconfig("admin")) as admin:
            await admin.create(
                "v1",
                "secrets",
                {
                    "metadata": {"name": f"bootstrap-token-{TOKEN_ID}", "namespace": "kube-system"},
                    "type": "bootstrap.kubernetes.io/token",
                    "stringData": {
                        "token-id": TOKEN_ID,
                        "token-secret": TOKEN_SECRET,
                        "usage-bootstrap-authentication": "true",
                        "auth-extra-groups": "system:bootstrappers:navarch",
                    },
                },
            )
            for name, role in (
                ("join", "system:node-bootstrapper"),
                ("approve", "system:certificates.k8s.io:certificatesigningrequests:nodeclient"),
            ):
                await admin.create(
                    "rbac.authorization.k8s.io/v1",
                    "clusterrolebindings",
                    {
                        "metadata": {"name": name},
                        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
                        "subjects": [
                            {"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": "system:bootstrappers"}
                        ],
                    },
                )
            await admin.create(
                "rbac.authorization.k8s.io/v1",
                "clusterrolebindings",
                {
                    "metadata": {"name": "renew"},
                    "roleRef": {
                        "apiGroup": "rbac.authorization.k8s.io",
                        "kind": "ClusterRole",
                        "name": "system:certificates.k8s.io:certificatesigningrequests:selfnodeclient",
                    },
                    "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": "system:nodes"}],
                },
            )
        config = load_kubeconfig(plane.kubeconfig("admin"))
        bootstrap, target = tmp_path / "bootstrap.kubeconfig", tmp_path / "own" / "kubelet.kubeconfig"
        write_kubeconfig(
            bootstrap,
            kubeconfig(
                config.server,
                config.ca_data or Path(config.ca_file).read_bytes(),
                user="bootstrap",
                token=f"{TOKEN_ID}.{TOKEN_SECRET}",
            ),
        )
        await join(bootstrap, target, "node-7")
        first = client_certificate(target)
        assert first is not None
        assert first.subject.rfc4514_string() == "CN=system:node:node-7,O=system:nodes"
        async with Client.from_kubeconfig(target) as client:
            await client.create("v1", "nodes", {"metadata": {"name": "node-7"}})
            await renew(client, target)
        second = client_certificate(target)
        assert second is not None
        assert second.serial_number != first.serial_number
    except BaseException:
        print(plane.tails())
        raise
    finally:
        plane.stop()


async def renew(client: Client, target: Path) -> None:
    import asyncio

    renewed = asyncio.Event()
    clock = Later()

    async def reload() -> None:
        clock.ahead = timedelta(0)
        renewed.set()

    rotation = asyncio.create_task(Rotation(client, target, "node-7", reload, clock).run())
    async with asyncio.timeout(20):
        await renewed.wait()
    rotation.cancel()
    await asyncio.gather(rotation, return_exceptions=True)
