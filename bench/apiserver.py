"""What one API server does a second: against one of its own, or against any Kubernetes API endpoint.

    python -m bench.apiserver [--store memory|sqlite|etcd] [--seconds 8] [--pods 5000]
    python -m bench.apiserver --url https://HOST:PORT --token TOKEN        # one that runs already

Load comes from ``wrk`` (one thread). Of a server of its own also: time to ready, memory idle and loaded, and the
processor time of each request, which says more than the rate when the machine is busy. Prints one JSON object.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import ssl
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any

TICKS = os.sysconf("SC_CLK_TCK")
NAMESPACE = "/api/v1/namespaces/default"
POD = {
    "kind": "Pod", "apiVersion": "v1", "metadata": {"generateName": "p-", "labels": {"app": "web", "tier": "front"}},
    "spec": {"containers": [{
        "name": "c", "image": "nginx:1.27", "ports": [{"containerPort": 80}],
        "env": [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}],
        "resources": {"requests": {"cpu": "100m", "memory": "64Mi"}, "limits": {"memory": "128Mi"}},
        "livenessProbe": {"httpGet": {"path": "/", "port": 80}},
    }]},
}  # fmt: skip


@dataclass
class Target:
    url: str
    token: str
    process: subprocess.Popen[str] | None = None
    ready_seconds: float = 0.0

    def request(self, method: str, path: str, body: Any = None) -> Any:
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"}
        data = json.dumps(body).encode() if body is not None else None
        request = urllib.request.Request(self.url + path, data, headers, method=method)
        with urllib.request.urlopen(request, context=context) as answer:
            return json.load(answer)

    def processor_seconds(self) -> float:
        if self.process is None:
            return 0.0
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS

    def resident_mb(self) -> float:
        assert self.process is not None
        text = Path(f"/proc/{self.process.pid}/status").read_text()
        return round(int(re.search(r"VmRSS:\s+(\d+)", text).group(1)) / 1024, 1)  # type: ignore[union-attr]


def start(home: Path, store: str, etcd: str) -> Target:
    tokens = home / "tokens.csv"
    tokens.write_text('bench,bench,1,"system:masters"\n')
    command = [sys.executable, "-m", "apiserver", "--home", str(home), "--port", "0", "--store", store,
               "--token-auth-file", str(tokens), "--endpoint-reconciler-type=none"]  # fmt: skip
    if etcd:
        command += ["--etcd-servers", etcd]
    for _ in range(2):  # the first start makes the certificates; the second is what is measured
        began = time.monotonic()
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        assert process.stdout is not None
        line = process.stdout.readline()
        took = time.monotonic() - began
        found = re.search(r"https://\S+", line)
        if found is None:
            raise SystemExit("the server did not start")
        target = Target(found.group(0), "bench", process, round(took, 3))
        if _ == 0:
            process.terminate()
            process.wait()
    return target


def load(target: Target, connections: int, seconds: int, path: str, body: Any = None) -> dict[str, Any]:
    script = ""
    if body is not None:
        script = f'wrk.method="POST" wrk.headers["Content-Type"]="application/json" wrk.body=[[{json.dumps(body)}]]'
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as lua:
        lua.write(script)
        lua.flush()
        command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}", "--latency", "--timeout", "20s",
                   "-H", f"Authorization: Bearer {target.token}", "-s", lua.name, target.url + path]  # fmt: skip
        before = target.processor_seconds()
        printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    spent = target.processor_seconds() - before
    count = int(re.search(r"(\d+) requests in", printed).group(1))  # type: ignore[union-attr]
    result: dict[str, Any] = {
        "connections": connections,
        "per_second": float(re.search(r"Requests/sec:\s+([\d.]+)", printed).group(1)),  # type: ignore[union-attr]
        "p50": _quantile(printed, "50%"), "p99": _quantile(printed, "99%"),
    }
    if "Non-2xx" in printed:
        result["refused"] = int(re.search(r"Non-2xx or 3xx responses: (\d+)", printed).group(1))  # type: ignore[union-attr]
    if target.process is not None and count:
        result["processor_ms_each"] = round(spent * 1000 / count, 3)
    return result


def _quantile(printed: str, name: str) -> str:
    found = re.search(rf"{name}\s+(\S+)", printed)
    return found.group(1) if found else ""


def measure(target: Target, seconds: int, pods: int) -> dict[str, Any]:
    out: dict[str, Any] = {}
    if target.process is not None:
        out["ready_seconds"] = target.ready_seconds
        time.sleep(2)
        out["idle_mb"] = target.resident_mb()
        before = target.processor_seconds()
        time.sleep(10)
        out["idle_processor_percent"] = round((target.processor_seconds() - before) * 10, 2)
    try:
        target.request("POST", f"{NAMESPACE}/serviceaccounts", {"metadata": {"name": "default"}})
    except urllib.error.HTTPError as error:
        if error.code != 409:
            raise
    out["create"] = [load(target, connections, seconds, f"{NAMESPACE}/pods", POD) for connections in (1, 16, 64)]
    name = target.request("GET", f"{NAMESPACE}/pods?limit=1")["items"][0]["metadata"]["name"]
    out["get"] = [load(target, connections, seconds, f"{NAMESPACE}/pods/{name}") for connections in (1, 32)]
    have = _count(target)
    for _ in range(max(0, pods - have)):
        target.request("POST", f"{NAMESPACE}/pods", POD)
    if have > pods:
        _trim(target, pods)
    out["pods"] = _count(target)
    out["list"] = [load(target, connections, seconds, "/api/v1/pods") for connections in (1, 4)]
    if target.process is not None:
        out["loaded_mb"] = target.resident_mb()
    return out


def _count(target: Target) -> int:
    first = target.request("GET", "/api/v1/pods?limit=1")
    return len(first["items"]) + int(first["metadata"].get("remainingItemCount") or 0)


def _trim(target: Target, pods: int) -> None:
    """Delete down to the wanted number: every run lists the same amount."""
    items = target.request("GET", f"{NAMESPACE}/pods")["items"]
    for item in items[pods:]:
        target.request("DELETE", f"{NAMESPACE}/pods/{item['metadata']['name']}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--store", default="sqlite")
    parser.add_argument("--etcd-servers", default="")
    parser.add_argument("--seconds", type=int, default=8)
    parser.add_argument("--pods", type=int, default=5000)
    parser.add_argument("--url", default="")
    parser.add_argument("--token", default="")
    given = parser.parse_args()
    if shutil.which("wrk") is None:
        raise SystemExit("wrk is missing: apt-get install wrk")
    if given.url:
        print(json.dumps(measure(Target(given.url, given.token), given.seconds, given.pods), indent=2))
        return
    with tempfile.TemporaryDirectory(prefix="bench-apiserver-") as home:
        target = start(Path(home), given.store, given.etcd_servers)
        try:
            print(json.dumps({"store": given.store, **measure(target, given.seconds, given.pods)}, indent=2))
        finally:
            assert target.process is not None
            target.process.terminate()
            target.process.wait()


if __name__ == "__main__":
    main()
