//! The laws of the table. A row is right when the laws hold for it; few tests here name one.

use std::collections::BTreeSet;

use clap::Command;
use proptest::prelude::*;

use super::*;
use crate::config::values::{CoreLimit, Names, Paths, SandboxType, Size, Umask};
use crate::config::{Problems, Setting};

/// The table of SPEC.md, section 4: `key: flags`.
const SPECIFIED: &str = "
    daemon.name: -g --group
    daemon.description:
    daemon.enabled:
    daemon.foreground: -F --foreground
    daemon.double_fork: -d --daemon
    daemon.setsid: --no-setsid
    daemon.working_directory: -C --chdir
    daemon.umask: --umask
    process.command:
    process.args:
    process.environment: --env
    process.environment_file: --env-file
    process.clear_env: --clear-env
    process.priority: --nice
    process.oom_score_adj:
    process.restart:
    process.restart_delay:
    process.restart_delay_max:
    process.restart_max_attempts:
    process.restart_reset_after:
    process.success_exit_codes:
    process.start_timeout:
    process.stop_timeout:
    security.user: -u --user
    security.group: -G --group-id
    security.capabilities_drop: --caps-drop
    security.capabilities_keep: --caps-keep
    security.no_new_privs:
    logging.file: -l --log
    logging.level: --log-level
    logging.stdout_file: --stdout
    logging.stderr_file: --stderr
    logging.syslog: --syslog
    logging.quiet:
    logging.verbose:
    logging.max_size:
    logging.max_age:
    logging.max_count:
    logging.compress:
    logging.collector:
    pidfile.enabled:
    pidfile.path: --pidfile
    signals.forward_all: --no-signal-forward
    signals.forward_list: -S --signal
    signals.preserve_signals: --preserve-signals
    signals.kill_timeout: -k --kill-timeout
    signals.stop_signal: --stop-signal
    signals.reload_signal: --reload-signal
    sandbox.type: --sandbox
    sandbox.profile: --sandbox-profile
    sandbox.private_tmp: --private-tmp
    sandbox.private_dev: --private-dev
    sandbox.no_network: --no-network
    sandbox.readonly_paths: --readonly-paths
    sandbox.seccomp: --seccomp
    sandbox.seccomp_profile: --seccomp-profile
    limits.memory_limit: --memory-limit
    limits.cpu_limit: --cpu-limit
    limits.file_limit: --file-limit
    limits.process_limit: --proc-limit
    limits.core_limit: --core-limit
    limits.stack_limit: --stack-limit
    limits.timeout: --timeout
    monitoring.enabled:
    monitoring.check_command:
    monitoring.check_interval:
    monitoring.check_timeout:
    monitoring.failure_threshold:
    monitoring.success_threshold:
    monitoring.startup_delay:
";

fn settings(line: &[&str]) -> Result<Vec<Setting>, Problems> {
    let command = start_args(Command::new("start").no_binary_name(true));
    asked(&command.try_get_matches_from(line).unwrap()).map(|(settings, _)| settings)
}

fn triples(line: &[&str]) -> Vec<String> {
    let settings = settings(line).unwrap();
    settings.into_iter().map(|one| format!("{}={} by {}", one.key, one.value, one.origin)).collect()
}

fn wrong(line: &[&str]) -> String {
    settings(line).unwrap_err().to_string()
}

#[test]
fn keys_and_flags_are_those_specified() {
    let flags = |opt: &Opt| {
        let short = opt.short.map(|short| format!(" -{short}")).unwrap_or_default();
        let long = opt.flag.as_ref().map(|long| format!(" --{long}")).unwrap_or_default();
        format!("{}:{short}{long}", opt.name)
    };
    let table: Vec<String> = table().iter().map(flags).collect();
    let specified: Vec<&str> = SPECIFIED.trim().lines().map(str::trim).collect();
    assert_eq!(table, specified);
}

