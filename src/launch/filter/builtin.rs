//! The list that `--seccomp` means without a profile: what services do is allowed, what no service needs and what has
//! broken out of sandboxes before is refused with EPERM, and what neither list knows does not exist (ENOSYS), so that a
//! library which tries something newer falls back as it would on an older kernel.

use super::arch::Arch;
use super::rules::{Call, Condition, Op, Rule, Rules, Verdict};

/// Calls that are alike, and why they are treated alike.
struct Group {
    #[cfg_attr(not(test), allow(dead_code, reason = "for the reader, and for the test that none is empty"))]
    why: &'static str,
    calls: &'static str,
}

const ALLOWED: &[Group] = &[
    Group {
        why: "Files: who may open what is the matter of their modes, and of walls.",
        calls: "access cachestat chdir chmod chown chown32 close close_range copy_file_range creat dup dup2 dup3 \
                faccessat faccessat2 fadvise64 fadvise64_64 fallocate fchdir fchmod fchmodat fchmodat2 fchown fchown32 \
                fchownat fcntl fcntl64 fdatasync fgetxattr file_getattr file_setattr flistxattr flock fremovexattr \
                fsetxattr fstat fstat64 fstatat fstatat64 fstatfs fstatfs64 fsync ftruncate ftruncate64 futimesat getcwd \
                getdents getdents64 getxattr getxattrat inotify_add_watch inotify_init inotify_init1 inotify_rm_watch \
                lchown lchown32 lgetxattr link linkat listxattr listxattrat llistxattr lremovexattr lseek lsetxattr \
                lstat lstat64 mkdir mkdirat mknod mknodat name_to_handle_at newfstatat open openat openat2 pread64 \
                preadv preadv2 pwrite64 pwritev pwritev2 read readahead readlink readlinkat readv removexattr \
                removexattrat rename renameat renameat2 rmdir setxattr setxattrat stat stat64 statfs statfs64 statx \
                symlink symlinkat sync sync_file_range syncfs truncate truncate64 umask unlink \
                unlinkat utime utimensat utimensat_time64 utimes write writev _llseek",
    },
    Group {
        why: "Streams, waiting and events: what every server turns on.",
        calls: "epoll_create epoll_create1 epoll_ctl epoll_pwait epoll_pwait2 epoll_wait eventfd eventfd2 io_cancel \
                io_destroy io_getevents io_pgetevents io_pgetevents_time64 io_setup io_submit pipe pipe2 poll ppoll \
                ppoll_time64 pselect6 pselect6_time64 select _newselect sendfile sendfile64 signalfd signalfd4 \
                splice tee timerfd_create timerfd_gettime timerfd_gettime64 timerfd_settime timerfd_settime64 vmsplice",
    },
    Group {
        why: "Sockets: with whom is the matter of no_network.",
        calls: "accept accept4 bind connect getpeername getsockname getsockopt listen recvfrom recv recvmmsg \
                recvmmsg_time64 recvmsg send sendmmsg sendmsg sendto setsockopt shutdown socket socketcall socketpair",
    },
    Group {
        why: "Memory of the process itself, sealed, shared or kept from being swapped.",
        calls: "brk get_mempolicy madvise map_shadow_stack mbind membarrier memfd_create memfd_secret migrate_pages \
                mincore mlock mlock2 mlockall mmap mmap2 move_pages mprotect mremap mseal msync munlock munlockall \
                munmap pkey_alloc pkey_free pkey_mprotect remap_file_pages set_mempolicy set_mempolicy_home_node",
    },
    Group {
        why: "Threads and locks.",
        calls: "arch_prctl futex futex_requeue futex_time64 futex_wait futex_waitv futex_wake get_robust_list \
                get_thread_area getcpu gettid rseq sched_get_priority_max sched_get_priority_min sched_getaffinity \
                sched_getattr sched_getparam sched_getscheduler sched_rr_get_interval sched_rr_get_interval_time64 \
                sched_setaffinity sched_setattr sched_setparam sched_setscheduler sched_yield set_robust_list \
                set_thread_area set_tid_address set_tls",
    },
    Group {
        why: "Processes: to start, to end, to wait, to know of one another.",
        calls: "execve execveat exit exit_group fork getpgid getpgrp getpid getppid getpriority getrlimit getrusage \
                getsid ioprio_get ioprio_set kill pidfd_open pidfd_send_signal prctl prlimit64 process_mrelease \
                restart_syscall setpgid setpriority setrlimit setsid sysinfo tgkill times tkill ugetrlimit uname vfork \
                wait4 waitid waitpid",
    },
    Group {
        why: "Identity: what a process may become is decided by its capabilities.",
        calls: "capget capset getegid getegid32 geteuid geteuid32 getgid getgid32 getgroups getgroups32 getresgid \
                getresgid32 getresuid getresuid32 getuid getuid32 setfsgid setfsgid32 setfsuid setfsuid32 setgid \
                setgid32 setgroups setgroups32 setregid setregid32 setresgid setresgid32 setresuid setresuid32 \
                setreuid setreuid32 setuid setuid32",
    },
    Group {
        why: "Signals.",
        calls: "pause rt_sigaction rt_sigpending rt_sigprocmask rt_sigqueueinfo rt_sigreturn rt_sigsuspend \
                rt_sigtimedwait rt_sigtimedwait_time64 rt_tgsigqueueinfo sigaction sigaltstack signal sigpending \
                sigprocmask sigreturn sigsuspend",
    },
    Group {
        why: "Time, to be read and waited for.",
        calls: "alarm clock_getres clock_getres_time64 clock_gettime clock_gettime64 clock_nanosleep \
                clock_nanosleep_time64 getitimer gettimeofday nanosleep setitimer time timer_create timer_delete \
                timer_getoverrun timer_gettime timer_gettime64 timer_settime timer_settime64",
    },
    Group {
        why: "Messages, semaphores and shared memory between processes.",
        calls: "ipc mq_getsetattr mq_notify mq_open mq_timedreceive mq_timedreceive_time64 mq_timedsend \
                mq_timedsend_time64 mq_unlink msgctl msgget msgrcv msgsnd semctl semget semop semtimedop \
                semtimedop_time64 shmat shmctl shmdt shmget",
    },
    Group {
        why: "Chance, and walls that a process builds around itself.",
        calls: "getrandom landlock_add_rule landlock_create_ruleset landlock_restrict_self lsm_get_self_attr \
                lsm_list_modules seccomp",
    },
];

