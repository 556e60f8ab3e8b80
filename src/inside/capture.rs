//! Capturing every interface of every node by one thread.
//!
//! Owns: which frame belongs to which vantage, its direction, its bytes as a wire would carry them, and the count of
//! what is missing. Refuses: choosing a file; frames go to a [`Sink`]. It errs towards "lost": a frame of an interface
//! that nobody named counts as dropped on its node, so that no check takes the capture for whole.

pub mod file;
mod turn;

use std::collections::BTreeMap;
use std::io;
use std::os::fd::AsFd;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::eventfd::{EfdFlags, EventFd};

use super::ring::{RawFrame, Ring, RingError};
use crate::base::{IfName, NodeName};
use crate::facts::run::CaptureStats;
use crate::wire::frame::Direction;

const RING_BYTES: usize = 2 << 20;
const ALL_RINGS_BYTES: usize = 64 << 20;
const CLOSERS: usize = 64;
const ETHERNET_BYTES: usize = 14;
/// The kernel closes a block that it has begun after two of its ticks at most; so long without any progress is for a machine
/// under load.
const DRAIN: Duration = Duration::from_secs(2);

/// Why a capture failed.
#[derive(Debug, thiserror::Error)]
pub enum CaptureError {
    /// A ring could not be read.
    #[error("could not capture on {node}")]
    Ring {
        /// The node.
        node: NodeName,
        /// Why.
        source: RingError,
    },
    /// Frames could not be written.
    #[error("could not write captured frames")]
    Write(#[source] io::Error),
    /// A system call of the capture's thread failed.
    #[error("could not {attempt} for the capture's thread")]
    Thread {
        /// What was attempted.
        attempt: &'static str,
        /// The kernel's answer.
        source: io::Error,
    },
    /// The thread is gone without a word, which is our own bug.
    #[error("the capture's thread died")]
    Died,
}

/// Where captured frames go.
pub trait Sink: Send + 'static {
    /// Takes one frame: `vantage` counts in the order of [`vantages`], `length` is in bytes before any cut.
    ///
    /// # Errors
    /// Those of writing; they end the capture.
    fn frame(&mut self, vantage: usize, direction: Direction, at_ns: u64, length: u32, data: &[u8]) -> io::Result<()>;

    /// Writes out what is still held back.
    ///
    /// # Errors
    /// Those of writing.
    fn finish(&mut self) -> io::Result<()>;
}

/// A node that is captured.
#[derive(Debug)]
pub struct Tap {
    /// The node.
    pub node: NodeName,
    /// Its ring, opened inside its namespace.
    pub ring: Ring,
    /// Its interfaces by index.
    pub interfaces: BTreeMap<u32, IfName>,
}

/// The vantages of a capture, `node:interface`, in their order: the nodes as given, the interfaces of each by index.
pub fn vantages(taps: &[Tap]) -> Vec<String> {
    taps.iter().flat_map(Tap::vantages).collect()
}

impl Tap {
    fn vantages(&self) -> impl Iterator<Item = String> {
        self.interfaces.values().map(|interface| format!("{}:{interface}", self.node))
    }
}

/// How large each ring may be where `nodes` are captured, in bytes.
pub fn ring_bytes(nodes: usize) -> usize {
    RING_BYTES.min(ALL_RINGS_BYTES / nodes.max(1))
}

/// A running capture. Dropping it ends it without its statistics.
#[derive(Debug)]
pub struct Capture {
    thread: Option<JoinHandle<Result<(CaptureStats, Closing), CaptureError>>>,
    stop: std::sync::Arc<EventFd>,
}

impl Capture {
    /// Starts the thread that reads all rings.
    ///
    /// # Errors
    /// Where the machine gives no thread or no event descriptor.
    pub fn start(taps: Vec<Tap>, sink: impl Sink) -> Result<Self, CaptureError> {
        let stop = EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK)
            .map_err(|e| thread_error("make an event descriptor", e.into()))?;
        let stop = std::sync::Arc::new(stop);
        let watched = std::sync::Arc::clone(&stop);
        let thread = std::thread::Builder::new()
            .name("capture".to_owned())
            .spawn(move || {
                // Where that is not allowed it takes its turn; what is lost then is counted.
                turn::first().unwrap_or_default();
                Reader::new(taps, sink).run(&watched)
            })
            .map_err(|e| thread_error("start", e))?;
        Ok(Self { thread: Some(thread), stop })
    }

    /// Ends the capture: every frame that was seen before the call is written, then the rings begin to close.
    ///
    /// # Errors
    /// The first failure of the capture's thread, also one of long ago.
    pub fn stop(mut self) -> Result<(CaptureStats, Closing), CaptureError> {
        self.end()
    }

    fn end(&mut self) -> Result<(CaptureStats, Closing), CaptureError> {
        self.stop.write(1).map_err(|e| thread_error("stop", e.into()))?;
        let thread = self.thread.take().ok_or(CaptureError::Died)?;
        thread.join().map_err(|_| CaptureError::Died)?
    }
}

impl Drop for Capture {
    fn drop(&mut self) {
        if self.thread.is_some() {
            drop(self.end());
        }
    }
}

