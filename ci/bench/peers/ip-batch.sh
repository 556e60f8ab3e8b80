#!/usr/bin/env bash
# Builds and takes down a lab of so many real servers as a careful shell script does, by `ip -batch` of iproute2, and prints
# both times in ms. The same as with Mininet. To be started in namespaces of its own.
set -euo pipefail
count=$1
now() { date +%s%N; }

inside() { # NODE ADDRESS [ROUTER]
    printf 'link set lo up\nlink set eth0 up\naddress add %s dev eth0\n' "$2"
    [ -z "${3:-}" ] || printf 'route add default via %s\n' "$3"
}
node() { # NODE BRIDGE
    printf 'netns add %s\nlink add %s.0 type veth peer name eth0 netns %s\nlink set %s.0 master %s up\n' "$1" "$1" "$1" "$1" "$2"
}
each() { for ((n = 0; n < count; n++)); do "$1" "$n"; done; }
server() { node "rs$1" lan; }
configure() { inside "rs$1" "172.16.$((1 + $1 / 250)).$((1 + $1 % 250))/16" 172.16.0.1 | ip -n "rs$1" -batch -; }
gone() { echo "netns delete rs$1"; }

mount -t tmpfs none /run
begun=$(now)
{
    echo 'link add outside type bridge'
    echo 'link add lan type bridge'
    echo 'link set outside up'
    echo 'link set lan up'
    node client outside
    node router outside
    node director lan
    echo 'link add router.1 type veth peer name eth1 netns router'
    echo 'link set router.1 master lan up'
    each server
} | ip -batch -
inside client 203.0.113.2/24 203.0.113.1 | ip -n client -batch -
{ inside router 203.0.113.1/24; printf 'link set eth1 up\naddress add 172.16.0.1/16 dev eth1\n'; } | ip -n router -batch -
inside director 172.16.0.2/16 172.16.0.1 | ip -n director -batch -
each configure
built=$(now)
{ each gone; printf 'netns delete %s\n' client router director; printf 'link delete %s\n' outside lan; } | ip -batch -
echo "$(((built - begun) / 1000))e-3 $((($(now) - built) / 1000))e-3"
