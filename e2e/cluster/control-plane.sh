# Sourced by `up` and `restart`: etcd, kube-apiserver, kube-controller-manager, kube-scheduler and a registry of images on
# the machine `cp`.

start_etcd() {
    start cp etcd etcd --data-dir="$state/cp/etcd" --unsafe-no-fsync --log-level=warn \
        --listen-client-urls=http://127.0.0.1:2379 --advertise-client-urls=http://127.0.0.1:2379 \
        --listen-peer-urls=http://127.0.0.1:2380 --initial-advertise-peer-urls=http://127.0.0.1:2380 \
        --initial-cluster=default=http://127.0.0.1:2380
}

start_api_server() {
    # Aggregator routing: a webhook's Service is reached at the addresses of its Pods, for this machine has no
    # kube-proxy.
    start cp kube-apiserver kube-apiserver \
        --etcd-servers=http://127.0.0.1:2379 \
        --advertise-address="$control_plane" --secure-port="$port" --cert-dir="$state/cp" \
        --tls-cert-file="$state/server.crt" --tls-private-key-file="$state/server.key" \
        --client-ca-file="$state/ca.crt" --token-auth-file="$state/tokens.csv" \
        --kubelet-client-certificate="$state/server.crt" --kubelet-client-key="$state/server.key" \
        --kubelet-preferred-address-types=InternalIP \
        --service-account-issuer=https://kubernetes.default.svc.cluster.local \
        --service-account-key-file="$state/account.pub" --service-account-signing-key-file="$state/account.key" \
        --service-cluster-ip-range="$services" --enable-aggregator-routing=true \
        --authorization-mode=Node,RBAC --enable-admission-plugins=NodeRestriction --allow-privileged=true
}

# start_kept NAME COMMAND...: starts it on the control plane, and again whenever it ends, as the kubelet does with a
# static Pod. The scheduler relies on that: it exits when its cache and the API server differ after an outage.
start_kept() {
    local name=$1
    shift
    start cp "$name" bash -c 'while true; do "$@"; sleep 1; done' "$name" "$@"
}

start_controllers() {
    start_kept kube-controller-manager kube-controller-manager --kubeconfig="$state/kube-controller-manager.kubeconfig" \
        --leader-elect=false --use-service-account-credentials=true \
        --service-account-private-key-file="$state/account.key" --root-ca-file="$state/ca.crt" \
        --cluster-signing-cert-file="$state/ca.crt" --cluster-signing-key-file="$state/ca.key" \
        --cert-dir="$state/cp" --flex-volume-plugin-dir=/var/lib/kubelet/volume-plugins
    start_kept kube-scheduler kube-scheduler --kubeconfig="$state/kube-scheduler.kubeconfig" --leader-elect=false \
        --cert-dir="$state/cp"
}

# Whoever pulls or pushes shows a password. What is pushed ends with the cluster.
start_registry() {
    cat >"$state/cp/registry.yaml" <<YAML
version: 0.1
log: { level: warn }
storage: { filesystem: { rootdirectory: $state/cp/registry } }
http: { addr: ":$registry_port", tls: { certificate: $state/registry.crt, key: $state/registry.key } }
auth: { htpasswd: { realm: cluster, path: $cluster_scripts/htpasswd } }
YAML
    start cp registry docker-registry serve "$state/cp/registry.yaml"
}

# way_in NAME PORT: the host's way in: a port on loopback, through a socket that is a file and so belongs to no network
# namespace. The second half listens on the host's network (descriptor 8) but is a process of the machine all the same,
# and ends with it.
way_in() {
    start cp way-in socat "UNIX-LISTEN:$1.sock,fork,mode=600" "TCP4:127.0.0.1:$2"
    start cp way-in nsenter --net=/dev/fd/8 \
        socat "TCP4-LISTEN:$2,bind=127.0.0.1,fork,reuseaddr" "UNIX-CONNECT:$1.sock" 8</proc/self/ns/net
}
