#!/usr/bin/env bash
# Runs `flowjax fit` (jax.distributed) or `flowjax encode` (Ray) on two "hosts" of one machine: network
# namespaces with a virtual cable. Needs root and iproute2.
#
#   ./two_hosts.sh fit SENTENCES OUT [OPTIONS]      fit on both hosts
#   ./two_hosts.sh encode SENTENCES OUT [OPTIONS]   Ray head on host a, worker node on host b
#   CUT=20 ./two_hosts.sh fit SENTENCES OUT         cut the cable after 20 seconds, for CUT_FOR (60) seconds
set -euo pipefail

job=$1 input=$2 out=$3
shift 3
a=flowjax_a b=flowjax_b
net=10.219.7

cleanup() {
    jobs -p | xargs -r kill 2>/dev/null || true
    for signal in TERM KILL; do
        for host in "$a" "$b"; do
            ip netns pids "$host" 2>/dev/null | xargs -r kill -s "$signal" 2>/dev/null || true
        done
        sleep 3
    done
    ip netns del "$a" 2>/dev/null || true
    ip netns del "$b" 2>/dev/null || true
    rm -rf "/etc/netns/$a" "/etc/netns/$b"
}
trap cleanup EXIT

ip netns add "$a"
ip netns add "$b"
ip link add veth_a netns "$a" type veth peer name veth_b netns "$b"
for host in a b; do
    ns=flowjax_$host
    address=$net.$([ $host = a ] && echo 1 || echo 2)
    ip -n "$ns" link set lo up
    ip -n "$ns" addr add "$address/24" dev veth_$host
    ip -n "$ns" link set veth_$host up
    # Gloo, the library of collectives on CPUs, uses the address of the host name.
    mkdir -p "/etc/netns/$ns"
    printf '127.0.0.1 localhost\n%s %s\n' "$address" "$(hostname)" > "/etc/netns/$ns/hosts"
done
# A proxy outside the machine cannot be reached from the namespaces.
unset http_proxy https_proxy HTTP_PROXY HTTPS_PROXY grpc_proxy
on_a() { ip netns exec "$a" "$@"; }
on_b() { ip netns exec "$b" "$@"; }

if [ -n "${CUT:-}" ]; then
    (
        sleep "$CUT"
        echo "two_hosts: the cable is cut" >&2
        ip -n "$b" link set veth_b down
        sleep "${CUT_FOR:-60}"
        ip -n "$b" link set veth_b up
        echo "two_hosts: the cable is connected" >&2
    ) &
fi

case $job in
fit)
    export JAX_COORDINATOR_ADDRESS=$net.1:7070 JAX_NUM_PROCESSES=2
    JAX_PROCESS_ID=1 on_b flowjax fit --data "$input" --out "$out" "$@" &
    peer=$!
    code=0
    JAX_PROCESS_ID=0 on_a flowjax fit --data "$input" --out "$out" "$@" || code=$?
    wait "$peer" || code=$?
    exit "$code"
    ;;
encode)
    # A new token for this cluster: both hosts need the same.
    RAY_AUTH_TOKEN=$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')
    export RAY_AUTH_MODE=token RAY_AUTH_TOKEN
    on_a ray start --head --node-ip-address "$net.1" --port 6379 --num-cpus 4 --include-dashboard false
    on_b ray start --address "$net.1:6379" --node-ip-address "$net.2" --num-cpus 4
    on_a flowjax encode minibert "$input" --out "$out" --engine ray --address "$net.1:6379" \
        --workers 2 "$@"
    ;;
*)
    echo "two_hosts: expected fit or encode, got $job" >&2
    exit 2
    ;;
esac
