//! Where groups can be made for a controller, and why they cannot. It looks and changes nothing.
//!
//! Version 2 has a rule of its own: a group other than the root that holds processes cannot give controllers to groups
//! below it. Where all processes of the caller's group are daemonctl's, they can be moved into a leaf below it; else
//! a group beside it may do, where its parent already gives the controller away.

use std::fs;
use std::path::{Path, PathBuf};

use nix::unistd::{AccessFlags, access};

use super::layout::{Controller, Mount, Version, directory, mounts, own_path};
use crate::app::Shown;

/// The leaf that daemonctl's own processes are moved to.
const LEAF: &str = "daemonctl-supervisor";

/// Where groups can be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The kind of groups.
    pub version: Version,
    /// The directory they are made in.
    pub base: PathBuf,
    /// Where the processes in `base` have to go before it can be divided (version 2).
    pub evacuate: Option<PathBuf>,
}

/// What can be used on this host, by this user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Usable {
    /// For memory.
    pub memory: Result<Place, String>,
    /// For processor time.
    pub cpu: Result<Place, String>,
    /// For the number of processes.
    pub pids: Result<Place, String>,
}

impl Default for Usable {
    /// Nothing: it was not looked for.
    fn default() -> Self {
        let unknown = || Err("control groups were not looked for".to_owned());
        Self { memory: unknown(), cpu: unknown(), pids: unknown() }
    }
}

impl Usable {
    /// The same place for every controller, prepared already.
    pub fn everywhere(version: Version, base: impl Into<PathBuf>) -> Self {
        let place = Ok(Place { version, base: base.into(), evacuate: None });
        Self { memory: place.clone(), cpu: place.clone(), pids: place }
    }

    /// Looks at this host.
    pub fn here() -> Self {
        let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
        let host = Host { root: Path::new("/"), is_ours: &is_ours };
        host.survey(&read("/proc/self/mountinfo"), &read("/proc/self/cgroup"))
    }

    /// Where groups can be made for a controller, or why they cannot.
    pub fn place(&self, controller: Controller) -> Result<&Place, &str> {
        let place = match controller {
            Controller::Memory => &self.memory,
            Controller::Cpu => &self.cpu,
            Controller::Pids => &self.pids,
        };
        place.as_ref().map_err(String::as_str)
    }
}

/// What is looked at: a file system, and whether a process may be moved elsewhere because it is one of ours.
struct Host<'a> {
    root: &'a Path,
    is_ours: &'a dyn Fn(i32) -> bool,
}