#[test]
fn names_and_flags_are_unique() {
    let unique = |names: Vec<String>| assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), names.len(), "{names:?}");
    unique(table().iter().map(|opt| opt.name.clone()).collect());
    unique(table().iter().filter_map(|opt| opt.flag.clone()).collect());
    unique(table().iter().filter_map(|opt| opt.short.map(String::from)).collect());
}

#[test]
fn every_option_has_a_sentence() {
    for opt in table().iter().chain(program_table()) {
        let help = opt.help();
        assert!(help.starts_with(char::is_uppercase) && !help.ends_with('.'), "{}: {help}", opt.name);
        assert!(!opt.value_name.is_empty(), "{} has no word for its value", opt.name);
    }
}

#[test]
fn an_option_is_declared_in_one_source_file() {
    let source = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let (mut texts, mut dirs) = (Vec::new(), vec![source]);
    while let Some(dir) = dirs.pop() {
        for path in std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()) {
            match path.extension().and_then(|extension| extension.to_str()) {
                None if path.is_dir() => dirs.push(path),
                Some("rs") => texts.push((std::fs::read_to_string(&path).unwrap(), path)),
                _ => {}
            }
        }
    }
    let files = |text: &str| -> Vec<String> {
        let found = texts.iter().filter(|(source, _)| source.contains(text));
        found.map(|(_, path)| path.file_name().unwrap().to_string_lossy().into_owned()).collect()
    };
    for opt in table() {
        assert_eq!(files(&format!("/// {}.\n", opt.help())), ["sections.rs"], "{}", opt.name);
    }
    // Commands may have an option of their own of the same name; the table has each flag once.
    let (sections, _) = texts.iter().find(|(_, path)| path.ends_with("config/sections.rs")).unwrap();
    for flag in table().iter().filter_map(|opt| opt.flag.as_ref()) {
        assert_eq!(sections.matches(&format!("long = \"{flag}\"")).count(), 1, "--{flag}");
    }
}

/// The rows of a section in docs/configuration.md.
fn rows(section: &str) -> String {
    let row = |opt: &Opt| {
        let short = opt.short.map(|letter| format!("-{letter}, ")).unwrap_or_default();
        let negates = if opt.negated { " (negates)" } else { "" };
        let flag = opt.flag.as_ref().map(|flag| format!(" `{short}--{flag}`{negates}")).unwrap_or_default();
        let range = opt.bounds().filter(|_| opt.kind.shape == Shape::Integer).map(|range| match *range.end() {
            most if most >= i64::from(i32::MAX) => format!("a whole number from {} up", range.start()),
            most => format!("a whole number from {} to {most}", range.start()),
        });
        let written = range.unwrap_or_else(|| opt.kind.written.trim_end_matches(", without quotes").to_owned());
        let default = opt.default.as_ref().filter(|default| !default.is_empty());
        let default = default.map(|default| format!(" `{default}`")).unwrap_or_default();
        let later =
            if NOT_BUILT.iter().any(|(name, _)| *name == opt.name) { " *In a file: not supported yet.*" } else { "" };
        format!("| `{}` |{flag} | {written} |{default} | {}.{later} |\n", opt.key, opt.help())
    };
    table().iter().filter(|opt| opt.section == section).map(row).collect()
}

#[test]
fn the_page_of_configuration_has_every_option_as_it_is() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/configuration.md");
    let written = std::fs::read_to_string(&path).unwrap();
    let mut page = written.clone();
    let mut sections: Vec<&str> = table().iter().map(|opt| opt.section).collect();
    sections.dedup();
    for section in sections {
        let header = format!("\n### [{section}]\n");
        let from = page.find(&header).unwrap_or_else(|| panic!("{} has no {header}", path.display())) + header.len();
        let rule = "|---|---|---|---|---|\n";
        let from = from + page[from..].find(rule).expect("a table") + rule.len();
        let to = from + page[from..].find("\n\n").expect("an end") + 1;
        page.replace_range(from..to, &rows(section));
    }
    let update = std::env::var_os("UPDATE").is_some();
    if update {
        std::fs::write(&path, &page).unwrap();
    }
    assert!(update || page == written, "{} is out of date: run this test with UPDATE=1", path.display());
}

