use std::collections::BTreeMap;
use std::net::SocketAddr;

use proptest::prelude::*;

use super::frames::*;
use super::{Direction, Ends, RawFrame, Trace, TraceError, Vantage};
use crate::base::{NodeName, Protocol};
use crate::wire::compare::{Rewrite, difference};

fn node(name: &str) -> NodeName {
    name.parse().unwrap()
}

/// A SYN from the client by the router and the Director to RS1.
fn request(at_us: u64, sequence: u32) -> Vec<RawFrame> {
    let mut frames = Vec::new();
    frames.extend(crossed(AT_CLIENT, AT_ROUTER_FRONT, at_us, &syn(CLIENT, ROUTER_FRONT, 64, sequence)));
    frames.extend(crossed(AT_ROUTER, AT_DIRECTOR, at_us + 10, &syn(ROUTER, DIRECTOR, 63, sequence)));
    frames.extend(crossed(AT_DIRECTOR, AT_RS1, at_us + 20, &syn(DIRECTOR, RS1, 62, sequence)));
    frames
}

/// Its answer, straight from RS1 to the router.
fn answer(at_us: u64) -> Vec<RawFrame> {
    let mut frames = Vec::new();
    frames.extend(crossed(AT_RS1, AT_ROUTER, at_us, &syn_ack(RS1, ROUTER, 64)));
    frames.extend(crossed(AT_ROUTER_FRONT, AT_CLIENT, at_us + 10, &syn_ack(ROUTER_FRONT, CLIENT, 63)));
    frames
}

#[test]
fn an_empty_trace_has_no_journeys() {
    let trace = trace([]);
    assert!(trace.journeys.is_empty());
    assert_eq!(trace.connections().iter().len(), 0);
    assert!(trace.frame(0).is_none());
    assert!(trace.frame(1).is_none());
    assert!(Trace::default().journeys.is_empty());
}

#[test]
fn a_packet_is_recognised_across_router_and_director() {
    let trace = trace(request(0, 1));
    assert_eq!(numbers(&trace), [[1, 2, 3, 4, 5, 6]]);
    let journey = &trace.journeys[0];
    assert_eq!(journey.first(&trace).unwrap().number, 1);
    assert_eq!(journey.last(&trace).unwrap().number, 6);
    let director = node("director");
    let [before] = journey.into(&trace, &director).collect::<Vec<_>>()[..] else { panic!("one frame in") };
    let [after] = journey.out_of(&trace, &director).collect::<Vec<_>>()[..] else { panic!("one frame out") };
    assert_eq!(difference(&before.data, &after.data).rewrite(), Rewrite::MacsAndTtl);
    assert_eq!(trace.journey_of(after), Some(journey));
}

#[test]
fn every_link_crossed_has_its_two_ends() {
    let trace = trace(request(0, 1));
    let ends: Vec<_> = trace.journeys[0].crossings(&trace).into_iter().map(|c| (c.out, c.into)).collect();
    assert_eq!(ends, [(0, vec![1]), (2, vec![3]), (4, vec![5])]);
}

#[test]
fn a_frame_lost_on_the_link_crossed_to_nobody() {
    let mut frames = request(0, 1);
    frames.pop();
    let trace = trace(frames);
    assert_eq!(trace.journeys[0].crossings(&trace).last().unwrap().into, Vec::<usize>::new());
}

#[test]
fn request_and_answer_are_two_journeys_of_one_connection() {
    let trace = trace(request(0, 1).into_iter().chain(answer(100)));
    assert_eq!(numbers(&trace), [vec![1, 2, 3, 4, 5, 6], vec![7, 8, 9, 10]]);
    let ends = Ends {
        protocol: Protocol::Tcp,
        client: "192.0.2.10:40000".parse::<SocketAddr>().unwrap(),
        service: "172.16.0.66:80".parse::<SocketAddr>().unwrap(),
    };
    let [connection] = trace.connections().between(&ends).collect::<Vec<_>>()[..] else { panic!("one connection") };
    assert_eq!(connection.frames, (0..10).collect::<Vec<_>>());
    assert_eq!(connection.opened, Some(1));
    assert_eq!(trace.connections().to(Protocol::Tcp, ends.service).count(), 1);
    assert_eq!(trace.connections().to(Protocol::Udp, ends.service).count(), 0);
}