const REFUSED: &[Group] = &[
    Group {
        why: "Mounts, old and new: what is mounted over, or unmounted, undoes every wall of files.",
        calls: "chroot fsconfig fsmount fsopen fspick mount mount_setattr move_mount open_tree open_tree_attr pivot_root \
                umount umount2",
    },
    Group {
        why: "Code for the kernel, and another kernel.",
        calls: "bpf create_module delete_module finit_module get_kernel_syms init_module kexec_file_load kexec_load \
                query_module",
    },
    Group {
        why: "Other processes: to read, steer or measure them is to be them.",
        calls: "kcmp lookup_dcookie perf_event_open pidfd_getfd process_madvise process_vm_readv process_vm_writev \
                ptrace",
    },
    Group {
        why: "Keys: the keyring of the user is not that of the app, and knows no namespace.",
        calls: "add_key keyctl request_key",
    },
    Group {
        why: "The machine itself: its end, its name, its clock, its swap, its accounts and its log.",
        calls: "acct adjtimex clock_adjtime clock_adjtime64 clock_settime clock_settime64 nfsservctl quotactl \
                quotactl_fd reboot setdomainname sethostname settimeofday stime swapoff swapon syslog vhangup",
    },
    Group { why: "Hardware, past every driver.", calls: "ioperm iopl" },
    Group {
        why: "What has been the way to root again and again, and what no service needs.",
        calls: "fanotify_init fanotify_mark io_uring_enter io_uring_register io_uring_setup modify_ldt \
                open_by_handle_at setns userfaultfd vm86 vm86old",
    },
];

/// clone(2) flags, as unshare(2) has them too: a namespace is where root's rights can be had for nothing.
const NAMESPACES: u64 = 0x7e02_0000;