#[test]
fn every_default_survives_text_value_text() {
    for opt in table() {
        let Some(default) = &opt.default else { continue };
        let value = opt.check(default).unwrap_or_else(|wrong| panic!("{}: {wrong}", opt.name));
        let text = opt.text(&value).unwrap();
        assert_eq!(opt.check(&text), Ok(value.clone()), "{}", opt.name);
        assert_eq!(Options::default().values().get(opt.name.as_str()), Some(&value), "{}", opt.name);
    }
}

#[test]
fn options_without_a_default_are_unset() {
    let values = Options::default().values();
    for opt in table() {
        assert_eq!(values.contains_key(opt.name.as_str()), opt.default.is_some(), "{}", opt.name);
    }
}

#[test]
fn the_fields_of_the_sections_are_the_keys_of_the_table() {
    let json = serde_json::to_value(Options::default()).unwrap();
    let fields = json.as_object().unwrap().iter().flat_map(|(section, keys)| {
        keys.as_object().unwrap().keys().map(move |key| format!("{section}.{key}")).collect::<Vec<_>>()
    });
    let keys: BTreeSet<String> = table().iter().map(|opt| opt.name.clone()).collect();
    assert_eq!(fields.collect::<BTreeSet<_>>(), keys);
}

#[test]
fn options_survive_json_and_a_record_from_before_an_option_existed() {
    let options = Options::default();
    let json = serde_json::to_string(&options).unwrap();
    assert_eq!(serde_json::from_str::<Options>(&json).unwrap(), options);
    assert_eq!(serde_json::from_str::<Options>(r#"{"process": {"priority": 0}}"#).unwrap(), options);
}

#[test]
fn numbers_know_their_range() {
    let range = |name: &str| find(name).unwrap().bounds().cloned();
    assert_eq!(range("process.priority"), Some(-20..=19));
    assert_eq!(range("process.oom_score_adj"), Some(-1000..=1000));
    assert_eq!(range("limits.cpu_limit"), Some(1..=100));
    assert_eq!(range("monitoring.failure_threshold"), Some(1..=u32::MAX.into()));
    assert_eq!(range("process.restart_max_attempts"), Some(0..=u32::MAX.into()));
    assert_eq!(range("limits.file_limit"), Some(0..=i64::MAX));
    assert_eq!(range("daemon.umask"), None);
}

#[test]
fn a_number_out_of_its_range_is_told_the_range() {
    let check = |name: &str, text: &str| find(name).unwrap().check(text).unwrap_err();
    assert_eq!(check("process.priority", "20"), "20 is too great: use a whole number from -20 to 19");
    assert_eq!(check("monitoring.failure_threshold", "0"), "0 is too small: use a whole number from 1 up");
    assert_eq!(check("limits.file_limit", "many"), "\"many\" is not a whole number: use a whole number from 0 up");
    assert_eq!(
        check("process.restart_max_attempts", "5000000000"),
        "5000000000 is too great: use a whole number from 0 to 4294967295"
    );
}

#[test]
fn what_is_not_built_is_in_the_table_and_refused() {
    for (name, only) in NOT_BUILT {
        let opt = find(name).unwrap_or_else(|| panic!("{name} is no option"));
        assert!(only.is_none_or(|text| opt.check(text).is_ok()), "{name}");
    }
    assert_eq!(unsupported(&Options::default()), []);
    let mut options = Options::default();
    options.daemon.foreground = true;
    options.security.no_new_privs = Some(false);
    options.logging.collector = crate::config::values::Collector::Builtin;
    assert_eq!(unsupported(&options), [("daemon.foreground".to_owned(), "true".to_owned())]);
}

#[test]
fn suggestions_look_beyond_the_section() {
    assert_eq!(suggest("process", "restrat").as_deref(), Some("restart"));
    assert_eq!(suggest("process", "timeout").as_deref(), Some("limits.timeout"));
    assert_eq!(suggest("process", "nice").as_deref(), Some("priority"), "by the name of its flag");
    assert_eq!(suggest("process", "chdir").as_deref(), Some("daemon.working_directory"));
    assert_eq!(suggest("process", "nonsense"), None);
    assert_eq!(suggest_name("proces.restart").as_deref(), Some("process.restart"));
    assert_eq!(suggest_name("user").as_deref(), Some("security.user"));
}

#[test]
fn flags_and_overrides_become_settings_and_flags_come_last() {
    assert_eq!(
        triples(&["--umask=077", "--config-override", "process.restart=always", "-u", "www-data"]),
        [
            "process.restart=always by --config-override",
            "daemon.umask=077 by --umask",
            "security.user=www-data by --user",
        ]
    );
    assert_eq!(triples(&[]), [""; 0]);
}

#[test]
fn booleans_may_be_given_with_or_without_a_value_and_turned_round() {
    assert_eq!(triples(&["--clear-env"]), ["process.clear_env=true by --clear-env"]);
    assert_eq!(triples(&["--clear-env=false"]), ["process.clear_env=false by --clear-env"]);
    assert_eq!(triples(&["--no-setsid"]), ["daemon.setsid=false by --no-setsid"]);
    assert_eq!(triples(&["--no-setsid=no"]), ["daemon.setsid=true by --no-setsid"]);
    assert_eq!(triples(&["--no-signal-forward", "-A"]), ["signals.forward_all=true by --signal-forward"]);
    assert_eq!(triples(&["-A", "--no-signal-forward"]), ["signals.forward_all=false by --no-signal-forward"]);
    assert_eq!(triples(&["--no-network"]), ["sandbox.no_network=true by --no-network"]);
}

#[test]
fn repeated_flags_add_up_where_they_hold_many_and_else_the_last_one_counts() {
    assert_eq!(triples(&["--umask", "022", "--umask", "077"]), ["daemon.umask=077 by --umask"]);
    assert_eq!(triples(&["-S", "USR1", "-S", "USR2,HUP"]), ["signals.forward_list=USR1,USR2,HUP by --signal"]);
    assert_eq!(triples(&["--nice", "-5"]), ["process.priority=-5 by --nice"]);
    assert_eq!(
        triples(&["--env", "A=it's, so", "--env", "B="]),
        [r"process.environment=A='it'\''s, so' by --env", "process.environment=B= by --env"]
    );
}

#[test]
fn foreground_and_daemon_are_the_commands_matter() {
    let command = start_args(Command::new("start").no_binary_name(true));
    let matches = command.clone().try_get_matches_from(["-F"]).unwrap();
    assert!(matches.get_flag("foreground") && !matches.get_flag("daemon"));
    assert_eq!(asked(&matches).unwrap(), (vec![], false));
    assert!(command.clone().try_get_matches_from(["-F", "-d"]).is_err());
    let matches = command.try_get_matches_from(["--no-config"]).unwrap();
    assert_eq!(asked(&matches).unwrap(), (vec![], true));
}

#[test]
fn every_wrong_flag_is_reported_at_once() {
    let line = ["--umask=999", "--memory-limit=12X", "--nice=50", "--clear-env=maybe", "--env", "SECRET"];
    insta::assert_snapshot!(wrong(&line));
    let overrides = ["process.restrat=no", "restart=no", "umask", "limits.timeout=1M", "colour=red"];
    insta::assert_snapshot!(wrong(&overrides.map(|text| ["--config-override", text]).concat()));
}

#[test]
fn the_help_of_the_options() {
    let mut command = start_args(Command::new("start").disable_help_flag(true)).term_width(100);
    insta::assert_snapshot!(command.render_help());
}

/// Options as a launcher might get them. Walls come with a sandbox, as every resolved configuration has it.
fn launchable() -> impl Strategy<Value = Options> {
    let option = proptest::option::of::<proptest::strategy::BoxedStrategy<String>>;
    let text = || "[a-zA-Z0-9/_ ='\",:-]{1,12}".boxed();
    let numbers = (-20..=19i32, proptest::option::of(-1000..=1000i32), proptest::option::of(0..=i64::MAX as u64));
    let texts = (option(text()), option(text()), option(text()), option(text()));
    let capabilities = proptest::sample::select(vec!["all", "cap_chown", "cap_net_raw", "cap_bpf"]);
    let lists = (
        proptest::collection::vec(capabilities.prop_map(str::to_owned), 0..3),
        proptest::collection::vec("/[a-z:, ]{1,9}", 0..3),
    );
    let more = (any::<u64>(), any::<[bool; 5]>(), 0..=0o777u32, proptest::option::of(1..=100u32));
    (numbers, texts, lists, more).prop_map(|(numbers, texts, lists, (size, bools, umask, percent))| {
        let mut options = Options::default();
        (options.process.priority, options.process.oom_score_adj, options.limits.file_limit) = numbers;
        options.daemon.working_directory = texts.0.map(Into::into);
        options.process.environment_file = texts.1.map(Into::into);
        (options.security.user, options.security.group) = (texts.2, texts.3);
        options.security.capabilities_drop = Names(lists.0);
        options.sandbox.readonly_paths = Paths(lists.1.into_iter().map(Into::into).collect());
        options.sandbox.kind = SandboxType::Firejail;
        options.limits.memory_limit = bools[0].then_some(Size(size));
        options.limits.core_limit = bools[1].then_some(CoreLimit::Bytes(size));
        options.limits.stack_limit = bools[2].then_some(CoreLimit::Unlimited);
        options.limits.cpu_limit = percent;
        options.security.no_new_privs = bools[3].then_some(true);
        options.daemon.umask = Umask(umask);
        (options.daemon.setsid, options.process.clear_env) = (bools[3], bools[4]);
        (options.sandbox.private_tmp, options.sandbox.seccomp) = (bools[1], bools[2]);
        options
    })
}

fn launched_with(argv: &[String]) -> Result<Options, Problems> {
    let command = launch_args(Command::new("daemonrun").no_binary_name(true));
    launch_options(&command.try_get_matches_from(argv).unwrap_or_else(|error| panic!("{argv:?}: {error}")))
}

proptest! {
    #[test]
    fn options_survive_the_launchers_command_line(options in launchable()) {
        let argv = launch_argv(&options);
        prop_assert_eq!(launched_with(&argv), Ok(options), "{:?}", argv);
    }

    #[test]
    fn no_text_is_too_strange_for_any_option(text in any::<String>()) {
        for opt in table() {
            if let Ok(value) = opt.check(&text) {
                let text = opt.text(&value).unwrap();
                prop_assert_eq!(opt.check(&text), Ok(value), "{}: {:?}", opt.name, text);
            }
        }
    }
}

#[test]
fn the_launcher_is_told_only_what_differs() {
    assert_eq!(launch_argv(&Options::default()), [""; 0]);
    let mut options = Options::default();
    options.daemon.umask = Umask(0o77);
    options.daemon.setsid = false;
    options.process.oom_score_adj = Some(-500);
    options.process.clear_env = true;
    options.limits.timeout = Some("1h".parse().unwrap());
    assert_eq!(
        launch_argv(&options),
        ["--no-setsid", "--umask=077", "--clear-env", "--config-override", "process.oom_score_adj=-500"]
    );
}

#[test]
fn the_launcher_refuses_what_is_the_supervisors_and_implies_a_sandbox() {
    let override_of = |text: &str| launched_with(&["--config-override".to_owned(), text.to_owned()]);
    let refused = override_of("process.restart=always").unwrap_err().to_string();
    assert_eq!(refused, "--config-override: process.restart is not the launcher's matter");
    assert_eq!(launched_with(&["--private-tmp".to_owned()]).unwrap().sandbox.kind, SandboxType::Unshare);
    assert!(launched_with(&["--private-tmp".to_owned(), "--sandbox=none".to_owned()]).is_err());
}