#[test]
fn a_port_used_again_is_another_connection_but_a_repeated_syn_is_not() {
    let frames = request(0, 1).into_iter().chain(request(1_000_000, 1)).chain(request(2_000_000, 99));
    let trace = trace(frames);
    let opened: Vec<_> = trace.connections().iter().map(|c| (c.opened, c.frames.len())).collect();
    assert_eq!(opened, [(Some(1), 12), (Some(99), 6)]);
}

#[test]
fn a_repeated_packet_is_another_journey() {
    let trace = trace(answer(0).into_iter().chain(answer(1_000_000)));
    assert_eq!(numbers(&trace), [[1, 2, 3, 4], [5, 6, 7, 8]]);
}

#[test]
fn a_repetition_does_not_fill_the_gaps_of_a_packet_that_was_lost() {
    let mut first = answer(0);
    first.truncate(1);
    let trace = trace(first.into_iter().chain(answer(1_000_000)));
    assert_eq!(numbers(&trace), [vec![1], vec![2, 3, 4, 5]]);
}

#[test]
fn equal_datagrams_in_quick_succession_are_told_apart() {
    let out = datagram(CLIENT, ROUTER_FRONT, 64);
    let on = datagram(ROUTER, DIRECTOR, 63);
    let trace = trace([
        went(AT_CLIENT, Direction::Out, 0, &out),
        went(AT_CLIENT, Direction::Out, 1, &out),
        went(AT_ROUTER_FRONT, Direction::In, 2, &out),
        went(AT_ROUTER_FRONT, Direction::In, 3, &out),
        went(AT_ROUTER, Direction::Out, 4, &on),
        went(AT_ROUTER, Direction::Out, 5, &on),
    ]);
    assert_eq!(numbers(&trace), [[1, 3, 5], [2, 4, 6]]);
}

#[test]
fn equal_datagrams_to_two_servers_keep_their_own_ends() {
    let (to_rs1, to_rs2) = (datagram(DIRECTOR, RS1, 62), datagram(DIRECTOR, RS2, 62));
    let trace = trace([
        went(AT_DIRECTOR, Direction::Out, 0, &to_rs1),
        went(AT_DIRECTOR, Direction::Out, 1, &to_rs2),
        went(AT_RS2, Direction::In, 2, &to_rs2),
        went(AT_RS1, Direction::In, 3, &to_rs1),
    ]);
    assert_eq!(numbers(&trace), [[1, 4], [2, 3]]);
}

#[test]
fn thousands_of_equal_datagrams_are_each_a_journey() {
    let data = datagram(CLIENT, ROUTER_FRONT, 64);
    let trace = trace((0..5000).flat_map(|i| crossed(AT_CLIENT, AT_ROUTER_FRONT, i * 3, &data)));
    assert_eq!(trace.journeys.len(), 5000);
    assert!(trace.journeys.iter().all(|j| j.hops.len() == 2));
}

#[test]
fn a_loop_with_falling_ttl_is_one_journey() {
    let frames = (0..10_u8).flat_map(|turn| {
        let (forth, back) = (64 - 2 * turn, 63 - 2 * turn);
        crossed(AT_ROUTER, AT_DIRECTOR, u64::from(turn) * 20, &syn(ROUTER, DIRECTOR, forth, 1))
            .into_iter()
            .chain(crossed(AT_DIRECTOR, AT_ROUTER, u64::from(turn) * 20 + 10, &syn(DIRECTOR, ROUTER, back, 1)))
    });
    let trace = trace(frames);
    assert_eq!(trace.journeys.len(), 1);
    assert_eq!(trace.journeys[0].hops.len(), 40);
}

#[test]
fn a_flooded_frame_crosses_to_several_nodes_in_one_journey() {
    let data = syn(ROUTER, DIRECTOR, 63, 1);
    let mut frames = crossed(AT_ROUTER, AT_DIRECTOR, 0, &data).to_vec();
    frames.push(went(AT_RS1, Direction::In, 2, &data));
    frames.push(went(AT_RS2, Direction::In, 3, &data));
    let trace = trace(frames);
    assert_eq!(numbers(&trace), [[1, 2, 3, 4]]);
    let crossings = trace.journeys[0].crossings(&trace);
    assert_eq!(crossings.len(), 1);
    assert_eq!(crossings[0].into, [1, 2, 3]);
}

