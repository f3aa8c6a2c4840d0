//! Takes mechanisms away: a command under a filter that fails chosen system calls, as a kernel without them, a
//! container's filter or an LSM would.

use std::ffi::{CString, c_int};
use std::io::Write;
use std::str::FromStr;

use nix::errno::Errno;
use syscalls::Sysno;

/// The calls to fail (`NAME`, `NAME:FIRST_ARGUMENT`, each with `=ERRNO` or not) in a list with commas, then a command.
pub(crate) fn deny(list: &str, command: &[&str]) -> c_int {
    let rules: Option<Vec<Rule>> = list.split(',').map(rule).collect();
    let Some(rules) = rules else {
        let _ = writeln!(std::io::stderr(), "{list:?} names no system calls");
        return 2;
    };
    if let Err(errno) = install(&program(&rules)) {
        let _ = writeln!(std::io::stderr(), "cannot install the filter: {errno}");
        return 3;
    }
    let words: Vec<CString> = command.iter().filter_map(|word| CString::new(*word).ok()).collect();
    let Err(errno) = nix::unistd::execvp(&words[0], &words);
    let _ = writeln!(std::io::stderr(), "cannot run {}: {errno}", command[0]);
    127
}

/// One call, with the first argument if only that is meant, and what it fails with.
struct Rule {
    number: u32,
    first: Option<u32>,
    errno: u32,
}

fn rule(text: &str) -> Option<Rule> {
    let (call, errno) = match text.split_once('=') {
        Some((call, "ENOSYS")) => (call, Errno::ENOSYS),
        Some((call, "EINVAL")) => (call, Errno::EINVAL),
        Some((call, "ENOSPC")) => (call, Errno::ENOSPC),
        Some((_, _)) => return None,
        None => (text, Errno::EPERM),
    };
    let (name, first) = match call.split_once(':') {
        Some((name, first)) => (name, Some(first.parse().ok()?)),
        None => (call, None),
    };
    Some(Rule { number: Sysno::from_str(name).ok()?.id() as u32, first, errno: errno as u32 })
}

/// Classic BPF: compare the number, perhaps the low half of the first argument, answer.
fn program(rules: &[Rule]) -> Vec<libc::sock_filter> {
    const LOAD: u16 = (libc::BPF_LD | libc::BPF_W | libc::BPF_ABS) as u16;
    const EQUAL: u16 = (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16;
    const ANSWER: u16 = (libc::BPF_RET | libc::BPF_K) as u16;
    /// Offsets in struct seccomp_data.
    const NUMBER: u32 = 0;
    const FIRST: u32 = 16;
    let line = |code, k, jt, jf| libc::sock_filter { code, jt, jf, k };
    let mut lines = Vec::new();
    for rule in rules {
        let rest = if rule.first.is_some() { 3 } else { 1 };
        lines.extend([line(LOAD, NUMBER, 0, 0), line(EQUAL, rule.number, 0, rest)]);
        if let Some(first) = rule.first {
            lines.extend([line(LOAD, FIRST, 0, 0), line(EQUAL, first, 0, 1)]);
        }
        lines.push(line(ANSWER, libc::SECCOMP_RET_ERRNO | rule.errno, 0, 0));
    }
    lines.push(line(ANSWER, libc::SECCOMP_RET_ALLOW, 0, 0));
    lines
}

/// Without no_new_privs where that is allowed: the promise would change what is tested.
fn install(lines: &[libc::sock_filter]) -> Result<(), Errno> {
    let program = libc::sock_fprog { len: lines.len() as u16, filter: lines.as_ptr().cast_mut() };
    // SAFETY: a valid program, which the kernel copies.
    let load = || unsafe { libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, 0, &program) };
    if Errno::result(load()).is_err() {
        // SAFETY: plain prctl.
        unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) };
        Errno::result(load())?;
    }
    Ok(())
}