/// Rings on their way to be closed. Dropping this waits for it.
///
/// The kernel takes a grace period for each ring, 10 to 30 ms on several processors, but one for many that close at
/// once; meanwhile there is other work to do.
#[derive(Debug)]
pub struct Closing(Vec<JoinHandle<()>>);

impl Closing {
    fn begin(mut rings: Vec<Ring>) -> Self {
        let each = rings.len().div_ceil(CLOSERS).max(1);
        let mut threads = Vec::new();
        while !rings.is_empty() {
            let some = rings.split_off(rings.len().saturating_sub(each));
            // Where there is no thread to be had, they are closed here, as the closure is dropped.
            threads.extend(std::thread::Builder::new().name("close rings".to_owned()).spawn(move || drop(some)));
        }
        Self(threads)
    }
}

impl Drop for Closing {
    fn drop(&mut self) {
        for thread in self.0.drain(..) {
            // Closing does not panic; were it to, the thread has said so.
            drop(thread.join());
        }
    }
}

struct Reader<S> {
    nodes: Vec<Node>,
    out: Out<S>,
}

struct Node {
    tap: Tap,
    /// Index of its first vantage.
    first: usize,
    dropped: u64,
}

struct Out<S> {
    sink: S,
    frames: u64,
    /// Where a frame is put together that is not written as it lies in the ring.
    scratch: Vec<u8>,
}

enum Taken {
    Written,
    /// The second copy of a frame on the loopback.
    Twin,
    Unnamed,
}

impl From<RingError> for Halt {
    fn from(error: RingError) -> Self {
        Self::Ring(error)
    }
}

enum Halt {
    Ring(RingError),
    Write(io::Error),
}

impl<S: Sink> Reader<S> {
    fn new(taps: Vec<Tap>, sink: S) -> Self {
        let mut first = 0;
        let nodes = taps
            .into_iter()
            .map(|tap| {
                let begin = first;
                first += tap.interfaces.len();
                Node { tap, first: begin, dropped: 0 }
            })
            .collect();
        Self { nodes, out: Out { sink, frames: 0, scratch: Vec::new() } }
    }

    fn run(mut self, stop: &EventFd) -> Result<(CaptureStats, Closing), CaptureError> {
        loop {
            let stopping = self.wait(Some(stop), PollTimeout::NONE)?;
            for node in &mut self.nodes {
                node.read(&mut self.out)?;
            }
            if stopping {
                break;
            }
        }
        self.drain()?;
        self.finish()
    }

    /// Blocks until a ring has something or `stop` is set; says whether it is.
    fn wait(&self, stop: Option<&EventFd>, timeout: PollTimeout) -> Result<bool, CaptureError> {
        let rings = self.nodes.iter().map(|node| node.tap.ring.as_fd());
        let all = stop.map(AsFd::as_fd).into_iter().chain(rings);
        let mut watched: Vec<PollFd<'_>> = all.map(|fd| PollFd::new(fd, PollFlags::POLLIN)).collect();
        match poll(&mut watched, timeout) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(errno) => return Err(thread_error("wait", errno.into())),
        }
        Ok(stop.is_some() && watched.first().and_then(PollFd::any).unwrap_or(false))
    }

    /// Takes what is still in the blocks that the kernel has begun: it closes each within a tick or two.
    fn drain(&mut self) -> Result<(), CaptureError> {
        let mut deadline = Instant::now() + DRAIN;
        let mut open: Vec<usize> = (0..self.nodes.len()).collect();
        loop {
            for &at in &open {
                self.nodes[at].read(&mut self.out)?;
            }
            // A block with frames that is closed later than this holds them all, whatever else comes in.
            let before = open.len();
            open.retain(|&at| self.nodes[at].tap.ring.pending() > 0);
            if open.len() < before {
                deadline = Instant::now() + DRAIN;
            }
            if open.is_empty() {
                return Ok(());
            }
            if Instant::now() > deadline {
                for at in open {
                    let node = &mut self.nodes[at];
                    node.dropped += u64::from(node.tap.ring.pending());
                }
                return Ok(());
            }
            self.wait(None, PollTimeout::from(2_u8))?;
        }
    }

    fn finish(mut self) -> Result<(CaptureStats, Closing), CaptureError> {
        self.out.sink.finish().map_err(CaptureError::Write)?;
        let mut dropped = BTreeMap::new();
        let mut vantages = Vec::new();
        for node in &self.nodes {
            let name = &node.tap.node;
            let drops =
                node.tap.ring.take_drops().map_err(|source| CaptureError::Ring { node: name.clone(), source })?;
            dropped.insert(name.clone(), node.dropped + u64::from(drops));
            vantages.extend(node.tap.vantages());
        }
        let stats = CaptureStats { frames: self.out.frames, dropped, vantages };
        Ok((stats, Closing::begin(self.nodes.into_iter().map(|node| node.tap.ring).collect())))
    }
}

