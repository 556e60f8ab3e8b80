//! A `TPACKET_V3` receive ring: the kernel writes every frame of a network namespace into shared memory.
//!
//! Owns: the packet socket, its mapping and the walk over its blocks. Refuses: meaning; it hands out bytes, the
//! interface's index and the kernel's time. It errs towards loss that is counted: a frame that a full ring had no room
//! for is in [`Ring::take_drops`], and a block whose offsets make no sense is an error, not a guess.
//!
//! Sources: `net/packet/af_packet.c`, `Documentation/networking/packet_mmap.rst`.
#![expect(unsafe_code, reason = "the ring is memory shared with the kernel; nix has no call for it")]

pub(super) mod socket;

use std::io;
use std::mem::{offset_of, size_of};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, Ordering};

use libc::{c_int, c_uint, c_void, socklen_t};

/// Room for any frame of a segment and, but for a few hundred bytes, for the loopback's largest.
const BLOCK_BYTES: usize = 64 << 10;
/// The kernel only wants it to divide the block; `TPACKET_V3` packs frames without slots.
const SLOT_BYTES: usize = 2 << 10;
/// One tick of a kernel with 100 Hz: shorter would not be kept, longer delays the end of a capture.
const RETIRE_MS: u32 = 8;
/// The same for a ring of few blocks: each that is closed with a frame or two in it is one less until it is read, and where
/// there are many rings their one reader comes by less often.
const RETIRE_FEW_MS: u32 = 40;
const FEW_BLOCKS: usize = 16;
/// The same for a ring of the fewest blocks, of which there are hundreds.
const RETIRE_FEWEST_MS: u32 = 120;
const LEAST_BLOCKS: usize = 4;
const ALL: u16 = 3; // ETH_P_ALL
const FIRST_FRAME_OFFSET: usize = offset_of!(libc::tpacket_block_desc, hdr);

/// Why a ring could not be set up or read.
#[derive(Debug, thiserror::Error)]
pub enum RingError {
    /// A system call failed.
    #[error("could not {attempt} for the packet ring")]
    Call {
        /// What was attempted.
        attempt: &'static str,
        /// The kernel's answer.
        source: io::Error,
    },
    /// The kernel's block header points outside its block.
    #[error("could not walk a block of the packet ring: offset {offset} and length {length} leave it")]
    Torn {
        /// Offset in the block, in bytes.
        offset: usize,
        /// Length in bytes.
        length: usize,
    },
}

/// A frame as it lies in the ring.
#[derive(Debug, Clone, Copy)]
pub struct RawFrame<'a> {
    /// The interface's index in its namespace.
    pub interface: u32,
    /// `ARPHRD_*`.
    pub hardware: u16,
    /// `PACKET_HOST`, `PACKET_OUTGOING`, …
    pub packet_type: u8,
    /// The `EtherType` as the kernel knows it.
    pub ether_type: u16,
    /// Nanoseconds since the epoch.
    pub at_ns: u64,
    /// Length in bytes before any cut, without a VLAN tag that was taken out.
    pub length: u32,
    /// The VLAN tag that the kernel took out: TPID and TCI.
    pub vlan: Option<(u16, u16)>,
    /// The bytes, from the link-layer header where the device has one.
    pub data: &'a [u8],
}

/// The ring of one network namespace: all its interfaces, also those that come later.
#[derive(Debug)]
pub struct Ring {
    socket: OwnedFd,
    map: NonNull<u8>,
    blocks: usize,
    next: usize,
}

// SAFETY: the mapping belongs to this value alone, and all access to it goes through `&self` or `&mut self`.
unsafe impl Send for Ring {}

impl Ring {
    /// Opens a ring of about `bytes` in the calling thread's network namespace; frames are kept from here on.
    ///
    /// # Errors
    /// Without `CAP_NET_RAW` in the namespace, or without memory for the ring.
    pub fn open(bytes: usize) -> Result<Self, RingError> {
        let socket = socket::open().map_err(|e| call("open a packet socket", e))?;
        let blocks = (bytes / BLOCK_BYTES).max(LEAST_BLOCKS);
        let version = libc::tpacket_versions::TPACKET_V3 as c_int;
        set_option(&socket, libc::PACKET_VERSION, &version, "choose TPACKET_V3")?;
        let request = libc::tpacket_req3 {
            tp_block_size: narrow(BLOCK_BYTES),
            tp_block_nr: narrow(blocks),
            tp_frame_size: narrow(SLOT_BYTES),
            tp_frame_nr: narrow(blocks * (BLOCK_BYTES / SLOT_BYTES)),
            tp_retire_blk_tov: retired_after_ms(blocks),
            tp_sizeof_priv: 0,
            tp_feature_req_word: 0,
        };
        set_option(&socket, libc::PACKET_RX_RING, &request, "take memory")?;
        let map = map(&socket, blocks * BLOCK_BYTES)?;
        let ring = Self { socket, map, blocks, next: 0 };
        socket::bind(&ring.socket, 0, ALL).map_err(|e| call("bind to all interfaces", e))?;
        Ok(ring)
    }

