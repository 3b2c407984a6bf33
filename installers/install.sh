#!/bin/sh
# Installs byoi on this machine, brings it up to date, or takes it away again; `--help` says how.
# All of it stands between braces: where a download was cut off, nothing is run.
{
set -eu

# Written in by the build of a release: who signs it, and where its files lie.
RELEASE_KEY='@RELEASE_PUBLIC_KEY@'
RELEASE_URL='@RELEASE_URL@'
INDEX_URL='@INDEX_URL@' # of updates, for a folder of its own; a package brings its own

FAILED=1 USAGE=64 FORGED=65 UNAVAILABLE=69 # as the exit codes of byoi itself; 65: EX_DATAERR
SIGNER=byoi-release                        # whom SHA256SUMS.sshsig names, and its namespace
PROGRAM_MIB=600 SERVING_SECONDS=1800 FAILING_SECONDS=60

usage() {
    cat <<'HELP'
Install byoi, or bring it up to date: the program, an account and a service of its own.

  curl -fsSL URL/install.sh | sh
  curl -fsSL URL/install.sh | sh -s -- --console https://console.example

Needs root or sudo; --user installs for you alone, without either. Every file is checked against
the release's signature first. Run again: updates, or says that it is the newest.

  --console URL            enrol this machine with this console
  --join-token-file FILE   enrol with this join token, without anybody's approval; - is standard
                           input [BYOI_JOIN_TOKEN]; a token is never an argument
  --mode MODE              dedicated, idle or scheduled: when this machine serves
  --model NAME[@REVISION]  what it serves; several times for several models
  --engine NAME            llamacpp, vllm, or the URL of a server that runs already
  --ring RING              stable or beta: which updates it follows
  --proxy URL              the way out, for this script and for the service
  --user                   for you alone, below your home folder
  --method METHOD          deb or bundle (a folder of its own, made by uv) [what fits the system]
  --from FOLDER_OR_URL     where the files of the release lie [where this script comes from]
  --version VERSION        that version; also an older one than is here
  --release-key FILE       the public key of a release that you built yourself
  --no-start               neither start nor enable the service
  --no-prove               do not have it answer a question before the end
  --yes                    do not ask
  --dry-run                show every step, change nothing
  --uninstall [--purge]    take it away; --purge also its enrolment, models, settings and account
  --help

Exit codes: 0 done, 1 failed, 64 wrong command line, 65 not what the release signed,
69 installed, but it does not serve yet or something could not be reached.
HELP
}

say() { printf '%s\n' "$*"; }
step() { printf '==> %s\n' "$*"; note "==> $*"; }
note() { [ -z "$log" ] || printf '%s\n' "$*" >>"$log"; }
die() {
    code=$1
    shift
    printf 'byoi: %s\n' "$*" >&2
    note "byoi: $*"
    exit "$code"
}
have() { command -v "$1" >/dev/null 2>&1; }

# What needs root. A dry run looks as far as it may without; sudo is asked to keep a proxy.
as_root() {
    if [ "$scope" = user ] || [ "$dry" = yes ] || [ "$(id -u)" = 0 ]; then
        "$@"
    else
        sudo --preserve-env=HTTPS_PROXY,HTTP_PROXY,NO_PROXY,DEBIAN_FRONTEND "$@"
    fi
}
# A step that changes the machine, its output in the log.
change() {
    if [ "$dry" = yes ]; then
        say "    would run: $*"
        return 0
    fi
    note "\$ $*"
    as_root "$@" >>"$log" 2>&1 </dev/null
}
told() { tail -n 15 "$log" | sed 's/^/    /' >&2; }
must() {
    change "$@" && return 0
    told
    die $FAILED "this failed: $* (the lines above say why; all of it is in $kept_log)"
}
byoi() { as_root "$command" "$@"; }

read_arguments() {
    scope=system method=auto from="" version="" ring="" console=${BYOI_CONSOLE:-} mode="" models=""
    engine="" start=yes prove=yes proxy="" assume_yes=no dry=no action=install purge=no key_file=""
    token=${BYOI_JOIN_TOKEN:-} token_file=""
    unset BYOI_JOIN_TOKEN
    while [ $# -gt 0 ]; do
        option=$1
        shift
        case $option in
        --*=*)
            set -- "${option#*=}" "$@"
            option=${option%%=*}
            ;;
        esac
        case $option in
        --from | --version | --ring | --console | --join-token-file | --mode | --model | --engine | \
            --proxy | --method | --release-key)
            value=${1:-}
            [ -n "$value" ] || die $USAGE "$option needs a value; see --help"
            shift
            ;;
        esac
        case $option in
        --user) scope=user ;;
        --yes | -y) assume_yes=yes ;;
        --dry-run) dry=yes ;;
        --uninstall) action=uninstall ;;
        --purge) purge=yes ;;
        --no-start) start=no prove=no ;;
        --no-prove) prove=no ;;
        --from) from=$value ;;
        --version) version=$value ;;
        --ring) ring=$value ;;
        --console) console=$value ;;
        --join-token-file) token_file=$value ;;
        --mode) mode=$value ;;
        --model) models="$models$value
