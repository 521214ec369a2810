"""Rule sets: which endpoints a Service port uses, and how the table changes from one set to the next."""

from network.proxy.model import HostPort, choose_endpoints, host_ports, service_ports
from network.proxy.ruleset import BASE_CHAINS, RuleSet, compute_ruleset
from network.proxy.transaction import full_transaction, plan_transaction

CIDR = "10.244.0.0/16"


def endpoint(address, node="n1", *, ready=True, serving=None, terminating=False):
    serving = ready if serving is None else serving
    conditions = {"ready": ready, "serving": serving, "terminating": terminating}
    return {"addresses": [address], "nodeName": node, "conditions": conditions}


def slice_of(*endpoints, port=8080, name="http"):
    return {"addressType": "IPv4", "ports": [{"name": name, "port": port, "protocol": "TCP"}], "endpoints": list(endpoints)}


def service(**spec):
    base = {"clusterIP": "10.96.0.5", "clusterIPs": ["10.96.0.5"], "ports": [{"name": "http", "port": 80}]}
    return {"metadata": {"namespace": "d", "name": "web"}, "spec": {**base, **spec}}


def rules_of(svc, *slices, node="n1"):
    return compute_ruleset(service_ports(svc, slices, node), cluster_cidr=CIDR)


def test_ready_endpoints_are_chosen_and_serving_terminating_ones_only_without_them():
    mixed = slice_of(endpoint("10.244.0.1"), endpoint("10.244.0.2", ready=False, serving=True, terminating=True))
    assert [e.address for e in choose_endpoints([mixed], "http", "n1")[0]] == ["10.244.0.1"]
    going = slice_of(endpoint("10.244.0.2", ready=False, serving=True, terminating=True), endpoint("10.244.0.3", ready=False))
    assert [e.address for e in choose_endpoints([going], "http", "n1")[0]] == ["10.244.0.2"]


def test_local_falls_back_by_itself():
    """A ready endpoint elsewhere does not hide a terminating one here."""
    mixed = slice_of(endpoint("10.244.1.1", "n2"), endpoint("10.244.0.2", ready=False, serving=True, terminating=True))
    cluster, local = choose_endpoints([mixed], "http", "n1")
    assert [e.address for e in cluster] == ["10.244.1.1"]
    assert [e.address for e in local] == ["10.244.0.2"]


def test_an_absent_ready_condition_means_ready():
    plain = slice_of({"addresses": ["10.244.0.1"], "conditions": {}})
    assert choose_endpoints([plain], "http", "n1")[0]


def test_every_endpoint_has_its_share():
    rules = rules_of(service(), slice_of(endpoint("10.244.0.1"), endpoint("10.244.0.2")))
    [verdict] = rules.maps["service-ips"].values()
    entry = rules.chains[verdict.removeprefix("goto ")]
    assert entry[0] == f"ip saddr != {CIDR} jump mark-masquerade"
    balance = rules.chains[entry[1].removeprefix("goto ")]
    assert balance[0].startswith("numgen random mod 2 vmap { 0 : goto ep-")
    targets = {rule for name, chain in rules.chains.items() if name.startswith("ep-") for rule in chain if "dnat" in rule}
    assert targets == {f"meta l4proto tcp dnat ip to 10.244.0.{n}:8080" for n in (1, 2)}


def test_a_service_without_endpoints_is_refused_and_policy_local_drops():
    nobody = rules_of(service())
    assert nobody.maps["no-endpoint-ips"] == {"10.96.0.5 . tcp . 80": "goto refuse"}
    assert nobody.maps["service-ips"] == {}
    elsewhere = rules_of(service(internalTrafficPolicy="Local"), slice_of(endpoint("10.244.1.1", "n2")))
    assert elsewhere.maps["no-endpoint-ips"] == {"10.96.0.5 . tcp . 80": "drop"}


def test_a_node_port_masquerades_unless_the_policy_is_local():
    ports = [{"name": "http", "port": 80, "nodePort": 30080}]
    both = slice_of(endpoint("10.244.0.1"), endpoint("10.244.1.1", "n2"))
    cluster = rules_of(service(ports=ports, type="NodePort"), both)
    chain = cluster.chains[cluster.maps["service-nodeports"]["tcp . 30080"].removeprefix("goto ")]
    assert chain[0] == "jump mark-masquerade"
    local = rules_of(service(ports=ports, type="NodePort", externalTrafficPolicy="Local"), both)
    chain = local.chains[local.maps["service-nodeports"]["tcp . 30080"].removeprefix("goto ")]
    assert chain[0].startswith(f"ip saddr {CIDR} goto svc-"), "pods may use every endpoint"
    own = local.chains[chain[-1].removeprefix("goto ")]
    assert own == tuple(rule for rule in own if "10.244.0.1" in rule), "strangers only reach this node's endpoint"


def test_policy_local_without_an_endpoint_here_drops_strangers():
    ports = [{"name": "http", "port": 80, "nodePort": 30080}]
    rules = rules_of(
        service(ports=ports, type="NodePort", externalTrafficPolicy="Local"), slice_of(endpoint("10.244.1.1", "n2"))
    )
    assert rules.maps["no-endpoint-nodeports"] == {"tcp . 30080": "drop"}


def test_affinity_asks_for_known_clients_first():
    rules = rules_of(service(sessionAffinity="ClientIP"), slice_of(endpoint("10.244.0.1"), endpoint("10.244.0.2")))
    assert all("timeout 10800s" in declaration for declaration in rules.sets.values())
    balance = next(chain for name, chain in rules.chains.items() if name.startswith("svc-"))
    assert [rule.split()[0] for rule in balance] == ["ip", "ip", "numgen"]


def test_headless_external_and_foreign_services_are_left_alone():
    assert service_ports(service(clusterIP="None"), [], "n1") == []
    assert service_ports(service(type="ExternalName", clusterIP=""), [], "n1") == []
    foreign = service()
    foreign["metadata"]["labels"] = {"service.kubernetes.io/service-proxy-name": "other"}
    assert service_ports(foreign, [], "n1") == []


def test_host_ports_of_running_pods():
    pod = {
        "spec": {"containers": [{"ports": [{"containerPort": 80, "hostPort": 8080}, {"containerPort": 81}]}]},
        "status": {"podIP": "10.244.0.9", "phase": "Running"},
    }
    assert host_ports([pod]) == [HostPort("tcp", "", 8080, "10.244.0.9", 80)]
    assert host_ports([{**pod, "status": {"phase": "Pending"}}]) == []
    rules = compute_ruleset([], host_ports([pod]), cluster_cidr=CIDR)
    assert list(rules.maps["host-ports"]) == ["tcp . 8080"]


def test_no_difference_is_no_transaction_and_a_change_touches_only_its_chains():
    one = rules_of(service(), slice_of(endpoint("10.244.0.1")))
    two = rules_of(service(), slice_of(endpoint("10.244.0.1"), endpoint("10.244.0.2")))
    assert plan_transaction(one, one) == ""
    text = plan_transaction(one, two)
    assert "10.244.0.1:8080" not in text.replace("goto", ""), "the endpoint that stays is not rewritten"
    assert "add chain inet navarch ep-" in text
    assert "element" not in text
    back = plan_transaction(two, one)
    assert back.splitlines()[-1].startswith("delete chain inet navarch ep-")


def test_the_first_transaction_replaces_what_is_there():
    text = full_transaction(RuleSet())
    assert text.splitlines()[:2] == ["table inet navarch { }", "delete table inet navarch"]
    assert all(f"chain {name} " in text for name in BASE_CHAINS)
