"""Cluster DNS: which names exist and what they hold (DNS specification 1.1.0)."""

import dns.message
import dns.rcode
import dns.rdatatype
import pytest

from network.dns.answering import ExternalAlias, answer_query, parse_query, to_wire
from network.dns.zone import Zone, compute_names, reverse_address


def service(name="web", namespace="d", **spec):
    base = {"clusterIP": "10.96.0.5", "clusterIPs": ["10.96.0.5"], "ports": [{"name": "http", "port": 80, "protocol": "TCP"}]}
    return {"metadata": {"name": name, "namespace": namespace}, "spec": {**base, **spec}}


SLICE = {
    "addressType": "IPv4",
    "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}],
    "endpoints": [
        {"addresses": ["10.244.0.1"], "hostname": "a", "conditions": {"ready": True}},
        {"addresses": ["10.244.0.2"], "conditions": {"ready": True}},
        {"addresses": ["10.244.0.3"], "conditions": {"ready": False}},
    ],
}


@pytest.fixture
def zone():
    made = Zone()
    made.set_namespaces(["d", "empty"])
    made.set_service("d/web", compute_names(service(), []))
    made.set_service("d/db", compute_names(service("db", clusterIP="None"), [SLICE]))
    made.set_service("d/out", compute_names(service("out", type="ExternalName", externalName="example.org"), []))
    made.set_service("d/alias", compute_names(service("alias", type="ExternalName", externalName="web.d.svc.cluster.local"), []))
    return made


def ask(zone, name, kind="A"):
    response = answer_query(zone, dns.message.make_query(name, kind))
    assert response is not None
    return response


def values(response):
    return sorted(item.to_text() for rrset in response.answer for item in rrset)


def test_a_cluster_ip_service(zone):
    assert values(ask(zone, "web.d.svc.cluster.local")) == ["10.96.0.5"]
    assert values(ask(zone, "WEB.D.svc.Cluster.LOCAL")) == ["10.96.0.5"]
    assert values(ask(zone, "_http._tcp.web.d.svc.cluster.local", "SRV")) == ["0 100 80 web.d.svc.cluster.local."]
    assert values(ask(zone, "5.0.96.10.in-addr.arpa", "PTR")) == ["web.d.svc.cluster.local."]


def test_a_headless_service_has_its_ready_endpoints(zone):
    assert values(ask(zone, "db.d.svc.cluster.local")) == ["10.244.0.1", "10.244.0.2"]
    assert values(ask(zone, "a.db.d.svc.cluster.local")) == ["10.244.0.1"]
    assert values(ask(zone, "10-244-0-2.db.d.svc.cluster.local")) == ["10.244.0.2"]
    srv = ask(zone, "_http._tcp.db.d.svc.cluster.local", "SRV")
    assert values(srv) == ["0 50 8080 10-244-0-2.db.d.svc.cluster.local.", "0 50 8080 a.db.d.svc.cluster.local."]
    assert sorted(item.to_text() for rrset in srv.additional for item in rrset) == ["10.244.0.1", "10.244.0.2"]
    assert values(ask(zone, "1.0.244.10.in-addr.arpa", "PTR")) == ["a.db.d.svc.cluster.local."]


def test_a_name_that_exists_with_other_records_is_empty_and_not_missing(zone):
    for name, kind in (("web.d.svc.cluster.local", "AAAA"), ("d.svc.cluster.local", "A"), ("_tcp.web.d.svc.cluster.local", "A"), ("empty.svc.cluster.local", "A")):
        response = ask(zone, name, kind)
        assert response.rcode() == dns.rcode.NOERROR, name
        assert not response.answer
        assert response.authority[0].rdtype == dns.rdatatype.SOA
    for name in ("nope.d.svc.cluster.local", "x.nope.svc.cluster.local", "google.com.d.svc.cluster.local"):
        assert ask(zone, name).rcode() == dns.rcode.NXDOMAIN, name


def test_pod_names_carry_the_address(zone):
    assert values(ask(zone, "10-244-0-9.d.pod.cluster.local")) == ["10.244.0.9"]
    assert ask(zone, "10-244-0-9.nope.pod.cluster.local").rcode() == dns.rcode.NXDOMAIN
    assert ask(zone, "hello.d.pod.cluster.local").rcode() == dns.rcode.NXDOMAIN


def test_external_names(zone):
    with pytest.raises(ExternalAlias) as caught:
        ask(zone, "out.d.svc.cluster.local")
    assert caught.value.target == "example.org"
    assert values(ask(zone, "alias.d.svc.cluster.local")) == ["10.96.0.5", "web.d.svc.cluster.local."]


def test_names_outside_are_somebody_elses(zone):
    assert answer_query(zone, dns.message.make_query("example.org", "A")) is None
    assert answer_query(zone, dns.message.make_query("4.4.8.8.in-addr.arpa", "PTR")) is None


def test_the_version_of_the_specification(zone):
    assert values(ask(zone, "dns-version.cluster.local", "TXT")) == ['"1.1.0"']


def test_a_removed_service_leaves_nothing(zone):
    zone.set_service("d/db", None)
    assert ask(zone, "db.d.svc.cluster.local").rcode() == dns.rcode.NXDOMAIN
    assert ask(zone, "a.db.d.svc.cluster.local").rcode() == dns.rcode.NXDOMAIN
    for key in ("d/web", "d/out", "d/alias"):
        zone.set_service(key, None)
    assert zone._below == {}
    assert zone._pointers == {}


def test_a_large_answer_is_cut_over_udp_and_whole_over_tcp(zone):
    many = {**SLICE, "endpoints": [{"addresses": [f"10.244.1.{n}"], "conditions": {}} for n in range(1, 120)]}
    zone.set_service("d/big", compute_names(service("big", clusterIP="None"), [many]))
    query = parse_query(dns.message.make_query("big.d.svc.cluster.local", "A", use_edns=False).to_wire())
    response = answer_query(zone, query)
    assert len(to_wire(response, query, udp=True)) <= 512
    assert dns.message.from_wire(to_wire(response, query, udp=True)).flags & dns.flags.TC
    assert len(dns.message.from_wire(to_wire(response, query, udp=False)).answer[0]) == 119


@pytest.mark.parametrize("wire", [b"", b"x", b"\x00" * 12, b"\xff" * 40])
def test_rubbish_is_not_answered(wire):
    assert parse_query(wire) is None


def test_reverse_names():
    assert reverse_address("1.0.244.10.in-addr.arpa") == "10.244.0.1"
    assert reverse_address("b.a.9.8.7.6.5.0.4.0.0.0.3.0.0.0.2.0.0.0.1.0.0.0.0.0.0.0.1.2.3.4.ip6.arpa") == "4321:0:1:2:3:4:567:89ab"
    assert reverse_address("x.in-addr.arpa") is None