" ;;
        --engine) engine=$value ;;
        --proxy) proxy=$value ;;
        --method) method=$value ;;
        --release-key) key_file=$value ;;
        --help | -h)
            usage
            exit 0
            ;;
        *) die $USAGE "there is no option $option; see --help" ;;
        esac
    done
    check_arguments
}

check_arguments() {
    case ${mode:-idle} in dedicated | idle | scheduled) ;; *) die $USAGE "--mode is dedicated, idle or scheduled, not $mode" ;; esac
    case ${ring:-stable} in stable | beta) ;; *) die $USAGE "--ring is stable or beta, not $ring" ;; esac
    case $method in auto | deb | bundle) ;; *) die $USAGE "--method is deb or bundle, not $method" ;; esac
    case ${console:-https://} in https://* | http://*) ;; *) die $USAGE "--console is a URL like https://console.example, not $console" ;; esac
    case ${version:-0} in *[!0-9A-Za-z.+]*) die $USAGE "--version is like 0.1.0, not $version" ;; esac
    [ "$scope$method" != userdeb ] || die $USAGE "a package is for the whole system: leave --user or --method deb out"
    [ "$purge$action" != yesinstall ] || die $USAGE "--purge goes with --uninstall"
    if [ -n "$token_file" ]; then
        token=$(read_token) || token=$(guess_token) || die $USAGE "$token_file cannot be read: where does the join token lie?"
        [ -n "$token" ] || die $USAGE "there is no join token in $token_file (through a pipe, standard input is this script itself: save it first)"
    fi
    [ -z "$token" ] || [ -n "$console" ] || die $USAGE "a join token needs --console URL: whose is it?"
    if [ -n "$proxy" ]; then
        export HTTPS_PROXY="$proxy" HTTP_PROXY="$proxy" https_proxy="$proxy" http_proxy="$proxy"
    fi
}

read_token() {
    if [ "$token_file" = - ]; then
        IFS= read -r line || true
        printf '%s' "${line:-}"
    elif [ -r "$token_file" ]; then
        tr -d '[:space:]' <"$token_file"
    else
        read_as_root=$(as_root cat "$token_file" 2>/dev/null) || return 1
        printf '%s' "$read_as_root" | tr -d '[:space:]'
    fi
}

# A dry run without root asks for no password, so it may not see what the real one will.
guess_token() {
    [ "$dry$scope" = yessystem ] && [ "$(id -u)" != 0 ] || return 1
    place=$token_file
    while [ ! -e "$place" ]; do place=$(dirname "$place"); done
    if [ -d "$place" ]; then [ ! -x "$place" ] || return 1; fi
    say "Only root may look at $token_file: this dry run goes on as if a join token were in it." >&2
    printf 'unseen'
}

# --- what machine this is ---------------------------------------------------------------------

look_at_machine() {
    os=$(uname -s) cpu=$(uname -m)
    case $os in
    Linux | Darwin) ;;
    *) die $FAILED "byoi is not built for $os; there is a setup program for Windows, and this script for Linux and macOS" ;;
    esac
    case $cpu in
    x86_64 | amd64) cpu=x86_64 deb_cpu=amd64 ;;
    aarch64 | arm64) cpu=aarch64 deb_cpu=arm64 ;;
    *) die $FAILED "byoi is not built for processors of the kind $cpu, only for x86_64 and arm64" ;;
    esac
    if [ "$os" = Darwin ]; then
        platform=macos-$(uname -m)
        root=/opt/byoi
    else
        platform=linux-$cpu
        root=/opt/byoi
        look_at_linux
    fi
    command=/usr/bin/byoi linked=/usr/local/bin/byoi agent_python=/usr/lib/byoi-agent/bin/python
    state=/var/lib/byoi settings=/etc/byoi whom="the whole system" asroot="sudo " of_system=--system
    [ "$(id -u)" != 0 ] || asroot=""
    if [ "$scope" = user ]; then
        root=${XDG_DATA_HOME:-$HOME/.local/share}/byoi/app linked=$HOME/.local/bin/byoi
        state=${XDG_STATE_HOME:-$HOME/.local/state}/byoi settings=${XDG_CONFIG_HOME:-$HOME/.config}/byoi
        kept_log=${XDG_STATE_HOME:-$HOME/.local/state}/byoi-install.log
        whom="you ($(id -un))" asroot="" of_system=""
    elif [ "$os" = Darwin ]; then
        state=/var/db/byoi/state
    fi
    choose_method
}

look_at_linux() {
    libc=$(getconf GNU_LIBC_VERSION 2>/dev/null) ||
        die $FAILED "this system has no glibc (Alpine and others use musl), which the engines need; use the container image"
    case ${libc#glibc } in
    [01].* | 2.[0-9] | 2.1[0-9] | 2.2[0-7]) die $FAILED "this system is too old: it has $libc, and 2.28 is needed" ;;
    esac
    [ "$(getconf LONG_BIT)" = 64 ] || die $FAILED "this system runs in 32 bits, which no engine does; install a 64-bit one"
    if [ "$start" = yes ] && [ "$action" = install ] && ! has_systemd; then
        [ "$scope" = system ] || die $FAILED "systemd does not run for you here: sign in on the machine or by ssh (su and sudo do not do), or add --no-start and start it by: byoi run"
        case $(uname -r) in
        *[Mm]icrosoft*) die $FAILED "WSL runs without systemd here: put [boot] and systemd=true into /etc/wsl.conf, type wsl --shutdown in Windows, and try again" ;;
        *) die $FAILED "systemd does not run here (a container?): add --no-start, or --user --no-start for yourself, and start it by: byoi run; or use the container image" ;;
        esac
    fi
}

