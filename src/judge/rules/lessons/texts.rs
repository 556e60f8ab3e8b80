//! The texts: for each rule the cure and the trap in it, with a picture where one helps.

use super::Lesson;

const RACE: &str = r"
  router ── who has VIP? ──► everybody on the segment
     ◄── director: I have ─┐
     ◄── rs1:      I have ─┤  only one of the answers is kept in the
     ◄── rs2:      I have ─┘  router's neighbour table: a race
";

const ANNOUNCE: &str = r"
  rs1 ── who has ROUTER? tell VIP ──► router
                                      notes: the VIP is at rs1's MAC
  router ── packet for the VIP ─────► rs1, past the Director
";

const PATH: &str = r"
  client ─► router ─► director ─► rs       the request: only MACs change
  client ◄─ router ◄───────────── rs       the reply, past the Director
";

const GW: &str = r"
  client ─► router ─► director ─► rs
                      director ◄─ rs       source VIP: the Director's own address
                      dropped as martian
";

const RPF: &str = r"
  from CLIENT ──► eth0      route back to CLIENT: dev eth1
                  rp_filter=1: not the same interface, dropped without a word
";

const PREFIX: &str = r"
  lo  172.16.0.66/16   ─►  local 172.16.0.0/16 dev lo
                           every neighbour's address is now this host's own
";

const MAPPING: &str = r"
  client ── VIP:80 ──► director ── VIP:80 ──► rs      listens at 8080 only
                       (the table says rs:8080, the packet still says 80)
";

const TUN: &str = r"
  director ══ outer: DIP ► RIP, inner: CLIENT ► VIP ══► rs  tunl0 opens it
";

const CHECK: &str = r"
  director ── SYN to RIP ──► rs    SYN-ACK: the check is green
  client ─► director ── SYN to VIP ──► rs    not its own: dropped
";