impl Host<'_> {
    fn survey(&self, mountinfo: &str, cgroup: &str) -> Usable {
        let mounts = mounts(mountinfo);
        let find = |controller| self.find(&mounts, cgroup, controller);
        Usable { memory: find(Controller::Memory), cpu: find(Controller::Cpu), pids: find(Controller::Pids) }
    }

    fn find(&self, mounts: &[Mount], cgroup: &str, controller: Controller) -> Result<Place, String> {
        let name = controller.as_str();
        let mut why = None;
        for mount in mounts {
            let place = match mount.version {
                Version::V1 if mount.options.iter().any(|option| option == name) => {
                    self.own(mount, own_path(cgroup, Some(controller))).and_then(|own| self.v1(own))
                }
                Version::V1 => continue,
                Version::V2 => match self.own(mount, own_path(cgroup, None)) {
                    Ok(own) if !self.words(&own.join("cgroup.controllers")).contains(&name.to_owned()) => continue,
                    own => own.and_then(|own| self.v2(&own, &mount.point, name)),
                },
            };
            match place {
                Ok(place) => return Ok(place),
                // The controller can be in one hierarchy only; what is said of another one is of no use.
                Err(reason) if mount.version == Version::V1 => why = Some(reason),
                Err(reason) => why = why.or(Some(reason)),
            }
        }
        Err(why.unwrap_or_else(|| format!("there is no control group with the {name} controller here")))
    }

    /// The caller's own directory, if anything can be made there.
    fn own(&self, mount: &Mount, path: Option<PathBuf>) -> Result<PathBuf, String> {
        let own = path.and_then(|path| directory(mount, &path));
        let own = own.ok_or_else(|| format!("its own control group cannot be seen in {}", mount.point.shown()))?;
        match mount.read_only {
            true => Err(format!("{} is mounted read-only", mount.point.shown())),
            false => Ok(own),
        }
    }

    fn v1(&self, own: PathBuf) -> Result<Place, String> {
        self.writable(&own)?;
        Ok(Place { version: Version::V1, base: own, evacuate: None })
    }

    fn v2(&self, own: &Path, top: &Path, name: &str) -> Result<Place, String> {
        let place = |base: &Path, evacuate| Place { version: Version::V2, base: base.to_owned(), evacuate };
        let parent = own.parent().filter(|_| own != top);
        // Moved aside earlier: the group above is the one to divide.
        if let Some(parent) = parent.filter(|_| own.file_name().is_some_and(|name| name == LEAF)) {
            self.divisible(parent)?;
            return Ok(place(parent, None));
        }
        let mut why = self.divisible(own).err();
        if why.is_none() {
            if self.gives(own, name) || self.is_root(own) {
                return Ok(place(own, None));
            }
            let pids = self.words(&own.join("cgroup.procs"));
            if pids.iter().all(|pid| pid.parse().is_ok_and(self.is_ours)) {
                return Ok(place(own, Some(own.join(LEAF))));
            }
            why = Some(format!("{} holds processes that are not daemonctl's, and so cannot be divided", own.shown()));
        }
        let beside = parent
            .filter(|parent| self.divisible(parent).is_ok() && (self.gives(parent, name) || self.is_root(parent)));
        match (beside, why) {
            (Some(parent), _) => Ok(place(parent, None)),
            (None, why) => Err(why.unwrap_or_default()),
        }
    }

    /// Whether groups can be made in a group of version 2, and processes moved into them.
    fn divisible(&self, dir: &Path) -> Result<(), String> {
        self.writable(dir)?;
        self.writable(&dir.join("cgroup.procs"))?;
        self.writable(&dir.join("cgroup.subtree_control"))
    }

    fn writable(&self, path: &Path) -> Result<(), String> {
        let wanted = AccessFlags::W_OK;
        access(&self.at(path), wanted)
            .map_err(|errno| format!("{} cannot be written: {}", path.shown(), errno.desc().to_lowercase()))
    }

    /// Whether a group gives the controller to those below it.
    fn gives(&self, dir: &Path, name: &str) -> bool {
        self.words(&dir.join("cgroup.subtree_control")).iter().any(|word| word == name)
    }

    /// The true root alone may hold processes and give controllers away; it has no events of its own.
    fn is_root(&self, dir: &Path) -> bool {
        !self.at(&dir.join("cgroup.events")).exists()
    }

    fn words(&self, file: &Path) -> Vec<String> {
        let text = fs::read_to_string(self.at(file)).unwrap_or_default();
        text.split_ascii_whitespace().map(str::to_owned).collect()
    }

    fn at(&self, path: &Path) -> PathBuf {
        self.root.join(path.strip_prefix("/").unwrap_or(path))
    }
}

/// Whether a process is daemonctl's: it runs this program, or descends from one that does.
fn is_ours(pid: i32) -> bool {
    let Ok(own) = fs::metadata("/proc/self/exe") else { return false };
    let same = |pid: i32| {
        use std::os::unix::fs::MetadataExt;
        fs::metadata(format!("/proc/{pid}/exe")).is_ok_and(|exe| (exe.dev(), exe.ino()) == (own.dev(), own.ino()))
    };
    let parent = |pid: i32| {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        stat.rsplit_once(')')?.1.split_ascii_whitespace().nth(1)?.parse().ok().filter(|pid| *pid > 0)
    };
    std::iter::successors(Some(pid), |pid| parent(*pid)).any(same)
}

#[cfg(test)]
mod tests {
    use super::*;

    const V1: &str = "\
35 31 0:32 / /cg/memory rw - cgroup cgroup rw,memory
39 31 0:36 / /cg/pids rw - cgroup cgroup rw,pids
";
    const V2: &str = "41 31 0:38 / /cg/u rw - cgroup2 cgroup2 rw\n";

    struct FakeHost(tempfile::TempDir);

    impl FakeHost {
        fn new() -> Self {
            Self(tempfile::tempdir().unwrap())
        }

        /// A directory with files: name and content.
        fn group(self, path: &str, files: &[(&str, &str)]) -> Self {
            let dir = self.0.path().join(path);
            fs::create_dir_all(&dir).unwrap();
            files.iter().for_each(|(name, text)| fs::write(dir.join(name), text).unwrap());
            self
        }

        /// A group of version 2, which is not the root.
        fn unified(self, path: &str, subtree: &str, pids: &str) -> Self {
            self.group(
                path,
                &[
                    ("cgroup.controllers", "cpu memory pids"),
                    ("cgroup.subtree_control", subtree),
                    ("cgroup.procs", pids),
                    ("cgroup.events", "populated 1"),
                ],
            )
        }