has_systemd() {
    have systemctl || return 1
    if [ "$scope" = user ]; then set -- --user; else set --; fi
    case $(XDG_RUNTIME_DIR=${XDG_RUNTIME_DIR:-/run/user/$(id -u)} systemctl "$@" is-system-running 2>/dev/null) in "" | offline | unknown) return 1 ;; *) return 0 ;; esac
}

# The package where apt has a Python that it can use, otherwise a folder of its own.
choose_method() {
    present=none
    if [ -e "$root/current" ]; then present=bundle; fi
    # What a first installation that was broken off has left is none, but can be taken away.
    if [ "$action" = uninstall ] && [ -d "$root/versions" ]; then present=bundle; fi
    if [ "$scope" = system ] && have dpkg-query && is_package_there; then present=deb; fi
    if [ "$method" != auto ]; then
        [ "$present" = none ] || [ "$present" = "$method" ] || [ "$action" = uninstall ] ||
            die $FAILED "byoi is here already as a $present; two would fight over one service. Take that away first, its enrolment stays: sh install.sh --uninstall --method $present"
    elif [ "$present" != none ]; then
        method=$present
    elif [ "$scope" = system ] && [ "$os" = Linux ] && have apt-get && have dpkg && apt_has_python; then
        method=deb
    else
        method=bundle
    fi
    if [ "$method" = bundle ]; then command=$root/bin/byoi agent_python=$root/current/bin/python; fi
}

# Whole; what is to be taken away also half, as a script of it that failed leaves it.
is_package_there() {
    case $action:$(dpkg-query -W -f='${db:Status-Abbrev}' byoi-agent 2>/dev/null) in
    *:?i* | uninstall:?[!nc]*) return 0 ;;
    *) return 1 ;;
    esac
}

apt_has_python() {
    case $(apt-cache policy python3 2>/dev/null | sed -n 's/^ *Candidate: *//p') in
    3.1[1-4].* | 3.1[1-4]-* | "" | "(none)") return 0 ;; # without lists apt will say what is missing
    *) return 1 ;;
    esac
}

check_rights() {
    : >"$work/keep-log"
    if [ "$scope" = user ] || [ "$dry" = yes ] || [ "$(id -u)" = 0 ]; then return 0; fi
    have sudo || die $FAILED "this needs root, and sudo is not here: run it as root, or add --user"
    say "byoi is installed for the whole system; sudo may ask for your password."
    sudo true || die $FAILED "sudo did not let you; run it as root, or add --user"
}

check_room() {
    place=$1
    while [ ! -d "$place" ]; do place=$(dirname "$place"); done
    free=$(df -Pk "$place" | awk 'NR == 2 { print int($4 / 1024) }')
    [ "${free:-0}" -ge $PROGRAM_MIB ] ||
        die $FAILED "$place has $free MiB left, and byoi needs $PROGRAM_MIB, its models more: make room, and try again"
}

# --- files of the release ---------------------------------------------------------------------

fetch() {
    case $from in
    http://* | https://*)
        if have curl; then
            curl -fsSL --retry 3 --connect-timeout 30 -o "$work/$1" "$from/$1" 2>"$work/error"
        elif have wget; then
            wget -q --tries=3 --timeout=30 -O "$work/$1" "$from/$1" 2>"$work/error"
        else
            die $FAILED "neither curl nor wget is here; install one of them"
        fi
        ;;
    *) cp "$from/$1" "$work/$1" 2>"$work/error" ;;
    esac
}

must_fetch() {
    fetch "$1" || die $UNAVAILABLE "$from/$1 cannot be had: $(tail -n 1 "$work/error"). Behind a proxy: --proxy URL; from files that you have: --from FOLDER"
}

# The public key as PEM, and the same 32 bytes as SSH writes them.
write_keys() {
    if [ -n "$key_file" ]; then
        cat "$key_file" >"$work/release.pem" || die $USAGE "$key_file cannot be read"
    else
        printf '%s\n' "$RELEASE_KEY" >"$work/release.pem"
    fi
    grep -q 'BEGIN PUBLIC KEY' "$work/release.pem" ||
        die $FAILED "this install.sh carries no release's key: it is that of the sources. Take the one that lies beside the release's files, or name its key: --release-key FILE"
    {
        printf '\000\000\000\013ssh-ed25519\000\000\000\040'
        grep -v -e '-----' "$work/release.pem" | tr -d '\n' | base64 -d | tail -c 32
    } | base64 | tr -d '\n' >"$work/release.ssh"
    printf '%s namespaces="%s" ssh-ed25519 %s\n' $SIGNER $SIGNER "$(cat "$work/release.ssh")" >"$work/signers"
}