#[test]
fn a_director_of_an_old_kernel_that_leaves_the_ttl_is_crossed_too() {
    let mut frames = crossed(AT_ROUTER, AT_DIRECTOR, 0, &syn(ROUTER, DIRECTOR, 63, 1)).to_vec();
    frames.extend(crossed(AT_DIRECTOR, AT_RS1, 10, &syn(DIRECTOR, RS1, 63, 1)));
    assert_eq!(numbers(&trace(frames)), [[1, 2, 3, 4]]);
}

#[test]
fn a_capture_without_directions_still_shows_the_director_crossing() {
    let before = syn(ROUTER, DIRECTOR, 63, 1);
    let after = syn(DIRECTOR, RS1, 63, 1);
    let trace =
        trace([went(AT_DIRECTOR, Direction::Unknown, 0, &before), went(AT_DIRECTOR, Direction::Unknown, 1, &after)]);
    assert_eq!(numbers(&trace), [[1, 2]]);
}

#[test]
fn another_byte_makes_another_packet() {
    let mut frames = request(0, 1);
    let last = frames.len() - 1;
    let end = frames[last].data.len() - 1;
    frames[last].data[end] ^= 1;
    assert_eq!(numbers(&trace(frames)), [vec![1, 2, 3, 4, 5], vec![6]]);
}

#[test]
fn bytes_after_the_packet_do_not_make_another() {
    let data = syn(ROUTER, DIRECTOR, 63, 1);
    let padded: Vec<u8> = data.iter().copied().chain([0; 6]).collect();
    let trace = trace([went(AT_ROUTER, Direction::Out, 0, &data), went(AT_DIRECTOR, Direction::In, 1, &padded)]);
    assert_eq!(numbers(&trace), [[1, 2]]);
}

#[test]
fn frames_of_all_vantages_stand_in_the_order_of_time() {
    let mut frames = request(0, 1);
    frames.reverse();
    let trace = trace(frames);
    assert_eq!(numbers(&trace), [[1, 2, 3, 4, 5, 6]]);
    assert!(trace.frames.windows(2).all(|w| w[0].at_ns <= w[1].at_ns));
    assert_eq!(trace.frame(1).unwrap().vantage, AT_CLIENT);
}

#[test]
fn frames_of_one_nanosecond_keep_their_order() {
    let data = syn(ROUTER, DIRECTOR, 63, 1);
    let trace = trace([
        went(AT_DIRECTOR, Direction::In, 0, &data),
        went(AT_ROUTER, Direction::Out, 0, &data),
        went(AT_RS1, Direction::In, 0, &data),
    ]);
    let order: Vec<_> = trace.frames.iter().map(|f| f.vantage).collect();
    assert_eq!(order, [AT_DIRECTOR, AT_ROUTER, AT_RS1]);
    assert_eq!(trace.journeys[0].crossings(&trace)[0].into, [0, 2]);
}

#[test]
fn cut_frames_still_make_a_journey() {
    let cut = |mut frame: RawFrame| {
        frame.data.truncate(48);
        frame
    };
    let trace = trace(request(0, 1).into_iter().map(cut));
    assert_eq!(numbers(&trace), [[1, 2, 3, 4, 5, 6]]);
    assert!(trace.frames.iter().all(super::Frame::is_cut));
}

#[test]
fn frames_cut_inside_the_ip_header_are_kept_without_a_journey() {
    let data = syn(ROUTER, DIRECTOR, 63, 1);
    let trace = trace((0..34).map(|length| went(AT_ROUTER, Direction::Out, 0, &data[..length])));
    assert_eq!(trace.frames.len(), 34);
    assert!(trace.journeys.is_empty());
}

#[test]
fn a_tunnelled_packet_stays_on_its_journey() {
    let inner = syn(ROUTER, DIRECTOR, 62, 1);
    let outer = etherparse::Ipv4Header::new(
        u16::try_from(inner.len() - 14).unwrap(),
        64,
        etherparse::ip_number::IPV4,
        [172, 16, 0, 2],
        [172, 16, 0, 3],
    )
    .unwrap();
    let mut wrapped = [&RS1[..], &DIRECTOR[..], &[8, 0]].concat();
    outer.write(&mut wrapped).unwrap();
    wrapped.extend_from_slice(&inner[14..]);
    let mut frames = crossed(AT_ROUTER, AT_DIRECTOR, 0, &syn(ROUTER, DIRECTOR, 63, 1)).to_vec();
    frames.extend(crossed(AT_DIRECTOR, AT_RS1, 10, &wrapped));
    let trace = trace(frames);
    assert_eq!(numbers(&trace), [[1, 2, 3, 4]]);
    assert_eq!(trace.connections().iter().len(), 1);
}

