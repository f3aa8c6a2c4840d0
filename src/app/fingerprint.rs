//! What tells whether a file is still the one that an app was configured from.
//!
//! A look at the file's metadata answers nearly always, for about a microsecond. Only where that differs are the
//! contents compared: a file that was touched, or written anew with the same text, has not changed.

use std::fs::{Metadata, OpenOptions};
use std::io::Read;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// A larger file is known by its metadata alone: a program of many megabytes is not read at every start.
const LARGEST: u64 = 256 << 10;

/// A file as it was at one moment. It is short when it is written down, as there are several in every status.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Fingerprint(PathBuf, Option<Print>);

/// A hash of what the metadata says, and one of the contents where they are small.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
struct Print(u64, Option<u64>);

impl Fingerprint {
    /// Takes the fingerprint of a file, also of one that does not exist.
    pub fn take(path: &Path) -> Self {
        let print = path.metadata().ok().map(|meta| Print(identity(&meta), contents(path, &meta)));
        Self(path.to_owned(), print)
    }

    /// The file, by its absolute path.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Whether the file is another one now, or says something else.
    pub fn has_changed(&self) -> bool {
        match (self.1, self.0.metadata()) {
            (None, Err(_)) => false,
            (None, Ok(_)) | (Some(_), Err(_)) => true,
            (Some(Print(then, said)), Ok(meta)) => {
                then != identity(&meta) && (said.is_none() || said != contents(&self.0, &meta))
            }
        }
    }
}

/// Which file it is, how long, and when its contents were changed.
fn identity(meta: &Metadata) -> u64 {
    let parts = [meta.dev(), meta.ino(), meta.len(), meta.mtime() as u64, meta.mtime_nsec() as u64];
    hash(parts.iter().flat_map(|part| part.to_le_bytes()))
}

/// Of a regular file alone: to open a named pipe would wait for a writer, and hold up whoever asks.
fn contents(path: &Path, meta: &Metadata) -> Option<u64> {
    if !meta.is_file() || meta.len() > LARGEST {
        return None;
    }
    let mut bytes = Vec::with_capacity(meta.len() as usize);
    let mut options = OpenOptions::new();
    options
        .read(true)
        .custom_flags(libc::O_NONBLOCK)
        .open(path)
        .ok()?
        .take(LARGEST + 1)
        .read_to_end(&mut bytes)
        .ok()?;
    Some(hash(bytes))
}

/// FNV-1a in 64 bits. Whoever may write the file may start the app as well, so that there is nobody to be deceived.
fn hash(bytes: impl IntoIterator<Item = u8>) -> u64 {
    let step = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    bytes.into_iter().fold(0xcbf2_9ce4_8422_2325, step)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_file_changes_by_what_it_says_and_not_by_being_touched() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("conf.toml");
        let missing = Fingerprint::take(&path);
        assert!(!missing.has_changed());
        fs::write(&path, "one").unwrap();
        assert!(missing.has_changed(), "it has come");
        let taken = Fingerprint::take(&path);
        assert!(!taken.has_changed());
        fs::rename(&path, home.path().join("old")).unwrap();
        assert!(taken.has_changed(), "it has gone");
        fs::write(&path, "one").unwrap();
        assert!(!taken.has_changed(), "another file that says the same");
        fs::write(&path, "two").unwrap();
        assert!(taken.has_changed(), "as long as before, but different");
    }

    #[test]
    fn a_large_file_is_known_by_its_metadata() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("run");
        fs::write(&path, vec![0; LARGEST as usize + 1]).unwrap();
        let taken = Fingerprint::take(&path);
        assert!(!taken.has_changed());
        fs::rename(&path, home.path().join("old")).unwrap();
        fs::write(&path, vec![0; LARGEST as usize + 1]).unwrap();
        assert!(taken.has_changed());
    }

    #[test]
    fn it_survives_a_record() {
        let home = tempfile::tempdir().unwrap();
        let taken = Fingerprint::take(home.path());
        let text = serde_json::to_string(&taken).unwrap();
        assert_eq!(serde_json::from_str::<Fingerprint>(&text).unwrap(), taken);
    }
}
