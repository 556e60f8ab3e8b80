//! The IPVS table of the calling thread's namespace, by generic netlink.
//!
//! Owns: adding, changing and deleting services and real servers, timeouts, and reading the table back. Refuses: what
//! `ipvsadm` does on its own account (see [`Session::add_destination`]). Each call waits for the kernel's answer.

mod dump;
pub mod family;
mod message;
pub mod proc;

use std::net::{IpAddr, SocketAddr};

use neli::consts::nl::NlmF;
use neli::consts::socket::NlFamily;
use neli::genl::Genlmsghdr;
use neli::nl::{NlPayload, Nlmsghdr, NlmsghdrBuilder};
use neli::socket::synchronous::NlSocketHandle;
use neli::utils::Groups;
use nix::errno::Errno;

use crate::base::ServiceId;
use crate::plan::{Destination, Ipvs, Service};
use family::{Attribute, Command};

/// Why the IPVS table is not what it should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IpvsError {
    /// The family is not there.
    #[error("this kernel has no IPVS: its netlink family `IPVS` is not there (module ip_vs)")]
    Lacking,
    /// The kernel said no.
    #[error("could not {what}: {why}")]
    Refused {
        /// What was attempted, on what.
        what: String,
        /// What this errno means here, in plain words.
        why: &'static str,
        /// The errno.
        source: Errno,
    },
    /// The conversation broke.
    #[error("could not {what}: the netlink conversation broke ({detail})")]
    Conversation {
        /// What was attempted.
        what: String,
        /// How it broke.
        detail: String,
    },
}

impl IpvsError {
    /// Whether it is the machine that lacks something: IPVS, a scheduler's module, the right to use it.
    pub fn is_lacking(&self) -> bool {
        match self {
            Self::Lacking => true,
            Self::Refused { why, .. } => matches!(*why, NO_SCHEDULER | NO_RIGHT),
            Self::Conversation { .. } => false,
        }
    }
}

const NO_SCHEDULER: &str = "the kernel does not know the scheduler; is its module there (ip_vs_ and its name)?";
const NO_RIGHT: &str = "IPVS takes orders only from root of the machine's first user namespace";

/// What an errno means in an answer to this command (`net/netfilter/ipvs/ip_vs_ctl.c`).
fn meaning(command: Command, errno: Errno) -> &'static str {
    match (command, errno) {
        (Command::NewService | Command::SetService, Errno::ENOENT) => NO_SCHEDULER,
        (Command::SetDest | Command::DelDest, Errno::ENOENT) => "the service has no such real server",
        (_, Errno::ESRCH) => "there is no such service",
        (_, Errno::EEXIST) => "it is there already",
        (_, Errno::EPERM) => NO_RIGHT,
        (_, Errno::EAFNOSUPPORT) => "the kernel's IPVS does not do this address family",
        (_, Errno::EINVAL) => "the kernel finds the values impossible",
        (_, Errno::ERANGE) => "a weight or threshold is out of range",
        _ => "the kernel refused",
    }
}

type Payload = Genlmsghdr<Command, Attribute>;

/// A conversation with IPVS in the namespace that it was opened in.
pub struct Session {
    socket: NlSocketHandle,
    family: u16,
    sequence: u32,
}

impl Session {
    /// Opens a conversation in the calling thread's network namespace.
    ///
    /// # Errors
    /// [`IpvsError::Lacking`] where this kernel has no IPVS, or it is not loaded.
    pub fn open() -> Result<Self, IpvsError> {
        let socket = NlSocketHandle::connect(NlFamily::Generic, None, Groups::empty())
            .map_err(|error| broke("open a netlink socket", error))?;
        let mut session = Self { socket, family: 0, sequence: 0 };
        session.family = message::resolve(&mut session)?;
        Ok(session)
    }

    /// Sets the timeouts and adds all services with their real servers, in order.
    ///
    /// # Errors
    /// The first refusal.
    pub fn apply(&mut self, table: &Ipvs) -> Result<(), IpvsError> {
        if let Some((tcp, fin, udp)) = table.timeouts_s {
            self.set_timeouts(tcp, fin, udp)?;
        }
        table.services.iter().try_for_each(|service| self.add_service(service))
    }

    /// Sets the timeouts in seconds: established TCP, TCP after FIN, UDP. A 0 leaves what is there.
    ///
    /// # Errors
    /// The kernel's refusal.
    pub fn set_timeouts(&mut self, tcp: u32, fin: u32, udp: u32) -> Result<(), IpvsError> {
        self.order(Command::SetConfig, message::timeouts(tcp, fin, udp), || "set the timeouts of IPVS".to_owned())
    }

    /// Adds a service and its real servers.
    ///
    /// # Errors
    /// The kernel's refusal.
    pub fn add_service(&mut self, service: &Service) -> Result<(), IpvsError> {
        self.order(Command::NewService, message::service(service), || {
            format!("add the service {} with the scheduler {}", service.id, service.scheduler)
        })?;
        service.destinations.iter().try_for_each(|destination| self.add_destination(service.id, destination))
    }