/// A lesson for each rule.
pub(super) const ALL: &[Lesson] = &[
    Lesson {
        rule: "rs-vip-before-sysctl",
        picture: RACE,
        cure: "Set arp_ignore=1 and arp_announce=2 before the VIP is added, in /etc/sysctl.d so that \
               they are there at boot; then flush the VIP's entry on routers and clients, or let the \
               Director announce the VIP.",
        trap: "Looking at the sysctls afterwards shows nothing: they are right by then. Files in \
               /etc/sysctl.d name interfaces that may not be there yet at boot; conf/all always is.",
    },
    Lesson {
        rule: "rs-sysctl-reverted",
        picture: "",
        cure: "Put the two sysctls into one file that is read last (/etc/sysctl.d/90-lvs-dr.conf) \
               and take them out of all others; look at /proc/sys after a boot and after each \
               deployment.",
        trap: "`sysctl -w` alone mends it until the next writer comes. A router that learned the \
               wrong MAC meanwhile keeps it: flush its entry too.",
    },
    Lesson {
        rule: "rs-vip-prefix-on-lo-arp",
        picture: PREFIX,
        cure: "Give the VIP on lo the mask /32 (IPv6: /128): `ip address replace` does not change a \
               mask, so delete the address and add it anew.",
        trap: "`ifconfig lo:0 VIP` without a netmask takes the class's mask, /16 or /24. Adding the \
               /32 and leaving the old address changes nothing.",
    },
    Lesson {
        rule: "rs-vip-prefix-on-lo-rpf",
        picture: PREFIX,
        cure: "Give the VIP on lo the mask /32; rp_filter may then stay as it is.",
        trap: "Turning rp_filter off hides the drop and leaves the whole subnet local: the server \
               still reaches no neighbour.",
    },
    Lesson {
        rule: "rs-vip-prefix-on-lo",
        picture: PREFIX,
        cure: "Delete the VIP from lo and add it with /32 (IPv6: /128).",
        trap: "The new address has to go with the old one removed: two addresses, one of them with \
               the wide mask, are as wrong as one.",
    },
    Lesson {
        rule: "rs-vip-on-nic",
        picture: RACE,
        cure: "Move the VIP to lo (or a dummy) with /32 and set arp_ignore=1, arp_announce=2; or \
               keep it on the interface and drop its ARP by arptables.",
        trap: "arp_ignore=1 does not help while the VIP is on the interface that hears the question: \
               it answers for its own addresses. Taking the address off sends no word to those who \
               learned it.",
    },
    Lesson {
        rule: "v6-vip-on-nic-nodad",
        picture: RACE,
        cure: "Put the IPv6 VIP on lo with /128. No sysctl is needed: neighbour solicitations are \
               answered only for addresses of the interface that hears them.",
        trap: "`nodad` makes the address usable and the conflict invisible; it is no cure. \
               arp_ignore does nothing for IPv6.",
    },
    Lesson {
        rule: "rs-ignore-3-global-scope",
        picture: RACE,
        cure: "Set arp_ignore=1; or give the VIP scope host (`ip address add VIP/32 dev lo scope \
               host`) and leave 3.",
        trap: "An address of scope host is not taken as a source by itself: a server that binds no \
               address then sends from the RIP, which is what is wanted for all but the replies.",
    },
    Lesson {
        rule: "rs-ignore-reserved",
        picture: RACE,
        cure: "Set arp_ignore=1 in conf/all.",
        trap: "Values 4 to 7 are reserved and forbid nothing, although larger reads as stricter. \
               Only 8 does: and it silences the RIP as well.",
    },
    Lesson {
        rule: "rs-sysctl-lo-only",
        picture: RACE,
        cure: "Set them in conf/all, or on the interface that hears the question (conf/eth0).",
        trap: "The VIP is on lo, so conf/lo seems the place. The kernel asks the interface that the \
               question came in by, and takes the larger of that and conf/all. What many guides set \
               on lo besides is without effect.",
    },
    Lesson {
        rule: "rs-sysctl-default-only",
        picture: RACE,
        cure: "Set conf/all; conf/default is only what interfaces made later begin with.",
        trap: "After a reboot it may seem to work: default was set before the interface was made. It \
               fails where the driver loads first.",
    },
    Lesson {
        rule: "rs-arp-filter-instead",
        picture: RACE,
        cure: "Set arp_ignore=1 and arp_announce=2; arp_filter may stay or go.",
        trap: "arp_filter goes by the route to the asker: with one interface every question passes. \
               With two it may silence the RIP instead.",
    },
    Lesson {
        rule: "all-nodes-own-vip",
        picture: RACE,
        cure: "Only the Director answers: cure each other node by arp_ignore=1, arp_announce=2, or \
               take the VIP off it.",
        trap: "An anycast-like setup needs routers that know it. ARP has one winner at a time, and \
               the winner changes when an entry expires.",
    },
    Lesson {
        rule: "rs-vip-noarp-dummy",
        picture: RACE,
        cure: "Set arp_ignore=1 and arp_announce=2; where the VIP is (lo or a dummy) then makes no \
               difference.",
        trap: "NOARP on the dummy concerns questions that arrive at the dummy, and none ever does. \
               `-arp` on lo is without effect as well.",
    },
    Lesson {
        rule: "rs-arp-default",
        picture: RACE,
        cure: "arp_ignore=1 and arp_announce=2 in conf/all of each real server, before the VIP is \
               added; or arptables; or a permanent entry on every router and client of the segment.",
        trap: "Routers and clients keep a wrong MAC that they have learned: flush it, or announce \
               the VIP from the Director. arp_ignore alone is not enough: without arp_announce a \
               server's own question says the VIP is here.",
    },
    Lesson {
        rule: "proxy-arp",
        picture: RACE,
        cure: "Turn proxy_arp off on the interface that looks at the VIP's segment (and in conf/all: \
               either one is enough to turn it on).",
        trap: "Who needs the proxy for other addresses can keep it: proxy_arp asks the routes, so a \
               route to the VIP by that same interface silences it for the VIP only.",
    },
    Lesson {
        rule: "rs-announce-1-same-subnet",
        picture: ANNOUNCE,
        cure: "Set arp_announce=2.",
        trap: "1 helps only where the VIP is outside the RIP's subnet; then it seems to work until \
               somebody renumbers.",
    },
    Lesson {
        rule: "rs-announce-0",
        picture: ANNOUNCE,
        cure: "Set arp_announce=2 in conf/all beside arp_ignore.",
        trap: "It shows only when the server itself has to ask, once its entry for the router is \
               gone: minutes or hours after start. A quick test passes.",
    },
    Lesson {
        rule: "rs-arptables-in-only",
        picture: ANNOUNCE,
        cure: "Add the second rule: `arptables -A OUTPUT -s VIP -j mangle --mangle-ip-s RIP`.",
        trap: "Dropping in OUTPUT instead of mangling drops the server's own question for its \
               gateway. Rules are gone at the next boot unless saved.",
    },
    Lesson {
        rule: "rs-arptables-out-drop",
        picture: ANNOUNCE,
        cure: "Mangle in OUTPUT (`-j mangle --mangle-ip-s RIP`) instead of dropping.",
        trap: "The drop seems to work while the gateway is in the neighbour table; the outage comes \
               when that entry expires.",
    },
    Lesson {
        rule: "dir-vip-primary",
        picture: "",
        cure: "Give the Director's interface its DIP first and the VIP second, with /32 or as a \
               label; delete the VIP and add it again.",
        trap: "Deleting a primary address deletes the secondary ones of its subnet too, unless \
               promote_secondaries is 1: do it at the console. Restarting the network may bring the \
               order back.",
    },
    Lesson {
        rule: "link-down",
        picture: "",
        cure: "Bring the interface up, then add again what went with it: routes by gateways, static \
               neighbours, IPv6 addresses.",
        trap: "An interface that comes up again has its connected route only. A default route that \
               was added by hand is gone.",
    },
    Lesson {
        rule: "rs-ignore-8",
        picture: "",
        cure: "Set arp_ignore=1.",
        trap: "Nothing is answered for any address, so the RIP is dead as well: the Director finds \
               no MAC. Entries that were learned before hide it for a while.",
    },
    Lesson {
        rule: "rs-nic-noarp",
        picture: "",
        cure: "`ip link set DEVICE arp on`.",
        trap: "NOARP on the real interface is meant to silence the VIP and silences the RIP as well. \
               Static entries on the Director would be needed for each server, and on each server \
               for its gateway.",
    },
    Lesson {
        rule: "dir-arp-suppressed",
        picture: "",
        cure: "Take the cure off the Director: with the VIP on its interface arp_ignore may be 0 or \
               1; with the VIP on lo it must be 0.",
        trap: "A role that configures all nodes alike does this. A Director that is the other's \
               backup needs the cure only while it is the backup.",
    },
    Lesson {
        rule: "dir-vip-missing",
        picture: "",
        cure: "Add the VIP to the Director's interface on the routers' segment, with /32.",
        trap: "By hand it is gone at the next boot or failover; keepalived adds it in \
               virtual_ipaddress. Adding it announces it only once: send a gratuitous ARP where \
               routers learned another.",
    },
    Lesson {
        rule: "arp-unanswered",
        picture: "",
        cure: "Mend what the evidence names: the interface, the source check, the ARP filter or \
               arp_ignore of the one who is asked.",
        trap: "A static entry on the asker hides it for that asker only.",
    },
    Lesson {
        rule: "router-static-arp",
        picture: "",
        cure: "Delete the permanent entry and let it be learned, or bind the VIP to the active \
               Director's MAC.",
        trap: "A permanent entry is never overwritten, so a gratuitous ARP at failover does nothing. \
               With two Directors bind it to a virtual MAC, or not at all.",
    },
    Lesson {
        rule: "rip-neigh-stale",
        picture: "",
        cure: "Delete the permanent entry, or set it to the MAC that the machine has now.",
        trap: "Replaced network cards and cloned machines bring it back where the entry is in a boot \
               script.",
    },
    Lesson {
        rule: "rs-arp-cache-survives-fix",
        picture: "",
        cure: "Flush the VIP's entry on the router or client (`ip neighbour flush to VIP`), or \
               announce the VIP from the Director (`arping -U`).",
        trap: "The entry is confirmed by the very traffic that goes wrong, so waiting does not help. \
               Gear of other makers keeps entries for hours and may ignore gratuitous ARP.",
    },
    Lesson {
        rule: "rs-garp-on-boot",
        picture: ANNOUNCE,
        cure: "Bring the VIP up without announcing it (ARPUPDATE=no, or a dummy with a unit of its \
               own), or drop its announcements: `arptables -A OUTPUT -s VIP -d VIP -j DROP`.",
        trap: "The sysctls have no say in what a program sends. Restarting the server's network \
               later announces again.",
    },
    Lesson {
        rule: "rs-same-mac",
        picture: "",
        cure: "Give each machine a MAC of its own and flush the neighbours' entries.",
        trap: "Cloned virtual machines get it from their template; a MAC that is set in a \
               configuration file comes back at boot.",
    },
    Lesson {
        rule: "rs-gw-director",
        picture: GW,
        cure: "Let the real server's default route be the router, not the Director.",
        trap: "That is how NAT wants it, and guides for both are mixed up. Making the Director \
               accept it (forwarding, accept_local) takes every reply through it, which Direct \
               Routing is there to avoid.",
    },
    Lesson {
        rule: "rs-gw-missing",
        picture: PATH,
        cure: "Add a default route by the router on the server's segment.",
        trap: "It worked by DHCP before the RIP was made static. A second default route with a \
               better metric by another interface is as bad as none.",
    },
    Lesson {
        rule: "rs-gw-wrong",
        picture: PATH,
        cure: "Set the next hop to the router's address on this segment.",
        trap: "An address of the other subnet, or of a router that was replaced: `ip route` shows it \
               without complaint, only its neighbour entry says FAILED.",
    },
    Lesson {
        rule: "no-route",
        picture: PATH,
        cure: "Add the route that is missing, at the node that the evidence names.",
        trap: "Both directions need one: the request to the VIP, and the reply from it.",
    },
    Lesson {
        rule: "rs-remote-subnet",
        picture: "",
        cure: "Put the server on a segment of the Director, or use tunnelling (`-i`, lb_kind TUN) \
               with tunl0 and the VIP on the server.",
        trap: "Direct Routing changes MACs only, so there can be no router between. Tunnelling \
               lowers the MTU by 20 bytes, and the server must not check sources on tunl0.",
    },
    Lesson {
        rule: "v6-vip-on-nic-dad",
        picture: RACE,
        cure: "Put the IPv6 VIP on lo with /128, where no duplicate detection is done.",
        trap: "accept_dad=0 or nodad lets the address live and makes two nodes answer for it.",
    },
    Lesson {
        rule: "rs-vip-missing-forwarding",
        picture: "",
        cure: "Add the VIP to lo with /32; turn ip_forward off on the real server.",
        trap: "Without the VIP a server that forwards sends the packet back to the Director, which \
               sends it again until the TTL ends. Turning forwarding off alone turns the loop into \
               silence.",
    },
    Lesson {
        rule: "ha-check-on-rip",
        picture: CHECK,
        cure: "Add the VIP to lo with /32 on the real server, after the ARP sysctls. Then let the check ask \
               what clients ask: the VIP, by way of this real server.",
        trap: "A check of the VIP from the Director itself is balanced like any other connection and finds \
               some real server that works. It needs a mark of its own that leads to this one alone, and \
               accept_local=1, for the answer comes in with the VIP, an own address, as its source.",
    },
    Lesson {
        rule: "rs-vip-missing",
        picture: "",
        cure: "Add the VIP to lo with /32, after the ARP sysctls.",
        trap: "Added first it opens the window in which the server answers for it. By hand it is \
               gone at the next boot.",
    },
    Lesson {
        rule: "rs-rpfilter-two-nic",
        picture: RPF,
        cure: "Set rp_filter to 2 (loose) or 0 on that interface and in conf/all: the larger of the \
               two counts.",
        trap: "Setting the interface to 0 while conf/all is 1 changes nothing. Distributions set \
               conf/all from /usr/lib/sysctl.d at boot.",
    },
    Lesson {
        rule: "dir-rpfilter-two-arm",
        picture: RPF,
        cure: "Set rp_filter to 2 or 0 in conf/all and on the interface that clients' packets come \
               in by, or route back by that interface.",
        trap: "The larger of conf/all and the interface counts. Nothing is logged unless \
               log_martians is 1.",
    },
    Lesson {
        rule: "source-refused",
        picture: RPF,
        cure: "Set rp_filter to 2 or 0 on the node that the evidence names, or let its route to the \
               source lead back by that interface; accept_local=1 where the source is its own.",
        trap: "Loose mode still needs a route to the source. The larger of conf/all and the \
               interface counts.",
    },
    Lesson {
        rule: "not-forwarding",
        picture: PATH,
        cure: "Set net.ipv4.ip_forward=1 (IPv6: net.ipv6.conf.all.forwarding=1) on the router.",
        trap: "Writing ip_forward sets other keys of all interfaces back, so write it before them. A \
               container engine that is stopped may turn it off.",
    },
    Lesson {
        rule: "dir-fw-input",
        picture: PATH,
        cure: "Accept the VIP's ports in INPUT on the Director, ahead of the rule that drops.",
        trap: "IPVS takes packets in LOCAL_IN, behind INPUT: a rule in FORWARD has no say. Rules \
               that go by connection state do not know the replies, which pass elsewhere.",
    },
    Lesson {
        rule: "rs-fw",
        picture: PATH,
        cure: "Accept the VIP's ports in INPUT on the real server.",
        trap: "Packets come with the VIP as destination, so a rule that names the RIP lets health \
               checks pass and clients not.",
    },
    Lesson {
        rule: "ipvs-service-missing",
        picture: "",
        cure: "Add the service for that protocol, address and port; for several ports a service by \
               mark, or port 0 with persistence.",
        trap: "A service for TCP says nothing of UDP. Without IPVS the Director answers by itself, \
               with a reset, which looks like a dead server.",
    },
    Lesson {
        rule: "ipvs-fwmark-unmarked",
        picture: "",
        cure: "Mark the packets in mangle PREROUTING on the Director: `iptables -t mangle -A \
               PREROUTING -d VIP -p tcp --dport PORT -j MARK --set-mark N`.",
        trap: "MARK works in the table mangle only. IPv6 needs ip6tables and a service of its own.",
    },
    Lesson {
        rule: "ipvs-no-dest",
        picture: "",
        cure: "Give at least one real server a weight above 0, or add one; find out who set it to 0.",
        trap: "Health checks set it to 0 when they fail: mend what they check. quiesce keeps \
               existing connections, so only new clients see it.",
    },
    Lesson {
        rule: "ipvs-port-mapping",
        picture: MAPPING,
        cure: "Let the server listen at the service's port on the VIP, or use NAT (`-m`) for that \
               service; on the server `iptables -t nat -A PREROUTING -d VIP -p tcp --dport 80 -j \
               REDIRECT --to-ports 8080` does it too.",
        trap: "ipvsadm takes the other port without a word, and health checks at that port succeed.",
    },
    Lesson {
        rule: "ipvs-method-masq",
        picture: PATH,
        cure: "Use Direct Routing for it (`ipvsadm -e … -g`), or let the real servers' default route \
               be the Director.",
        trap: "`lb_kind NAT` or `-m` is easily copied from a guide for NAT. With clients on the real \
               servers' segment NAT fails even with the right gateway.",
    },
    Lesson {
        rule: "ipvs-method-tun",
        picture: TUN,
        cure: "Use `-g` where the servers are on the segment; else give each tunl0 up, the VIP on \
               it, rp_filter 0 on tunl0 and conf/all.",
        trap: "The tunnel takes 20 bytes: large packets need a smaller MTU or MSS on the way.",
    },
    Lesson {
        rule: "app-bound-rip",
        picture: "",
        cure: "Bind the server to the VIP or to all addresses.",
        trap: "Health checks ask the RIP and succeed. A server that is bound to the VIP alone does \
               not start before the VIP is there (ip_nonlocal_bind).",
    },
    Lesson {
        rule: "app-not-listening",
        picture: "",
        cure: "Start the server, or set its weight to 0 until it runs.",
        trap: "IPVS itself does not look whether a server lives: without health checks it goes on \
               sending.",
    },
    Lesson {
        rule: "app-udp-source",
        picture: "",
        cure: "Bind a socket to the VIP, or answer from the address that was asked (IP_PKTINFO).",
        trap: "One socket for each address has to be added for each new VIP. SNAT by iptables mends \
               it at the price of connection tracking.",
    },
    Lesson {
        rule: "mtu-jumbo-one-side",
        picture: "",
        cure: "Give every interface of the segment one MTU, the switch's ports included: raise the \
               one that drops, or lower the others.",
        trap: "Small requests and pings work. `ping -M do -s SIZE` from both ends shows it, for each \
               direction by itself.",
    },
    Lesson {
        rule: "pmtu-icmp-blackhole",
        picture: "",
        cure: "Let ICMP type 3 code 4 in on the Director and on real servers, ahead of any rule that \
               goes by state; clamp the MSS on the narrow router as a second line.",
        trap: "Clamping helps TCP alone. For IPv6 it is Packet Too Big, ICMPv6 type 2, and a rule of \
               ip6tables.",
    },
    Lesson {
        rule: "dir-local-client",
        picture: "",
        cure: "Ask from another machine; on the Director ask a RIP.",
        trap: "A health check of the VIP that runs on the Director fails although the service is \
               well; accept_local on the real servers only moves the failure.",
    },
    Lesson {
        rule: "rs-local-client",
        picture: "",
        cure: "Let applications on real servers ask another VIP whose real servers they are not, or \
               a RIP.",
        trap: "A check of the VIP on a real server is always answered by that server, so it tells \
               nothing of the others.",
    },
    Lesson {
        rule: "ipvs-nodest-drop",
        picture: "",
        cure: "Set weight 0, wait until its connections have ended, then remove it; \
               net.ipv4.vs.expire_nodest_conn=1 for those that are removed without warning.",
        trap: "With expire_nodest_conn=1 a session that is in use is reset at once when a check \
               flaps.",
    },
    Lesson {
        rule: "ipvs-udp-sticky",
        picture: "",
        cure: "Set net.ipv4.vs.expire_nodest_conn=1; use one-packet scheduling (--ops) where each \
               datagram stands alone.",
        trap: "--ops spreads the datagrams of one conversation over all real servers: QUIC and SIP \
               do not survive that.",
    },
    Lesson {
        rule: "ipvs-persistence-pins",
        picture: "",
        cure: "Do without persistence, make it short, or use mh or sh with its port flag.",
        trap: "A test from one machine shows this on a setup that is right: ask from many addresses.",
    },
    Lesson {
        rule: "app-wrong-host",
        picture: "",
        cure: "Ask with the right Host header, or give the server a default site for the VIP's \
               number.",
        trap: "A default site keeps checks of the RIP green when the right site is gone.",
    },
    Lesson {
        rule: "no-address",
        picture: "",
        cure: "Give the interface its address with the segment's prefix length, then the routes that went with the \
               last one; and where the address comes from at boot, mend that.",
        trap: "`ip link` shows the interface up, and pings to the node's other addresses are answered: only \
               `ip address` on that interface tells.",
    },
    Lesson {
        rule: "address-prefix-narrow",
        picture: "",
        cure: "Add the address with the segment's prefix length, and only then delete the one that is too narrow; put \
               the default route back.",
        trap: "Deleting the old address first takes the interface's routes with it, and perhaps the session that \
               the command was typed in.",
    },
    Lesson {
        rule: "address-prefix-wide",
        picture: "",
        cure: "Add the address with the segment's prefix length, and delete the one that is too wide.",
        trap: "A router with proxy_arp answers for those behind it and hides the mistake until it is replaced.",
    },
    Lesson {
        rule: "ipvs-rip-nobody",
        picture: "",
        cure: "Take the destination out of the table, and add the real server's address as it is.",
        trap: "`ipvsadm -e` does not change an address: it edits the entry of that address, or fails. Old connections \
               to the removed one stay in the connection table until they time out.",
    },
];
