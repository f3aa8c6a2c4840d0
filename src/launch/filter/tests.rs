//! Filters, run by a machine of the tests' own and compared with what was written.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::arch::{Arch, X32_BIT};
use super::compile::{Instruction, MOST, compile};
use super::evaluate::{Data, run};
use super::profile::{Host, Profile, read};
use super::rules::Verdict;
use super::{Program, builtin, unknown_calls};

const HOST: Host = Host { native: Arch::X86_64, kernel: (6, 1), capabilities: 0 };

const X86_64: u32 = 0xc000_003e;
const I386: u32 = 0x4000_0003;

const EPERM: u32 = 0x0005_0001;
const ENOSYS: u32 = 0x0005_0026;
const ALLOW: u32 = 0x7fff_0000;
const KILL_PROCESS: u32 = 0x8000_0000;

fn number(arch: Arch, name: &str) -> u32 {
    arch.numbers(name)[0]
}

fn call(name: &str, args: [u64; 6]) -> Data {
    Data { tag: X86_64, number: number(Arch::X86_64, name), args }
}

fn verdict(program: &[Instruction], data: Data) -> u32 {
    run(program, &data).0
}

fn profile(json: &Value) -> Result<Profile, String> {
    read(&json.to_string(), HOST)
}

fn program(json: &Value) -> Vec<Instruction> {
    compile(&profile(json).unwrap_or_else(|why| panic!("{json}: {why}")).rules)
}

#[test]
fn the_built_in_list_says_what_it_says() {
    let program = compile(&builtin::rules(Arch::X86_64));
    assert!(program.len() < 700, "{} instructions", program.len());
    let says = |name, first, second| verdict(&program, call(name, [first, second, 0, 0, 0, 0]));
    for name in ["read", "execve", "exit_group", "futex", "socket", "io_submit", "seccomp", "file_setattr"] {
        assert_eq!(says(name, 0, 0), ALLOW, "{name}");
    }
    for name in ["mount", "move_mount", "bpf", "ptrace", "keyctl", "io_uring_setup", "userfaultfd", "reboot", "setns"] {
        assert_eq!(says(name, 0, 0), EPERM, "{name}");
    }
    for name in ["clone3", "uselib", "vserver"] {
        assert_eq!(says(name, 0, 0), ENOSYS, "{name}");
    }
    let unknown = Data { number: 9999, ..call("read", [0; 6]) };
    assert_eq!(verdict(&program, unknown), ENOSYS);

    // Threads and children, and each namespace alone or with others.
    assert_eq!(says("clone", 0x003d_0f00, 0), ALLOW);
    assert_eq!(says("clone", 0x0120_0011, 0), ALLOW);
    for flag in [0x2_0000, 0x200_0000, 0x400_0000, 0x800_0000, 0x1000_0000, 0x2000_0000, 0x4000_0000u64] {
        assert_eq!(says("clone", flag | 17, 0), EPERM, "{flag:#x}");
        assert_eq!(says("unshare", flag, 0), EPERM, "{flag:#x}");
    }
    assert_eq!(says("clone", 0x80, 0), ALLOW, "a bit of the signal number");
    assert_eq!(says("unshare", 0x80, 0), EPERM, "CLONE_NEWTIME");
    assert_eq!(says("unshare", 0x600, 0), ALLOW, "CLONE_FS and CLONE_FILES");
    // Commands have 32 bits: what lies above them hides nothing.
    for upper in [0, 1 << 32, u64::MAX << 32] {
        assert_eq!(says("ioctl", 0, 0x5412 | upper), EPERM, "TIOCSTI");
        assert_eq!(says("ioctl", 0, 0x541c | upper), EPERM, "TIOCLINUX");
        assert_eq!(says("ioctl", 0, 0x5401 | upper), ALLOW, "TCGETS");
        assert_eq!(says("personality", 0x4_0000 | upper, 0), EPERM, "ADDR_NO_RANDOMIZE");
        assert_eq!(says("personality", 0xffff_ffff | upper, 0), ALLOW, "the question");
    }
    // Other architectures have no calls at all.
    for name in ["read", "mkdir", "mount"] {
        assert_eq!(verdict(&program, Data { tag: I386, ..call(name, [0; 6]) }), ENOSYS, "{name}");
        let x32 = Data { number: number(Arch::X86_64, name) | X32_BIT, ..call(name, [0; 6]) };
        assert_eq!(verdict(&program, x32), ENOSYS, "{name}");
    }
}