    /// Hands every frame of the blocks that the kernel has closed to `each`, gives the blocks back, and says how many
    /// frames there were.
    ///
    /// # Errors
    /// Those of `each`, at once; [`RingError::Torn`] by way of `E`.
    pub fn read<E: From<RingError>>(&mut self, mut each: impl FnMut(RawFrame<'_>) -> Result<(), E>) -> Result<u64, E> {
        let mut count = 0;
        // At most one round, so that a flooded namespace does not keep its reader from the others.
        for _ in 0..self.blocks {
            let block = self.block(self.next);
            if block.status().load(Ordering::Acquire) & libc::TP_STATUS_USER == 0 {
                break;
            }
            let frames = block.frames();
            block.walk(&mut each)?;
            count += u64::from(frames);
            block.release();
            self.next = (self.next + 1) % self.blocks;
        }
        Ok(count)
    }

    /// Frames that are in the ring and not yet handed out by [`Ring::read`], the kernel's open block included.
    pub fn pending(&self) -> u32 {
        self.block(self.next).frames()
    }

    /// Frames that were dropped since the last call.
    ///
    /// # Errors
    /// Those of `getsockopt`.
    pub fn take_drops(&self) -> Result<u32, RingError> {
        let mut stats = libc::tpacket_stats_v3 { tp_packets: 0, tp_drops: 0, tp_freeze_q_cnt: 0 };
        let mut length = width::<libc::tpacket_stats_v3>();
        // SAFETY: `stats` and `length` live through the call, and `length` is the size of `stats`.
        let done = unsafe {
            libc::getsockopt(
                self.socket.as_raw_fd(),
                libc::SOL_PACKET,
                libc::PACKET_STATISTICS,
                (&raw mut stats).cast::<c_void>(),
                &raw mut length,
            )
        };
        if done < 0 { Err(last("read the drop counter")) } else { Ok(stats.tp_drops) }
    }

    fn block(&self, at: usize) -> Block<'_> {
        // SAFETY: `at < self.blocks`, so the block lies whole within the mapping, which lives as long as `self`.
        Block { base: unsafe { self.map.add(at * BLOCK_BYTES) }, ring: std::marker::PhantomData }
    }
}

const fn retired_after_ms(blocks: usize) -> u32 {
    if blocks <= LEAST_BLOCKS {
        RETIRE_FEWEST_MS
    } else if blocks < FEW_BLOCKS {
        RETIRE_FEW_MS
    } else {
        RETIRE_MS
    }
}

impl AsFd for Ring {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl Drop for Ring {
    fn drop(&mut self) {
        // SAFETY: the mapping was made by `map` with this length, and no borrow of it outlives `self`.
        unsafe { libc::munmap(self.map.as_ptr().cast(), self.blocks * BLOCK_BYTES) };
    }
}

struct Block<'a> {
    base: NonNull<u8>,
    ring: std::marker::PhantomData<&'a Ring>,
}

impl Block<'_> {
    fn status(&self) -> &AtomicU32 {
        self.word(offset_of!(libc::tpacket_hdr_v1, block_status))
    }

    fn frames(&self) -> u32 {
        self.word(offset_of!(libc::tpacket_hdr_v1, num_pkts)).load(Ordering::Acquire)
    }

    fn word(&self, offset: usize) -> &AtomicU32 {
        // SAFETY: a word of the block's header, aligned as the kernel laid it out, that the kernel writes to as well:
        // hence atomic.
        unsafe { self.base.add(FIRST_FRAME_OFFSET + offset).cast::<AtomicU32>().as_ref() }
    }

    /// A count left standing would look like frames until the kernel opens the block again.
    fn release(&self) {
        self.word(offset_of!(libc::tpacket_hdr_v1, num_pkts)).store(0, Ordering::Relaxed);
        self.status().store(libc::TP_STATUS_KERNEL, Ordering::Release);
    }

    /// Only for a block that the kernel has closed.
    fn walk<E: From<RingError>>(&self, each: &mut impl FnMut(RawFrame<'_>) -> Result<(), E>) -> Result<(), E> {
        // SAFETY: the block belongs to us until it is released, so nobody writes to these bytes.
        let bytes = unsafe { std::slice::from_raw_parts(self.base.as_ptr(), BLOCK_BYTES) };
        let first = self.word(offset_of!(libc::tpacket_hdr_v1, offset_to_first_pkt)).load(Ordering::Relaxed);
        let mut offset = first as usize;
        for _ in 0..self.frames() {
            let (frame, step) = frame_at(bytes, offset)?;
            each(frame)?;
            offset += step;
        }
        Ok(())
    }
}

