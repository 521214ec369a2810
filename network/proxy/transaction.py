"""The text of an nftables transaction that turns one rule set into another. Pure.

nft applies a file as a whole or not at all, so a packet meets the old rules or the new ones, never a mixture. Order
within the file: make what is new (so that it can be referred to), change, then delete what nothing refers to any more.
"""

from __future__ import annotations

from network.proxy.ruleset import BASE_CHAINS, MAPS, TABLE, RuleSet

_T = f"inet {TABLE}"


def full_transaction(wanted: RuleSet) -> str:
    """Replace whatever the table holds; used at start, when what is there is not known."""
    return f"table {_T} {{ }}\ndelete table {_T}\n{_create_table()}{plan_transaction(RuleSet(), wanted)}"


def delete_table() -> str:
    return f"table {_T} {{ }}\ndelete table {_T}\n"


def _create_table() -> str:
    lines = [f"table {_T} {{"]
    lines += [f"  map {name} {{ {declaration} }}" for name, declaration in MAPS.items()]
    lines += [f"  chain {name} {{ {declaration} }}" for name, declaration in BASE_CHAINS.items()]
    return "\n".join([*lines, "}", ""])


def plan_transaction(current: RuleSet, wanted: RuleSet) -> str:
    """The difference as nft commands; "" when there is none."""
    lines: list[str] = []
    for name, declaration in wanted.sets.items():
        if name not in current.sets:
            lines.append(f"add set {_T} {name} {{ {declaration} }}")
    changed = {name: rules for name, rules in wanted.chains.items() if current.chains.get(name) != rules}
    lines += [f"add chain {_T} {name}" for name in changed if name not in BASE_CHAINS and name not in current.chains]
    for name, rules in changed.items():
        if name in current.chains:
            lines.append(f"flush chain {_T} {name}")
        lines += [f"add rule {_T} {name} {rule}" for rule in rules]
    for name, elements in wanted.maps.items():
        before = current.maps.get(name, {})
        gone = [key for key, verdict in before.items() if elements.get(key) != verdict]
        new = {key: verdict for key, verdict in elements.items() if before.get(key) != verdict}
        if gone:
            lines.append(f"delete element {_T} {name} {{ {', '.join(gone)} }}")
        if new:
            pairs = ", ".join(f"{key} : {verdict}" for key, verdict in new.items())
            lines.append(f"add element {_T} {name} {{ {pairs} }}")
    stale = [name for name in current.chains if name not in wanted.chains]
    lines += [f"flush chain {_T} {name}" for name in stale]
    lines += [f"delete chain {_T} {name}" for name in stale if name not in BASE_CHAINS]
    lines += [f"delete set {_T} {name}" for name in current.sets if name not in wanted.sets]
    return "\n".join([*lines, ""]) if lines else ""
