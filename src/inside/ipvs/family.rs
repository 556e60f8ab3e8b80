//! The generic netlink family `IPVS`, as `uapi/linux/ip_vs.h` has it: commands, attributes, flags.
//!
//! Owns: numbers. Refuses: meaning; that is [`super`]'s.

use neli::consts::genl::{Cmd, NlAttrType};
use neli::neli_enum;

/// The family's name.
pub const NAME: &str = "IPVS";
/// The family's version.
pub const VERSION: u8 = 1;

/// `IP_VS_SVC_F_PERSISTENT`.
pub const SERVICE_PERSISTENT: u32 = 0x01;
/// `IP_VS_SVC_F_ONEPACKET`.
pub const SERVICE_ONE_PACKET: u32 = 0x04;
/// `IP_VS_SVC_F_SCHED1` to `3`, by their names in a plan.
pub const SERVICE_SCHEDULER: [(&str, u32); 3] = [("sched-1", 0x08), ("sched-2", 0x10), ("sched-3", 0x20)];
/// `IP_VS_CONN_F_FWD_MASK`.
pub const FORWARDING_MASK: u32 = 0x07;

/// What is asked for.
#[neli_enum(serialized_type = "u8")]
#[expect(missing_docs, reason = "the names are the kernel's")]
pub enum Command {
    NewService = 1,
    SetService = 2,
    DelService = 3,
    GetService = 4,
    NewDest = 5,
    SetDest = 6,
    DelDest = 7,
    GetDest = 8,
    NewDaemon = 9,
    DelDaemon = 10,
    GetDaemon = 11,
    SetConfig = 12,
    GetConfig = 13,
    SetInfo = 14,
    GetInfo = 15,
    Zero = 16,
    Flush = 17,
}
impl Cmd for Command {}

/// Attributes of a command.
#[neli_enum(serialized_type = "u16")]
#[expect(missing_docs, reason = "the names are the kernel's")]
pub enum Attribute {
    Service = 1,
    Dest = 2,
    Daemon = 3,
    TimeoutTcp = 4,
    TimeoutTcpFin = 5,
    TimeoutUdp = 6,
}
impl NlAttrType for Attribute {}

/// Attributes of the answer to [`Command::GetInfo`].
#[neli_enum(serialized_type = "u16")]
#[expect(missing_docs, reason = "the names are the kernel's")]
pub enum Info {
    Version = 1,
    ConnTabSize = 2,
}
impl NlAttrType for Info {}

/// Attributes of a service.
#[neli_enum(serialized_type = "u16")]
#[expect(missing_docs, reason = "the names are the kernel's")]
pub enum Service {
    Af = 1,
    Protocol = 2,
    Addr = 3,
    Port = 4,
    Fwmark = 5,
    SchedName = 6,
    Flags = 7,
    Timeout = 8,
    Netmask = 9,
    Stats = 10,
    PeName = 11,
    Stats64 = 12,
}
impl NlAttrType for Service {}

/// Attributes of a destination.
#[neli_enum(serialized_type = "u16")]
#[expect(missing_docs, reason = "the names are the kernel's")]
pub enum Dest {
    Addr = 1,
    Port = 2,
    FwdMethod = 3,
    Weight = 4,
    UThresh = 5,
    LThresh = 6,
    ActiveConns = 7,
    InactConns = 8,
    PersistConns = 9,
    Stats = 10,
    AddrFamily = 11,
    Stats64 = 12,
    TunType = 13,
    TunPort = 14,
    TunFlags = 15,
}
impl NlAttrType for Dest {}

/// Attributes of the sync daemon.
#[neli_enum(serialized_type = "u16")]
#[expect(missing_docs, reason = "the names are the kernel's")]
pub enum Daemon {
    State = 1,
    McastIfn = 2,
    SyncId = 3,
    SyncMaxlen = 4,
    McastGroup = 5,
    McastGroup6 = 6,
    McastPort = 7,
    McastTtl = 8,
}
impl NlAttrType for Daemon {}

/// Attributes of statistics, in [`Service::Stats64`] and [`Dest::Stats64`] all of 64 bits.
#[neli_enum(serialized_type = "u16")]
#[expect(missing_docs, reason = "the names are the kernel's")]
pub enum Stats {
    Conns = 1,
    InPkts = 2,
    OutPkts = 3,
    InBytes = 4,
    OutBytes = 5,
    Cps = 6,
    InPps = 7,
    OutPps = 8,
    InBps = 9,
    OutBps = 10,
    Pad = 11,
}
impl NlAttrType for Stats {}
