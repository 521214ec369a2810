"""Security contexts: the container's over the pod's, and what must be refused before anything starts."""

from __future__ import annotations

from typing import Any

from kubelet.config.errors import ConfigError
from kubelet.podspec import ContainerSpec, Pod, all_containers, describe_pod
from proto import cri_pb2 as cri

MASKED_PATHS = (
    "/proc/asound", "/proc/acpi", "/proc/interrupts", "/proc/kcore", "/proc/keys", "/proc/latency_stats",
    "/proc/timer_list", "/proc/timer_stats", "/proc/sched_debug", "/proc/scsi", "/sys/firmware",
    "/sys/devices/virtual/powercap",
)  # fmt: skip
READ_ONLY_PATHS = ("/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger")

_PROFILES = {
    "RuntimeDefault": cri.SecurityProfile.RuntimeDefault,
    "Unconfined": cri.SecurityProfile.Unconfined,
    "Localhost": cri.SecurityProfile.Localhost,
}


def pod_context(pod: Pod) -> dict[str, Any]:
    return pod["spec"].get("securityContext") or {}


def container_context(spec: ContainerSpec) -> dict[str, Any]:
    return spec.get("securityContext") or {}


def effective(pod: Pod, spec: ContainerSpec, field: str) -> Any:
    """The container's value, else the pod's, else None."""
    value = container_context(spec).get(field)
    return pod_context(pod).get(field) if value is None else value


def is_privileged(spec: ContainerSpec) -> bool:
    return bool(container_context(spec).get("privileged"))


def check_run_as_non_root(pod: Pod, spec: ContainerSpec, image: cri.Image | None) -> None:
    """Raises `ConfigError` when the container must not be root and would be, or might be."""
    if not effective(pod, spec, "runAsNonRoot"):
        return
    where = f'(pod: "{describe_pod(pod)}", container: {spec["name"]})'
    user = effective(pod, spec, "runAsUser")
    if user is not None:
        if int(user) == 0:
            raise ConfigError("CreateContainerConfigError", f"container's runAsUser breaks non-root policy {where}")
        return
    uid, username = image_user(image)
    if username and uid is None:
        message = f"container has runAsNonRoot and image has non-numeric user ({username})"
        raise ConfigError("CreateContainerConfigError", f"{message}, cannot verify user is non-root {where}")
    if not uid:
        message = f"container has runAsNonRoot and image will run as root {where}"
        raise ConfigError("CreateContainerConfigError", message)


def image_user(image: cri.Image | None) -> tuple[int | None, str]:
    if image is None:
        return None, ""
    return (image.uid.value if image.HasField("uid") else None), image.username


def namespace_options(pod: Pod, *, target_id: str = "") -> cri.NamespaceOption:
    spec = pod["spec"]
    options = cri.NamespaceOption(
        network=cri.NODE if spec.get("hostNetwork") else cri.POD,
        ipc=cri.NODE if spec.get("hostIPC") else cri.POD,
        pid=cri.NODE if spec.get("hostPID") else cri.POD if spec.get("shareProcessNamespace") else cri.CONTAINER,
    )
    if target_id and options.pid == cri.CONTAINER:
        options.pid = cri.TARGET
        options.target_id = target_id
    return options


def supplemental_groups(pod: Pod) -> list[int]:
    context = pod_context(pod)
    groups = [int(group) for group in context.get("supplementalGroups") or ()]
    if context.get("fsGroup") is not None:
        groups.append(int(context["fsGroup"]))
    return list(dict.fromkeys(groups))


def profile(found: dict[str, Any] | None, localhost_root: str = "") -> cri.SecurityProfile:
    """A seccomp or AppArmor profile; none said is unconfined."""
    kind = (found or {}).get("type") or "Unconfined"
    message = cri.SecurityProfile(profile_type=_PROFILES.get(kind, cri.SecurityProfile.Unconfined))
    if kind == "Localhost":
        reference = (found or {}).get("localhostProfile") or ""
        message.localhost_ref = f"{localhost_root}/{reference}" if localhost_root else reference
    return message


def sandbox_security(pod: Pod) -> cri.LinuxSandboxSecurityContext:
    context = pod_context(pod)
    security = cri.LinuxSandboxSecurityContext(
        namespace_options=namespace_options(pod),
        supplemental_groups=supplemental_groups(pod),
        privileged=any(is_privileged(spec) for spec in all_containers(pod)),
        seccomp=cri.SecurityProfile(profile_type=cri.SecurityProfile.RuntimeDefault),
    )
    if context.get("runAsUser") is not None:
        security.run_as_user.value = int(context["runAsUser"])
        if context.get("runAsGroup") is not None:
            security.run_as_group.value = int(context["runAsGroup"])
    return security


def container_security(
    pod: Pod, spec: ContainerSpec, image: cri.Image | None, *, seccomp_root: str = "", target_id: str = ""
) -> cri.LinuxContainerSecurityContext:
    own = container_context(spec)
    privileged = is_privileged(spec)
    capabilities = own.get("capabilities") or {}
    security = cri.LinuxContainerSecurityContext(
        namespace_options=namespace_options(pod, target_id=target_id),
        privileged=privileged,
        readonly_rootfs=bool(own.get("readOnlyRootFilesystem")),
        no_new_privs=own.get("allowPrivilegeEscalation") is False,
        supplemental_groups=supplemental_groups(pod),
        capabilities=cri.Capability(
            add_capabilities=capabilities.get("add") or (), drop_capabilities=capabilities.get("drop") or ()
        ),
    )
    if pod_context(pod).get("supplementalGroupsPolicy") == "Strict":
        security.supplemental_groups_policy = cri.Strict
    _set_user(security, pod, spec, image)
    seccomp = {"type": "Unconfined"} if privileged else effective(pod, spec, "seccompProfile")
    security.seccomp.CopyFrom(profile(seccomp, seccomp_root))
    apparmor = effective(pod, spec, "appArmorProfile")
    if apparmor:
        security.apparmor.CopyFrom(profile(apparmor))
    if own.get("procMount") != "Unmasked":
        security.masked_paths.extend(MASKED_PATHS)
        security.readonly_paths.extend(READ_ONLY_PATHS)
    options = effective(pod, spec, "seLinuxOptions")
    if options:
        security.selinux_options.CopyFrom(
            cri.SELinuxOption(**{key: options[key] for key in ("user", "role", "type", "level") if options.get(key)})
        )
    return security


def _set_user(
    security: cri.LinuxContainerSecurityContext, pod: Pod, spec: ContainerSpec, image: cri.Image | None
) -> None:
    user, group = effective(pod, spec, "runAsUser"), effective(pod, spec, "runAsGroup")
    if user is not None:
        security.run_as_user.value = int(user)
    else:
        uid, username = image_user(image)
        if username:
            security.run_as_username = username
        else:
            security.run_as_user.value = uid or 0
    if group is not None:
        security.run_as_group.value = int(group)
