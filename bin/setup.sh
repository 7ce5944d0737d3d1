# Set-up shared by the commands in this folder: sourced by them, run from the project's top folder.
# Everything it makes is in .venv/ and var/; as root on Debian or Ubuntu it also installs packages.

say() { printf '%s\n' "multica-admin: $*" >&2; }
fail() {
    say "$*"
    exit 2
}

can_make_environments() {
    "$1" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1
}

find_python() {
    for candidate in python3 python3.14 python3.13 python3.12 python3.11 /usr/bin/python3; do
        if command -v "$candidate" >/dev/null 2>&1 && can_make_environments "$candidate"; then
            printf '%s\n' "$candidate"
            return
        fi
    done
    return 1
}

may_install_packages() {
    [ "$(id -u)" = 0 ] && [ "${PACKAGES:-yes}" = yes ] && command -v apt-get >/dev/null 2>&1
}

# Asks on a terminal; without one, running as root is taken as consent.
agreed_to() {
    [ -t 0 ] && [ -t 2 ] || return 0
    printf 'multica-admin: %s [Y/n] ' "$1" >&2
    read -r answer || answer=n
    case $answer in [nN]*) return 1 ;; esac
}

apt_install() {
    log=$(mktemp)
    if DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends \
        -o Dpkg::Options::=--force-confold "$@" >"$log" 2>&1 </dev/null; then
        rm -f "$log"
    else
        tail -n 5 "$log" >&2
        rm -f "$log"
        return 1
    fi
}

apt_refresh() {
    apt-get update -q >/dev/null 2>&1 </dev/null || say "the package lists could not be refreshed; trying the ones at hand."
}

# prepare_python FILE: .venv/ with everything that FILE pins, untouched when FILE has not changed. Each
# package must have one of the hashes in FILE, which bin/lock writes.
prepare_python() {
    requirements=$1
    # A start cut off while it made the environment leaves one without pip.
    if ! .venv/bin/python -c 'import pip' >/dev/null 2>&1; then
        python=$(find_python) || {
            if may_install_packages && agreed_to "install python3-venv?"; then
                apt_refresh
                apt_install python3 python3-venv || true
            fi
            python=$(find_python)
        } || fail "Python 3.11 or newer with venv is needed: install it (on Debian: apt install python3-venv)."
        rm -rf .venv
        "$python" -m venv .venv || fail "no virtual environment could be made in $(pwd)/.venv: is the folder writable, is there room?"
    fi
    stamp=.venv/installed-$requirements
    if ! cmp -s "$requirements" "$stamp"; then
        say "installing what $requirements pins (once)"
        .venv/bin/python -m pip install --quiet --disable-pip-version-check --no-input \
            --require-hashes -r "$requirements" >&2 ||
            fail "the packages in $requirements could not be installed; the lines above say why."
        cp "$requirements" "$stamp"
    fi
}

# Whether a first start here would have to do without pg_cron.
lacks_pg_cron() {
    .venv/bin/python -c 'import os, pathlib, sys
from multica_admin.embedded import data_directory, find_binaries
var = pathlib.Path(os.environ.get("VAR_DIR") or "var").absolute()
made = data_directory(var).exists()
sys.exit(made or any(found.has_pg_cron for found in find_binaries()))'
}

has_pg_cron() {
    .venv/bin/python -c 'import sys
from multica_admin.embedded import find_binaries
sys.exit(not any(found.has_pg_cron for found in find_binaries()))'
}

# Debian's server package would make and start a cluster of its own; ours is private, in var/.
install_pg_cron() {
    apt_refresh
    package=$(apt-cache search --names-only '^postgresql-[0-9]+-cron$' | cut -d' ' -f1 |
        sort -t- -k2 -n -r | awk -F- '$2 >= 15 { print; exit }')
    [ -n "$package" ] || return 1
    apt_install postgresql-common || return 1
    drop_in=/etc/postgresql-common/createcluster.d/multica-admin.conf
    mkdir -p "${drop_in%/*}"
    echo 'create_main_cluster = false' >"$drop_in"
    apt_install "$package" && installed=0 || installed=1
    rm -f "$drop_in"
    return $installed
}

has_pgbouncer() {
    PATH="$PATH:/usr/sbin:/usr/local/sbin" command -v pgbouncer >/dev/null 2>&1
}

# Chromium draws a box for each Chinese character if no font has it.
has_chinese_font() {
    [ -n "$(fc-list :lang=zh-cn 2>/dev/null)" ]
}

need_chinese_font() {
    has_chinese_font ||
        { may_install_packages && agreed_to "install a Chinese font?" && apt_refresh && apt_install fontconfig fonts-wqy-microhei && has_chinese_font; } ||
        fail "a font with Chinese characters is needed (on Debian: apt install fontconfig fonts-wqy-microhei)."
}

has_nginx() {
    PATH="$PATH:/usr/sbin:/usr/local/sbin" command -v nginx >/dev/null 2>&1
}

# install_unstarted PACKAGE SERVICE: Debian's package would start a service, now and with the machine;
# the tests need its program only.
install_unstarted() (
    apt_refresh
    policy=/usr/sbin/policy-rc.d
    trap 'exit 1' INT TERM
    if [ ! -e "$policy" ]; then
        trap 'rm -f "$policy"' EXIT
        printf '#!/bin/sh\nexit 101\n' >"$policy"
        chmod 755 "$policy"
    fi
    apt_install "$1" || return 1
    deb-systemd-helper disable "$2.service" >/dev/null 2>&1 || true
    update-rc.d "$2" disable >/dev/null 2>&1 || true
    # Started all the same where the machine has a policy of its own that lets it.
    invoke-rc.d "$2" stop >/dev/null 2>&1 || true
)
