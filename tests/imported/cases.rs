//! The configurations below `fixtures/import`, and what an expert says of each.

/// A configuration.
pub(crate) struct Case {
    /// Its folder.
    pub(crate) name: &'static str,
    /// What is typed behind `drlab verify`.
    pub(crate) files: &'static str,
    /// The root causes; none where it works.
    pub(crate) findings: &'static [&'static str],
    /// Places of what is not understood.
    pub(crate) not_understood: &'static [&'static str],
    /// The root causes where the real keepalived makes something else of its file than it says.
    #[allow(dead_code, reason = "the daemon runs in the kernel tier only")]
    pub(crate) by_daemon: Option<&'static [&'static str]>,
}

const fn works(name: &'static str, files: &'static str) -> Case {
    Case { name, files, findings: &[], not_understood: &[], by_daemon: None }
}

const fn broken(name: &'static str, files: &'static str, findings: &'static [&'static str]) -> Case {
    Case { name, files, findings, not_understood: &[], by_daemon: None }
}

pub(crate) const CASES: &[Case] = &[
    works("textbook", "ipvsadm.rules realserver.sh"),
    works("keepalived-dr", "keepalived.conf 99-lvs.conf"),
    works("keepalived-pair", "lb1=master.conf lb2=backup.conf rs.sh"),
    works("keepalived-ha", "lvs1.conf lvs2.conf realserver.sh"),
    works("keepalived-nat", "keepalived.conf"),
    works("keepalived-tun", "keepalived.conf"),
    works("keepalived-v6", "keepalived.conf"),
    works("keepalived-includes", "keepalived.conf --id lb1"),
    works("fwmark-marked", "keepalived.conf firewall.sh"),
    works("classic-scripts", "lvs_dr.sh lvs_rs.sh"),
    works("live-hosts", "ipvsadm.save rs1=rs1-addr.json rs1=rs1-route.json rs2-addr.json 99-arp.conf"),
    works("local-node", "keepalived.conf"),
    works("redirect-method", "director.rules realserver.sh"),
    works("several-services", "rules rs.sh"),
    Case { not_understood: &["rs.sh:6:1"], ..works("vagrant-poc", "ds.sh rs.sh") },
    works(
        "multus-mangle",
        "director.sh 10.56.217.11=interfacesetup.sh 10.56.217.12=interfacesetup.sh --set 1=10.56.217.80 --set 2=10.56.217.11",
    ),
    broken("tutorial-lo-only", "director.sh rs.sh", &["rs-sysctl-lo-only"]),
    broken("vip-on-nic", "director.rules start-vip.sh", &["rs-vip-on-nic"]),
    broken("role-masq", "ipvsadm.sh setup-realserver.sh", &["ipvs-method-masq"]),
    broken("arptables-out-drop", "ipvsadm.sh setup-realserver.sh", &["rs-arptables-out-drop"]),
    broken("arptables-in-only", "rules arptables", &["rs-arptables-in-only"]),
    broken("split-brain", "lb1=master.conf lb2=backup.conf rs.sh", &["ha-split-brain"]),
    broken("fwmark-unmarked", "keepalived.conf firewall.sh", &["ipvs-fwmark-unmarked"]),
    // The daemon puts the service's port in the place of the real server's, and says so in its log.
    Case {
        by_daemon: Some(&["app-not-listening"]),
        ..broken("port-mapping", "keepalived.conf", &["ipvs-port-mapping"])
    },
    broken("protocol-forgotten", "keepalived.conf", &["ipvs-service-missing"]),
    broken("wide-mask", "rules rs.sh", &["rs-vip-prefix-on-lo"]),
    broken("class-mask", "rules rs1=rs1.sh rs2=rs2.sh", &["rs-vip-prefix-on-lo"]),
    broken("default-only", "table.txt rs.sh", &["rs-sysctl-default-only"]),
    broken("no-cure", "keepalived.conf ds-rs.sh", &["rs-arp-default"]),
    broken("gateway-director", "director=rules director=director.sh rs.sh", &["rs-gw-director"]),
    broken(
        "live-vip-missing",
        "ipvsadm.save rs1=rs1-addr.json rs1=rs1-route.json rs2=rs2-addr.json 99-arp.conf",
        &["rs-vip-missing"],
    ),
    broken(
        "live-rip-moved",
        "ipvsadm.save rs1=rs1-addr.json rs1=rs1-route.json rs2=rs2-addr.json 99-arp.conf",
        &["ipvs-rip-nobody"],
    ),
    broken("announce-forgotten", "keepalived.conf sysctl.conf", &["rs-announce-0"]),
    broken("announce-one", "keepalived.conf sysctl.conf", &["rs-announce-1-same-subnet"]),
    broken("all-weights-0", "ipvsadm.rules", &["ipvs-no-dest"]),
    broken("one-gateway-wrong", "keepalived.conf rs1=rs1.sh rs2=rs2.sh rs3=rs3.sh", &["rs-gw-wrong"]),
    broken("vip-typo", "keepalived.conf", &["dir-vip-missing"]),
];