impl Node {
    fn read(&mut self, out: &mut Out<impl Sink>) -> Result<(), CaptureError> {
        let (interfaces, first, dropped) = (&self.tap.interfaces, self.first, &mut self.dropped);
        let each = |frame: RawFrame<'_>| {
            match out.take(&frame, interfaces, first).map_err(Halt::Write)? {
                Taken::Written | Taken::Twin => {}
                Taken::Unnamed => *dropped += 1,
            }
            Ok(())
        };
        match self.tap.ring.read(each) {
            Ok(_) => Ok(()),
            Err(Halt::Ring(source)) => Err(CaptureError::Ring { node: self.tap.node.clone(), source }),
            Err(Halt::Write(source)) => Err(CaptureError::Write(source)),
        }
    }
}

impl<S: Sink> Out<S> {
    fn take(&mut self, frame: &RawFrame<'_>, interfaces: &BTreeMap<u32, IfName>, first: usize) -> io::Result<Taken> {
        let outgoing = frame.packet_type == libc::PACKET_OUTGOING;
        // The loopback hands each frame over twice, on its way out and in again.
        if outgoing && frame.hardware == libc::ARPHRD_LOOPBACK {
            return Ok(Taken::Twin);
        }
        let Some(at) = interfaces.keys().position(|&index| index == frame.interface) else {
            return Ok(Taken::Unnamed);
        };
        let direction = if outgoing { Direction::Out } else { Direction::In };
        let added = as_on_a_wire(frame, &mut self.scratch);
        let data = if added == 0 { frame.data } else { &self.scratch };
        self.sink.frame(first + at, direction, frame.at_ns, frame.length + added, data)?;
        self.frames += 1;
        Ok(Taken::Written)
    }
}

/// Puts the frame with an Ethernet header and the VLAN tag that belongs to it into `scratch`, and says how many bytes
/// that added; 0 where the frame can be taken as it lies in the ring.
fn as_on_a_wire(frame: &RawFrame<'_>, scratch: &mut Vec<u8>) -> u32 {
    scratch.clear();
    let has_header = matches!(frame.hardware, libc::ARPHRD_ETHER | libc::ARPHRD_LOOPBACK);
    if !has_header {
        let ether_type = match (frame.ether_type, frame.data.first().map(|byte| byte >> 4)) {
            (0 | 3, Some(6)) => 0x86dd,
            (0 | 3, _) => 0x0800,
            (known, _) => known,
        };
        scratch.extend_from_slice(&[0; ETHERNET_BYTES - 2]);
        scratch.extend_from_slice(&ether_type.to_be_bytes());
        scratch.extend_from_slice(frame.data);
        return 14;
    }
    let addresses = ETHERNET_BYTES - 2;
    match frame.vlan {
        Some((tpid, tci)) if frame.data.len() >= addresses => {
            scratch.extend_from_slice(&frame.data[..addresses]);
            scratch.extend_from_slice(&tpid.to_be_bytes());
            scratch.extend_from_slice(&tci.to_be_bytes());
            scratch.extend_from_slice(&frame.data[addresses..]);
            4
        }
        _ => 0,
    }
}

fn thread_error(attempt: &'static str, source: io::Error) -> CaptureError {
    CaptureError::Thread { attempt, source }
}

#[cfg(test)]
mod tests {
    use super::{RawFrame, as_on_a_wire, ring_bytes};

    const BARE: RawFrame<'static> = RawFrame {
        interface: 1,
        hardware: libc::ARPHRD_ETHER,
        packet_type: 0,
        ether_type: 0x0800,
        at_ns: 0,
        length: 15,
        vlan: None,
        data: &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 8, 0, 0x45],
    };

    #[test]
    fn an_ethernet_frame_is_left_as_it_is() {
        assert_eq!(as_on_a_wire(&BARE, &mut Vec::new()), 0);
    }

    #[test]
    fn a_tag_that_the_kernel_took_out_is_put_back_after_the_addresses() {
        let mut out = Vec::new();
        assert_eq!(as_on_a_wire(&RawFrame { vlan: Some((0x8100, 0x0007)), ..BARE }, &mut out), 4);
        assert_eq!(out[..12], BARE.data[..12]);
        assert_eq!(out[12..], [0x81, 0, 0, 7, 8, 0, 0x45]);
    }

    #[test]
    fn a_frame_of_a_tunnel_device_gets_a_header_of_zeros_and_its_ether_type() {
        let mut out = Vec::new();
        let data = &[0x60, 0, 0, 0][..];
        let bare = RawFrame { hardware: libc::ARPHRD_TUNNEL, ether_type: 0x86dd, data, ..BARE };
        assert_eq!(as_on_a_wire(&bare, &mut out), 14);
        assert_eq!(out, [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x86, 0xdd, 0x60, 0, 0, 0]);
        as_on_a_wire(&RawFrame { ether_type: 3, ..bare }, &mut out);
        assert_eq!(out[12..14], [0x86, 0xdd], "the version tells where the kernel does not");
    }

    #[test]
    fn many_nodes_share_the_memory_of_thirty_two() {
        assert_eq!(ring_bytes(5), 2 << 20);
        assert_eq!(ring_bytes(128) * 128, 64 << 20);
    }
}
