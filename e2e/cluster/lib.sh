# Sourced by the scripts beside it: what a machine of the cluster is, and where things are.
#
# A machine is a set of Linux namespaces (network, processes, mounts, IPC, host name) around one process, `machine`,
# its PID 1. The kernel ends every process of a machine with that one, shims and containers included, and takes the
# mounts with them, so taking the cluster down never has to search. What namespaces do not hold is this: the folder
# $state, the names of the network namespaces, a cgroup for each node, and a socat for each of the two ports.

set -euo pipefail

readonly cluster_scripts=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
readonly cache=${STOCKADE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/stockade}
readonly tools=$cache/tools/bin
readonly state=$cache/cluster
readonly lock=$cache/cluster.lock
# The API server's port, on the control plane's machine and on the host's loopback.
readonly port=${STOCKADE_CLUSTER_PORT:-16443}
# The registry's, likewise.
readonly registry_port=${STOCKADE_REGISTRY_PORT:-5000}

# Addresses: the control plane and the nodes share one bridge; each node N has 10.244.N.0/24 for its Pods.
readonly nodes=(1 2)
readonly machines=(cp node1 node2)
readonly control_plane=10.250.0.1
readonly pods=10.244.0.0/16
readonly services=10.96.0.0/16
# The Service `kubernetes`: Pods reach the API server there.
readonly first_service=10.96.0.1
# A node's network plugins and their configurations: below its own /var, for on each node others may add to them.
readonly cni_plugins=var/lib/cni/bin
readonly cni_configurations=var/lib/cni/net.d
node_address() { echo "10.250.0.1$1"; }
node_pods() { echo "10.244.$1.0/24"; }

# Names that the host sees begin so.
namespace() { echo "stockade-$1"; }
cgroup() { echo "stockade-$1"; }

say() { echo "cluster: $*" >&2; }
fail() {
    say "$@"
    exit 1
}

must_be_root() {
    [ "$(id -u)" = 0 ] || fail "needs root, for namespaces, mounts and cgroups: sudo -E make ..."
}

# One `up` or `down` at a time. What is started in the background must not keep the lock: see `9>&-`.
take_lock() {
    mkdir -p "$cache"
    exec 9>"$lock"
    flock 9
}

# machine_pid MACHINE: its PID 1 as the host numbers it; fails when it does not run. A recorded number counts only when
# that process is the first of its kind in the machine's network namespace, so a number that was given out again is
# never taken for it; without a record the kernel is asked who is in there.
machine_pid() {
    local pid
    for pid in $(cat "$state/$1/pid" 2>/dev/null); do
        is_machine "$1" "$pid" && echo "$pid" && return
    done
    for pid in $(ip netns pids "$(namespace "$1")" 2>/dev/null); do
        is_machine "$1" "$pid" && echo "$pid" && return
    done
    return 1
}
is_machine() {
    [ "/proc/$2/ns/net" -ef "/run/netns/$(namespace "$1")" ] &&
        grep -qE '^NSpid:[[:space:]]+[0-9]+[[:space:]]+1$' "/proc/$2/status" 2>/dev/null
}

# enter MACHINE COMMAND...: runs it there, as root, with the host's files.
enter() {
    local pid
    pid=$(machine_pid "$1") || fail "$1 is not running"
    shift
    nsenter --target "$pid" --net --pid --mount --ipc --uts -- "$@"
}

# start MACHINE NAME COMMAND...: starts it there in the background, in the folder $state, output to NAME.log. Nothing of
# the caller's environment gets in: a proxy meant for the host would catch the cluster's own requests.
start() {
    local machine=$1 log=$state/$1/$2.log path=$tools:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
    shift 2
    enter "$machine" setsid --fork env -i -C "$state" PATH="$path" "$@" >>"$log" 2>&1 </dev/null 9>&-
}

# boot MACHINE: starts its PID 1 in the network namespace that is there, and waits until it has its mounts.
boot() {
    mkdir -p "$state/$1"
    rm -f "$state/$1/booted"
    setsid --fork nsenter --net="/run/netns/$(namespace "$1")" \
        unshare --mount --uts --ipc --pid --fork "$cluster_scripts/machine" "$1" "$state/$1" "$cache" \
        >>"$state/$1/machine.log" 2>&1 </dev/null 9>&-
    wait_for 20 "the machine $1" [ -e "$state/$1/booted" ]
}

# kill_machine MACHINE: ends it as a power cut would; nothing when it does not run.
kill_machine() {
    local pid
    if pid=$(machine_pid "$1"); then
        # PID 1: the kernel ends the rest of the machine before this process is gone.
        kill -KILL "$pid"
        while [ -e "/proc/$pid" ]; do sleep 0.05; done
    fi
}

# wait_for SECONDS WHAT COMMAND...: until the command succeeds; on time-out says what was waited for and fails.
wait_for() {
    local end=$((SECONDS + $1)) what=$2
    shift 2
    until "$@" >/dev/null 2>&1; do
        [ "$SECONDS" -lt "$end" ] || fail "$what: not in time; the logs are in $state/*/*.log"
        sleep 0.1
    done
}

kubectl() { "$tools/kubectl" --kubeconfig="$state/kubeconfig" --cache-dir="$state/kubectl-cache" "$@"; }

# Where a cgroup of a given name has to be made: every v1 hierarchy, or the one of v2.
cgroup_hierarchies() {
    if [ -e /sys/fs/cgroup/cgroup.controllers ]; then
        echo /sys/fs/cgroup
    else
        find /sys/fs/cgroup -mindepth 1 -maxdepth 1 -type d
    fi
}

# Whether all machines run and the API server answers on the host.
is_up() {
    local machine
    [ -e "$state/ready" ] || return 1
    for machine in "${machines[@]}"; do machine_pid "$machine" >/dev/null || return 1; done
    kubectl --request-timeout=5s get --raw /readyz >/dev/null 2>&1
}
