//! System calls that no crate wraps and that both sides make.
//!
//! Owns: the calls themselves. Refuses: deciding when. All of them may be made between `fork` and `exec`: none allocates.

use std::ffi::CStr;

use nix::errno::Errno;

/// What becomes of a mount.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Writing {
    /// Nothing there can be written, nor in any mount below it.
    ForbiddenBelow,
    /// Nothing there can be written.
    Forbidden,
    /// It can be written again.
    Allowed,
}

/// Takes the right to write from a mount, or gives it back (`mount_setattr(2)`).
///
/// # Errors
/// The system's answer.
#[expect(unsafe_code, reason = "mount_setattr has no safe wrapper")]
pub fn set_writing(path: &CStr, writing: Writing) -> Result<(), Errno> {
    const READ_ONLY: u64 = 1;
    let mut attributes = [0_u64; 4];
    attributes[usize::from(writing == Writing::Allowed)] = READ_ONLY;
    let flags = if writing == Writing::ForbiddenBelow { libc::AT_RECURSIVE } else { 0 };
    // SAFETY: the path ends with a zero; the attributes are a `struct mount_attr` (set, clear, propagation, userns).
    let result = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            libc::AT_FDCWD,
            path.as_ptr(),
            flags,
            attributes.as_ptr(),
            size_of_val(&attributes),
        )
    };
    Errno::result(result).map(drop)
}
