"""What only etcd has: several members, certificates, writers elsewhere, history lost while out of reach."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from apiserver.storage import open_storage
from apiserver.storage.cacher import Cacher
from apiserver.storage.etcd import EtcdStorage
from apiserver.storage.interface import Compacted, StorageError, StorageUnavailable
from tests.contract.conftest import EtcdProcess, require_etcd

pytestmark = pytest.mark.etcd

POD = b'{"metadata":{"name":"a"}}'


@pytest.fixture
async def start_etcd(tmp_path: Path) -> AsyncIterator[Callable[..., Any]]:
    require_etcd()
    started: list[EtcdProcess] = []

    async def start(name: str = "etcd", **options: Any) -> EtcdProcess:
        process = EtcdProcess(tmp_path / name, **options)
        started.append(process)
        await asyncio.to_thread(process.start)
        return process

    yield start
    for process in started:
        process.kill()


async def test_a_dead_endpoint_is_passed_over(etcd: EtcdProcess, prefix: str) -> None:
    storage = EtcdStorage(["http://127.0.0.1:1", etcd.url])
    await storage.start()
    revision = await storage.create(prefix + "a", b"1")
    stored = await storage.get(prefix + "a")
    assert stored is not None
    assert stored.revision == revision
    await storage.close()


def issue(folder: Path) -> dict[str, str]:
    """A CA, and one certificate for the server and the client."""
    now = datetime.now(UTC)

    def certificate(name: str, key: Any, issuer: str, issuer_key: Any, *, ca: bool) -> x509.Certificate:
        return (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
            .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]))
            .public_key(key.public_key()).serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(hours=1)).not_valid_after(now + timedelta(hours=1))
            .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
            .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
            .sign(issuer_key, hashes.SHA256())
        )

    ca_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    pem = serialization.Encoding.PEM
    contents = {
        "ca_file": certificate("ca", ca_key, "ca", ca_key, ca=True).public_bytes(pem),
        "cert_file": certificate("both", key, "ca", ca_key, ca=False).public_bytes(pem),
        "key_file": key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()),
    }
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    return {name: str(folder / name) for name in contents}


async def test_certificates_on_both_sides(
    start_etcd: Callable[..., Any], tmp_path: Path, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = issue(tmp_path)
    process = await start_etcd(
        scheme="https",
        extra=("--cert-file", files["cert_file"], "--key-file", files["key_file"], "--client-cert-auth",
               "--trusted-ca-file", files["ca_file"]),
    )
    storage = open_storage(process.url, **files)  # type: ignore[arg-type]
    await storage.start()
    assert await storage.create(prefix + "a", b"1") > 0
    await storage.close()
    monkeypatch.setattr("apiserver.storage.etcd.START_SECONDS", 0.1)
    stranger = open_storage(process.url, ca_file=files["ca_file"])
    with pytest.raises(StorageUnavailable):
        await stranger.start()
    await stranger.close()


async def test_a_write_outside_the_root_does_not_hold_up_readers(etcd: EtcdProcess, prefix: str) -> None:
    """The revision of a foreign write never comes by the watch: the marker has to move it."""
    mine, foreign = EtcdStorage([etcd.url]), EtcdStorage([etcd.url], root="/elsewhere/")
    await mine.start()
    await foreign.start()
    cacher = Cacher(mine, prefix)
    await cacher.start()
    revision = await foreign.create("/elsewhere/" + prefix, b"1")
    listed = await asyncio.wait_for(cacher.list(), 5)
    assert listed.revision >= revision
    await cacher.close()
    await foreign.close()
    await mine.close()


async def test_the_cache_starts_over_when_history_was_lost(
    start_etcd: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """etcd is away; meanwhile, through another server, things change and their history is compacted."""
    process = await start_etcd()
    storage = EtcdStorage([process.url])
    await storage.start()
    cacher = Cacher(storage, "/registry/pods/")
    await cacher.start()
    first = await storage.create("/registry/pods/ns/a", POD)
    watcher = await cacher.watch(revision=first)
    seen: list[tuple[bool, bool]] = []
    cacher.observe(lambda change: seen.append((change.before is not None, change.after is not None)))

    blocked = asyncio.Event()
    original = storage._client.watch

    def cut_off(*args: Any) -> Any:
        async def nothing() -> AsyncIterator[Any]:
            await blocked.wait()
            raise StorageUnavailable("cut off")
            yield

        return nothing() if not blocked.is_set() else original(*args)

    monkeypatch.setattr(storage._client, "watch", cut_off)
    await asyncio.to_thread(process.kill)
    await asyncio.to_thread(process.start)
    other = EtcdStorage([process.url])
    await other.start()
    await other.delete("/registry/pods/ns/a", expected_revision=first)
    last = await other.create("/registry/pods/ns/b", b'{"metadata":{"name":"b"}}')
    await other.compact(last)
    await other.close()
    blocked.set()

    assert await asyncio.wait_for(watcher.take(), 10) == []
    assert watcher.ended == "lost"
    for _ in range(100):
        try:
            listed = await cacher.list()
            break
        except StorageError:
            await asyncio.sleep(0.05)
    assert [entry.key for entry in listed.entries] == ["/registry/pods/ns/b"]
    assert listed.entries[0].revision == last
    assert sorted(seen) == [(False, True), (False, True), (True, False)]
    with pytest.raises(Compacted):
        await cacher.watch(revision=first)
    await cacher.close()
    await storage.close()


def test_other_stores_do_not_pay_for_grpc() -> None:
    code = (
        "import sys, asyncio\nfrom apiserver.storage import open_storage\nfrom apiserver.storage.cacher import Cacher\n"
        "open_storage('memory'); open_storage('sqlite:/tmp/x')\nprint('grpc' in sys.modules)"
    )
    root = Path(__file__).parents[2]
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=root).stdout == "False\n"