#[test]
fn a_call_costs_few_comparisons() {
    let program = compile(&builtin::rules(Arch::X86_64));
    let steps = |number| run(&program, &Data { number, ..call("read", [0; 6]) }).1;
    let most = (0..600).map(steps).max().unwrap();
    assert!(most <= 24, "{most} instructions");
}

/// A profile in the shape of the one that Docker brings, much shorter.
fn shaped_like_dockers() -> Value {
    json!({
        "defaultAction": "SCMP_ACT_ERRNO",
        "defaultErrnoRet": 1,
        "archMap": [
            {"architecture": "SCMP_ARCH_X86_64", "subArchitectures": ["SCMP_ARCH_X86", "SCMP_ARCH_X32"]},
            {"architecture": "SCMP_ARCH_AARCH64", "subArchitectures": ["SCMP_ARCH_ARM"]},
            {"architecture": "SCMP_ARCH_S390X", "subArchitectures": ["SCMP_ARCH_S390"]},
        ],
        "syscalls": [
            {"names": ["read", "write", "execve", "exit_group", "mkdir", "chown32", "s390_runtime_instr"],
             "action": "SCMP_ACT_ALLOW"},
            {"names": ["process_vm_readv", "ptrace"], "action": "SCMP_ACT_ALLOW", "includes": {"minKernel": "4.8"}},
            {"names": ["socket"], "action": "SCMP_ACT_ALLOW",
             "args": [{"index": 0, "value": 40, "valueTwo": 0, "op": "SCMP_CMP_NE"}]},
            {"names": ["personality"], "action": "SCMP_ACT_ALLOW",
             "args": [{"index": 0, "value": 131_072, "op": "SCMP_CMP_EQ"}]},
            {"names": ["personality"], "action": "SCMP_ACT_ALLOW",
             "args": [{"index": 0, "value": 4_294_967_295u32, "op": "SCMP_CMP_EQ"}]},
            {"names": ["arch_prctl"], "action": "SCMP_ACT_ALLOW", "includes": {"arches": ["amd64", "x32"]}},
            {"names": ["sync_file_range2"], "action": "SCMP_ACT_ALLOW", "includes": {"arches": ["ppc64le"]}},
            {"names": ["open_by_handle_at"], "action": "SCMP_ACT_ALLOW", "comment": "",
             "includes": {"caps": ["CAP_DAC_READ_SEARCH"]}},
            {"names": ["clone"], "action": "SCMP_ACT_ALLOW",
             "args": [{"index": 0, "value": 2_114_060_288, "valueTwo": 0, "op": "SCMP_CMP_MASKED_EQ"}],
             "excludes": {"caps": ["CAP_SYS_ADMIN"], "arches": ["s390", "s390x"]}},
            {"names": ["clone", "mount"], "action": "SCMP_ACT_ALLOW", "includes": {"caps": ["CAP_SYS_ADMIN"]}},
            {"names": ["clone3"], "action": "SCMP_ACT_ERRNO", "errnoRet": 38, "excludes": {"caps": ["CAP_SYS_ADMIN"]}},
        ]
    })
}