check_signature() {
    write_keys
    must_fetch SHA256SUMS
    if openssl pkeyutl -help 2>&1 | grep -q -e -rawin; then
        must_fetch SHA256SUMS.sig
        openssl pkeyutl -verify -rawin -pubin -inkey "$work/release.pem" -in "$work/SHA256SUMS" \
            -sigfile "$work/SHA256SUMS.sig" >"$work/error" 2>&1 || forged
    elif ssh-keygen -Y find-principals -s /dev/null -f /dev/null 2>&1 | grep -q -v -i -e 'unknown\|illegal\|not found'; then
        must_fetch SHA256SUMS.sshsig
        ssh-keygen -Y verify -f "$work/signers" -I $SIGNER -n $SIGNER -s "$work/SHA256SUMS.sshsig" \
            <"$work/SHA256SUMS" >"$work/error" 2>&1 || forged
    else
        die $FAILED "the release's signature cannot be checked here, and nothing unsigned is installed: install openssl (3.0 or newer) or the OpenSSH client (8.1 or newer), and try again"
    fi
}
forged() { die $FORGED "the signature of $from/SHA256SUMS is not the release's: nothing was installed. Try another network; if it stays so, tell who publishes byoi"; }

# A file named in SHA256SUMS, and what that says of it.
get() {
    wanted=$(awk -v name="$1" '$2 == name || $2 == "*" name { print $1 }' "$work/SHA256SUMS")
    [ -n "$wanted" ] || die $FAILED "this release has no $1"
    step "Fetching $1"
    [ "$dry" = no ] || return 0
    must_fetch "$1"
    if have sha256sum; then sum=$(sha256sum "$work/$1"); else sum=$(shasum -a 256 "$work/$1"); fi
    [ "${sum%% *}" = "$wanted" ] || die $FORGED "$1 is not the file that was signed (damaged, or changed by somebody): nothing was installed. Try again, or another network"
}

find_release() {
    [ -n "$from" ] || from=$RELEASE_URL
    case $from in @*) die $USAGE "this install.sh is that of the sources: say where the release's files lie: --from FOLDER_OR_URL" ;; esac
    from=${from%/}
    [ -z "$version" ] || ! fetch "$version/SHA256SUMS" 2>/dev/null || from=$from/$version
    check_signature
    case $method in
    deb) pattern="byoi-agent_\\(.*\\)_$deb_cpu\\.deb" ;;
    bundle) pattern="byoi-agent-\\(.*\\)-$platform\\.tar\\.gz" ;;
    esac
    offered=$(sed -n "s/^[0-9a-f]* [ *]$pattern\$/\\1/p" "$work/SHA256SUMS" | head -n 1)
    [ -n "$offered" ] || die $FAILED "$from has no $method for $os on $cpu"
    [ -z "$version" ] || [ "$version" = "$offered" ] || die $FAILED "$from has byoi $offered, not $version"
}

# --- the program ------------------------------------------------------------------------------

installed_version() {
    case $present in
    deb) dpkg-query -W -f='${Version}' byoi-agent | tr -d '~' ;; # Debian's 0.2.0~rc1 is 0.2.0rc1
    bundle) basename "$(readlink "$root/current")" ;;
    *) ;;
    esac
}

# Of two versions the newer; 0.2.0.dev1, 0.2.0a1, 0.2.0b1 and 0.2.0rc1 come before 0.2.0.
newer_of() {
    printf '%s\n%s\n' "$1" "$2" | awk '{
        base = $0; kind = "z"; number = 0
        if (match($0, /(\.dev|a|b|rc)[0-9]+/)) {
            base = substr($0, 1, RSTART - 1)
            kind = number = substr($0, RSTART, RLENGTH)
            gsub(/[0-9]/, "", kind)
            gsub(/[^0-9]/, "", number)
        }
        split(base, part, ".")
        printf "%06d.%06d.%06d.%s.%06d %s\n", part[1], part[2], part[3], kind, number, $0
    }' | LC_ALL=C sort | sed -n '$s/.* //p'
}

install_program() {
    if [ "$here" = "$offered" ]; then
        [ "$method" = deb ] || lay_command # it may have been broken off just before, or be gone
        return 0
    fi
    if [ -n "$here" ] && [ -z "$version" ] && [ "$(newer_of "$here" "$offered")" = "$here" ]; then
        say "byoi $here is here, newer than $offered; to go back: --version $offered"
        return 0
    fi
    if [ "$method" = deb ]; then check_room /usr; else check_room "$root"; fi
    check_no_update
    "install_$method"
    changed=yes
    [ "$dry" = yes ] || [ -x "$command" ] || die $FAILED "$command is not there after the installation; see $kept_log"
}

