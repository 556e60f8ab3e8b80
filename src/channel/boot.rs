//! What outside leaves in a file for `drlab inside` to find when it is the first process of a guest.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::Command;

/// What the first process of a guest has to know before it can say hello.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct BootFile {
    /// The one folder of the machine that the guest may write to; it has the same path inside.
    pub output: PathBuf,
    /// The folder with the kernel's `modules.dep`, where the kernel has modules.
    pub modules: Option<PathBuf>,
    /// Folders that must stay visible inside even where they lie below `/tmp` or `/run`.
    pub visible: Vec<PathBuf>,
    /// What to carry out one after the other without being asked; then it leaves. Empty: what comes by the channel.
    pub orders: Vec<Command>,
}

/// The name of a virtual machine's port that is the channel.
pub const CHANNEL_PORT: &str = "drlab.channel";

/// The name of a virtual machine's port by which files are handed over.
pub const FILES_PORT: &str = "drlab.files";