#[test]
fn a_packet_over_loopback_crosses_to_the_same_node_only() {
    let (none, data) = ([0; 6], syn(ROUTER, DIRECTOR, 63, 1));
    let local = [&none[..], &none[..], &data[12..]].concat();
    let mut vantages = vantages();
    for node in ["director", "rs1"] {
        vantages.push(Vantage { node: node.parse().unwrap(), interface: "lo".parse().unwrap() });
    }
    let (director_lo, rs1_lo) = (vantages.len() - 2, vantages.len() - 1);
    let frames = [
        went(AT_DIRECTOR, Direction::In, 0, &data),
        went(director_lo, Direction::Out, 1, &local),
        went(director_lo, Direction::In, 2, &local),
        went(rs1_lo, Direction::In, 3, &local),
    ];
    let trace = Trace::build(vantages, frames);
    assert_eq!(numbers(&trace), [[1, 2, 3, 4]]);
    let crossings = trace.journeys[0].crossings(&trace);
    assert_eq!(crossings.len(), 1);
    assert_eq!((crossings[0].out, &crossings[0].into), (1, &vec![2]));
}

#[test]
fn arp_and_neighbour_discovery_are_found_and_make_no_ipv4_journey() {
    let mut frames = request(0, 1);
    frames.push(went(AT_ROUTER, Direction::Out, 5, &arp_request()));
    let trace = trace(frames);
    let found: Vec<_> = trace.neighbour_frames().map(|f| f.vantage).collect();
    assert_eq!(found, [AT_ROUTER]);
    let frame = trace.neighbour_frames().next().unwrap();
    assert!(trace.journey_of(frame).is_none());
    assert_eq!(frame.decoded.arp().unwrap().target_ip.to_string(), "172.16.0.66");
}

#[test]
fn frames_are_found_by_vantage_and_by_node() {
    let trace = trace(request(0, 1));
    assert_eq!(trace.at(&vantages()[AT_ROUTER]).count(), 1);
    assert_eq!(trace.at_node(&node("router")).count(), 2);
    assert_eq!(trace.at_node(&node("rs2")).count(), 0);
}

#[test]
fn a_trace_reads_back_as_it_was_written() {
    let written = trace(request(0, 1).into_iter().chain(answer(50)));
    let comments = BTreeMap::from([(3, vec!["first".to_owned(), "second".to_owned()])]);
    let mut bytes = Vec::new();
    written.write(&mut bytes, &comments, &[Some(0), None, Some(7)]).unwrap();
    let read = Trace::read(bytes.as_slice()).unwrap();
    assert_eq!(read.dropped, [Some(0), None, Some(7), None, None, None]);
    assert_eq!(read.trace.vantages, written.vantages);
    assert_eq!(numbers(&read.trace), numbers(&written));
    for (a, b) in read.trace.frames.iter().zip(&written.frames) {
        assert_eq!(
            (a.number, a.vantage, a.direction, a.at_ns, a.length, &a.data),
            (b.number, b.vantage, b.direction, b.at_ns, b.length, &b.data)
        );
    }
}

#[test]
fn writing_twice_gives_the_same_bytes() {
    let trace = trace(request(0, 1));
    let write = || {
        let mut bytes = Vec::new();
        trace.write(&mut bytes, &BTreeMap::new(), &[]).unwrap();
        bytes
    };
    assert_eq!(write(), write());
}

#[test]
fn an_interface_that_is_no_vantage_is_named_in_the_error() {
    for (name, wanted) in [
        ("eth0", "interface 0 of the capture is named `eth0`, a vantage is named node:interface"),
        ("RS1:eth0", "interface 0 of the capture is named `RS1:eth0`, which is no vantage"),
    ] {
        let mut writer = crate::wire::pcapng::Writer::new(Vec::new()).unwrap();
        writer.interface(name, "", 0).unwrap();
        let error: TraceError = Trace::read(writer.finish().unwrap().as_slice()).unwrap_err();
        assert_eq!(error.to_string(), wanted);
    }
}

