//! A log with its archives.

use std::fs;
use std::path::{Path, PathBuf};

/// The archives of a log, oldest first: the form of their names, written from the documentation.
pub(crate) fn archives(log: &Path) -> Vec<PathBuf> {
    let prefix = format!("{}.", log.file_name().unwrap().to_str().unwrap());
    let mut found = Vec::new();
    for entry in fs::read_dir(log.parent().unwrap()).unwrap().filter_map(Result::ok) {
        let name = entry.file_name().into_string().unwrap();
        let Some(suffix) = name.strip_prefix(&prefix) else { continue };
        let (stamp, number) = suffix.split_once('.').unwrap_or((suffix, "0"));
        let form: String = stamp.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
        if let (true, Ok(number)) = (form == "0000-00-00-000000", number.parse::<u64>()) {
            found.push((stamp.to_owned(), number, entry.path()));
        }
    }
    found.sort();
    found.into_iter().map(|(.., path)| path).collect()
}

/// Everything that a log and its archives hold, in order.
pub(crate) fn everything(log: &Path) -> Vec<u8> {
    let mut all = Vec::new();
    for file in archives(log).iter().map(PathBuf::as_path).chain([log]) {
        all.extend(fs::read(file).unwrap_or_default());
    }
    all
}
