//! What a Director's table must be, once it is built, changed and read back.

use std::net::SocketAddr;
use std::time::Instant;

use drlab::inside::build::act;
use drlab::inside::ipvs;
use drlab::plan::Act;

use super::cases::{ask, assert_as_planned, built, chain, down, name, serve};
use super::labs;

pub(super) fn services_read_back_as_they_were_planned() {
    let mut plan = labs::textbook();
    let ipvs = plan.nodes[2].ipvs.as_mut().unwrap();
    let model = ipvs.services[0].clone();
    // Linux 6.1 has no `twos`.
    let schedulers = drlab::base::SCHEDULERS.iter().filter(|name| **name != "twos");
    for (scheduler, port) in schedulers.zip(8000..) {
        let mut service = model.clone();
        service.id = drlab::base::ServiceId::Address {
            protocol: if port % 2 == 0 { drlab::base::Protocol::Tcp } else { drlab::base::Protocol::Udp },
            at: format!("{}:{port}", labs::VIP).parse().unwrap(),
        };
        (*scheduler).clone_into(&mut service.scheduler);
        service.destinations[0].weight = 3;
        service.destinations[1].forwarding = drlab::base::Forwarding::Tun;
        service.destinations[1].upper = 20;
        service.destinations[1].lower = 10;
        ipvs.services.push(service);
    }
    let mut marked = model.clone();
    marked.id = drlab::base::ServiceId::Fwmark { mark: 7, v6: false };
    marked.persistence_s = Some(300);
    marked.persistence_prefix = Some(24);
    marked.destinations[0].forwarding = drlab::base::Forwarding::Nat;
    ipvs.services.push(marked);
    let mut v6 = model.clone();
    v6.id = drlab::base::ServiceId::Address {
        protocol: drlab::base::Protocol::Tcp,
        at: "[2001:db8::66]:80".parse().unwrap(),
    };
    "sh".clone_into(&mut v6.scheduler);
    v6.flags = vec!["sched-1".to_owned(), "sched-2".to_owned()];
    v6.persistence_s = Some(60);
    v6.destinations = vec![labs::real_server("[2001:db8::11]:80")];
    ipvs.services.push(v6);
    let mut one_packet = model;
    one_packet.id = drlab::base::ServiceId::Address {
        protocol: drlab::base::Protocol::Udp,
        at: format!("{}:53", labs::VIP).parse().unwrap(),
    };
    one_packet.flags = vec!["ops".to_owned()];
    ipvs.services.push(one_packet);
    let lab = built(&plan, false);
    assert_as_planned(&lab, false);
    let facts = &lab.facts()[2];
    println!("version {}", facts.ipvs.as_ref().unwrap().version);
    for line in facts.statements().iter().filter(|line| line.starts_with("ipvs")) {
        println!("{line}");
    }
    let director = lab.worker(&name("director")).unwrap();
    let done = |wanted: Act| {
        director.run(move || async move { act::apply(&wanted).await.map_err(|error| chain(&error)) }).unwrap().unwrap()
    };
    let rs1: SocketAddr = "172.16.252.137:80".parse().unwrap();
    assert!(done(Act::SetWeight { node: name("director"), service: labs::http(), destination: rs1, weight: 0 }));
    let rs2 = "172.16.253.202:80".parse().unwrap();
    assert!(done(Act::DeleteDestination { node: name("director"), service: labs::http(), destination: rs2 }));
    let left = &lab.facts()[2].ipvs.clone().unwrap().services;
    let left = left.iter().find(|service| service.service == labs::http()).unwrap().destinations.clone();
    assert_eq!(left.iter().map(|one| (one.at, one.weight)).collect::<Vec<_>>(), [(rs1, 0)]);
    assert!(done(Act::DeleteService { node: name("director"), service: labs::http() }));
    down(lab);
}

