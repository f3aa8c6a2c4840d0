//! A private directory for temporary files: empty, but for what the app itself consists of.

use std::io;
use std::path::{Path, PathBuf};

use crate::launch::sys::Sys;
use crate::launch::sys::walls::{Attributes, Fs};

/// Mounts an empty directory at `at`, and shows in it, at their places, the directories `keep`, which are below it.
pub(super) fn mount(sys: &mut impl Sys, at: &Path, keep: &[PathBuf]) -> io::Result<()> {
    // Taken hold of while they can still be seen.
    let mut trees = Vec::new();
    for dir in keep {
        trees.push((sys.clone_tree(dir)?, dir));
    }
    sys.mount(Fs::Tmp { mode: 0o1777 }, at, Attributes { no_dev: true, ..Attributes::default() })?;
    for (tree, dir) in trees {
        for parent in parents(at, dir) {
            sys.make_dir(&parent)?;
        }
        sys.attach(tree, dir)?;
    }
    Ok(())
}

/// `dir` and what is between it and `at`, the uppermost first.
fn parents(at: &Path, dir: &Path) -> Vec<PathBuf> {
    let mut parents: Vec<_> = dir.ancestors().take_while(|ancestor| *ancestor != at).map(Path::to_owned).collect();
    parents.reverse();
    parents
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_directory_on_the_way_is_made_once_from_the_top() {
        assert_eq!(
            parents(Path::new("/var/tmp"), Path::new("/var/tmp/a/b")),
            ["/var/tmp/a", "/var/tmp/a/b"].map(PathBuf::from)
        );
    }
}