#[test]
fn a_vantage_described_twice_is_one() {
    let mut writer = crate::wire::pcapng::Writer::new(Vec::new()).unwrap();
    for dropped in [2, 3] {
        let number = writer.interface("rs1:eth0", "", 0).unwrap();
        writer.statistics(number, 0, dropped).unwrap();
    }
    let read = Trace::read(writer.finish().unwrap().as_slice()).unwrap();
    assert_eq!(read.trace.vantages.len(), 1);
    assert_eq!(read.dropped, [Some(5)]);
}

proptest! {
    #[test]
    fn requests_that_overtake_one_another_are_each_one_journey(starts in proptest::collection::vec(0..200_u64, 1..20)) {
        let count = starts.len();
        let trace = trace((0..).zip(starts).flat_map(|(sequence, at_us)| request(at_us, sequence)));
        prop_assert_eq!(trace.journeys.len(), count);
        prop_assert!(trace.journeys.iter().all(|j| j.hops.len() == 6 && j.crossings(&trace).len() == 3));
    }

    #[test]
    fn equal_packets_on_one_path_never_mix(gaps in proptest::collection::vec(1..40_u64, 1..20)) {
        let mut at_us = 0;
        let trace = trace(gaps.iter().flat_map(|gap| {
            at_us += gap;
            request(at_us, 1)
        }));
        prop_assert_eq!(trace.journeys.len(), gaps.len());
        prop_assert!(trace.journeys.iter().all(|j| j.hops.len() == 6 && j.crossings(&trace).len() == 3));
    }

    #[test]
    fn whatever_was_captured_every_ip_frame_is_in_one_journey(
        frames in proptest::collection::vec(
            (0..8_usize, 0..3_u8, any::<u64>(), 0..4_u8, 60..64_u8, 0..60_usize, any::<bool>()),
            0..60,
        ),
    ) {
        let frames = frames.into_iter().map(|(vantage, direction, at_ns, which, ttl, cut, near)| {
            let mut data = match which {
                0 => syn(ROUTER, DIRECTOR, ttl, 1),
                1 => syn(DIRECTOR, RS1, ttl, 1),
                2 => datagram(ROUTER, DIRECTOR, ttl),
                _ => arp_request(),
            };
            data.truncate(data.len().saturating_sub(cut / 2));
            let direction = [Direction::In, Direction::Out, Direction::Unknown][usize::from(direction)];
            RawFrame { vantage, direction, at_ns: if near { at_ns % 1000 } else { at_ns }, length: 60, data }
        });
        let trace = trace(frames);
        let mut seen = vec![0; trace.frames.len()];
        for journey in &trace.journeys {
            prop_assert!(journey.hops.windows(2).all(|w| w[0] < w[1]));
            for &hop in &journey.hops {
                seen[hop] += 1;
                prop_assert_eq!(trace.journey_of(&trace.frames[hop]), Some(journey));
            }
            journey.crossings(&trace);
        }
        for (frame, seen) in trace.frames.iter().zip(seen) {
            prop_assert_eq!(seen, i32::from(frame.ip().is_some()));
        }
    }
}

#[test]
fn what_an_earlier_connection_still_sends_is_left_out_and_a_port_used_anew_is_not() {
    let earlier = trace(request(0, 1));
    let rest = trace(answer(100)).without_rest_of(&earlier);
    assert!(rest.frames.is_empty());
    let again = trace(request(100, 1)).without_rest_of(&earlier);
    assert!(again.frames.is_empty());
    let anew = trace(request(100, 2).into_iter().chain(answer(200))).without_rest_of(&earlier);
    assert_eq!(anew.frames.len(), request(0, 2).len() + answer(0).len());
    let asked = |at_us| trace(crossed(AT_ROUTER, AT_DIRECTOR, at_us, &datagram(ROUTER, DIRECTOR, 63)));
    assert_eq!(asked(100).without_rest_of(&asked(0)).frames.len(), 2, "a datagram is no repetition");
    let other = trace(answer(100)).without_rest_of(&trace([]));
    assert_eq!(other.frames.len(), answer(0).len());
}