#[test]
fn a_profile_in_the_shape_of_dockers_is_honoured() {
    let text = shaped_like_dockers().to_string();
    let says = |host, name, first| {
        let Profile { rules, unknown, .. } = read(&text, host).unwrap();
        assert_eq!(unknown, [""; 0]);
        verdict(&compile(&rules), call(name, [first, 0, 0, 0, 0, 0]))
    };
    assert_eq!(says(HOST, "ptrace", 0), ALLOW);
    assert_eq!(says(Host { kernel: (4, 7), ..HOST }, "ptrace", 0), EPERM);
    assert_eq!(says(Host { kernel: (5, 0), ..HOST }, "ptrace", 0), ALLOW);
    assert_eq!([says(HOST, "socket", 2), says(HOST, "socket", 40)], [ALLOW, EPERM]);
    assert_eq!([131_072, 0xffff_ffff, 7].map(|value| says(HOST, "personality", value)), [ALLOW, ALLOW, EPERM]);
    assert_eq!([says(HOST, "arch_prctl", 0), says(HOST, "open_by_handle_at", 0)], [ALLOW, EPERM]);
    assert_eq!([says(HOST, "clone", 17), says(HOST, "clone", 0x1000_0000)], [ALLOW, EPERM]);
    assert_eq!([says(HOST, "clone3", 0), says(HOST, "mount", 0)], [ENOSYS, EPERM]);
    let admin = Host { capabilities: 1 << 21, ..HOST };
    assert_eq!(["clone", "mount"].map(|name| says(admin, name, 0x1000_0000)), [ALLOW; 2]);
    assert_eq!(says(admin, "clone3", 0), EPERM, "the entry is not for it, and so the default is");

    // The elder architectures are covered by their own numbers.
    let program = program(&shaped_like_dockers());
    let old = |number| verdict(&program, Data { tag: I386, number, args: [0; 6] });
    assert_eq!([old(39), old(212), old(21)], [ALLOW, ALLOW, EPERM], "mkdir, chown32, mount");
    let x32 = |number| verdict(&program, Data { tag: X86_64, number: number | X32_BIT, args: [0; 6] });
    assert_eq!([x32(83), x32(520), x32(165)], [ALLOW, ALLOW, EPERM], "mkdir, execve, mount");
    let arm = Data { tag: Arch::Arm.tag(), number: 39, args: [0; 6] };
    assert_eq!(verdict(&program, arm), KILL_PROCESS, "no program of this machine makes calls of that");
    let on_arm = Host { native: Arch::Aarch64, ..HOST };
    let program = compile(&read(&text, on_arm).unwrap().rules);
    for (arch, name, expected) in
        [(Arch::Aarch64, "execve", ALLOW), (Arch::Arm, "mkdir", ALLOW), (Arch::X86_64, "read", KILL_PROCESS)]
    {
        let data = Data { tag: arch.tag(), number: number(arch, name), args: [0; 6] };
        assert_eq!(verdict(&program, data), expected, "{name}");
    }
}

#[test]
fn every_action_has_its_value_and_the_strictest_counts() {
    let entry = |name: &str, action: &str| json!({"name": name, "action": format!("SCMP_ACT_{action}")});
    let mut trapped = entry("pause", "ERRNO");
    trapped["errnoRet"] = json!(100);
    let profile = json!({
        "defaultAction": "SCMP_ACT_ALLOW",
        "flags": ["SECCOMP_FILTER_FLAG_LOG", "SECCOMP_FILTER_FLAG_SPEC_ALLOW", "SECCOMP_FILTER_FLAG_TSYNC"],
        "syscalls": [
            entry("getpid", "LOG"), trapped, entry("mount", "TRAP"), entry("umount2", "KILL"), entry("acct", "KILL_THREAD"),
            entry("reboot", "KILL_PROCESS"), entry("sync", "ERRNO"), entry("sync", "KILL_PROCESS"), entry("sync", "LOG"),
            entry("read", "ALLOW"),
        ],
    });
    assert_eq!(self::profile(&profile).unwrap().flags, 7);
    let program = program(&profile);
    let says = |name| verdict(&program, call(name, [0; 6]));
    assert_eq!([says("getpid"), says("pause"), says("mount")], [0x7ffc_0000, 0x0005_0064, 0x0003_0000]);
    assert_eq!([says("umount2"), says("acct"), says("reboot")], [0, 0, KILL_PROCESS]);
    assert_eq!([says("sync"), says("read"), says("write")], [KILL_PROCESS, ALLOW, ALLOW]);
}

#[test]
fn an_error_without_a_number_is_eperm_and_may_have_a_name() {
    let program = program(&json!({
        "defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 38, "defaultErrno": "ENOSYS",
        "syscalls": [
            {"names": ["execve", "exit_group"], "action": "SCMP_ACT_ALLOW"},
            {"names": ["mount"], "action": "SCMP_ACT_ERRNO"},
            {"names": ["umount2"], "action": "SCMP_ACT_ERRNO", "errno": "EINVAL"},
        ],
    }));
    let says = |name| verdict(&program, call(name, [0; 6]));
    assert_eq!([says("mount"), says("umount2"), says("read")], [EPERM, 0x0005_0016, ENOSYS]);
}