pub(super) fn connections_are_shared_out_and_counted() {
    let lab = built(&labs::textbook(), false);
    assert_as_planned(&lab, false);
    serve(&lab, "rs1", "0.0.0.0:80");
    serve(&lab, "rs2", "0.0.0.0:80");
    let begun = Instant::now();
    let heard: Vec<_> = (0..6).map(|_| ask(&lab, "172.16.0.66:80").unwrap_or_default()).collect();
    println!("{heard:?} in {:?}", begun.elapsed());
    assert_eq!(heard.iter().filter(|who| *who == "rs1").count(), 3);
    assert_eq!(heard.iter().filter(|who| *who == "rs2").count(), 3);
    let facts = lab.facts()[2].ipvs.clone().unwrap();
    println!("{:?}", facts.connections.first());
    assert_eq!(facts.total_connections, 6);
    assert_eq!(facts.total_out_packets, 0);
    assert_eq!(facts.connections.len(), 6);
    let holding: u32 = facts.services[0].destinations.iter().map(|one| one.active + one.inactive).sum();
    assert_eq!(holding, 6);
    down(lab);
}

pub(super) fn packets_are_marked_and_balanced_by_their_mark() {
    let mut plan = labs::textbook();
    let rule = "iptables -t mangle -A PREROUTING -d 172.16.0.66 -p tcp --dport 80 -j MARK --set-mark 7";
    plan.nodes[2].iptables = vec![rule.split(' ').map(str::to_owned).collect()];
    plan.nodes[2].ipvs.as_mut().unwrap().services[0].id = drlab::base::ServiceId::Fwmark { mark: 7, v6: false };
    let lab = built(&plan, false);
    assert_as_planned(&lab, false);
    serve(&lab, "rs1", "0.0.0.0:80");
    serve(&lab, "rs2", "0.0.0.0:80");
    let heard: Vec<_> = (0..4).map(|_| ask(&lab, "172.16.0.66:80").unwrap_or_default()).collect();
    assert_eq!(heard.iter().filter(|who| *who == "rs1").count(), 2, "{heard:?}");
    let facts = lab.facts()[2].ipvs.clone().unwrap();
    println!("{:?} {:?}", facts.services[0].service, facts.connections.first());
    assert_eq!(facts.total_connections, 4);
    down(lab);
}

pub(super) fn a_real_servers_port_is_taken_as_given() {
    let mut plan = labs::textbook();
    plan.nodes[2].ipvs.as_mut().unwrap().services[0].destinations = vec![labs::real_server("172.16.252.137:8080")];
    let lab = built(&plan, false);
    assert_as_planned(&lab, false);
    serve(&lab, "rs1", "0.0.0.0:80");
    println!("with a server on port 80: {:?}", ask(&lab, "172.16.0.66:80"));
    let connections = lab.facts()[2].ipvs.clone().unwrap().connections;
    println!("{connections:?}");
    down(lab);
}

pub(super) fn what_ipvs_refuses_is_said_in_words() {
    let lab = built(&labs::textbook(), false);
    let model = lab.plan().nodes[2].ipvs.clone().unwrap().services[0].clone();
    let said = lab.worker(&name("director")).unwrap().run(move || async move {
        let mut session = ipvs::Session::open().unwrap();
        let twice = session.add_service(&model).unwrap_err();
        let mut unknown = model.clone();
        unknown.id = drlab::base::ServiceId::Fwmark { mark: 1, v6: false };
        "nonesuch".clone_into(&mut unknown.scheduler);
        let unknown = session.add_service(&unknown).unwrap_err();
        assert!(unknown.is_lacking());
        let nobody = session.set_weight(model.id, "192.0.2.1:80".parse().unwrap(), 1).unwrap_err();
        let no_service = session.delete_service(drlab::base::ServiceId::Fwmark { mark: 9, v6: false }).unwrap_err();
        session.delete_service(model.id).unwrap();
        assert!(session.services().unwrap().is_empty());
        [twice, unknown, nobody, no_service].map(|error| chain(&error))
    });
    let said = said.unwrap();
    println!("{said:#?}");
    assert!(said[0].contains("it is there already"));
    assert!(said[1].contains("does not know the scheduler"));
    assert!(said[2].contains("no such real server"));
    assert!(said[3].contains("there is no such service"));
    down(lab);
}
