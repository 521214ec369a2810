"""Security contexts of pods and containers."""

from __future__ import annotations

from typing import Any

from apiserver.validation.field import Errors, Object

ID_RANGE = "must be between 0 and 2147483647, inclusive"
_PROFILES = ("Localhost", "RuntimeDefault", "Unconfined")


def validate_id(errors: Errors, path: str, value: int | None) -> None:
    if value is not None and not 0 <= value <= 2147483647:
        errors.invalid(path, value, ID_RANGE)


def validate_pod_security(errors: Errors, path: str, context: Object | None, spec: Object) -> None:
    if spec.get("shareProcessNamespace") and spec.get("hostPID"):
        errors.invalid(
            path + ".shareProcessNamespace", True, "ShareProcessNamespace and HostPID cannot both be enabled"
        )
    if not context:
        return
    validate_id(errors, path + ".fsGroup", context.get("fsGroup"))
    validate_id(errors, path + ".runAsUser", context.get("runAsUser"))
    validate_id(errors, path + ".runAsGroup", context.get("runAsGroup"))
    for i, group in enumerate(context.get("supplementalGroups") or ()):
        validate_id(errors, f"{path}.supplementalGroups[{i}]", group)
    if context.get("sysctls"):
        _validate_sysctls(errors, path + ".sysctls", context["sysctls"])
    policy = context.get("fsGroupChangePolicy")
    if policy is not None and policy not in ("Always", "OnRootMismatch"):
        errors.not_supported(path + ".fsGroupChangePolicy", policy, ("Always", "OnRootMismatch"))
    _validate_profile(errors, path + ".seccompProfile", context.get("seccompProfile"))
    _validate_profile(errors, path + ".appArmorProfile", context.get("appArmorProfile"))
    _validate_windows(errors, path + ".windowsOptions", context.get("windowsOptions"))
    groups = context.get("supplementalGroupsPolicy")
    if groups is not None and groups not in ("Merge", "Strict"):
        errors.not_supported(path + ".supplementalGroupsPolicy", groups, ("Merge", "Strict"))


def _validate_sysctls(errors: Errors, path: str, sysctls: list[dict[str, Any]]) -> None:
    import re

    seen: set[str] = set()
    shape = r"([a-z0-9]([-_a-z0-9]*[a-z0-9])?[\./])*[a-z0-9]([-_a-z0-9]*[a-z0-9])?"
    for i, sysctl in enumerate(sysctls):
        name, where = sysctl.get("name") or "", f"{path}[{i}].name"
        if not name:
            errors.required(where)
        elif len(name) > 253 or not re.fullmatch(shape, name):
            errors.invalid(where, name, f"must have at most 253 characters and match regex ^{shape}$")
        if name in seen:
            errors.duplicate(where, name)
        seen.add(name)


def _validate_profile(errors: Errors, path: str, profile: Object | None) -> None:
    if profile is None:
        return
    kind, local = profile.get("type") or "", profile.get("localhostProfile")
    if not kind:
        errors.required(path + ".type", f"type is required when {path.rpartition('.')[2]} is set")
    if kind == "Localhost":
        if local is None:
            errors.required(path + ".localhostProfile", "must be set when seccomp type is Localhost")
        elif path.endswith("seccompProfile"):
            from apiserver.validation.pods.volumes import local_path

            local_path(errors, path + ".localhostProfile", local)
        return
    if kind and kind not in _PROFILES:
        errors.not_supported(path + ".type", kind, _PROFILES)
    if local is not None:
        seccomp = path.endswith("seccompProfile")
        shown = {"Type": kind, "LocalhostProfile": local} if seccomp else local
        what = "seccomp" if seccomp else "AppArmor"
        errors.invalid(path + ".localhostProfile", shown, f"can only be set when {what} type is Localhost")


def _validate_windows(errors: Errors, path: str, options: Object | None) -> None:
    if options is None:
        return
    user = options.get("runAsUserName")
    if user is not None and not user:
        errors.invalid(path + ".runAsUserName", user, "runAsUserName cannot be an empty string")
    spec = options.get("gmsaCredentialSpec")
    if spec is not None and not spec:
        errors.invalid(path + ".gmsaCredentialSpec", spec, "gmsaCredentialSpec cannot be an empty string")


def validate_container_security(errors: Errors, path: str, context: Object | None, host_users: bool | None) -> None:
    if not context:
        return
    validate_id(errors, path + ".runAsUser", context.get("runAsUser"))
    validate_id(errors, path + ".runAsGroup", context.get("runAsGroup"))
    mount = context.get("procMount")
    if mount is not None:
        if mount not in ("Default", "Unmasked"):
            errors.not_supported(path + ".procMount", mount, ("Default", "Unmasked"))
        elif mount == "Unmasked" and host_users is not False:
            errors.invalid(path + ".procMount", mount, "`hostUsers` must be false to use `Unmasked`")
    _validate_profile(errors, path + ".seccompProfile", context.get("seccompProfile"))
    if context.get("allowPrivilegeEscalation") is False:
        if context.get("privileged"):
            errors.invalid(path, context, "cannot set `allowPrivilegeEscalation` to false and `privileged` to true")
        added = (context.get("capabilities") or {}).get("add") or ()
        if any(capability in ("CAP_SYS_ADMIN", "SYS_ADMIN") for capability in added):
            errors.invalid(
                path, context, "cannot set `allowPrivilegeEscalation` to false and `capabilities.Add` CAP_SYS_ADMIN"
            )
    _validate_windows(errors, path + ".windowsOptions", context.get("windowsOptions"))
    _validate_profile(errors, path + ".appArmorProfile", context.get("appArmorProfile"))