fn frame_at(block: &[u8], offset: usize) -> Result<(RawFrame<'_>, usize), RingError> {
    let header: libc::tpacket3_hdr = plain(block, offset)?;
    let address: libc::sockaddr_ll = plain(block, offset + size_of::<libc::tpacket3_hdr>())?;
    let (start, length) = (offset + usize::from(header.tp_mac), header.tp_snaplen as usize);
    let data = block.get(start..start.saturating_add(length)).ok_or(RingError::Torn { offset: start, length })?;
    let has = |flag| header.tp_status & flag != 0;
    let tpid = if has(libc::TP_STATUS_VLAN_TPID_VALID) { header.hv1.tp_vlan_tpid } else { 0x8100 };
    #[expect(clippy::cast_possible_truncation, reason = "a tag's control information has 16 bits")]
    let tci = header.hv1.tp_vlan_tci as u16;
    let frame = RawFrame {
        interface: address.sll_ifindex.cast_unsigned(),
        hardware: address.sll_hatype,
        packet_type: address.sll_pkttype,
        ether_type: u16::from_be(address.sll_protocol),
        at_ns: u64::from(header.tp_sec) * 1_000_000_000 + u64::from(header.tp_nsec),
        length: header.tp_len,
        vlan: has(libc::TP_STATUS_VLAN_VALID).then_some((tpid, tci)),
        data,
    };
    Ok((frame, header.tp_next_offset as usize))
}

/// Types of the kernel's that are plain numbers: every pattern of bits is a value.
trait Plain: Copy {}
impl Plain for libc::tpacket3_hdr {}
impl Plain for libc::sockaddr_ll {}

fn plain<T: Plain>(bytes: &[u8], offset: usize) -> Result<T, RingError> {
    let length = size_of::<T>();
    let part = bytes.get(offset..offset.saturating_add(length)).ok_or(RingError::Torn { offset, length })?;
    // SAFETY: `part` has the size of `T`, every pattern of bits is a `T`, and the read asks for no alignment.
    Ok(unsafe { part.as_ptr().cast::<T>().read_unaligned() })
}

fn set_option<T>(socket: &OwnedFd, option: c_int, value: &T, attempt: &'static str) -> Result<(), RingError> {
    // SAFETY: `value` lives through the call and the length is its own.
    let done = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_PACKET,
            option,
            std::ptr::from_ref(value).cast::<c_void>(),
            width::<T>(),
        )
    };
    if done < 0 { Err(last(attempt)) } else { Ok(()) }
}

fn map(socket: &OwnedFd, bytes: usize) -> Result<NonNull<u8>, RingError> {
    let access = libc::PROT_READ | libc::PROT_WRITE;
    // SAFETY: a new mapping at a place that the kernel chooses.
    let at = unsafe { libc::mmap(std::ptr::null_mut(), bytes, access, libc::MAP_SHARED, socket.as_raw_fd(), 0) };
    if at == libc::MAP_FAILED {
        return Err(last("map memory"));
    }
    NonNull::new(at.cast()).ok_or_else(|| last("map memory"))
}

#[expect(clippy::cast_possible_truncation, reason = "sizes of small structures")]
const fn width<T>() -> socklen_t {
    size_of::<T>() as socklen_t
}

#[expect(clippy::cast_possible_truncation, reason = "rings are far below 4 GiB")]
const fn narrow(value: usize) -> c_uint {
    value as c_uint
}

fn last(attempt: &'static str) -> RingError {
    call(attempt, io::Error::last_os_error())
}

fn call(attempt: &'static str, source: io::Error) -> RingError {
    RingError::Call { attempt, source }
}
