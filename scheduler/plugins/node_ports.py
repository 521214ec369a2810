"""Host ports: one user per protocol, port and address of a node; 0.0.0.0 stands for every address."""

from __future__ import annotations

import numpy as np

from scheduler.framework import Refusal
from scheduler.node_table import BoolArray, NodeTable
from scheduler.pod_info import ANY_ADDRESS, PodInfo


class NodePorts:
    name = "NodePorts"
    static = False

    def filter(self, table: NodeTable, pod: PodInfo) -> BoolArray | None:
        mask: BoolArray | None = None
        for protocol, port, address in pod.host_ports:
            for slot, users in table.port_users.get((protocol, port), {}).items():
                if users and (address == ANY_ADDRESS or ANY_ADDRESS in users or address in users):
                    if mask is None:
                        mask = np.ones(table.capacity, np.bool_)
                    mask[slot] = False
        return mask

    def refusal(self, table: NodeTable, pod: PodInfo, slot: int) -> Refusal:
        return Refusal(("node(s) didn't have free ports for the requested pod ports",))