# The updater takes back what is not the version that it is proving: a person's waits for its end.
check_no_update() {
    for folder in "$root/update" /var/lib/byoi-update; do
        [ "$scope$folder" != user/var/lib/byoi-update ] || continue
        underway=$(sed -n 's/^ *"underway": "\(.*\)",*$/\1/p' "$folder/told.json" 2>/dev/null) || continue
        [ -n "$underway" ] || continue
        updater=$(as_root cat "$folder/lock" 2>/dev/null) || continue
        # What power broke off is told too; only one that lives is in the way.
        # shellcheck disable=SC2016  # it is for that shell
        as_root sh -c 'kill -0 "$1"' sh "$updater" 2>/dev/null || continue
        die $FAILED "byoi updates itself to $underway just now, and would take what is installed meanwhile back: wait until that is done (byoi update --status tells), and try again"
    done
}

install_deb() {
    file=byoi-agent_${offered}_$deb_cpu.deb
    get "$file"
    step "Installing the package byoi-agent $offered"
    export DEBIAN_FRONTEND=noninteractive
    # A machine's first boot holds apt's lock for a while; settings of its owner are never replaced.
    set -- apt-get install --yes --allow-downgrades -o DPkg::Lock::Timeout=300 \
        -o Dpkg::Options::=--force-confdef -o Dpkg::Options::=--force-confold "$work/$file"
    change "$@" && return 0
    change apt-get update -o DPkg::Lock::Timeout=300 || true # what it needs may not be in old lists
    must "$@"
}

install_bundle() {
    file=byoi-agent-$offered-$platform.tar.gz
    get "$file"
    step "Installing byoi $offered below $root"
    if [ "$dry" = yes ]; then
        say "    would make an environment of it at $root/versions/$offered, and the command $linked"
        return 0
    fi
    tar -xzf "$work/$file" -C "$work" || die $FAILED "$file cannot be unpacked: is the disk of $work full?"
    bundle=$work/byoi-agent-$offered home=$root/versions/$offered
    check_libraries
    find_uv
    find_python
    unset VIRTUAL_ENV UV_INDEX_URL UV_DEFAULT_INDEX
    lay_command
    must mkdir -p "$root/versions"
    half_made=$home
    must rm -rf "$home"
    must "$uv" venv --quiet --no-config --no-cache --python "$python" "$home"
    must "$uv" pip install --quiet --no-config --no-cache --link-mode copy --compile-bytecode \
        --offline --no-index --find-links "$bundle/wheels" --require-hashes \
        --python "$home/bin/python" --requirement "$bundle/requirements.txt"
    describe_installation
    check_no_update
    # Last, in one step: until here the version before is the one that runs. What was made is whole
    # by now, and may run already when a signal comes: it is not cleared away any more.
    half_made=""
    must ln -sfn "versions/$offered" "$root/current.new"
    must "$home/bin/python" -c 'import os, sys; os.replace(*sys.argv[1:])' "$root/current.new" "$root/current"
}

# `byoi` by a name that stays; it runs the version that `current` names.
lay_command() {
    [ -d "$root/bin" ] || must mkdir -p "$root/bin"
    put "$command" 755 "#!/bin/sh
exec \"$root/current/bin/byoi\" \"\$@\""
    [ "$(readlink "$linked" 2>/dev/null)" != "$command" ] || return 0
    changed=yes
    must mkdir -p "$(dirname "$linked")"
    must ln -sfn "$command" "$linked"
}

# llama.cpp's wheel counts on the compiler's run-time library, which a bare system lacks; a package
# depends on it.
check_libraries() {
    if [ "$os" = Darwin ] || PATH="$PATH:/sbin:/usr/sbin" ldconfig -p 2>/dev/null | grep -q 'libgomp\.so\.1'; then return 0; fi
    if have dnf; then
        set -- dnf install --assumeyes libgomp
    elif have zypper; then
        set -- zypper --non-interactive install libgomp1
    elif have pacman; then
        set -- pacman -S --noconfirm --needed gcc-libs
    elif have apt-get; then
        set -- apt-get install --yes libgomp1
    else
        say "llama.cpp needs libgomp.so.1, which is not here: install your system's package of it (of GCC)."
        return 0
    fi
    if [ "$scope" = user ]; then
        say "llama.cpp needs libgomp.so.1, which is not here; have an administrator type: $*"
        return 0
    fi
    step "Installing libgomp, which llama.cpp needs"
    change "$@" && return 0
    if have apt-get; then change apt-get update || true; fi
    must "$@"
}

# The bundle brings uv as a wheel, which is a zip.
find_uv() {
    uv=$work/uv
    for wheel in "$bundle"/wheels/uv-*.whl; do break; done
    if have unzip; then
        unzip -p "$wheel" '*.data/scripts/uv' >"$uv"
    elif have bsdtar; then
        bsdtar -xOf "$wheel" '*.data/scripts/uv' >"$uv"
    elif have python3; then
        python3 -c 'import sys, zipfile
wheel = zipfile.ZipFile(sys.argv[1])
sys.stdout.buffer.write(wheel.read(next(n for n in wheel.namelist() if n.endswith("/scripts/uv"))))' "$wheel" >"$uv"
    else
        die $FAILED "this needs python3 or unzip: install one of them, and try again"
    fi || die $FAILED "$wheel holds no uv"
    chmod 755 "$uv"
}