    /// Deletes a service with its real servers. Connections that it has go on until they expire.
    ///
    /// # Errors
    /// The kernel's refusal.
    pub fn delete_service(&mut self, service: ServiceId) -> Result<(), IpvsError> {
        self.order(Command::DelService, message::service_only(service), || format!("delete the service {service}"))
    }

    /// Adds a real server to a service.
    ///
    /// The port goes to the kernel as it is given. `ipvsadm` puts the service's port in its place where the method is
    /// not NAT. The kernel itself does not mind (tried on 6.1: a direct-routing real server at port 8080 of a service at
    /// port 80): it lists the real server and its connections with 8080, and the packets arrive unchanged, at port 80.
    ///
    /// # Errors
    /// The kernel's refusal.
    pub fn add_destination(&mut self, service: ServiceId, destination: &Destination) -> Result<(), IpvsError> {
        self.order(Command::NewDest, message::destination(service, destination), || {
            format!("add the real server {} to {service}", destination.at)
        })
    }

    /// Changes a real server's weight and leaves the rest as it is.
    ///
    /// # Errors
    /// The kernel's refusal; a real server that the service does not have.
    pub fn set_weight(&mut self, service: ServiceId, at: SocketAddr, weight: u32) -> Result<(), IpvsError> {
        let what = || format!("set the weight of {at} in {service} to {weight}");
        // The kernel wants a whole entry, so that what stays is to be read first.
        let current = self.destinations(service)?.into_iter().find(|destination| destination.at == at);
        let current = current.ok_or_else(|| IpvsError::Refused {
            what: what(),
            why: "the service has no such real server",
            source: Errno::ENOENT,
        })?;
        let changed = Destination {
            node: None,
            at,
            forwarding: current.forwarding,
            weight,
            upper: current.upper,
            lower: current.lower,
        };
        self.order(Command::SetDest, message::destination(service, &changed), what)
    }

    /// Takes a real server out of a service.
    ///
    /// # Errors
    /// The kernel's refusal.
    pub fn delete_destination(&mut self, service: ServiceId, at: SocketAddr) -> Result<(), IpvsError> {
        self.order(Command::DelDest, message::destination_only(service, at), || {
            format!("take the real server {at} out of {service}")
        })
    }

    fn order(
        &mut self,
        command: Command,
        attributes: Result<message::Attributes, String>,
        what: impl Fn() -> String,
    ) -> Result<(), IpvsError> {
        self.ask(command, attributes, NlmF::ACK, what).map(drop)
    }

    /// Sends a command and gathers the answer up to its end.
    fn ask(
        &mut self,
        command: Command,
        attributes: Result<message::Attributes, String>,
        flags: NlmF,
        what: impl Fn() -> String,
    ) -> Result<Vec<Payload>, IpvsError> {
        let broken = |detail: String| IpvsError::Conversation { what: what(), detail };
        let payload = attributes.and_then(|attributes| message::payload(command, attributes)).map_err(broken)?;
        self.sequence += 1;
        let request = NlmsghdrBuilder::default()
            .nl_type(self.family)
            .nl_flags(flags | NlmF::REQUEST)
            .nl_seq(self.sequence)
            .nl_payload(NlPayload::Payload(payload))
            .build()
            .map_err(|error| broken(error.to_string()))?;
        self.socket.send(&request).map_err(|error| broken(error.to_string()))?;
        let mut answers = Vec::new();
        loop {
            let (messages, _) = self.socket.recv_all::<u16, Payload>().map_err(|error| broken(error.to_string()))?;
            for message in messages {
                if *message.nl_seq() != self.sequence {
                    continue;
                }
                match verdict(&message) {
                    Answer::More(payload) => answers.push(payload),
                    Answer::End => return Ok(answers),
                    Answer::Refused(source) => {
                        return Err(IpvsError::Refused { what: what(), why: meaning(command, source), source });
                    }
                }
            }
        }
    }
}

/// What one message of an answer is.
enum Answer {
    More(Payload),
    End,
    Refused(Errno),
}

fn verdict(message: &Nlmsghdr<u16, Payload>) -> Answer {
    let code = |error: i32| Errno::from_raw(error.saturating_abs());
    match message.nl_payload() {
        NlPayload::Err(error) => Answer::Refused(code(*error.error())),
        NlPayload::DumpExtAck(end) if *end.error() != 0 => Answer::Refused(code(*end.error())),
        NlPayload::Ack(_) | NlPayload::DumpExtAck(_) | NlPayload::Empty => Answer::End,
        NlPayload::Payload(payload) => Answer::More(payload.clone()),
    }
}

fn broke(what: &str, error: impl std::fmt::Display) -> IpvsError {
    IpvsError::Conversation { what: what.to_owned(), detail: error.to_string() }
}

/// The family's number in netlink of an address.
fn address_family(address: IpAddr) -> u16 {
    let number = if address.is_ipv4() { libc::AF_INET } else { libc::AF_INET6 };
    number.unsigned_abs().try_into().unwrap_or(u16::MAX)
}
