//! Profiles in JSON: the `linux.seccomp` of an OCI runtime configuration, and the form of it that Docker and Podman
//! have, which says in addition for whom an entry is meant.
//!
//! Entries are read as runc reads them: one whose action is the default's says nothing; conditions in one entry hold
//! together, unless two of them are about the same argument: then each stands alone. A profile that cannot be honoured
//! as a whole is refused, with the entry named; only a call that no kernel has is passed over, and told.

use nix::errno::Errno;
use serde::Deserialize;

use super::arch::{Arch, exists};
use super::rules::{Condition, Op, Rules, Verdict};
use crate::config::values::capability;

/// What a profile is judged by, beside its text.
#[derive(Clone, Copy, Debug)]
pub(super) struct Host {
    /// The architecture of the machine's own programs.
    pub(super) native: Arch,
    /// Version of the kernel.
    pub(super) kernel: (u32, u32),
    /// The capabilities of the app.
    pub(super) capabilities: u64,
}

/// A profile, understood.
#[derive(Debug, PartialEq)]
pub(super) struct Profile {
    pub(super) rules: Rules,
    /// SECCOMP_FILTER_FLAG_*.
    pub(super) flags: u64,
    /// Names that are no call anywhere.
    pub(super) unknown: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, expecting = "an object")]
struct File {
    default_action: String,
    default_errno_ret: Option<u64>,
    default_errno: Option<String>,
    #[serde(default)]
    architectures: Option<Vec<String>>,
    #[serde(default)]
    arch_map: Option<Vec<ArchMap>>,
    #[serde(default)]
    flags: Option<Vec<String>>,
    listener_path: Option<String>,
    listener_metadata: Option<String>,
    #[serde(default)]
    syscalls: Option<Vec<Entry>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, expecting = "an object")]
struct ArchMap {
    architecture: String,
    #[serde(default)]
    sub_architectures: Option<Vec<String>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, expecting = "an object")]
struct Entry {
    #[serde(default)]
    names: Option<Vec<String>>,
    name: Option<String>,
    action: String,
    errno_ret: Option<u64>,
    errno: Option<String>,
    #[serde(default)]
    args: Option<Vec<Arg>>,
    #[serde(default)]
    includes: Option<Filter>,
    #[serde(default)]
    excludes: Option<Filter>,
    #[serde(rename = "comment")]
    _comment: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, expecting = "an object")]
struct Arg {
    index: u64,
    value: u64,
    #[serde(default)]
    value_two: u64,
    op: String,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, expecting = "an object")]
struct Filter {
    #[serde(default)]
    caps: Option<Vec<String>>,
    #[serde(default)]
    arches: Option<Vec<String>>,
    min_kernel: Option<String>,
}

/// Architectures of machines whose processes cannot be met here: known, and of no consequence.
const ELSEWHERE: [&str; 17] = [
    "MIPS",
    "MIPS64",
    "MIPS64N32",
    "MIPSEL",
    "MIPSEL64",
    "MIPSEL64N32",
    "PPC",
    "PPC64",
    "PPC64LE",
    "S390",
    "S390X",
    "PARISC",
    "PARISC64",
    "RISCV64",
    "LOONGARCH64",
    "M68K",
    "SHEB",
];

/// The greatest error number a system call can have.
const MOST_ERRNO: u64 = 4095;

/// The greatest one that has a name (EHWPOISON).
const LAST_NAMED_ERRNO: u64 = 133;

/// Reads a profile. An error is the end of a sentence that begins with the file.
pub(super) fn read(text: &str, host: Host) -> Result<Profile, String> {
    if text.trim().is_empty() {
        return Err("it is empty".to_owned());
    }
    let file: File = serde_json::from_str(text).map_err(|error| in_json(&error))?;
    if file.listener_path.is_some() || file.listener_metadata.is_some() {
        return Err("listenerPath is for an agent that answers SCMP_ACT_NOTIFY, which is not supported".to_owned());
    }
    let default = number(file.default_errno_ret, file.default_errno.as_deref())
        .and_then(|errno| verdict(&file.default_action, errno))
        .map_err(|why| format!("defaultAction: {}", why.replace("errnoRet", "defaultErrnoRet")))?;
    let arches = arches(&file, host.native)?;
    let mut rules = Rules::new(arches, default, Verdict::KillProcess);
    let (mut flags, mut unknown) = (0, Vec::new());
    for flag in file.flags.iter().flatten() {
        flags |= self::flag(flag)?;
    }
    for (at, entry) in file.syscalls.iter().flatten().enumerate() {
        let names = names(entry).map_err(|why| format!("syscalls[{at}]: {why}"))?;
        let place = |why: String| match names {
            [only] => format!("syscalls[{at}] ({only}): {why}"),
            [first, ..] => format!("syscalls[{at}] ({first}, …): {why}"),
            [] => format!("syscalls[{at}]: {why}"),
        };
        // Everything is read, also what is not meant for this host: a mistake is one everywhere.
        let errno = number(entry.errno_ret, entry.errno.as_deref()).map_err(place)?;
        let verdict = verdict(&entry.action, errno).map_err(place)?;
        let alternatives = alternatives(entry.args.as_deref().unwrap_or_default()).map_err(place)?;
        let meant = is_meant(entry, host).map_err(place)?;
        for name in names {
            if !exists(name) {
                unknown.push(name.clone());
            } else if meant && verdict != default {
                alternatives.iter().for_each(|all| rules.add(name, all, verdict));
            }
        }
    }
    rules.settle();
    for name in ["execve", "exit_group"] {
        check_passes(&rules, host.native, name)?;
    }
    unknown.sort_unstable();
    unknown.dedup();
    Ok(Profile { rules, flags, unknown })
}

