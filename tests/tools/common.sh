# SPDX-License-Identifier: BSL-1.0
# Shared by examples/run, tests/run and .ci/run; sourced, never run.

root=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/../.." && pwd)
tools=$root/tests/tools
jobs=${LOOPSAFE_JOBS:-$(nproc)}
child=
holders=()
holder_fds=()

say() { printf '%s\n' "$*" >&2; }

die() {
    say "$*"
    exit 1
}

# hold COMMAND... : runs a command when this script has ended, even one that is killed: it waits for
# the end of a pipe whose other end is open here only.
hold() {
    local fd
    exec {fd}> >(
        trap '' INT TERM HUP
        let_go
        cat
        "$@" >/dev/null 2>&1
    )
    holders+=("$!")
    holder_fds+=("$fd")
}

# Closes this process's ends of these pipes.
let_go() {
    local fd
    for fd in "${holder_fds[@]}"; do
        exec {fd}>&-
    done
}

# Runs a command in a process group of its own, so that it ends when this script is told to end.
guarded() {
    local status=0
    set -m
    (
        let_go
        exec "$@"
    ) </dev/null &
    child=$!
    set +m
    wait "$child" || status=$?
    child=
    return "$status"
}

# guarded_tee FILE COMMAND... : guarded, and what it prints goes to FILE as well.
guarded_tee() { guarded bash -c 'set -o pipefail; "${@:1}" 2>&1 | tee "$0"' "$@"; }