# The system's, or one that uv brings where it has none that is new enough.
find_python() {
    for python in python3.13 python3.12 python3.11 python3.14 python3; do
        have "$python" && is_fit "$python" && python=$(command -v "$python") && return 0
    done
    say "This system has no Python of 3.11 to 3.14; one of its own comes below $root/python."
    change "$uv" python install --quiet --no-config --no-cache --no-bin --install-dir "$root/python" 3.13 || told
    for python in "$root"/python/*/bin/python3.13; do is_fit "$python" && return 0; done
    die $UNAVAILABLE "no Python of 3.11 to 3.14 is here, and none could be fetched (from github.com): install your system's (Debian, Ubuntu: apt install python3; Fedora: dnf install python3.12; openSUSE: zypper install python312), and try again"
}
is_fit() {
    "$1" -c 'import json, sys
with open(sys.argv[1]) as file: sys.exit("%d.%d" % sys.version_info[:2] not in json.load(file)["pythons"])' "$bundle/release.json" 2>/dev/null
}

# The service writes itself in.
describe_installation() {
    index=null
    case $INDEX_URL in http*) index="\"$INDEX_URL\"" ;; esac
    if [ -e "$bundle/root.json" ]; then must cp "$bundle/root.json" "$home/root.json"; fi
    put "$home/installation.json" 644 \
        "{\"kind\": \"versions\", \"version\": \"$offered\", \"index\": $index, \"root\": \"$root\", \"service\": null}"
}

# A file with these lines and rights.
put() {
    if [ "$dry" = yes ]; then
        say "    would write: $1"
        return 0
    fi
    printf '%s\n' "$3" >"$work/put"
    if as_root cmp -s "$work/put" "$1"; then return 0; fi
    changed=yes
    must install -m "$2" "$work/put" "$1"
}

# --- the node ---------------------------------------------------------------------------------

configure() {
    before=$(as_root cksum "$settings/config.toml" 2>/dev/null || true)
    [ -z "$proxy" ] || write_proxy
    [ -z "$mode" ] || set_to mode "$mode"
    [ -z "$ring" ] || set_to update.ring "$ring"
    [ -z "$engine" ] || tell "Choosing the engine $engine" engines use "$engine"
    while IFS= read -r model; do
        case $model in
        "") continue ;;
        /* | ./* | ../*) ;;
        */*) tell "Fetching the model $model" models pull --yes "$model" ;;
        esac
        tell "Choosing the model $model" models serve "$model"
    done <<MODELS
$models
MODELS
    [ "$before" = "$(as_root cksum "$settings/config.toml" 2>/dev/null || true)" ] || changed=yes
}

# The service's way out; root's alone, as the address may hold a password.
write_proxy() {
    if [ "$scope" = user ]; then
        units=${XDG_CONFIG_HOME:-$HOME/.config}/systemd/user names='byoi-agent byoi-update'
    else
        units=/etc/systemd/system names='byoi-agent byoi-enroll byoi-update'
    fi
    [ "$os" = Linux ] || { say "On macOS the service takes no proxy from here: see the documentation."; return 0; }
    escaped=$(printf '%s' "$proxy" | sed 's/%/%%/g')
    changed_before=$changed changed=no
    for name in $names; do
        must mkdir -p "$units/$name.service.d"
        put "$units/$name.service.d/proxy.conf" 600 "[Service]
Environment=\"HTTPS_PROXY=$escaped\" \"HTTP_PROXY=$escaped\""
    done
    if [ $changed = yes ] && has_systemd; then
        # It has read its units before; a node that runs takes the new way out by a new start.
        must_ask_systemd daemon-reload
        must_ask_systemd try-restart byoi-agent.service
    fi
    [ $changed_before = no ] || changed=yes
}
must_ask_systemd() {
    if [ "$scope" = user ]; then
        must env "XDG_RUNTIME_DIR=${XDG_RUNTIME_DIR:-/run/user/$(id -u)}" systemctl --user "$@"
    else
        must systemctl "$@"
    fi
}

set_to() { tell "Setting $1 to $2" config set "$1" "$2"; }

# A command of byoi; what it says goes to the log, and to the person where it fails.
tell() {
    step "$1"
    shift
    if [ "$dry" = yes ]; then
        say "    would run: byoi $*"
        return 0
    fi
    byoi "$@" >"$work/said" 2>&1 </dev/null || {
        cat "$work/said" >&2
        die $FAILED "byoi is installed, but this failed: byoi $* (above is why; try it again by hand: $asroot$command $*)"
    }
    cat "$work/said" >>"$log"
}

is_enrolled() { as_root test -e "$state/identity.json"; }

enrol() {
    if is_enrolled; then
        say "This machine is enrolled already."
        return 0
    fi
    if [ -n "$token" ]; then
        step "Enrolling with $console by the join token"
        [ "$dry" = no ] || { say "    would run: byoi enroll --console $console"; return 0; }
        printf '%s\n' "$token" | byoi enroll --no-browser --console "$console" --join-token-file - >"$work/said" 2>&1 || {
            cat "$work/said" >&2
            die $UNAVAILABLE "byoi is installed, but this machine is not enrolled (above is why). With a token that is good: $asroot$command enroll --console $console --join-token-file FILE"
        }
        cat "$work/said" >>"$log"
    elif [ -n "$console" ] && [ "$terminal" = yes ]; then
        step "Enrolling with $console"
        [ "$dry" = no ] || { say "    would run: byoi enroll --console $console"; return 0; }
        byoi enroll --console "$console" </dev/tty || die $UNAVAILABLE "byoi is installed, but this machine is not enrolled. Again: $asroot$command enroll --console $console"
    else
        return 0
    fi
    changed=yes
}

