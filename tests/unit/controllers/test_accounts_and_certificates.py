"""Service accounts, root certificate, tokens; signing requests; time-outs; aggregated roles; the command line."""

from __future__ import annotations

import argparse
import base64
from datetime import timedelta

import pytest

from controllers.bootstrap.plan import remaining_seconds as token_seconds
from controllers.certificates import plan as csr_plan
from controllers.clusterroleaggregation.plan import aggregate
from controllers.main import parse_duration, parse_options
from controllers.serviceaccount import plan as accounts
from controllers.ttlafterfinished.plan import remaining_seconds
from machinery.meta.objects import format_time
from machinery.pki.certificates import create_authority, create_csr, sign_csr
from tests.unit.controllers.builders import NOW, ago, meta, node, workload

CA = b"-----BEGIN CERTIFICATE-----\nx\n-----END CERTIFICATE-----\n"


def test_the_root_certificate_is_repaired():
    made = accounts.root_ca_map("ns", CA)
    assert accounts.repaired_root_ca_map(made, CA) is None
    assert accounts.repaired_root_ca_map({**made, "data": {"ca.crt": "evil"}}, CA)["data"] == {"ca.crt": CA.decode()}
    bare = {**made, "metadata": {"name": "x", "namespace": "ns", "annotations": {"mine": "1"}}}
    assert set(accounts.repaired_root_ca_map(bare, CA)["metadata"]["annotations"]) == {"mine", accounts.DESCRIPTION}


def secret(**annotations):
    annotations = {accounts.ACCOUNT_NAME: "sa", **annotations}
    return {"type": accounts.TOKEN_TYPE, "metadata": meta("s", annotations=annotations)}


def test_token_secrets():
    account = {"metadata": meta("sa")}
    made = secret()
    assert accounts.belongs_to(made, account)
    assert accounts.needs_token(made, CA)
    filled = accounts.filled_secret(made, account, "tok", CA)
    assert base64.b64decode(filled["data"]["token"]) == b"tok"
    assert base64.b64decode(filled["data"]["namespace"]) == b"ns"
    assert not accounts.needs_token(filled, CA)
    assert accounts.needs_token(filled, b"another CA")
    assert accounts.filled_secret(filled, account, "new", CA)["data"]["token"] == filled["data"]["token"]
    assert not accounts.belongs_to(filled, {"metadata": meta("sa")})
    claims = accounts.token_claims(made, account)
    assert claims["sub"] == "system:serviceaccount:ns:sa"
    assert claims["kubernetes.io/serviceaccount/secret.name"] == "s"


# --- certificates -------------------------------------------------------------------------------------------------

CLIENT, SERVING = ["digital signature", "client auth"], ["digital signature", "server auth"]


def request(signer, usages, *, name="system:node:n1", groups=("system:nodes",), user=None, **alternative):
    pem, _ = create_csr(name, organizations=groups, **alternative)
    spec = {"request": base64.b64encode(pem).decode(), "signerName": signer, "usages": usages,
            "username": user if user is not None else name, "groups": ["system:nodes"]}  # fmt: skip
    return {"metadata": meta("csr", ""), "spec": spec, "status": {}}


def subject(made):
    return csr_plan.parse_request(csr_plan.request_bytes(made))


@pytest.mark.parametrize(
    ("made", "error"),
    [
        (request(csr_plan.KUBELET_CLIENT, CLIENT), None),
        (request(csr_plan.KUBELET_CLIENT, CLIENT, groups=()), "subject organization is not system:nodes"),
        (request(csr_plan.KUBELET_CLIENT, CLIENT, name="bob"), "subject common name does not begin with system:node:"),
        (request(csr_plan.KUBELET_CLIENT, CLIENT, dns_names=["x"]), "DNS subjectAltNames are not allowed"),
        (request(csr_plan.KUBELET_CLIENT, SERVING),
         "usages did not match [client auth digital signature key encipherment]"),
        (request(csr_plan.KUBELET_SERVING, SERVING), "DNS or IP subjectAltName is required"),
        (request(csr_plan.KUBELET_SERVING, SERVING, addresses=["10.0.0.1"]), None),
        (request(csr_plan.KUBELET_SERVING, CLIENT, name="alice", groups=()),
         "subject organization is not system:nodes"),
        (request(csr_plan.CLIENT, ["client auth"], name="alice", groups=()), None),
        (request(csr_plan.CLIENT, ["server auth"], name="alice", groups=()),
         "usages did not match [client auth digital signature key encipherment]"),
        (request(csr_plan.LEGACY, ["any"], name="x", groups=()), None),
    ],
)  # fmt: skip
def test_what_signers_refuse(made, error):
    assert csr_plan.signer_error(made, subject(made)) == error


def test_client_certificates_of_nodes_are_approved_by_right():
    own = request(csr_plan.KUBELET_CLIENT, CLIENT)
    assert csr_plan.automatic_permission(own, subject(own))[0] == "selfnodeclient"
    first = request(csr_plan.KUBELET_CLIENT, CLIENT, user="system:bootstrap:abc")
    assert csr_plan.automatic_permission(first, subject(first))[0] == "nodeclient"
    other = request(csr_plan.CLIENT, CLIENT)
    assert csr_plan.automatic_permission(other, subject(other)) is None


def test_serving_certificates_only_for_ones_own_addresses():
    made = request(csr_plan.KUBELET_SERVING, SERVING, addresses=["10.0.0.1"], dns_names=["n1"])
    known = node("n1")
    assert csr_plan.serving_approval(made, subject(made), None) is None
    assert csr_plan.serving_approval(made, subject(made), known) is None
    known["status"]["addresses"] = [{"type": "InternalIP", "address": "10.0.0.2"}]
    assert csr_plan.serving_approval(made, subject(made), known) is False
    known["status"]["addresses"] = [{"type": "InternalIP", "address": "10.0.0.1"}]
    assert csr_plan.serving_approval(made, subject(made), known) is True
    made["spec"]["username"] = "system:node:n2"
    assert csr_plan.serving_approval(made, subject(made), known) is False


