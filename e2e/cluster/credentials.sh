# Sourced by `up`: the cluster's authority, its certificates, tokens and kubeconfigs. All of it is made anew for
# each cluster and is readable by its owner only, like the folder.

write_credentials() (
    cd "$state"
    key() { openssl ecparam -name prime256v1 -genkey -noout -out "$1" 2>/dev/null; }
    key ca.key
    openssl req -x509 -new -key ca.key -days 3650 -subj /CN=stockade-cluster -out ca.crt 2>/dev/null
    # The API server shows it to clients, and to kubelets as the client that it is to them.
    key server.key
    local names=IP:127.0.0.1,IP:$control_plane,IP:$first_service,DNS:localhost name
    for name in kubernetes{,.default{,.svc{,.cluster.local}}}; do names+=,DNS:$name; done
    openssl req -new -key server.key -subj /O=system:masters/CN=kube-apiserver 2>/dev/null |
        openssl x509 -req -CA ca.crt -CAkey ca.key -CAcreateserial -days 3650 -out server.crt -extfile <(
            echo "subjectAltName=$names"
            echo "extendedKeyUsage=serverAuth,clientAuth"
        ) 2>/dev/null
    key registry.key
    openssl req -new -key registry.key -subj /CN=registry 2>/dev/null |
        openssl x509 -req -CA ca.crt -CAkey ca.key -CAcreateserial -days 3650 -out registry.crt -extfile <(
            echo "subjectAltName=IP:127.0.0.1,IP:$control_plane"
            echo "extendedKeyUsage=serverAuth"
        ) 2>/dev/null
    key account.key
    openssl ec -in account.key -pubout -out account.pub 2>/dev/null

    user admin admin system:masters
    user kube-controller-manager system:kube-controller-manager
    user kube-scheduler system:kube-scheduler
    for node in "${nodes[@]}"; do
        user "node$node" "system:node:node$node" system:nodes
        user "proxy$node" system:kube-proxy
    done
    # For people, on the host and on the control plane's machine alike.
    kubeconfig "https://127.0.0.1:$port" admin >kubeconfig
)

# user FILE NAME [GROUP]: adds a token for it and writes FILE.kubeconfig.
user() {
    local token
    token=$(openssl rand -hex 16)
    echo "$token,$2,$2${3:+,\"$3\"}" >>tokens.csv
    kubeconfig "https://$control_plane:$port" "$1" "$token" >"$1.kubeconfig"
}

# kubeconfig URL FILE [TOKEN]: without a token the one that FILE.kubeconfig has.
kubeconfig() {
    local token=${3:-$(sed -n 's/.*"token": "\(.*\)".*/\1/p' "$2.kubeconfig")}
    cat <<JSON
{
  "apiVersion": "v1", "kind": "Config", "current-context": "stockade",
  "clusters": [{ "name": "stockade", "cluster": {
    "server": "$1", "certificate-authority-data": "$(base64 -w0 ca.crt)"
  } }],
  "users": [{ "name": "$2", "user": {
    "token": "$token"
  } }],
  "contexts": [{ "name": "stockade", "context": { "cluster": "stockade", "user": "$2" } }]
}
JSON
}