finish() {
    trap '' INT TERM HUP
    if [[ -n $child ]]; then
        kill -TERM -- "-$child" 2>/dev/null || true
        wait "$child" 2>/dev/null || true
    fi
    let_go
    [[ ${#holders[@]} -eq 0 ]] || wait "${holders[@]}" 2>/dev/null || true
}

trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
trap 'exit 129' HUP

# Starts a private PostgreSQL server, which ends with this script, and exports what a program needs
# to find it.
start_postgres() {
    local directory port
    directory=$(mktemp -d "${TMPDIR:-/tmp}/loopsafe-postgres.XXXXXX")
    hold "$tools/postgres_server" remove "$directory"
    port=$("$tools/postgres_server" start "$directory")
    export LOOPSAFE_POSTGRES="host=127.0.0.1 port=$port user=loopsafe dbname=loopsafe"
    export LOOPSAFE_POSTGRES_PORT=$port
    export LOOPSAFE_POSTGRES_DIR=$directory
    export LOOPSAFE_POSTGRES_LOG=$directory/log
    export LOOPSAFE_POSTGRES_SERVER=$tools/postgres_server
}

# The same for private HTTP servers.
start_http_servers() {
    local directory
    directory=$(mktemp -d "${TMPDIR:-/tmp}/loopsafe-http.XXXXXX")
    hold "$tools/http_servers" remove "$directory"
    "$tools/http_servers" start "$directory" >/dev/null
    export LOOPSAFE_HTTP_SERVERS=$directory/ports
    export LOOPSAFE_HTTP_DIR=$directory
}

version_at_least() { [[ $(printf '%s\n%s\n' "$2" "$1" | sort -V | head -n 1) == "$2" ]]; }

# The version of the Boost that the compiler finds, as 1.81; nothing where there is none.
boost_version() {
    local number
    number=$(printf '#include <boost/version.hpp>\nBOOST_VERSION\n' |
        "$(compiler)" -E -P -x c++ ${1:+-isystem "$1"} - 2>/dev/null | tail -n 1) || return 1
    [[ $number =~ ^[0-9]+$ ]] && printf '%d.%d\n' $((number / 100000)) $((number / 100 % 1000))
}

compiler() {
    local name
    for name in "${CXX:-g++}" g++-12 g++-13 g++-14; do
        if command -v "$name" >/dev/null && [[ -n ${CXX:-} || $("$name" -dumpversion) -ge 12 ]]; then
            printf '%s\n' "$name"
            return
        fi
    done
    return 1
}

has_boost() {
    local version
    version=$(boost_version "${LOOPSAFE_BOOST_INCLUDE_DIR:-}") && version_at_least "$version" 1.81
}

has_header() { printf '#include <%s>\n' "$1" | "$(compiler)" -E -x c++ "${@:2}" - >/dev/null 2>&1; }
has_libpq() { has_header libpq-fe.h || has_header libpq-fe.h -I/usr/include/postgresql; }

newest_boost_package() {
    apt-cache search --names-only '^libboost1\.[0-9]+-dev$' | sed 's/ .*//' | sort -V | tail -n 1
}

# need PACKAGE... : installs what is missing, or names it. Without a package: what every build needs.
# A word that is not a package of the list below is a command that the package of that name brings.
need() {
    local wanted=("$@") missing=() package
    [[ $# -gt 0 ]] ||
        wanted=(g++ cmake ninja-build python3 openssl boost doctest-dev libssl-dev libpq-dev postgresql
            zlib1g-dev libbrotli-dev libzstd-dev)
    for package in "${wanted[@]}"; do
        case $package in
        g++) compiler ;;
        ninja-build) command -v ninja ;;
        boost) has_boost ;;
        doctest-dev) has_header doctest/doctest.h ;;
        libssl-dev) has_header openssl/ssl.h ;;
        libpq-dev) has_libpq ;;
        zlib1g-dev) has_header zlib.h ;;
        libbrotli-dev) has_header brotli/encode.h ;;
        libzstd-dev) has_header zstd.h ;;
        libcurl4-openssl-dev) pkg-config --exists libcurl ;;
        libcpp-httplib-dev) pkg-config --exists cpp-httplib ;;
        postgresql) "$tools/postgres_server" find ;;
        pgbouncer | haproxy) PATH=$PATH:/usr/sbin type -P "$package" ;;
        nginx-light) PATH=$PATH:/usr/sbin type -P nginx ;;
        apache2-bin) PATH=$PATH:/usr/sbin type -P apache2 ;;
        nodejs) command -v node ;;
        tinyproxy-bin) PATH=$PATH:/usr/sbin type -P tinyproxy ;;
        libclang-rt-*) dpkg -s "$package" ;;
        python3-venv) python3 -c 'import venv, ensurepip' ;;
        *) command -v "$package" ;;
        esac >/dev/null 2>&1 || missing+=("$package")
    done
    [[ ${#missing[@]} -gt 0 ]] || return 0

    local as_root=(env DEBIAN_FRONTEND=noninteractive)
    [[ $EUID -eq 0 ]] || as_root=(sudo -n "${as_root[@]}")
    if ! command -v apt-get >/dev/null || ! "${as_root[@]}" true 2>/dev/null; then
        die "missing, and not to be installed from here: ${missing[*]} (boost: libboost1.81-dev or newer)"
    fi
    "${as_root[@]}" apt-get update -qq </dev/null >&2
    local i
    for i in "${!missing[@]}"; do
        if [[ ${missing[i]} == boost ]]; then
            missing[i]=$(newest_boost_package)
            [[ -n ${missing[i]} ]] && version_at_least "${missing[i]//[^0-9.]/}" 1.81 ||
                die "apt offers no Boost 1.81 or newer: install it, or set LOOPSAFE_BOOST_INCLUDE_DIR"
        fi
    done
    say "installing ${missing[*]}"
    "${as_root[@]}" apt-get install -y -qq --no-install-recommends --no-remove "${missing[@]}" </dev/null >&2 ||
        die "apt-get could not install: ${missing[*]}"
    # Debian starts a server when it installs one; ours is private.
    for package in postgresql pgbouncer nginx-light haproxy; do
        if [[ " ${missing[*]} " == *" $package "* && -d /run/systemd/system ]]; then
            "${as_root[@]}" systemctl stop "${package%-light}"
        fi
    done
}

# configure DIRECTORY PRESET [CMAKE ARGUMENT...]. Compiles through ccache where that is installed.
configure() {
    local version known fresh=() launcher=
    if command -v ccache >/dev/null; then
        launcher=ccache
        export CCACHE_SLOPPINESS=pch_defines,time_macros # else it caches nothing that uses a precompiled header
    fi
    version=$(cmake --version | sed -n 's/^cmake version //p')
    version_at_least "$version" 3.25 || die "CMake 3.25 or newer is needed; this is $version"
    known=$(sed -n 's/^CMAKE_CXX_COMPILER:[A-Z]*=//p' "$root/build/$1/CMakeCache.txt" 2>/dev/null || true)
    # With another compiler CMake would start over without what the preset sets.
    [[ $(command -v "${known:-none}") == $(command -v "$(compiler)") ]] || fresh=(--fresh)
    guarded cmake --preset "$2" "${fresh[@]}" --log-level=WARNING -S "$root" -B "$root/build/$1" \
        -DCMAKE_CXX_COMPILER="$(compiler)" -DCMAKE_CXX_COMPILER_LAUNCHER="$launcher" \
        -DLOOPSAFE_BOOST_INCLUDE_DIR="${LOOPSAFE_BOOST_INCLUDE_DIR:-}" "${@:3}" >&2
}

# build DIRECTORY [TARGET...]
build() { guarded cmake --build "$root/build/$1" -j "$jobs" ${2:+--target "${@:2}"} -- -k 0 >&2; }