set_up_service() {
    if [ "$method" = bundle ]; then
        step "Setting up the service"
        if [ "$start" = no ] && [ "$os" = Linux ] && ! has_systemd; then
            change "$command" service install $of_system --no-start || say "    systemd does not run here, so nothing starts it; it runs by: byoi run"
            return 0
        fi
        must "$command" service install $of_system --no-start
        [ "$start$os" != noLinux ] || must_ask_systemd disable --now byoi-agent.path byoi-agent.service
    elif [ "$start" = no ] && has_systemd; then
        must systemctl disable --now byoi-agent.path byoi-agent.service
    elif [ "$start" = yes ]; then
        must systemctl enable byoi-agent.service
        must systemctl enable --now byoi-agent.path
    fi
}

run_node() {
    if [ "$start" = no ] || ! is_enrolled; then return 0; fi
    step "Starting the service"
    if [ "$method" = deb ]; then set -- systemctl start byoi-agent.service; else set -- "$command" service start $of_system; fi
    change "$@" || give_up "the service did not start: $(last_words)"
    [ "$dry" = no ] || return 0
    step "Waiting until it serves (its engine and model are fetched first, where they are not here)"
    waited=0 last="" same=0
    while :; do
        byoi status --json >"$work/status" 2>/dev/null </dev/null || : >"$work/status"
        word=$(state_of_node)
        case $word in
        serves | held*) break ;;
        esac
        if [ "$word" = "$last" ]; then same=$((same + 2)); else same=0; fi
        [ $same != 0 ] || say "    $word"
        last=$word
        case $word in
        *backing_off* | *failed*) [ $same -lt $FAILING_SECONDS ] || give_up "it fails again and again: $word" ;;
        esac
        [ $waited -lt $SERVING_SECONDS ] || give_up "after $((SERVING_SECONDS / 60)) minutes $word"
        sleep 2
        waited=$((waited + 2))
    done
}

last_words() {
    if [ "$scope" = user ]; then set -- --user; else set --; fi
    as_root journalctl "$@" --unit byoi-agent --output cat --lines 1 2>/dev/null || tail -n 1 "$log"
}
give_up() { die $UNAVAILABLE "byoi is installed, but it does not serve: $1. What it says: $asroot$command logs; what is wrong: $asroot$command doctor"; }

# `serves`, `held: …` while its owner has the machine, or what it waits for.
state_of_node() {
    "$agent_python" -c '
import json, sys
try:
    with open(sys.argv[1]) as file:
        told = json.load(file)
except ValueError:
    sys.exit(print("the node starts"))
availability, engine = told.get("availability") or {}, told.get("engine") or {}
if told["is_serving"]:
    print("serves")
elif availability.get("state", "serve") != "serve":
    print("held:", availability["reason"])
elif told["link"]["state"] != "online":
    print("it connects to its console:", told["link"].get("last_error") or told["link"]["state"])
else:
    print("the engine is", engine.get("state", "starting") + ":", engine.get("reason") or "being made ready")
' "$work/status"
}

# Nothing is called done before the account that is to serve has answered a question.
have_it_proven() {
    [ "$prove" = yes ] || return 0
    step "Having it answer a question, as the account that serves"
    if [ "$dry" = yes ]; then
        say "    would run: byoi prove"
        return 0
    fi
    case ${word:-} in
    held*)
        say "It is not asked now, ${word#held: }"
        return 0
        ;;
    esac
    byoi prove --wait 600 >"$work/said" 2>"$work/error" </dev/null || {
        cat "$work/error" >>"$log"
        die $UNAVAILABLE "byoi is installed, but it cannot serve yet: $(tail -n 1 "$work/said" | sed 's/^[a-z0-9_-]* cannot serve yet: //'). When that is mended: $asroot$command prove"
    }
    say "    $(cat "$work/said")"
}

tell_the_end() {
    if [ "$dry" = yes ]; then
        say "This was a dry run: nothing was changed."
    elif [ "$changed" = no ]; then
        say "Done: nothing was changed, byoi $offered is as it was."
    elif ! is_enrolled; then
        say "Done: byoi $offered is installed. What is left is to make this machine a node of your console:
    $asroot$command enroll --console URL"
    elif [ "$start" = no ]; then
        say "Done: byoi $offered is installed, and not started."
    else
        say "Done: byoi $offered is installed, and this machine is a node. How it is: ${asroot}byoi status"
    fi
    case :$PATH: in *:"$(dirname "$linked")":*) ;; *) [ "$method" = deb ] || say "Add $(dirname "$linked") to your PATH, and the command is: byoi" ;; esac
}