        fn survey(&self, mountinfo: &str, cgroup: &str) -> Usable {
            Host { root: self.0.path(), is_ours: &|pid| pid < 100 }.survey(mountinfo, cgroup)
        }
    }

    fn place(usable: &Usable, controller: Controller) -> (Version, &str, Option<&str>) {
        let place = usable.place(controller).unwrap();
        (place.version, place.base.to_str().unwrap(), place.evacuate.as_ref().map(|leaf| leaf.to_str().unwrap()))
    }

    #[test]
    fn each_controller_of_version_1_has_its_own_place() {
        let host = FakeHost::new().group("cg/memory/nested", &[]).group("cg/pids", &[]);
        let usable = host.survey(V1, "4:memory:/nested\n8:pids:/\n");
        assert_eq!(place(&usable, Controller::Memory), (Version::V1, "/cg/memory/nested", None));
        assert_eq!(place(&usable, Controller::Pids), (Version::V1, "/cg/pids", None));
        assert_eq!(
            usable.place(Controller::Cpu).unwrap_err(),
            "there is no control group with the cpu controller here"
        );
    }

    #[test]
    fn where_both_are_mounted_the_controller_decides() {
        let host = FakeHost::new()
            .group("cg/memory", &[])
            .group("cg/pids", &[])
            .group("cg/u", &[("cgroup.controllers", "hugetlb"), ("cgroup.subtree_control", ""), ("cgroup.procs", "1")]);
        let usable = host.survey(&[V2, V1].concat(), "4:memory:/\n8:pids:/\n0::/\n");
        assert_eq!(place(&usable, Controller::Memory).0, Version::V1);
        assert!(usable.place(Controller::Cpu).is_err());
    }

    #[test]
    fn the_root_of_version_2_is_divided_as_it_is() {
        let files = [("cgroup.controllers", "cpu memory"), ("cgroup.subtree_control", ""), ("cgroup.procs", "1\n500")];
        let host = FakeHost::new().group("cg/u", &files);
        assert_eq!(place(&host.survey(V2, "0::/\n"), Controller::Cpu), (Version::V2, "/cg/u", None));
    }

    #[test]
    fn own_processes_make_room_and_those_of_others_do_not() {
        let own = FakeHost::new().unified("cg/u/svc", "", "10\n20\n");
        let usable = own.survey(V2, "0::/svc\n");
        assert_eq!(
            place(&usable, Controller::Memory),
            (Version::V2, "/cg/u/svc", Some("/cg/u/svc/daemonctl-supervisor"))
        );
        let mixed = own.unified("cg/u", "", "").unified("cg/u/svc", "", "10\n500\n");
        let why = mixed.survey(V2, "0::/svc\n").memory.unwrap_err();
        assert!(why.contains("holds processes that are not daemonctl's"), "{why}");
        let beside = mixed.unified("cg/u", "memory", "");
        assert_eq!(place(&beside.survey(V2, "0::/svc\n"), Controller::Memory), (Version::V2, "/cg/u", None));
    }

    #[test]
    fn those_that_have_made_room_use_the_group_above() {
        let host = FakeHost::new().unified("cg/u/svc", "memory", "").unified("cg/u/svc/daemonctl-supervisor", "", "10");
        let usable = host.survey(V2, "0::/svc/daemonctl-supervisor\n");
        assert_eq!(place(&usable, Controller::Memory), (Version::V2, "/cg/u/svc", None));
    }

    #[test]
    fn what_cannot_be_written_is_named() {
        let host = FakeHost::new();
        let usable = host.survey(&V1.replace(" rw -", " ro -"), "4:memory:/\n8:pids:/gone\n");
        assert_eq!(usable.memory.unwrap_err(), "/cg/memory is mounted read-only");
        let usable = host.survey(V1, "4:memory:/../outside\n8:pids:/gone\n");
        assert_eq!(usable.memory.unwrap_err(), "its own control group cannot be seen in /cg/memory");
        assert!(usable.pids.unwrap_err().starts_with("/cg/pids/gone cannot be written: no such file"));
        assert!(FakeHost::new().survey("", "").memory.unwrap_err().starts_with("there is no control group"));
    }

    #[test]
    fn this_process_is_ours_and_the_first_one_is_not() {
        assert!(is_ours(std::process::id() as i32));
        assert!(!is_ours(1));
    }
}
