//! Answering what a virtual machine asks of the one folder that it shares.
//!
//! Owns: which names may be asked for. Refuses: every name that is not plainly below the folder, and links. Errs towards
//! refusing: the guest's root is taken for anybody.

use std::fs::{self, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Component, Path, PathBuf};

use nix::fcntl::OFlag;

use crate::base::error_chain;
use crate::channel::files::{Question, answer};

/// Answers until the guest is gone, or says what is no question.
pub(super) fn serve(mut line: UnixStream, folder: &Path) {
    while let Ok(Some(question)) = Question::receive(&mut line) {
        let result = done(folder, &question).map_err(|error| error_chain(&error).join(": "));
        if answer(&mut line, result.as_deref().map_err(String::as_str)).is_err() {
            return;
        }
    }
}

fn done(folder: &Path, question: &Question) -> io::Result<Vec<u8>> {
    let no_link = OFlag::O_NOFOLLOW.bits();
    match question {
        Question::Get { name } => {
            let mut content = Vec::new();
            let mut file = OpenOptions::new().read(true).custom_flags(no_link).open(below(folder, name)?)?;
            file.read_to_end(&mut content)?;
            Ok(content)
        }
        Question::Put { name, append, bytes } => {
            let path = below(folder, name)?;
            if let Some(place) = path.parent() {
                fs::create_dir_all(place)?;
            }
            let mut options = OpenOptions::new();
            options.write(true).create(true).append(*append).truncate(!*append).custom_flags(no_link);
            options.open(path)?.write_all(bytes)?;
            Ok(Vec::new())
        }
    }
}

/// The path of a name that is plainly below the folder, on which no link lies.
fn below(folder: &Path, name: &str) -> io::Result<PathBuf> {
    let refused = || io::Error::new(io::ErrorKind::PermissionDenied, "it is not plainly below the folder for output");
    let mut path = folder.to_owned();
    for part in Path::new(name).components() {
        let Component::Normal(part) = part else { return Err(refused()) };
        path.push(part);
        if path.is_symlink() {
            return Err(refused());
        }
    }
    if path == folder { Err(refused()) } else { Ok(path) }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;
    use std::path::PathBuf;

    use super::{below, done};
    use crate::channel::files::Question;

    fn folder(name: &str) -> PathBuf {
        let folder = std::env::temp_dir().join(format!("drlab-test-files-{}-{name}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        folder
    }

    #[test]
    fn what_is_put_can_be_got_and_grows_by_what_is_appended() {
        let folder = folder("put");
        let put = |append, bytes: &[u8]| Question::Put { name: "in/it".into(), append, bytes: bytes.to_vec() };
        for (append, bytes, then) in [(false, "one", "one"), (true, "two", "onetwo"), (false, "3", "3")] {
            done(&folder, &put(append, bytes.as_bytes())).unwrap();
            assert_eq!(done(&folder, &Question::Get { name: "in/it".into() }).unwrap(), then.as_bytes());
        }
        fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn nothing_outside_of_the_folder_is_reached() {
        let folder = folder("outside");
        symlink("/etc", folder.join("link")).unwrap();
        symlink("/etc/passwd", folder.join("file")).unwrap();
        for name in ["", ".", "..", "../x", "/etc/passwd", "a/../../x", "link/passwd", "file"] {
            assert!(below(&folder, name).is_err(), "{name}");
            assert!(done(&folder, &Question::Get { name: name.into() }).is_err(), "{name}");
            let put = Question::Put { name: name.into(), append: false, bytes: vec![1] };
            assert!(done(&folder, &put).is_err(), "{name}");
        }
        fs::remove_dir_all(&folder).unwrap();
    }
}
