"""The checks of the Pod Security Standards, each a pure function of a pod: None, or (what is wrong, where).

A check has an id, a level, and the version of the standard from which on it (or its newer form) holds; the newest form
not after the wanted version counts. Restricted checks may replace baseline ones that they include.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from apiserver.auth.node.references import containers
from apiserver.auth.text import quote

Object = dict[str, Any]
Finding = tuple[str, str] | None  # (reason, detail)

BASELINE, RESTRICTED = "baseline", "restricted"

_BASELINE_CAPABILITIES = frozenset(
    {
        "AUDIT_WRITE", "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "MKNOD", "NET_BIND_SERVICE", "SETFCAP",
        "SETGID", "SETPCAP", "SETUID", "SYS_CHROOT",
    }
)  # fmt: skip
_SAFE_SYSCTLS: tuple[tuple[int, tuple[str, ...]], ...] = (
    (0, ("kernel.shm_rmid_forced", "net.ipv4.ip_local_port_range", "net.ipv4.tcp_syncookies",
         "net.ipv4.ping_group_range", "net.ipv4.ip_unprivileged_port_start")),
    (27, ("net.ipv4.ip_local_reserved_ports",)),
    (29, ("net.ipv4.tcp_keepalive_time", "net.ipv4.tcp_fin_timeout", "net.ipv4.tcp_keepalive_intvl",
          "net.ipv4.tcp_keepalive_probes")),
    (32, ("net.ipv4.tcp_rmem", "net.ipv4.tcp_wmem")),
)  # fmt: skip
_RESTRICTED_VOLUMES = frozenset(
    {
        "configMap",
        "csi",
        "downwardAPI",
        "emptyDir",
        "ephemeral",
        "image",
        "persistentVolumeClaim",
        "projected",
        "secret",
    }
)
_APPARMOR_ANNOTATION = "container.apparmor.security.beta.kubernetes.io/"


@dataclass(frozen=True)
class Check:
    id: str
    level: str
    since: int  # minor version
    find: Callable[[Object, int], Finding]
    replaces: tuple[str, ...] = ()


def _context(thing: Object) -> Object:
    return thing.get("securityContext") or {}


def _spec(pod: Object) -> Object:
    return pod.get("spec") or {}


def _names(pod: Object, wrong: Callable[[Object], bool]) -> list[str]:
    return [container["name"] for _, container in containers(_spec(pod)) if wrong(container)]


def _plural(word: str, items: Iterable[object]) -> str:
    return word if len(list(items)) == 1 else f"{word}s"


def _quoted(items: Iterable[str]) -> str:
    return ", ".join(quote(item) for item in items)


def _which(names: list[str]) -> str:
    return f"{_plural('container', names)} {_quoted(names)}"


def _is_windows(pod: Object) -> bool:
    return bool((_spec(pod).get("os") or {}).get("name") == "windows")


def privileged(pod: Object, version: int) -> Finding:
    bad = _names(pod, lambda c: bool(_context(c).get("privileged")))
    return ("privileged", f"{_which(bad)} must not set securityContext.privileged=true") if bad else None


def host_namespaces(pod: Object, version: int) -> Finding:
    set_here = [f"{field}=true" for field in ("hostNetwork", "hostPID", "hostIPC") if _spec(pod).get(field)]
    return ("host namespaces", ", ".join(set_here)) if set_here else None


def host_path_volumes(pod: Object, version: int) -> Finding:
    bad = [volume["name"] for volume in _spec(pod).get("volumes") or () if "hostPath" in volume]
    return ("hostPath volumes", f"{_plural('volume', bad)} {_quoted(bad)}") if bad else None


def host_ports(pod: Object, version: int) -> Finding:
    ports: set[int] = set()

    def uses(container: Object) -> bool:
        own = {port["hostPort"] for port in container.get("ports") or () if port.get("hostPort")}
        ports.update(own)
        return bool(own)

    bad = _names(pod, uses)
    if not bad:
        return None
    verb = "uses" if len(bad) == 1 else "use"
    shown = ", ".join(str(port) for port in sorted(ports, key=str))
    return "hostPort", f"{_which(bad)} {verb} {_plural('hostPort', ports)} {shown}"


def host_probes(pod: Object, version: int) -> Finding:
    hosts: set[str] = set()

    def uses(container: Object) -> bool:
        own = set(_hosts(container))
        hosts.update(own)
        return bool(own)

    bad = _names(pod, uses)
    if not bad:
        return None
    verb = "uses" if len(bad) == 1 else "use"
    return (
        "probe or lifecycle host",
        f"{_which(bad)} {verb} probe or lifecycle {_plural('host', hosts)} {_quoted(sorted(hosts))}",
    )


def _hosts(container: Object) -> Iterator[str]:
    lifecycle = container.get("lifecycle") or {}
    handlers = [container.get(name) for name in ("livenessProbe", "readinessProbe", "startupProbe")]
    for handler in (*handlers, lifecycle.get("postStart"), lifecycle.get("preStop")):
        for action in ("httpGet", "tcpSocket"):
            host = ((handler or {}).get(action) or {}).get("host")
            if host and host not in ("127.0.0.1", "::1", "localhost"):
                yield host


def windows_host_process(pod: Object, version: int) -> Finding:
    def sets(thing: Object) -> bool:
        return bool((_context(thing).get("windowsOptions") or {}).get("hostProcess"))

    bad = _names(pod, sets)
    who = (["pod"] if sets(_spec(pod)) else []) + ([_which(bad)] if bad else [])
    return ("hostProcess", f"{_and(who)} must not set securityContext.windowsOptions.hostProcess=true") if who else None


def capabilities_baseline(pod: Object, version: int) -> Finding:
    added: set[str] = set()

    def adds(container: Object) -> bool:
        own = set((_context(container).get("capabilities") or {}).get("add") or ()) - _BASELINE_CAPABILITIES
        added.update(own)
        return bool(own)

    bad = _names(pod, adds)
    if not bad:
        return None
    where = "securityContext.capabilities.add"
    return "non-default capabilities", f"{_which(bad)} must not include {_quoted(sorted(added))} in {where}"


def capabilities_restricted(pod: Object, version: int) -> Finding:
    if version >= 25 and _is_windows(pod):
        return None
    added: set[str] = set()

    def adds(container: Object) -> bool:
        own = set((_context(container).get("capabilities") or {}).get("add") or ()) - {"NET_BIND_SERVICE"}
        added.update(own)
        return bool(own)

    keeps = _names(pod, lambda c: "ALL" not in ((_context(c).get("capabilities") or {}).get("drop") or ()))
    adders = _names(pod, adds)
    parts = []
    if keeps:
        parts.append(f'{_which(keeps)} must set securityContext.capabilities.drop=["ALL"]')
    if adders:
        parts.append(f"{_which(adders)} must not include {_quoted(sorted(added))} in securityContext.capabilities.add")
    return ("unrestricted capabilities", "; ".join(parts)) if parts else None


def seccomp_baseline(pod: Object, version: int) -> Finding:
    def unconfined(thing: Object) -> bool:
        return bool((_context(thing).get("seccompProfile") or {}).get("type") == "Unconfined")

    bad = _names(pod, unconfined)
    who = (["pod"] if unconfined(_spec(pod)) else []) + ([_which(bad)] if bad else [])
    if not who:
        return None
    return "seccompProfile", f'{_and(who)} must not set securityContext.seccompProfile.type to "Unconfined"'


def seccomp_restricted(pod: Object, version: int) -> Finding:
    if version >= 25 and _is_windows(pod):
        return None
    good = ("RuntimeDefault", "Localhost")
    bad_types: set[str] = set()

    def kind(thing: Object) -> str | None:
        profile = _context(thing).get("seccompProfile")
        return profile.get("type", "") if profile is not None else None

    pod_kind = kind(_spec(pod))
    pod_is_bad = pod_kind is not None and pod_kind not in good
    if pod_is_bad:
        bad_types.add(str(pod_kind))
    explicit, missing = [], []
    for _, container in containers(_spec(pod)):
        own = kind(container)
        if own is not None and own not in good:
            explicit.append(container["name"])
            bad_types.add(own)
        elif own is None and (pod_kind is None or pod_is_bad):
            missing.append(container["name"])
    parts = (["pod"] if pod_is_bad else []) + ([_which(explicit)] if explicit else [])
    if parts:
        return (
            "seccompProfile",
            f"{_and(parts)} must not set securityContext.seccompProfile.type to {_quoted(sorted(bad_types))}",
        )
    if missing:
        return (
            "seccompProfile",
            f'pod or {_which(missing)} must set securityContext.seccompProfile.type to "RuntimeDefault" or "Localhost"',
        )
    return None


def app_armor(pod: Object, version: int) -> Finding:
    bad_types: set[str] = set()

    def unconfined(thing: Object) -> bool:
        kind = (_context(thing).get("appArmorProfile") or {}).get("type")
        if kind is not None and kind not in ("RuntimeDefault", "Localhost"):
            bad_types.add(kind)
            return True
        return False

    bad = _names(pod, unconfined)
    who = (["pod"] if unconfined(_spec(pod)) else []) + ([_which(bad)] if bad else [])
    annotations = (pod.get("metadata") or {}).get("annotations") or {}
    values = [
        f"{key}={quote(value)}"
        for key, value in sorted(annotations.items())
        if key.startswith(_APPARMOR_ANNOTATION)
        and value not in ("", "runtime/default")
        and not value.startswith("localhost/")
    ]
    parts = []
    if who:
        parts.append(f"{_and(who)} must not set AppArmor profile type to {_quoted(sorted(bad_types))}")
    if values:
        parts.append(f"{_plural('annotation', values)} {', '.join(values)}")
    number = len(bad_types) + len(values)
    return (f"forbidden AppArmor {'profile' if number == 1 else 'profiles'}", "; ".join(parts)) if parts else None


def selinux(pod: Object, version: int) -> Finding:
    types_allowed = {None, "", "container_t", "container_init_t", "container_kvm_t"}
    if version >= 31:
        types_allowed.add("container_engine_t")
    types: set[str] = set()
    flags = {"user": False, "role": False}

    def sets(thing: Object) -> bool:
        options = _context(thing).get("seLinuxOptions") or {}
        found = False
        if options.get("type") not in types_allowed:
            types.add(options["type"])
            found = True
        for field in flags:
            if options.get(field):
                flags[field] = found = True
        return found

    pod_is_bad = sets(_spec(pod))
    bad = _names(pod, sets)
    who = (["pod"] if pod_is_bad else []) + ([_which(bad)] if bad else [])
    if not who:
        return None
    what = [f"{_plural('type', types)} {_quoted(sorted(types))}"] if types else []
    what += [f"{field} may not be set" for field, is_set in flags.items() if is_set]
    return "seLinuxOptions", f"{_and(who)} set forbidden securityContext.seLinuxOptions: {'; '.join(what)}"


def proc_mount(pod: Object, version: int) -> Finding:
    # A pod in its own user namespace may unmask /proc: what it sees there is not the host's root's.
    if version >= 33 and _spec(pod).get("hostUsers") is False:
        return None
    return proc_mount_restricted(pod, version)


def proc_mount_restricted(pod: Object, version: int) -> Finding:
    kinds: set[str] = set()

    def unmasked(container: Object) -> bool:
        kind = _context(container).get("procMount")
        if kind not in (None, "", "Default"):
            kinds.add(kind)
            return True
        return False

    bad = _names(pod, unmasked)
    if not bad:
        return None
    return "procMount", f"{_which(bad)} must not set securityContext.procMount to {_quoted(sorted(kinds))}"


def sysctls(pod: Object, version: int) -> Finding:
    safe = {name for since, names in _SAFE_SYSCTLS if since <= version for name in names}
    bad = [item["name"] for item in _context(_spec(pod)).get("sysctls") or () if item.get("name") not in safe]
    return ("forbidden sysctls", ", ".join(bad)) if bad else None


def allow_privilege_escalation(pod: Object, version: int) -> Finding:
    if version >= 25 and _is_windows(pod):
        return None
    bad = _names(pod, lambda c: _context(c).get("allowPrivilegeEscalation") is not False)
    if not bad:
        return None
    return (
        "allowPrivilegeEscalation != false",
        f"{_which(bad)} must set securityContext.allowPrivilegeEscalation=false",
    )


def restricted_volumes(pod: Object, version: int) -> Finding:
    bad: list[str] = []
    kinds: set[str] = set()
    for volume in _spec(pod).get("volumes") or ():
        wrong = [kind for kind in volume if kind != "name" and kind not in _RESTRICTED_VOLUMES]
        if wrong:
            bad.append(volume["name"])
            kinds.update(wrong)
    if not bad:
        return None
    verb = "uses" if len(bad) == 1 else "use"
    return (
        "restricted volume types",
        f"{_plural('volume', bad)} {_quoted(bad)} {verb} restricted volume {_plural('type', kinds)} "
        f"{_quoted(sorted(kinds))}",
    )


def run_as_non_root(pod: Object, version: int) -> Finding:
    if version >= 35 and _spec(pod).get("hostUsers") is False:
        return None
    pod_value = _context(_spec(pod)).get("runAsNonRoot")
    explicit, missing = [], []
    for _, container in containers(_spec(pod)):
        own = _context(container).get("runAsNonRoot")
        if own is False:
            explicit.append(container["name"])
        elif own is None and not pod_value:
            missing.append(container["name"])
    reason = "runAsNonRoot != true"
    who = (["pod"] if pod_value is False else []) + ([_which(explicit)] if explicit else [])
    if who:
        return reason, f"{_and(who)} must not set securityContext.runAsNonRoot=false"
    if missing:
        return reason, f"pod or {_which(missing)} must set securityContext.runAsNonRoot=true"
    return None


def run_as_user(pod: Object, version: int) -> Finding:
    if version >= 35 and _spec(pod).get("hostUsers") is False:
        return None
    bad = _names(pod, lambda c: _context(c).get("runAsUser") == 0)
    who = (["pod"] if _context(_spec(pod)).get("runAsUser") == 0 else []) + ([_which(bad)] if bad else [])
    return ("runAsUser=0", f"{_and(who)} must not set runAsUser=0") if who else None


def _and(parts: list[str]) -> str:
    return " and ".join(parts)


# In the order of the report: baseline by id, then restricted by id.
CHECKS: tuple[Check, ...] = (
    Check("appArmorProfile", BASELINE, 0, app_armor),
    Check("capabilities_baseline", BASELINE, 0, capabilities_baseline),
    Check("hostNamespaces", BASELINE, 0, host_namespaces),
    Check("hostPathVolumes", BASELINE, 0, host_path_volumes),
    Check("hostPorts", BASELINE, 0, host_ports),
    Check("hostProbesAndHostLifecycle", BASELINE, 34, host_probes),
    Check("privileged", BASELINE, 0, privileged),
    Check("procMount", BASELINE, 0, proc_mount),
    Check("seLinuxOptions", BASELINE, 0, selinux),
    Check("seccompProfile_baseline", BASELINE, 19, seccomp_baseline),
    Check("sysctls", BASELINE, 0, sysctls),
    Check("windowsHostProcess", BASELINE, 0, windows_host_process),
    Check("allowPrivilegeEscalation", RESTRICTED, 8, allow_privilege_escalation),
    Check("capabilities_restricted", RESTRICTED, 22, capabilities_restricted, ("capabilities_baseline",)),
    Check("procMount_restricted", RESTRICTED, 0, proc_mount_restricted, ("procMount",)),
    Check("restrictedVolumes", RESTRICTED, 0, restricted_volumes, ("hostPathVolumes",)),
    Check("runAsNonRoot", RESTRICTED, 0, run_as_non_root),
    Check("runAsUser", RESTRICTED, 23, run_as_user),
    Check("seccompProfile_restricted", RESTRICTED, 19, seccomp_restricted, ("seccompProfile_baseline",)),
)
