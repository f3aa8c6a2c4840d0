//! A private /dev: what every program may expect to find, and nothing that reaches the machine.

use std::io;
use std::path::Path;

use crate::app::Shown;
use crate::launch::report::{Report, StepName};
use crate::launch::sys::Sys;
use crate::launch::sys::walls::{Attributes, Fs};

/// The devices of the host that are shown.
const DEVICES: [&str; 6] = ["null", "zero", "full", "random", "urandom", "tty"];

/// Links, and what they lead to.
const LINKS: [(&str, &str); 5] = [
    ("fd", "/proc/self/fd"),
    ("stdin", "/proc/self/fd/0"),
    ("stdout", "/proc/self/fd/1"),
    ("stderr", "/proc/self/fd/2"),
    ("ptmx", "pts/ptmx"),
];

/// Mounts it.
pub(super) fn mount(sys: &mut impl Sys) -> Result<(), Report> {
    let dev = Path::new("/dev");
    let failed = |what: String| move |error: io::Error| Report::new(StepName::Sandbox, what, error);
    // No device can be made on this mount: those of the host are mounts of their own.
    let harmless = Attributes { no_exec: true, no_dev: true, read_only: false };
    let mut devices = Vec::new();
    for name in DEVICES {
        let path = dev.join(name);
        let tree = sys.clone_tree(&path).map_err(failed(format!("show /dev/{name} in a private /dev")))?;
        devices.push((tree, path));
    }
    sys.mount(Fs::Tmp { mode: 0o755 }, dev, harmless).map_err(failed("mount a private /dev".to_owned()))?;
    for (tree, path) in devices {
        let shown = sys.make_file(&path).and_then(|()| sys.attach(tree, &path));
        shown.map_err(failed(format!("show {} in a private /dev", path.shown())))?;
    }
    let (pts, shm) = (dev.join("pts"), dev.join("shm"));
    let terminals =
        sys.make_dir(&pts).and_then(|()| sys.mount(Fs::Terminals, &pts, Attributes { no_dev: false, ..harmless }));
    terminals.map_err(failed("mount a private /dev/pts".to_owned()))?;
    let memory = sys
        .make_dir(&shm)
        .and_then(|()| sys.mount(Fs::Tmp { mode: 0o1777 }, &shm, Attributes { no_exec: false, ..harmless }));
    memory.map_err(failed("mount a private /dev/shm".to_owned()))?;
    for (name, target) in LINKS {
        sys.make_link(target, &dev.join(name)).map_err(failed(format!("link /dev/{name}")))?;
    }
    sys.make_read_only(dev, false).map_err(failed("make the private /dev read-only".to_owned()))
}