#[test]
fn conditions_on_one_argument_are_alternatives_and_others_hold_together() {
    let entry = |args: Value| {
        program(&json!({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [
            {"names": ["mount"], "action": "SCMP_ACT_ERRNO", "args": args}]}))
    };
    let is = |index: u8, value: u64| json!({"index": index, "value": value, "op": "SCMP_CMP_EQ"});
    let says = |program: &[Instruction], args: [u64; 3]| {
        verdict(program, call("mount", [args[0], args[1], args[2], 0, 0, 0])) == EPERM
    };
    let together = entry(json!([is(0, 1), is(1, 2)]));
    assert_eq!([[1, 2, 0], [1, 0, 0], [0, 2, 0]].map(|args| says(&together, args)), [true, false, false]);
    let alone = entry(json!([is(0, 1), is(0, 3), is(1, 2)]));
    assert_eq!([[1, 0, 0], [3, 0, 0], [0, 2, 0], [4, 4, 4]].map(|args| says(&alone, args)), [true, true, true, false]);
}

#[test]
fn a_filter_too_long_for_the_kernel_is_long_and_a_long_jump_arrives() {
    let args = |value: u64| json!([{"index": 1, "value": value, "op": "SCMP_CMP_GT"}]);
    let entries = |count: u64| {
        let one = |value| json!({"names": ["mount"], "action": "SCMP_ACT_KILL", "args": args(value + (value << 32))});
        let mut list: Vec<Value> = (0..count).map(one).collect();
        list.extend(["close", "swapon", "sync"].map(|name| json!({"name": name, "action": "SCMP_ACT_LOG"})));
        program(&json!({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": list}))
    };
    let long = entries(300);
    assert!((300 * 6..MOST).contains(&long.len()), "{}", long.len());
    let says = |name, second| verdict(&long, call(name, [0, second, 0, 0, 0, 0]));
    assert_eq!(["close", "swapon", "sync"].map(|name| says(name, 0)), [0x7ffc_0000; 3]);
    assert_eq!([says("mount", 0), says("mount", 1), says("read", 5)], [ALLOW, 0, ALLOW]);
    assert!(entries(1000).len() > MOST);
}

#[test]
fn a_program_survives_the_gate() {
    let code = compile(&builtin::rules(Arch::X86_64));
    let program = Program::new(&code, 2);
    let read: Program = serde_json::from_str(&serde_json::to_string(&program).unwrap()).unwrap();
    let back: Vec<_> = code.iter().map(|one| (one.code, one.yes, one.no, one.k)).collect();
    assert_eq!((read.instructions(), read.flags), (Some(back), 2));
    assert_eq!(Program { code: "xyz".to_owned(), flags: 0 }.instructions(), None);
}

#[test]
fn what_cannot_be_honoured_is_named() {
    let with = |key: &str, value: Value| {
        let mut whole = json!({"defaultAction": "SCMP_ACT_ALLOW"});
        whole[key] = value;
        whole.to_string()
    };
    let entry = |entry: Value| with("syscalls", json!([{"names": ["read"], "action": "SCMP_ACT_LOG"}, entry]));
    let arg = |index: u64, op: &str, second: u64| {
        entry(json!({"names": ["mount", "umount2"], "action": "SCMP_ACT_ERRNO",
                     "args": [{"index": index, "value": 1, "valueTwo": second, "op": op}]}))
    };
    let wrong = [
        String::new(),
        "{\n  \"defaultAction\": \"SCMP_ACT_ALLOW\",\n}".to_owned(),
        "{}".to_owned(),
        "[]".to_owned(),
        with("syscals", json!([])),
        with("defaultAction", json!("SCMP_ACT_REFUSE")),
        with("defaultErrnoRet", json!(38)),
        with("listenerPath", json!("/run/agent")),
        with("architectures", json!(["SCMP_ARCH_Z80"])),
        with("flags", json!(["SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"])),
        with("defaultAction", json!("SCMP_ACT_ERRNO")),
        entry(json!({"names": ["mount"], "action": "SCMP_ACT_NOTIFY"})),
        entry(json!({"names": ["mount"], "action": "SCMP_ACT_TRACE"})),
        entry(json!({"names": ["mount"], "action": "allow"})),
        entry(json!({"names": ["mount"], "action": "SCMP_ACT_KILL", "errnoRet": 1})),
        entry(json!({"names": ["mount"], "action": "SCMP_ACT_ERRNO", "errnoRet": 5000})),
        entry(json!({"names": [], "action": "SCMP_ACT_LOG"})),
        entry(json!({"name": "mount", "names": ["mount"], "action": "SCMP_ACT_LOG"})),
        entry(json!({"names": "mount", "action": "SCMP_ACT_LOG"})),
        entry(json!({"names": ["mount"], "action": "SCMP_ACT_LOG", "priority": 1})),
        entry(json!({"names": ["mount"], "action": "SCMP_ACT_LOG", "includes": {"caps": ["CAP_ROOT"]}})),
        entry(json!({"names": ["mount"], "action": "SCMP_ACT_LOG", "excludes": {"minKernel": "new"}})),
        entry(json!({"names": ["execve"], "action": "SCMP_ACT_ERRNO"})),
        entry(json!({"names": ["exit_group", "exit"], "action": "SCMP_ACT_KILL"})),
        entry(json!({"names": ["mount"], "action": "SCMP_ACT_ERRNO", "errnoRet": 1, "errno": "ENOSYS"})),
        entry(json!({"names": ["mount"], "action": "SCMP_ACT_ERRNO", "errno": "EDAY"})),
        arg(6, "SCMP_CMP_EQ", 0),
        arg(0, "SCMP_CMP_IS", 0),
        arg(0, "SCMP_CMP_EQ", 2),
    ];
    let told: Vec<String> = wrong.iter().map(|text| read(text, HOST).unwrap_err()).collect();
    insta::assert_snapshot!(told.join("\n"));
}

#[test]
fn names_that_no_kernel_has_are_passed_over_and_told() {
    let names = ["read", "frobnicate", "moutn", "frobnicate", "chown32"];
    let profile = profile(&json!({"defaultAction": "SCMP_ACT_ALLOW",
        "syscalls": [{"names": names, "action": "SCMP_ACT_LOG"}]}))
    .unwrap();
    assert_eq!(profile.unknown, ["frobnicate", "moutn"]);
    let many: Vec<String> = (0..8).map(|number| format!("call{number}")).collect();
    insta::assert_snapshot!([1, 2, 8].map(|count| unknown_calls(&many[..count]).unwrap()).join("\n"));
    assert_eq!(unknown_calls(&[]), None);
}

/// One entry of a profile as a test invents it.
#[derive(Clone, Debug)]
struct Invented {
    name: &'static str,
    verdict: Verdict,
    args: Vec<(u8, &'static str, u64, u64)>,
}

const NAMES: [&str; 6] = ["read", "write", "open", "sync", "mount", "getrandom"];
const OPS: [&str; 7] = ["EQ", "NE", "LT", "LE", "GT", "GE", "MASKED_EQ"];

/// Numbers around which comparisons in halves go wrong.
fn edges() -> impl Strategy<Value = u64> + Clone {
    let half = prop_oneof![Just(0u64), Just(1), Just(2), Just(0x7fff_ffff), Just(0x8000_0000), Just(0xffff_ffff)];
    (half.clone(), half).prop_map(|(high, low)| high << 32 | low)
}

fn verdicts() -> impl Strategy<Value = Verdict> + Clone {
    prop_oneof![
        Just(Verdict::Allow),
        Just(Verdict::Log),
        Just(Verdict::Trap),
        Just(Verdict::KillProcess),
        Just(Verdict::KillThread),
        (1..=3u16).prop_map(Verdict::Errno)
    ]
}

fn invented() -> impl Strategy<Value = Invented> {
    let arg = (0..3u8, proptest::sample::select(&OPS[..]), edges(), edges());
    let args = proptest::collection::vec(arg, 0..4);
    (proptest::sample::select(&NAMES[..]), verdicts(), args).prop_map(|(name, verdict, args)| Invented {
        name,
        verdict,
        args,
    })
}

impl Invented {
    fn json(&self) -> Value {
        let args: Vec<Value> = self
            .args
            .iter()
            .map(|(index, op, value, second)| {
                let second = if *op == "MASKED_EQ" { *second } else { 0 };
                json!({"index": index, "op": format!("SCMP_CMP_{op}"), "value": value, "valueTwo": second})
            })
            .collect();
        let (action, errno) = action(self.verdict);
        let mut entry = json!({"names": [self.name], "action": action, "args": args});
        if let Some(errno) = errno {
            entry["errnoRet"] = errno.into();
        }
        entry
    }

    /// Whether it speaks of a call with these arguments.
    fn matches(&self, args: &[u64; 6]) -> bool {
        let holds = |(index, op, value, second): &(u8, &str, u64, u64)| {
            let argument = args[usize::from(*index)];
            match *op {
                "EQ" => argument == *value,
                "NE" => argument != *value,
                "LT" => argument < *value,
                "LE" => argument <= *value,
                "GT" => argument > *value,
                "GE" => argument >= *value,
                _ => argument & value == second & value,
            }
        };
        let indices: std::collections::BTreeSet<u8> = self.args.iter().map(|arg| arg.0).collect();
        match indices.len() == self.args.len() {
            true => self.args.iter().all(holds),
            false => self.args.iter().any(holds),
        }
    }
}

fn action(verdict: Verdict) -> (&'static str, Option<u16>) {
    match verdict {
        Verdict::Allow => ("SCMP_ACT_ALLOW", None),
        Verdict::Log => ("SCMP_ACT_LOG", None),
        Verdict::Trap => ("SCMP_ACT_TRAP", None),
        Verdict::KillProcess => ("SCMP_ACT_KILL_PROCESS", None),
        Verdict::KillThread => ("SCMP_ACT_KILL", None),
        Verdict::Errno(errno) => ("SCMP_ACT_ERRNO", Some(errno)),
    }
}

proptest! {
    #[test]
    fn a_filter_does_what_its_profile_says(
        default in verdicts(),
        entries in proptest::collection::vec(invented(), 0..12),
        calls in proptest::collection::vec((proptest::sample::select(&NAMES[..]), [edges(), edges(), edges()]), 1..40),
    ) {
        let mut list: Vec<Value> = entries.iter().map(Invented::json).collect();
        let pass = if default == Verdict::Log { "SCMP_ACT_ALLOW" } else { "SCMP_ACT_LOG" };
        list.push(json!({"names": ["execve", "exit_group"], "action": pass}));
        let (action, errno) = action(default);
        let mut whole = json!({"defaultAction": action, "syscalls": list});
        if let Some(errno) = errno {
            whole["defaultErrnoRet"] = errno.into();
        }
        let program = program(&whole);
        for (name, [first, second, third]) in calls {
            let args = [first, second, third, 0, 0, 0];
            let speaking = entries.iter().filter(|entry| entry.name == name && entry.verdict != default);
            // The strictest; min_by_key takes the first of equals.
            let strictest = speaking.filter(|entry| entry.matches(&args)).min_by_key(|entry| entry.verdict.mildness());
            let expected = strictest.map_or(default, |entry| entry.verdict);
            prop_assert_eq!(verdict(&program, call(name, args)), expected.value(), "{} {:x?}", name, args);
        }
        let unspoken = verdict(&program, call("close", [0; 6]));
        prop_assert_eq!(unspoken, default.value());
    }

    #[test]
    fn no_text_is_too_strange_for_a_profile(
        text in "\\PC{0,80}",
        cut in 0..2000usize,
        put in 0..2000usize,
        piece in "[\\[\\]{}\",:0-9a-zA-Z_-]{0,8}",
    ) {
        let _ = read(&text, HOST);
        let mut damaged: Vec<char> = shaped_like_dockers().to_string().chars().collect();
        let put = put % damaged.len();
        let end = (put + cut % 20).min(damaged.len());
        damaged.splice(put..end, piece.chars());
        let _ = read(&damaged.into_iter().collect::<String>(), HOST);
    }
}
