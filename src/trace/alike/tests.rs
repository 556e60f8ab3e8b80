use etherparse::PacketBuilder;

use super::super::frames::{
    AT_CLIENT, AT_DIRECTOR, AT_ROUTER, AT_RS1, CLIENT, DIRECTOR, ROUTER, ROUTER_FRONT, RS1, RS2,
};
use super::super::frames::{vantages, went};
use super::super::{Direction, Frame, Gatherer, RawFrame, Trace};
use super::{Alike, InHand};
use crate::wire::glance::glance;

const VIP: [u8; 4] = [172, 16, 0, 66];
const STEP_US: u64 = 10_000;

/// One packet of a client's port to or from the VIP.
fn packet(from: [u8; 6], to: [u8; 6], ttl: u8, port: u16, forth: bool, flags: &str, sequence: u32) -> Vec<u8> {
    let client = [192, 0, 2, 10];
    let (source, destination) = if forth { (client, VIP) } else { (VIP, client) };
    let ports = if forth { (port, 80) } else { (80, port) };
    let builder = PacketBuilder::ethernet2(from, to).ipv4(source, destination, ttl);
    let mut tcp = builder.tcp(ports.0, ports.1, sequence, 64240);
    for flag in flags.chars() {
        tcp = match flag {
            'S' => tcp.syn(),
            'F' => tcp.fin(),
            'A' => tcp.ack(sequence ^ 0x5555),
            _ => tcp.rst(),
        };
    }
    let mut bytes = Vec::new();
    tcp.write(&mut bytes, &[]).unwrap();
    bytes
}

/// A client's connection by way of router and Director, opened and reset, with numbers of its own.
fn conversation(port: u16, at_us: u64) -> Vec<RawFrame> {
    let number = u32::from(port) * 1000;
    let mut frames = Vec::new();
    for (nth, flags, sequence) in [(0, "S", number), (1, "RA", number + 1)] {
        let at_us = at_us + nth * 100;
        let packet = |from, to, ttl| packet(from, to, ttl, port, true, flags, sequence);
        frames.push(went(AT_CLIENT, Direction::Out, at_us, &packet(CLIENT, ROUTER_FRONT, 64)));
        frames.push(went(AT_ROUTER, Direction::Out, at_us + 1, &packet(ROUTER, DIRECTOR, 63)));
        frames.push(went(AT_DIRECTOR, Direction::Out, at_us + 2, &packet(DIRECTOR, RS1, 62)));
        frames.push(went(AT_RS1, Direction::In, at_us + 3, &packet(DIRECTOR, RS1, 62)));
    }
    frames
}

fn many(count: u16) -> Vec<RawFrame> {
    (0..count).flat_map(|n| conversation(40000 + n, u64::from(n) * STEP_US)).collect()
}

fn gathered(frames: &[RawFrame], counting: bool) -> (Trace, Alike) {
    let mut alike = Alike::new([VIP.into()], counting);
    let mut to = Gatherer::new(1_000_000);
    for vantage in vantages() {
        to.vantage(vantage);
    }
    for (origin, raw) in (1..).zip(frames) {
        let RawFrame { vantage, direction, at_ns, length, ref data } = *raw;
        let hand = InHand { vantage, direction, at_ns, length, origin, data };
        let seen = glance(data).unwrap();
        let met = alike.concerns(&seen).unwrap();
        alike.take(&seen, met, &hand, &mut to);
    }
    alike.finish(&mut to);
    (to.finish().trace, alike)
}

fn times(trace: &Trace) -> u64 {
    trace.frames.iter().map(Frame::times).sum()
}

#[test]
fn conversations_that_went_alike_are_held_once_and_all_counted() {
    let frames = many(500);
    let (trace, alike) = gathered(&frames, true);
    assert_eq!(trace.frames.len(), 8);
    assert_eq!((times(&trace), alike.counted()), (4000, 3992));
    assert_eq!(trace.journeys.len(), 2);
}

