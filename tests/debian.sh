#!/usr/bin/env bash
# Installs the Debian packages that a group of tests needs, each only where it is missing.  Where it may not, it says what
# is missing; the tests then skip, or fail where CI=true.
#   tests/debian.sh browser|deploy...
set -euo pipefail
PATH=$PATH:/usr/sbin:/sbin
missing=()

need() { # PACKAGE COMMAND...: the command succeeds where the package is not needed
    local package=$1
    shift
    "$@" >/dev/null 2>&1 || missing+=("$package")
}

a_font() { find /usr/share/fonts -name '*.[ot]tf' | grep -q .; }
compose() { docker compose version || command -v docker-compose; }
seccomp() { ldconfig -p | grep -q 'libseccomp\.so\.2 '; }

browser() {
    need chromium test -x /usr/bin/chromium
    need fonts-dejavu-core a_font
}

deploy() {
    need prometheus command -v promtool
    need prometheus-alertmanager command -v amtool
    need docker-compose compose
    need systemd test -x /lib/systemd/systemd
    need libseccomp2 seccomp
    need util-linux command -v unshare
    need passwd command -v useradd
    need iproute2 command -v ip
    need openssl command -v openssl
}

for group in "$@"; do
    case $group in
        browser | deploy) "$group" ;;
        *) echo "$0: no group $group; there are: browser deploy" >&2 && exit 2 ;;
    esac
done
[ ${#missing[@]} -gt 0 ] || exit 0
if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
    echo "missing, and only root may install it: apt-get install ${missing[*]}" >&2
    exit 0
fi
echo "installing: ${missing[*]}"
export DEBIAN_FRONTEND=noninteractive
# The tests start what they need themselves.  Debian would start Prometheus and Alertmanager now and at each boot, on the
# very ports of deploy/compose.yaml: policy-rc.d(8) forbids the former while this runs, and `disable` the latter.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
    trap 'rm -f "$policy"' EXIT
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod 755 "$policy"
fi
daemons=()
for package in "${missing[@]}"; do
    case $package in
        prometheus*) systemctl is-enabled --quiet "$package" 2>/dev/null || daemons+=("$package") ;;
    esac
done
if ! { apt-get update -qq && apt-get install -qq --yes --no-install-recommends "${missing[@]}"; }; then
    echo "missing, and apt-get could not install it: ${missing[*]}" >&2
fi
if [ ${#daemons[@]} -gt 0 ] && command -v systemctl >/dev/null; then
    systemctl disable --quiet "${daemons[@]}" || true
fi