fn in_json(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let place = format!(" at line {} column {}", error.line(), error.column());
    format!("{}:{}: {}", error.line(), error.column(), text.strip_suffix(&place).unwrap_or(&text))
}

/// The launcher has to become the app, and the app has to be able to end.
fn check_passes(rules: &Rules, native: Arch, name: &str) -> Result<(), String> {
    let calls = rules.calls.get(&native);
    let call = native.numbers(name).first().and_then(|number| calls?.get(number));
    if call.map_or(rules.default.lets_pass(), super::rules::Call::may_pass) {
        return Ok(());
    }
    Err(format!(
        "it never lets {name} pass, without which no app can {}",
        match name {
            "execve" => "be started",
            _ => "end",
        }
    ))
}

fn names(entry: &Entry) -> Result<&[String], String> {
    match (&entry.names, &entry.name) {
        (Some(_), Some(_)) => Err("it has both name and names".to_owned()),
        (Some(names), None) if !names.is_empty() => Ok(names),
        (None, Some(name)) => Ok(std::slice::from_ref(name)),
        _ => Err("it names no call".to_owned()),
    }
}

/// The error number of an entry. Podman's profiles have its name beside it.
fn number(number: Option<u64>, name: Option<&str>) -> Result<Option<u64>, String> {
    let Some(name) = name else { return Ok(number) };
    let called = |number: &u64| format!("{:?}", Errno::from_raw(*number as i32)) == name;
    let known = (1..=LAST_NAMED_ERRNO).find(called).ok_or_else(|| format!("{name:?} is the name of no error"))?;
    match number {
        Some(number) if number != known => Err(format!("errnoRet {number} is not {name}, which is {known}")),
        _ => Ok(Some(known)),
    }
}

/// The action of an entry.
fn verdict(action: &str, errno: Option<u64>) -> Result<Verdict, String> {
    let plain = match action {
        "SCMP_ACT_ERRNO" => {
            let errno = errno.unwrap_or(libc::EPERM as u64);
            let fits = u16::try_from(errno).ok().filter(|_| errno <= MOST_ERRNO);
            return fits.map(Verdict::Errno).ok_or(format!("errnoRet {errno} is greater than {MOST_ERRNO}"));
        }
        "SCMP_ACT_ALLOW" => Verdict::Allow,
        "SCMP_ACT_LOG" => Verdict::Log,
        "SCMP_ACT_TRAP" => Verdict::Trap,
        "SCMP_ACT_KILL" | "SCMP_ACT_KILL_THREAD" => Verdict::KillThread,
        "SCMP_ACT_KILL_PROCESS" => Verdict::KillProcess,
        "SCMP_ACT_NOTIFY" | "SCMP_ACT_TRACE" => {
            return Err(format!("{action} needs another process that answers, which is not supported"));
        }
        _ => {
            let known = "use SCMP_ACT_ALLOW, _ERRNO, _KILL_PROCESS, _KILL_THREAD, _TRAP or _LOG";
            return Err(format!("{action:?} is no action: {known}"));
        }
    };
    match errno {
        Some(_) => Err(format!("errnoRet is for SCMP_ACT_ERRNO, not for {action}")),
        None => Ok(plain),
    }
}

/// The conditions of an entry: lists of which one has to hold as a whole.
fn alternatives(args: &[Arg]) -> Result<Vec<Vec<Condition>>, String> {
    let conditions: Vec<Condition> = args.iter().enumerate().map(condition).collect::<Result<_, _>>()?;
    let repeats = |at: usize, one: &Condition| conditions[..at].iter().any(|other| other.index == one.index);
    Ok(match conditions.iter().enumerate().any(|(at, one)| repeats(at, one)) {
        true => conditions.into_iter().map(|one| vec![one]).collect(),
        false => vec![conditions],
    })
}