#[test]
fn what_is_held_is_as_it_was_captured() {
    let frames = many(3);
    let (trace, _) = gathered(&frames, true);
    let held: Vec<_> = trace.frames.iter().map(|f| (f.vantage, f.at_ns, f.origin, f.data.clone())).collect();
    let first: Vec<_> = (1..).zip(&frames).take(8).map(|(n, f)| (f.vantage, f.at_ns, n, f.data.clone())).collect();
    assert_eq!(held, first);
}

#[test]
fn without_counting_every_frame_is_held() {
    let frames = many(50);
    let (trace, alike) = gathered(&frames, false);
    assert_eq!((trace.frames.len(), alike.counted()), (400, 0));
    assert_eq!(
        trace.frames.iter().map(|f| &f.data).collect::<Vec<_>>(),
        frames.iter().map(|f| &f.data).collect::<Vec<_>>()
    );
}

/// How many frames are held where one of a hundred conversations is changed.
fn held(change: impl Fn(&mut Vec<RawFrame>)) -> usize {
    let mut frames: Vec<RawFrame> = many(50);
    let mut one = conversation(50000, 50 * STEP_US);
    change(&mut one);
    frames.extend(one);
    frames.extend((51..100).flat_map(|n| conversation(40000 + n, u64::from(n) * STEP_US)));
    let (trace, _) = gathered(&frames, true);
    assert_eq!(times(&trace), frames.len() as u64, "every frame is held or counted");
    trace.frames.len()
}

#[test]
fn one_conversation_that_goes_otherwise_is_held() {
    assert_eq!(held(|_| {}), 8);
    assert_eq!(
        held(|one| one.iter_mut().for_each(|f| if f.vantage == AT_RS1 {
            f.data[..6].copy_from_slice(&RS2);
        })),
        16
    );
    assert_eq!(held(|one| drop(one.remove(3))), 15, "one that was lost");
    assert_eq!(held(|one| one[0].direction = Direction::In), 16);
    assert_eq!(held(|one| one.iter_mut().for_each(|f| f.data.extend([0; 6]))), 16, "padding");
    assert_eq!(held(|one| one.iter_mut().for_each(|f| f.length += 1)), 16, "cut frames");
    assert_eq!(held(|one| one.truncate(4)), 12, "never closed");
}

#[test]
fn a_packet_that_changes_on_its_way_is_held() {
    // The window, which is part of no comparison but that of the bytes.
    assert_eq!(held(|one| one[2].data[48] ^= 1), 16);
}

#[test]
fn a_repetition_that_times_could_tell_apart_is_held() {
    let again = |gap_us: u64| {
        move |one: &mut Vec<RawFrame>| {
            let mut repeated: Vec<RawFrame> = one[..4].to_vec();
            for frame in &mut repeated {
                frame.at_ns += 50_000;
            }
            one.splice(4..4, repeated);
            one[8..].iter_mut().for_each(|f| f.at_ns += gap_us * 1000);
        }
    };
    assert_eq!(held(again(0)), 20);
    assert_eq!(held(again(200_000)), 20);
}

#[test]
fn frames_out_of_the_order_of_time_are_noticed() {
    let mut frames = many(300);
    assert!(!gathered(&frames, true).1.is_unordered());
    frames.rotate_left(8);
    assert!(gathered(&frames, true).1.is_unordered());
}

#[test]
fn other_clients_are_held_up_to_a_number() {
    let mut frames = Vec::new();
    for n in 0..100_u8 {
        let mut one = conversation(40000, u64::from(n) * STEP_US);
        for frame in &mut one {
            frame.data[29] = n;
            frame.data[24..26].copy_from_slice(&[0, 0]);
            let sum = etherparse::checksum::Sum16BitWords::new().add_slice(&frame.data[14..34]).ones_complement();
            frame.data[24..26].copy_from_slice(&sum.to_be().to_be_bytes());
        }
        frames.extend(one);
    }
    let (trace, _) = gathered(&frames, true);
    assert_eq!((trace.frames.len(), times(&trace)), (super::CLIENTS * 8, 800));
}