install_all() {
    find_release
    here=$(installed_version)
    if [ "$here" = "$offered" ]; then
        say "byoi $here is here already for $whom ($method), and it is the newest; what you named is set."
    else
        confirm "byoi $offered will be installed for $whom ($method)${here:+; $here is here}"
    fi
    check_rights
    install_program
    set_up_service
    configure
    enrol
    run_node
    have_it_proven
    tell_the_end
}

confirm() {
    say "$1"
    [ "$dry$assume_yes" = nono ] || return 0
    [ "$terminal" = yes ] || die $USAGE "there is no terminal to ask on: add --yes"
    printf 'Go on? [Y/n] '
    IFS= read -r reply </dev/tty || reply=n
    case $reply in [Nn]*) die $FAILED "nothing was changed" ;; *) ;; esac
}

# --- taking it away ---------------------------------------------------------------------------

uninstall_all() {
    if [ "$present" = none ] && [ "$purge" = no ]; then
        say "byoi is not installed for $whom: nothing to take away."
        return 0
    fi
    words="byoi will be taken away from $whom; its enrolment, settings and models stay"
    [ "$purge" = no ] || words="byoi will be taken away from $whom with its enrolment, settings and models"
    confirm "$words"
    check_rights
    method=${present#none}
    if [ "$purge" = yes ] && [ -x "$command" ] && is_enrolled && [ "$dry" = no ]; then
        step "Giving up its place at the console"
        byoi unenroll --yes >>"$log" 2>&1 </dev/null || say "    the console could not be told; revoke the machine there"
    fi
    case $method in
    deb) uninstall_deb ;;
    bundle) uninstall_bundle ;;
    *) ;;
    esac
    if [ "$purge" = yes ]; then
        remove_rest
        rm -f "$work/keep-log"
    fi
    if [ "$dry" = yes ]; then say "This was a dry run: nothing was changed."; else say "Done: byoi is taken away."; fi
}

# What apt brought for byoi alone goes with it; what was unneeded before is not ours to judge.
uninstall_deb() {
    step "Removing the package"
    verb=remove
    [ "$purge" = no ] || verb=purge
    export DEBIAN_FRONTEND=noninteractive
    unneeded >"$work/unneeded"
    must apt-get "$verb" --yes -o DPkg::Lock::Timeout=300 byoi-agent
    ours=$(unneeded | grep -v -x -F -f "$work/unneeded" | tr '\n' ' ')
    # shellcheck disable=SC2086  # a list of words
    [ -z "$ours" ] || must apt-get purge --yes -o DPkg::Lock::Timeout=300 $ours
}
unneeded() { apt-get --simulate autoremove 2>/dev/null | sed -n 's/^Remv \([^ ]*\).*/\1/p'; }

uninstall_bundle() {
    step "Removing the service and $root"
    set -- $of_system
    [ "$purge$scope" != yessystem ] || set -- "$@" --purge # what is one person's, remove_rest knows
    if [ -e "$root/current" ]; then
        change "$command" service uninstall "$@" || say "    the service could not be removed; see $kept_log"
    fi
    must rm -rf "$root"
    [ "$(readlink "$linked" 2>/dev/null)" != "$command" ] || must rm -f "$linked"
}

# What neither the package nor the service knows of.
remove_rest() {
    if [ "$scope" = user ]; then
        units=${XDG_CONFIG_HOME:-$HOME/.config}/systemd/user
        must rm -rf "$units/byoi-agent.service.d" "$units/byoi-update.service.d" "$(dirname "$root")" "${XDG_STATE_HOME:-$HOME/.local/state}/byoi" \
            "${XDG_CACHE_HOME:-$HOME/.cache}/byoi" "${XDG_CONFIG_HOME:-$HOME/.config}/byoi" "$kept_log"
        return 0
    fi
    for name in byoi-agent byoi-enroll byoi-update; do
        must rm -rf "/etc/systemd/system/$name.service.d/proxy.conf"
        [ ! -d "/etc/systemd/system/$name.service.d" ] || change rmdir "/etc/systemd/system/$name.service.d" || true
    done
    must rm -f "$kept_log"
}

# --- the whole of it --------------------------------------------------------------------------

clean_up() {
    status=$?
    trap - EXIT
    if [ -n "$work" ]; then
        [ -z "$half_made" ] || as_root rm -rf "$half_made"
        if [ -e "$work/keep-log" ] && [ "$dry" = no ]; then
            as_root mkdir -p "$(dirname "$kept_log")" || true
            as_root tee -a "$kept_log" <"$log" >/dev/null || true
        fi
        rm -rf "$work"
    fi
    exit $status
}

main() {
    log="" work="" changed=no dry=no kept_log=/var/log/byoi-install.log word="" half_made=""
    umask 022
    read_arguments "$@"
    terminal=no
    if (: </dev/tty) 2>/dev/null; then terminal=yes; fi
    look_at_machine
    trap clean_up EXIT
    trap 'exit 129' HUP
    trap 'exit 130' INT
    trap 'exit 143' TERM
    work=$(mktemp -d "${TMPDIR:-/tmp}/byoi-install.XXXXXX")
    chmod 755 "$work" # apt reads the package as an account of its own
    log=$work/log
    : >"$log"
    "${action}_all"
}

main "$@"
}