fn condition((at, arg): (usize, &Arg)) -> Result<Condition, String> {
    let index = u8::try_from(arg.index).ok().filter(|index| *index < 6);
    let index = index.ok_or_else(|| format!("args[{at}]: index {} is not from 0 to 5", arg.index))?;
    let op = match arg.op.as_str() {
        "SCMP_CMP_NE" => Op::Ne,
        "SCMP_CMP_LT" => Op::Lt,
        "SCMP_CMP_LE" => Op::Le,
        "SCMP_CMP_EQ" => Op::Eq,
        "SCMP_CMP_GE" => Op::Ge,
        "SCMP_CMP_GT" => Op::Gt,
        "SCMP_CMP_MASKED_EQ" => return Ok(Condition { index, op: Op::Masked(arg.value), value: arg.value_two }),
        op => {
            let known = "use SCMP_CMP_EQ, _NE, _LT, _LE, _GT, _GE or _MASKED_EQ";
            return Err(format!("args[{at}]: {op:?} is no comparison: {known}"));
        }
    };
    match arg.value_two {
        0 => Ok(Condition { index, op, value: arg.value }),
        _ => Err(format!("args[{at}]: valueTwo is for SCMP_CMP_MASKED_EQ, not for {}", arg.op)),
    }
}

/// Whether an entry is for this host and this app.
fn is_meant(entry: &Entry, host: Host) -> Result<bool, String> {
    let none = Filter::default();
    let includes = judge(entry.includes.as_ref().unwrap_or(&none), host)?;
    let excludes = judge(entry.excludes.as_ref().unwrap_or(&none), host)?;
    let all = |answers: &[Option<bool>]| answers.iter().all(|answer| *answer != Some(false));
    let any = |answers: &[Option<bool>]| answers.contains(&Some(true));
    Ok(all(&includes) && !any(&excludes))
}

/// What is true of host and app, of each thing that is asked: every capability, the architecture, the kernel.
fn judge(filter: &Filter, host: Host) -> Result<Vec<Option<bool>>, String> {
    let mut answers = Vec::new();
    for name in filter.caps.iter().flatten() {
        let found = capability::find(name).ok_or_else(|| format!("{name:?} is no capability"))?;
        answers.push(Some(host.capabilities & found.bitmask() != 0));
    }
    let arches = filter.arches.as_deref().unwrap_or_default();
    answers.push((!arches.is_empty()).then(|| arches.iter().any(|arch| host.native.is_called(arch))));
    let version = filter.min_kernel.as_deref().map(|text| {
        let parts = text.split_once('.').and_then(|(major, minor)| Some((major.parse().ok()?, minor.parse().ok()?)));
        parts.ok_or_else(|| format!("minKernel {text:?} is no version such as 4.8"))
    });
    answers.push(version.transpose()?.map(|version: (u32, u32)| host.kernel >= version));
    Ok(answers)
}

/// The architectures that the profile speaks of, and that this machine can run; its own always.
fn arches(file: &File, native: Arch) -> Result<Vec<Arch>, String> {
    if file.architectures.as_ref().is_some_and(|list| !list.is_empty()) && file.arch_map.is_some() {
        return Err("it has both architectures and archMap".to_owned());
    }
    let mut found = vec![native];
    for name in file.architectures.iter().flatten() {
        found.extend(arch(name)?);
    }
    for map in file.arch_map.iter().flatten() {
        let main = arch(&map.architecture)?;
        for name in map.sub_architectures.iter().flatten() {
            found.extend(arch(name)?.filter(|_| main == Some(native)));
        }
    }
    Ok(found)
}

/// An architecture by its name; none if its programs do not run here.
fn arch(name: &str) -> Result<Option<Arch>, String> {
    let short = name.strip_prefix("SCMP_ARCH_").unwrap_or_default();
    let known = Arch::ALL.into_iter().find(|arch| arch.profile_name() == short);
    match known {
        None if !ELSEWHERE.contains(&short) => {
            Err(format!("{name:?} is no architecture: use names such as SCMP_ARCH_X86_64"))
        }
        known => Ok(known),
    }
}

fn flag(name: &str) -> Result<u64, String> {
    match name {
        "SECCOMP_FILTER_FLAG_TSYNC" => Ok(libc::SECCOMP_FILTER_FLAG_TSYNC),
        "SECCOMP_FILTER_FLAG_LOG" => Ok(libc::SECCOMP_FILTER_FLAG_LOG),
        "SECCOMP_FILTER_FLAG_SPEC_ALLOW" => Ok(libc::SECCOMP_FILTER_FLAG_SPEC_ALLOW),
        _ => {
            let known = "use SECCOMP_FILTER_FLAG_TSYNC, _LOG or _SPEC_ALLOW";
            Err(format!("flags: {name:?} is not supported: {known}"))
        }
    }
}
