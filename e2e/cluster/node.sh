# Sourced by `up` and `restart`: containerd, kubelet and kube-proxy on the machine of one node.

start_containerd() {
    local node=$1 folder=$state/node$1
    local plugins=$folder/$cni_plugins configuration=$folder/$cni_configurations/10-pods.conflist
    mkdir -p "$plugins" "${configuration%/*}" "$folder/registries/$control_plane:$registry_port"
    ln -sf /usr/lib/cni/* "$plugins"
    # What others added to it outlives a power cut.
    [ -e "$configuration" ] || cat >"$configuration" <<JSON
{
  "cniVersion": "1.0.0", "name": "pods",
  "plugins": [{
    "type": "ptp",
    "ipam": {
      "type": "host-local", "dataDir": "/var/lib/cni/networks",
      "ranges": [[{ "subnet": "$(node_pods "$node")" }]], "routes": [{ "dst": "0.0.0.0/0" }]
    }
  }]
}
JSON
    cat >"$folder/registries/$control_plane:$registry_port/hosts.toml" <<TOML
[host."https://$control_plane:$registry_port"]
  ca = "$state/ca.crt"
TOML
    cat >"$folder/containerd.toml" <<TOML
version = 2
[plugins."io.containerd.internal.v1.opt"]
  path = "/var/lib/containerd/opt"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "localhost/pause:1"
  # Nothing may get a lower score than the kubelet's own, which is not always root's default.
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".registry]
    config_path = "$folder/registries"
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/$cni_plugins"
    conf_dir = "/$cni_configurations"
TOML
    start "node$node" containerd containerd --config "$folder/containerd.toml"
}

containerd_answers() { enter "node$1" ctr version; }

# A kubelet needs its root cgroup to be there: of v2 with the controllers, of v1 with CPUs in its set.
make_cgroup() {
    local hierarchy folder file controller
    if [ -e /sys/fs/cgroup/cgroup.controllers ]; then
        for controller in $(cat /sys/fs/cgroup/cgroup.controllers); do
            echo "+$controller" >/sys/fs/cgroup/cgroup.subtree_control 2>/dev/null || true
        done
    fi
    for hierarchy in $(cgroup_hierarchies); do
        folder=$hierarchy/$(cgroup "node$1")
        mkdir -p "$folder"
        for file in cpuset.cpus cpuset.mems; do
            # Files of the kernel have no size.
            [ ! -e "$hierarchy/$file" ] || cat "$hierarchy/$file" >"$folder/$file"
        done
    done
}

start_kubelet() {
    local node=$1 folder=$state/node$1
    make_cgroup "$node"
    cat >"$folder/kubelet.yaml" <<YAML
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
authentication:
  anonymous: { enabled: false }
  webhook: { enabled: true }
  x509: { clientCAFile: $state/ca.crt }
authorization: { mode: Webhook }
containerRuntimeEndpoint: unix:///run/containerd/containerd.sock
cgroupDriver: cgroupfs
cgroupRoot: /$(cgroup "node$node")
failCgroupV1: false
enforceNodeAllocatable: []
failSwapOn: false
evictionHard: { memory.available: 50Mi }
# Images came by hand and could not be pulled again.
imageGCHighThresholdPercent: 100
resolvConf: ""
volumePluginDir: /var/lib/kubelet/volume-plugins
YAML
    start "node$node" kubelet kubelet --config="$folder/kubelet.yaml" --kubeconfig="$state/node$node.kubeconfig" \
        --hostname-override="node$node" --node-ip="$(node_address "$node")"
}

# Connection-tracking limits are the host's: left alone.
start_kube_proxy() {
    start "node$1" kube-proxy kube-proxy --kubeconfig="$state/proxy$1.kubeconfig" --hostname-override="node$1" \
        --proxy-mode=nftables --cluster-cidr="$pods" \
        --conntrack-max-per-core=0 --conntrack-min=0 \
        --conntrack-tcp-timeout-established=0 --conntrack-tcp-timeout-close-wait=0
}