def test_what_awaits_a_signature():
    made = request(csr_plan.CLIENT, CLIENT)
    assert csr_plan.is_undecided(made)
    assert not csr_plan.awaits_signature(made)
    made["status"]["conditions"] = [{"type": "Approved"}]
    assert csr_plan.awaits_signature(made)
    assert not csr_plan.awaits_signature({**made, "spec": {**made["spec"], "signerName": "example.com/mine"}})
    made["status"]["conditions"].append({"type": "Failed"})
    assert not csr_plan.awaits_signature(made)


def test_lifetimes():
    made = request(csr_plan.CLIENT, CLIENT)
    assert csr_plan.lifetime(made, 86400) == timedelta(days=1)
    made["spec"]["expirationSeconds"] = 3600
    assert csr_plan.lifetime(made, 86400) == timedelta(hours=1)
    made["spec"]["expirationSeconds"] = 10**9
    assert csr_plan.lifetime(made, 86400) == timedelta(days=1)


@pytest.mark.parametrize(
    ("condition", "age", "obsolete"),
    [
        (None, 23 * 3600, False), (None, 25 * 3600, True), ("Denied", 3700, True), ("Denied", 3500, False),
        ("Failed", 3700, True), ("Approved", 3700, False),
    ],
)  # fmt: skip
def test_old_requests_go(condition, age, obsolete):
    made = request(csr_plan.CLIENT, CLIENT)
    made["metadata"]["creationTimestamp"] = ago(age)
    if condition:
        made["status"]["conditions"] = [{"type": condition, "lastUpdateTime": ago(age)}]
    assert csr_plan.is_obsolete(made, NOW) is obsolete


def test_expired_certificates_go():
    made = request(csr_plan.CLIENT, CLIENT)
    authority = create_authority("ca", NOW)
    pem = sign_csr(authority, csr_plan.request_bytes(made), NOW, lifetime=timedelta(hours=1))
    made["status"] = {"certificate": base64.b64encode(pem).decode(), "conditions": []}
    made["metadata"]["creationTimestamp"] = ago(60)
    assert not csr_plan.is_obsolete(made, NOW)
    assert csr_plan.is_obsolete(made, NOW + timedelta(hours=2))


# --- small ones ---------------------------------------------------------------------------------------------------


def test_finished_jobs_live_their_time():
    job = workload("Job", ttlSecondsAfterFinished=60)
    assert remaining_seconds(job, NOW) is None
    job["status"]["conditions"] = [{"type": "Complete", "status": "True", "lastTransitionTime": ago(50)}]
    assert remaining_seconds(job, NOW) == 10
    assert remaining_seconds(job, NOW + timedelta(seconds=20)) == -10
    job["metadata"]["deletionTimestamp"] = ago(1)
    assert remaining_seconds(job, NOW) is None


def test_bootstrap_tokens_expire():
    def token(text):
        data = {"expiration": base64.b64encode(text.encode()).decode()}
        return {"type": "bootstrap.kubernetes.io/token", "data": data}

    assert token_seconds(token(format_time(NOW + timedelta(seconds=9))), NOW) == 9
    assert token_seconds(token("rubbish"), NOW) == 0
    assert token_seconds({"type": "bootstrap.kubernetes.io/token", "data": {}}, NOW) is None
    assert token_seconds({"type": "Opaque", "data": token("rubbish")["data"]}, NOW) is None


def test_roles_are_aggregated_by_name_without_repeats():
    def role(name, *verbs, **labels):
        return {"metadata": {"name": name, "labels": labels}, "rules": [{"verbs": [verb]} for verb in verbs]}

    whole = role("whole", x="1")
    whole["aggregationRule"] = {"clusterRoleSelectors": [{"matchLabels": {"x": "1"}}, {"matchLabels": {"y": "1"}}]}
    roles = [role("b", "get", "list", x="1"), role("a", "get", "watch", y="1"), role("c", "no"), whole]
    assert [rule["verbs"][0] for rule in aggregate(whole, roles)] == ["get", "list", "watch"]


@pytest.mark.parametrize(
    ("text", "seconds"), [("40s", 40), ("1h30m", 5400), ("100ms", 0.1), ("7", 7), ("1m0.5s", 60.5)]
)
def test_durations(text, seconds):
    assert parse_duration(text) == pytest.approx(seconds)


def test_bad_options_say_what_is_wrong(capsys, monkeypatch):
    with pytest.raises(argparse.ArgumentTypeError):
        parse_duration("soon")
    monkeypatch.delenv("KUBECONFIG", raising=False)
    with pytest.raises(SystemExit):
        parse_options([])
    assert "--kubeconfig" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        parse_options(["--kubeconfig", "f", "--controllers", "*,-nonsense"])
    assert "no such controller: -nonsense" in capsys.readouterr().err


def test_options_and_the_choice_of_controllers():
    options = parse_options(["--kubeconfig", "f", "--leader-elect=false", "--node-monitor-grace-period=20s",
                             "--controllers", "*,-job-controller"])  # fmt: skip
    assert options.leader_elect is False
    assert options.node_monitor_grace_period == 20
    assert options.enabled("deployment-controller")
    assert not options.enabled("job-controller")
    options.controllers = ["job-controller"]
    assert options.enabled("job-controller")
    assert not options.enabled("deployment-controller")