/// CLONE_NEWTIME, which only unshare(2) can be given: for clone(2) the bit is part of a signal number.
const TIME_NAMESPACE: u64 = 0x80;

/// Flags and commands of 32 bits, whatever lies in the upper half of the register.
const INT: u64 = 0xffff_ffff;

/// Commands of ioctl(2) that type on the terminal as if a person did: TIOCSTI, and TIOCLINUX, which can paste.
const TYPING: [u64; 2] = [0x5412, 0x541c];

/// What personality(2) may be asked for: to tell, Linux, Linux of 32 bits, and both with an old version number.
const PERSONALITIES: [u64; 5] = [0xffff_ffff, 0, 0x8, 0x2_0000, 0x2_0008];

/// The built-in filter of this machine.
pub(super) fn rules(native: Arch) -> Rules {
    const EPERM: Verdict = Verdict::Errno(libc::EPERM as u16);
    const ENOSYS: Verdict = Verdict::Errno(libc::ENOSYS as u16);
    // The calls of another architecture do not exist, as on a kernel that was built without it.
    let mut rules = Rules::new([native], ENOSYS, ENOSYS);
    for (groups, verdict) in [(ALLOWED, Verdict::Allow), (REFUSED, EPERM)] {
        for name in groups.iter().flat_map(|group| group.calls.split_whitespace()) {
            rules.set(name, &Call::always(verdict));
        }
    }
    let when = |op, value, verdict| Rule { all: vec![Condition { index: 0, op, value }], verdict };
    let without = |flags, verdict| Call { rules: vec![when(Op::Masked(flags), 0, Verdict::Allow)], otherwise: verdict };
    rules.set("clone", &without(NAMESPACES, EPERM));
    rules.set("unshare", &without(NAMESPACES | TIME_NAMESPACE, EPERM));
    // Its flags are in memory, where no filter can look: libc falls back to clone(2), whose flags it can see.
    rules.set("clone3", &Call::always(ENOSYS));
    let usual = PERSONALITIES.map(|value| when(Op::Masked(INT), value, Verdict::Allow)).to_vec();
    rules.set("personality", &Call { rules: usual, otherwise: EPERM });
    let command = |value| Condition { index: 1, op: Op::Masked(INT), value };
    let typing = TYPING.map(|value| Rule { all: vec![command(value)], verdict: EPERM }).to_vec();
    rules.set("ioctl", &Call { rules: typing, otherwise: Verdict::Allow });
    rules
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::arch::exists;
    use super::*;

    /// Calls that are in neither list: they are gone from the kernel, were never built, or are for tracing.
    const ABSENT: &str = "_sysctl afs_syscall epoll_ctl_old epoll_wait_old getpmsg listmount lsm_set_self_attr putpmsg \
                          security statmount sysfs tuxcall uprobe uretprobe uselib ustat vserver";

    const BY_ARGUMENT: &str = "clone clone3 ioctl personality unshare";

    #[test]
    fn every_call_of_the_machine_is_decided_once() {
        let mut seen = BTreeMap::<&str, u32>::new();
        let listed = ALLOWED.iter().chain(REFUSED).flat_map(|group| group.calls.split_whitespace());
        for name in listed.chain(ABSENT.split_whitespace()).chain(BY_ARGUMENT.split_whitespace()) {
            assert!(exists(name), "{name} is no call");
            *seen.entry(name).or_default() += 1;
        }
        let twice: Vec<_> = seen.iter().filter(|(_, times)| **times > 1).collect();
        assert!(twice.is_empty(), "decided more than once: {twice:?}");
        let missing: Vec<_> =
            syscalls::x86_64::Sysno::iter().map(|call| call.name()).filter(|name| !seen.contains_key(name)).collect();
        assert!(missing.is_empty(), "not decided: {missing:?}");
        let missing: Vec<_> =
            syscalls::aarch64::Sysno::iter().map(|call| call.name()).filter(|name| !seen.contains_key(name)).collect();
        assert!(missing.is_empty(), "not decided: {missing:?}");
    }

    #[test]
    fn every_group_has_its_reason() {
        for group in ALLOWED.iter().chain(REFUSED) {
            assert!(group.why.ends_with('.') && !group.calls.is_empty());
        }
    }
}
