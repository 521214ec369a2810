"""What a home directory must hold, and that it heals: expired, foreign or broken files are replaced, keys never are."""

from __future__ import annotations

import base64
import ssl
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import yaml
from cryptography import x509
from cryptography.x509.oid import NameOID

from machinery.pki import Authority, create_authority, create_csr, ensure_cluster_pki, issue, sign_csr
from machinery.pki.rotation import covers, is_expired, is_signed_by, needs_renewal, renew_at

NOW = datetime(2026, 3, 1, tzinfo=UTC)


def test_everything_is_created_with_private_modes(tmp_path: Path) -> None:
    started = time.perf_counter()
    pki = ensure_cluster_pki(tmp_path, NOW, advertise_addresses=["10.200.0.1"])
    assert time.perf_counter() - started < 3
    for name in ("ca", "front-proxy-ca", "apiserver", "apiserver-kubelet-client", "front-proxy-client"):
        assert pki.path(f"{name}.key").stat().st_mode & 0o777 == 0o600
        assert pki.path(f"{name}.crt").stat().st_mode & 0o777 == 0o644
    assert pki.path("sa.key").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "pki").stat().st_mode & 0o777 == 0o700
    for name in ("admin", "controllers", "scheduler"):
        assert pki.kubeconfig(name).stat().st_mode & 0o777 == 0o600


def test_a_second_call_changes_nothing(tmp_path: Path) -> None:
    ensure_cluster_pki(tmp_path, NOW)
    assert ensure_cluster_pki(tmp_path, NOW + timedelta(days=200)).changed == ()


def test_certificates_are_renewed_after_two_thirds_and_keys_of_trust_are_kept(tmp_path: Path) -> None:
    first = ensure_cluster_pki(tmp_path, NOW)
    ca, sa = first.path("ca.crt").read_bytes(), first.path("sa.key").read_bytes()
    second = ensure_cluster_pki(tmp_path, NOW + timedelta(days=400))
    assert set(second.changed) == {
        "pki/apiserver.crt", "pki/apiserver-kubelet-client.crt", "pki/front-proxy-client.crt",
        "kubeconfig/admin.kubeconfig", "kubeconfig/controllers.kubeconfig", "kubeconfig/scheduler.kubeconfig",
    }  # fmt: skip
    assert second.path("ca.crt").read_bytes() == ca
    assert second.path("sa.key").read_bytes() == sa


def test_a_new_address_reissues_only_the_serving_certificate(tmp_path: Path) -> None:
    ensure_cluster_pki(tmp_path, NOW)
    assert ensure_cluster_pki(tmp_path, NOW, advertise_addresses=["192.0.2.7"]).changed == ("pki/apiserver.crt",)


def test_the_serving_certificate_names_the_service_and_every_address(tmp_path: Path) -> None:
    pki = ensure_cluster_pki(tmp_path, NOW, advertise_addresses=["10.200.0.1"], extra_names=["cp.example"])
    certificate = x509.load_pem_x509_certificate(pki.path("apiserver.crt").read_bytes())
    assert covers(
        certificate,
        ["kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local",
         "localhost", "cp.example"],
        ["127.0.0.1", "10.96.0.1", "10.200.0.1"],
    )  # fmt: skip
    assert not covers(certificate, ["elsewhere"], [])


def test_kubeconfigs_carry_the_user_and_groups(tmp_path: Path) -> None:
    pki = ensure_cluster_pki(tmp_path, NOW, server="https://192.0.2.1:6443")
    users = {}
    for name in ("admin", "controllers", "scheduler"):
        config = yaml.safe_load(pki.kubeconfig(name).read_text())
        assert config["clusters"][0]["cluster"]["server"] == "https://192.0.2.1:6443"
        pem = base64.b64decode(config["users"][0]["user"]["client-certificate-data"])
        subject = x509.load_pem_x509_certificate(pem).subject
        users[name] = (
            subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value,
            [a.value for a in subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)],
        )
    assert users == {
        "admin": ("kubernetes-admin", ["system:masters"]),
        "controllers": ("system:kube-controller-manager", []),
        "scheduler": ("system:kube-scheduler", []),
    }


@pytest.mark.parametrize("text", ["", "nonsense: [", "users: []", "clusters: 3"])
def test_a_broken_kubeconfig_is_written_again(tmp_path: Path, text: str) -> None:
    pki = ensure_cluster_pki(tmp_path, NOW)
    pki.kubeconfig("admin").write_text(text)
    assert ensure_cluster_pki(tmp_path, NOW).changed == ("kubeconfig/admin.kubeconfig",)


def test_a_lost_authority_key_is_an_error_not_a_new_authority(tmp_path: Path) -> None:
    pki = ensure_cluster_pki(tmp_path, NOW)
    pki.path("ca.key").unlink()
    with pytest.raises(FileNotFoundError, match=r"ca\.key"):
        ensure_cluster_pki(tmp_path, NOW)


def test_openssl_loads_what_was_written(tmp_path: Path) -> None:
    pki = ensure_cluster_pki(tmp_path, datetime.now(UTC))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pki.path("apiserver.crt"), pki.path("apiserver.key"))
    context.load_verify_locations(pki.ca_certificate)


def test_a_request_is_signed_with_its_names_and_the_signers_usages() -> None:
    authority = create_authority("test", NOW)
    csr, _ = create_csr("system:node:n1", organizations=["system:nodes"], dns_names=["n1"], addresses=["192.0.2.1"])
    certificate = x509.load_pem_x509_certificate(sign_csr(authority, csr, NOW, lifetime=timedelta(hours=3)))
    assert certificate.subject.rfc4514_string() == "CN=system:node:n1,O=system:nodes"
    assert covers(certificate, ["n1"], ["192.0.2.1"])
    assert is_signed_by(certificate, authority.certificate)
    assert not is_signed_by(certificate, create_authority("test", NOW).certificate)
    assert is_expired(certificate, NOW + timedelta(hours=3))
    assert not needs_renewal(certificate, NOW + timedelta(hours=1))
    assert needs_renewal(certificate, renew_at(certificate))


def test_a_leaf_never_outlives_its_authority() -> None:
    authority = create_authority("short", NOW, timedelta(days=10))
    leaf = issue(authority, "x", NOW, lifetime=timedelta(days=365)).certificate()
    assert leaf.not_valid_after_utc == authority.certificate.not_valid_after_utc


def test_an_authority_survives_the_disk() -> None:
    authority = create_authority("round trip", NOW)
    again = Authority.from_pair(authority.pair())
    assert is_signed_by(issue(again, "leaf", NOW).certificate(), authority.certificate)
