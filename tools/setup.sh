#!/bin/sh
# Set up what podwright needs: Debian packages and .venv. Called by make, as `tools/setup.sh run` or `tools/setup.sh test`.
set -eu
cd "$(dirname "$0")/.."
PATH=$PATH:/usr/sbin:/sbin:/usr/lib/cni

# program:package that has it on Debian, for each purpose
run='crun:crun busybox:busybox-static gpgv:gpgv'
test="$run mmdebstrap:mmdebstrap setfattr:attr setfacl:acl setcap:libcap2-bin umoci:umoci skopeo:skopeo runc:runc
      podman:podman bsdtar:libarchive-tools mkfs.erofs:erofs-utils mkfs.ext4:e2fsprogs mkfs.xfs:xfsprogs mkfs.btrfs:btrfs-progs newuidmap:uidmap
      gcc:gcc gcc:libc6-dev ssh-keygen:openssh-client docker-registry:docker-registry htpasswd:apache2-utils
      host-local:containernetworking-plugins iptables:iptables ip:iproute2 gpg:gpg gpg-agent:gpg-agent gpgconf:gpgconf openssl:openssl"

say() { echo "podwright: $*" >&2; }

quietly() { # the command's output matters only when it fails
    if ! "$@" >"$log" 2>&1; then
        cat "$log" >&2
        say "this failed: $*"
        exit 1
    fi
}

find_python() { # the system's own first: it is what stage1 runs on
    for candidate in ${PYTHON:-} /usr/bin/python3 python3; do
        if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            command -v "$candidate"
            return
        fi
    done
    return 1
}

missing_packages() {
    for pair in $1; do
        command -v "${pair%%:*}" >/dev/null || echo "${pair#*:}"
    done
    "$(find_python || echo false)" -c 'import ensurepip, venv' 2>/dev/null || echo python3-venv
}

install_packages() {
    [ $# -gt 0 ] || return 0
    if ! command -v apt-get >/dev/null; then
        say "needs the programs of these Debian packages, by whatever name they have here: $*"
        exit 1
    fi
    if [ "$(id -u)" -ne 0 ]; then
        say "some Debian packages are missing; run this, then make again:"
        echo "sudo apt-get install -y --no-install-recommends $*"
        exit 1
    fi
    say "installing $*"
    quietly apt-get -o Acquire::Retries=5 update
    quietly env DEBIAN_FRONTEND=noninteractive apt-get -o Acquire::Retries=5 install -y --no-install-recommends "$@"
}

quick_script() { # name, function: a command that pip installed, but what Python's `site` does at its start waits until it is needed
    here=$(pwd -P)
    first="#!$here/.venv/bin/python3 -S"
    case $here in *[!A-Za-z0-9/_.+-]*) return ;; esac # a first line has no quotes
    [ ${#first} -lt 127 ] || return 0                 # and the kernel reads no more of it
    cat >".venv/bin/$1.new" <<END
$first
"""$1 of this checkout; written by tools/setup.sh in place of what pip wrote."""
import _signal
import sys

# Ctrl-C while ours is loaded ends the program, and needs no traceback; who ignores it still does.
if __name__ == "__main__" and _signal.getsignal(_signal.SIGINT) is _signal.default_int_handler:
    _signal.signal(_signal.SIGINT, _signal.SIG_DFL)
sys.path.insert(0, "$here")
from stages.commands.podwright import $2

if __name__ == "__main__":
    sys.exit($2())
END
    chmod 755 ".venv/bin/$1.new"
    mv ".venv/bin/$1.new" ".venv/bin/$1"
}

case ${1:-} in
    run) programs=$run lock=requirements.lock ;;
    test) programs=$test lock=requirements-dev.lock ;;
    *) say "usage: tools/setup.sh run|test"; exit 2 ;;
esac
log=$(mktemp)
trap 'rm -f "$log"' EXIT
# shellcheck disable=SC2046 # one word per package
install_packages $(missing_packages "$programs")
python=$(find_python) || { say "needs Python 3.11 or newer (name one with PYTHON=...)"; exit 1; }

say "setting up .venv for $1"
[ -x .venv/bin/pip ] && .venv/bin/python -c pass 2>/dev/null || quietly "$python" -m venv --clear .venv
quietly .venv/bin/pip install --require-hashes -r "$lock"
quietly .venv/bin/pip install --no-index --no-build-isolation --no-deps -e .
quick_script podwright main
quick_script doit doit
# Imports are twice as slow without bytecode, and where PYTHONDONTWRITEBYTECODE is set nobody else writes it.
quietly .venv/bin/python -m compileall -q .venv/lib stages dodo.py
touch .venv/ready-run ".venv/ready-$1"
