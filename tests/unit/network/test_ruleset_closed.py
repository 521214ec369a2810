"""Whatever a Service asks for, its rules lead only to chains and sets that the rule set holds: nft refuses a table with
a loose end as a whole, and then no Service of the node gets its rules."""

from __future__ import annotations

import itertools
import re

import pytest

from tests.unit.network.test_ruleset import endpoint, rules_of, service, slice_of

HERE, ELSEWHERE = endpoint("10.244.0.1", "n1"), endpoint("10.244.1.1", "n2")
LEAVING = endpoint("10.244.0.2", "n1", ready=False, serving=True, terminating=True)
CROWDS = {"nobody": (), "here": (HERE,), "elsewhere": (ELSEWHERE,), "both": (HERE, ELSEWHERE),
          "leaving": (LEAVING,), "leaving-and-elsewhere": (LEAVING, ELSEWHERE)}  # fmt: skip
POLICIES = ("Cluster", "Local")


@pytest.mark.parametrize("crowd", CROWDS)
@pytest.mark.parametrize(("internal", "external"), itertools.product(POLICIES, POLICIES))
@pytest.mark.parametrize("node_port", [0, 30080])
@pytest.mark.parametrize("affinity", ["None", "ClientIP"])
def test_rules_have_no_loose_ends(crowd, internal, external, node_port, affinity):
    asked = service(
        internalTrafficPolicy=internal, externalTrafficPolicy=external, sessionAffinity=affinity,
        ports=[{"name": "http", "port": 80, **({"nodePort": node_port} if node_port else {})}],
    )  # fmt: skip
    rules = rules_of(asked, slice_of(*CROWDS[crowd]))
    said = " ; ".join([rule for chain in rules.chains.values() for rule in chain]
                      + [verdict for elements in rules.maps.values() for verdict in elements.values()])  # fmt: skip
    assert set(re.findall(r"(?:goto|jump) (\S+?)[,;]?(?:\s|$)", said)) <= set(rules.chains)
    assert set(re.findall(r"@(aff-\w+)", said)) <= set(rules.sets)
