//! Files with mistakes, and layers over each other.

use std::fs;

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::config::Setting;
use crate::config::table::table;
use crate::config::values::{Level, Restart, SandboxType, Size, Umask};

/// Configurations as people get them wrong, each with what went wrong.
const BAD: [(&str, &str); 34] = [
    ("a key with two letters exchanged", "[process]\nrestrat = \"always\"\n"),
    ("a key of another section", "[process]\ntimeout = \"1h\"\nuser = \"www-data\"\n"),
    ("a key nobody knows", "[process]\ncolour = \"red\"\n"),
    ("a section with a letter missing", "[proces]\nrestart = \"always\"\n"),
    ("a table without its section", "[environment]\nLANG = \"C\"\n"),
    ("a section nobody knows", "[network]\nport = 80\n"),
    ("a key outside of any section", "restart = \"always\"\nport = 80\n\n[daemon]\nenabled = true\n"),
    ("a section written as a value", "process = \"web\"\n"),
    ("a section written as a list", "[[process]]\nrestart = \"always\"\n"),
    ("a size with an unknown unit", "[limits]\n# as much as fits\nmemory_limit = \"12X\"\nstack_limit = 8.5\n"),
    ("a month that was meant to be a minute", "[process]\nrestart_delay = \"1M\"\nrestart_delay_max = -5\n"),
    (
        "numbers out of range",
        "[process]\npriority = 20\n\n[limits]\ncpu_limit = 150\n\n[monitoring]\nfailure_threshold = 0\n",
    ),
    ("wrong types", "[daemon]\nenabled = \"yes\"\nname = 5\n\n[process]\npriority = \"10\"\nargs = 5\nrestart = 1\n"),
    (
        "lists with one bad element",
        "[process]\nsuccess_exit_codes = [0, 300]\n\n[signals]\nforward_list = [\"USR1\", \"FOO\", []]\n",
    ),
    ("a secret of the wrong type", "[process.environment]\nTOKEN = [\"hunter2\"]\n\"A B\" = \"hunter2\"\n"),
    ("a umask in decimal", "[daemon]\numask = 99\n"),
    ("an empty user", "[security]\nuser = \"\"\n"),
    ("a key twice", "[process]\nrestart = \"no\"\npriority = 5\nrestart = \"always\"\n"),
    ("a section twice", "[process]\nrestart = \"no\"\n\n[process]\npriority = 5\n"),
    ("a text without quotes", "[process]\nrestart = always\npriorty = 5\n"),
    ("a file of another kind", "{\n  \"process\": {\"restart\": \"always\"}\n}\n"),
    ("a file of yet another kind", "# ours\nprocess:\n  restart: always\n"),
    ("a text that begins like a number of TOML", "[process]\nrestart = no\ncommand = ./web\n"),
    ("texts without quotes in a list and in a table", "[process]\nargs = [web, --port]\nenvironment = { A = b }\n"),
    ("true in capitals", "[limits]\ncore_dumps = True\n"),
    ("true in capitals in a table", "process.environment = { A = True }\n"),
    ("a colon for an equals sign", "[process]\nrestart: \"no\"\n"),
    ("numbers that begin with 0", "[daemon]\numask = 022\n[process]\npriority = +05\nsuccess_exit_codes = [07]\n"),
    ("a header that is not closed, with keys below it", "[process\nrestart = \"no\"\n[limits]\nfile_limt = 5\n"),
    ("a text that never ends", "[daemon]\nname = \"web\ndescription = \"The site\"\n"),
    ("a bracket forgotten", "[daemon\nname = \"web\"\n\n[process]\nrestart = \"sometimes\"\n"),
    ("an INI file", "; settings\n[program:web]\ncommand=/usr/bin/web --port 80\n"),
    ("settings of daemonctl in an app's file", "[daemonctl]\nlog_level = \"debug\"\n"),
    (
        "many mistakes",
        "[deamon]\nname = 1\n\n[process]\nrestart = \"sometimes\"\nstart-timeout = \"5m\"\n\n[pidfile]\nenabled = 1\n",
    ),
];

#[test]
fn a_file_of_nothing_but_mistakes_is_not_recited() {
    let text: String = (0..70_000).map(|at| format!("a{at}=\n")).collect();
    let problems = check_text(Path::new("conf.toml"), &text, false);
    assert_eq!(problems.len(), 51);
    assert_eq!(problems[50].to_string(), "conf.toml: and more mistakes like these");
    assert_eq!(check_text(Path::new("conf.toml"), &format!("a = {}", "[".repeat(500_000)), false).len(), 1);
}

#[test]
fn every_mistake_of_a_file_is_reported_with_its_place() {
    let mut report = String::new();
    for (title, text) in BAD {
        let problems = check_text(Path::new("web/conf.toml"), text, false);
        assert!(!problems.is_empty(), "{title}");
        let numbered: String = text.lines().zip(1..).map(|(line, at)| format!("  {at} | {line}\n")).collect();
        let hint = Problems(problems.clone()).hint().map(|hint| format!("\n  hint: {hint}")).unwrap_or_default();
        report += &format!("{title}\n{numbered}{}{hint}\n\n", Problems(problems));
    }
    insta::assert_snapshot!(report);
}

/// An apps root with one app.
struct Home {
    dir: tempfile::TempDir,
    app: AppName,
    environment: BTreeMap<String, String>,
    ask: Ask,
}

impl Home {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("web")).unwrap();
        Self { dir, app: "web".parse().unwrap(), environment: BTreeMap::new(), ask: Ask::default() }
    }

    fn global(self, text: &str) -> Self {
        fs::write(self.dir.path().join("conf.toml"), text).unwrap();
        self
    }

    fn config(self, text: impl AsRef<[u8]>) -> Self {
        fs::write(self.app_file(), text).unwrap();
        self
    }

    fn variable(mut self, name: &str, text: &str) -> Self {
        self.environment.insert(name.into(), text.into());
        self
    }

    fn ask(mut self, origin: &str, key: &str, value: &str) -> Self {
        self.ask.settings.push(Setting { key: key.into(), value: value.into(), origin: origin.into() });
        self
    }

    fn app_file(&self) -> PathBuf {
        self.dir.path().join("web/conf.toml")
    }

    fn resolve(&self) -> Result<Resolved, Problems> {
        let file = self.app_file();
        resolve(&Sources {
            root: self.dir.path(),
            app: &self.app,
            app_config: file.symlink_metadata().is_ok().then_some(&file),
            ask: &self.ask,
            environment: &self.environment,
        })
    }

    /// The problems, with the temporary directory taken out.
    fn wrong(&self) -> String {
        let problems = self.resolve().expect_err("this must not resolve");
        problems.to_string().replace(&self.dir.path().display().to_string(), "ROOT")
    }

    fn origin(&self, name: &str) -> String {
        self.resolve().unwrap().origins[name].to_string().replace(&self.dir.path().display().to_string(), "ROOT")
    }
}

#[test]
fn nothing_set_is_the_defaults() {
    let resolved = Home::new().resolve().unwrap();
    assert_eq!(resolved.options, Options::default());
    assert_eq!(resolved.warnings, []);
    assert_eq!(resolved.origins.len(), table().len());
    assert!(resolved.origins.values().all(|origin| *origin == Origin::Default));
}

#[test]
fn each_layer_wins_over_those_before_it() {
    type Layer = fn(Home) -> Home;
    let layers: [(Layer, u32, &str); 7] = [
        (|home| home, 0o022, "default"),
        (|home| home.global("[daemon]\numask = \"001\"\n"), 0o001, "ROOT/conf.toml:2"),
        (|home| home.config("# ours\n\n[daemon]\numask = \"002\"\n"), 0o002, "ROOT/web/conf.toml:4"),
        (|home| home.variable("DAEMONCTL_WEB_UMASK", "003"), 0o003, "$DAEMONCTL_WEB_UMASK"),
        (|home| home.variable("DAEMONCTL_WEB_DAEMON_UMASK", "004"), 0o004, "$DAEMONCTL_WEB_DAEMON_UMASK"),
        (|home| home.ask("--config-override", "daemon.umask", "005"), 0o005, "--config-override"),
        (|home| home.ask("--umask", "daemon.umask", "006"), 0o006, "--umask"),
    ];
    let mut home = Home::new();
    for (layer, umask, origin) in layers {
        home = layer(home);
        assert_eq!(home.resolve().unwrap().options.daemon.umask, Umask(umask), "{origin}");
        assert_eq!(home.origin("daemon.umask"), origin);
    }
    home.ask.settings.clear();
    home.ask.no_config = true;
    home.environment.clear();
    assert_eq!(home.resolve().unwrap().options, Options::default(), "--no-config ignores every file");
}

#[test]
fn a_layer_replaces_lists_and_adds_variables() {
    let home = Home::new()
        .global("[process]\nargs = [\"-v\"]\nenvironment = { A = \"global\", B = \"global\", C = 1 }\n")
        .config("[process]\nargs = [\"--port\", 80]\n[process.environment]\nB = \"app\"\nD = true\n")
        .variable("DAEMONCTL_WEB_ENVIRONMENT", "C='x,y',E=env")
        .ask("--env", "process.environment", "E=flag");
    let process = home.resolve().unwrap().options.process;
    assert_eq!(process.args.0, ["--port", "80"]);
    assert_eq!(process.environment.to_string(), "A=global,B=app,C='x,y',D=true,E=flag");
}

#[test]
fn every_form_of_a_value_is_read() {
    let text = "
        daemon.umask = 0o077
        process = { restart = true, restart_delay = 7, success_exit_codes = [0, 3], args = \"--name 'my app'\" }
        [signals]
        stop_signal = 2
        preserve_signals = \"HUP, USR1\"
        [limits]
        memory_limit = 1_048_576
        file_limit = 0x400
        core_limit = \"unlimited\"
        [sandbox]
        type = \"firejail\"
        readonly_paths = [\"/etc\", \"/srv/a:b\"]
    ";
    let options = Home::new().config(text).resolve().unwrap().options;
    assert_eq!(options.daemon.umask, Umask(0o77));
    assert_eq!(options.process.restart, Restart::Always);
    assert_eq!(options.process.restart_delay.to_string(), "7s");
    assert_eq!(options.process.args.0, ["--name", "my app"]);
    assert_eq!(options.signals.stop_signal.to_string(), "SIGINT");
    assert_eq!(options.signals.preserve_signals.to_string(), "SIGHUP,SIGUSR1");
    assert_eq!(options.limits.memory_limit, Some(Size(1 << 20)));
    assert_eq!(options.limits.file_limit, Some(1024));
    assert_eq!(options.sandbox.readonly_paths.0, [Path::new("/etc"), Path::new("/srv/a:b")]);
}

#[test]
fn options_survive_a_file() {
    let home = Home::new()
        .ask("", "daemon.working_directory", "/srv/a 'b'")
        .ask("", "process.args", "--name 'my app' ''")
        .ask("", "process.environment", "A='1,2',B=")
        .ask("", "process.restart", "on-failure")
        .ask("", "process.success_exit_codes", "0,3")
        .ask("", "security.no_new_privs", "yes")
        .ask("", "sandbox.type", "firejail")
        .ask("", "sandbox.readonly_paths", "/etc:'/a:b'")
        .ask("", "signals.forward_list", "RTMIN+1,HUP")
        .ask("", "limits.memory_limit", "512M")
        .ask("", "limits.core_limit", "unlimited")
        .ask("", "limits.timeout", "1h30m");
    let options = home.resolve().unwrap().options;
    let text = toml::to_string(&options).unwrap();
    assert_eq!(Home::new().config(&text).resolve().unwrap().options, options, "{text}");
}

proptest! {
    #[test]
    fn no_file_is_too_strange(text in any::<String>(), fragments in vec(0..FRAGMENTS.len(), 0..40)) {
        check_text(Path::new("conf.toml"), &text, true);
        let text: String = fragments.into_iter().map(|at| FRAGMENTS[at]).collect();
        check_text(Path::new("conf.toml"), &text, true);
    }
}

/// What files are made of.
const FRAGMENTS: [&str; 24] = [
    "[",
    "]",
    "[[",
    "]]",
    "{",
    "}",
    "=",
    ",",
    ".",
    "\n",
    "\r\n",
    " ",
    "\"",
    "'",
    "\"\"\"",
    "#",
    "é",
    "\0",
    "-1",
    "1e9",
    "true",
    "process",
    "environment",
    "args",
];

#[test]
fn mistakes_of_all_layers_are_reported_together() {
    let home = Home::new()
        .global("[daemonctl]\nlog_levle = \"info\"\nop_timeout = \"soon\"\n\n[limits]\nmemory_limit = \"12X\"\n")
        .config("[process]\nrestrat = \"no\"\n")
        .variable("DAEMONCTL_WEB_UMASK", "rwx")
        .ask("--config-override", "process.restrat", "no")
        .ask("--nice", "process.priority", "99");
    insta::assert_snapshot!(home.wrong());
}

#[test]
fn a_file_that_cannot_be_a_configuration_is_named() {
    assert_eq!(
        Home::new().config([b'\n', b'#', 0xff]).wrong(),
        "ROOT/web/conf.toml:2:2: not UTF-8: save the file in that encoding"
    );
    let large = format!("# {}", "x".repeat(1 << 20));
    assert_eq!(
        Home::new().config(large).wrong(),
        "ROOT/web/conf.toml: it is larger than 1 MiB, which no configuration is"
    );

    let home = Home::new();
    fs::create_dir(home.app_file()).unwrap();
    assert_eq!(home.wrong(), "ROOT/web/conf.toml: cannot read it: it is not a regular file");

    let home = Home::new();
    std::os::unix::fs::symlink("nowhere", home.app_file()).unwrap();
    assert_eq!(home.wrong(), "ROOT/web/conf.toml: cannot read it: no such file or directory");

    let mut home = Home::new();
    home.ask.config_file = Some(home.dir.path().join("other.toml"));
    assert_eq!(home.wrong(), "ROOT/other.toml: cannot read it: no such file or directory");
}

#[test]
fn an_explicit_global_file_takes_the_place_of_the_roots() {
    let mut home = Home::new().global("[process]\nrestart = \"always\"\n");
    let other = home.dir.path().join("other.toml");
    fs::write(&other, "[logging]\nlevel = \"debug\"\n").unwrap();
    home.ask.config_file = Some(other);
    let options = home.resolve().unwrap().options;
    assert_eq!((options.process.restart, options.logging.level), (Restart::No, Level::Debug));
}

#[test]
fn a_variable_that_names_no_option_is_a_warning() {
    let home = Home::new()
        .variable("DAEMONCTL_WEB_USR", "www-data")
        .variable("DAEMONCTL_WEB_COLOUR", "red")
        .variable("DAEMONCTL_WEB_ENABLED", "false")
        .variable("DAEMONCTL_WEB_API_USER", "api")
        .variable("DAEMONCTL_WEBSITE_USER", "site")
        .variable("DAEMONCTL_DB_NONSENSE", "1");
    let warnings = |home: &Home| Problems(home.resolve().unwrap().warnings).to_string();
    insta::assert_snapshot!(warnings(&home));
    fs::create_dir(home.dir.path().join("web-api")).unwrap();
    assert!(!warnings(&home).contains("API"), "it is meant for the app web-api");
}

#[test]
fn of_two_apps_that_a_variable_may_mean_the_longer_name_wins() {
    let mut home = Home::new()
        .variable("DAEMONCTL_WEB_LIMITS_TIMEOUT", "1h")
        .variable("DAEMONCTL_WEB_STDOUT_FILE", "out")
        .variable("DAEMONCTL_WEB_LIMITS_ENABLED", "no");
    let timeout = |home: &Home| home.resolve().unwrap().options.limits.timeout.map(|span| span.to_string());
    assert_eq!(timeout(&home).as_deref(), Some("1h"), "there is no other app");
    fs::create_dir(home.dir.path().join("web-limits")).unwrap();
    fs::create_dir(home.dir.path().join("web-stdout")).unwrap();
    assert_eq!(timeout(&home), None);
    insta::assert_snapshot!(Problems(home.resolve().unwrap().warnings));
    home.app = "web-limits".parse().unwrap();
    assert_eq!(timeout(&home).as_deref(), Some("1h"));
}

#[test]
fn variables_of_no_app_and_apps_that_share_theirs_are_told() {
    let apps: Vec<AppName> = ["web", "web-api", "web_api"].map(|name| name.parse().unwrap()).into();
    let names = ["DAEMONCTL_WBE_USER", "DAEMONCTL_NOSUCH", "DAEMONCTL_PATH", "DAEMONCTL_WEB_USER", "HOME"];
    let environment = names.map(|name| (name.to_owned(), String::new())).into();
    insta::assert_snapshot!(Problems(doubtful_variables(&apps, &environment)));
}

#[test]
fn a_variable_of_the_program_is_known_by_a_slip_unless_it_is_an_apps() {
    let home = Home::new();
    std::fs::create_dir(home.dir.path().join("log")).unwrap();
    let names = [
        "DAEMONCTL_PAHT",
        "DAEMONCTL_OP_TIMOUT",
        "DAEMONCTL_PATH",
        "DAEMONCTL_APP_TIMEOUT", // limits.timeout of an app, of whichever root.
        "DAEMONCTL_LOG_LEVL",    // An option of the app log, with a slip.
        "DAEMONCTL_LAUNCH_ID",
        "DAEMONCTL_WEB_SOMETHING",
        "PAHT",
    ];
    let told: Vec<_> = misspelt_variables(names.into_iter(), home.dir.path()).iter().map(ToString::to_string).collect();
    let expected = [
        "DAEMONCTL_PAHT is not known; did you mean DAEMONCTL_PATH?",
        "DAEMONCTL_OP_TIMOUT is not known; did you mean DAEMONCTL_OP_TIMEOUT?",
    ];
    assert_eq!(told, expected);
}

#[test]
fn where_each_variable_of_the_environment_was_set_is_known() {
    let home = Home::new()
        .global("[process]\nenvironment = { A = 1, B = 1 }\n")
        .config("[process.environment]\nB = \"2\"\n")
        .ask("--env", "process.environment", "C=3");
    let origins = home.resolve().unwrap().variables.into_iter();
    let told: Vec<String> = origins.map(|(name, origin)| format!("{name}: {origin}")).collect();
    let told = told.join("\n").replace(&home.dir.path().display().to_string(), "ROOT");
    assert_eq!(told, "A: ROOT/conf.toml:2\nB: ROOT/web/conf.toml:2\nC: --env");
}

#[test]
fn daemonctls_own_variables_set_no_option() {
    let mut home = Home::new().variable("DAEMONCTL_LOG_LEVEL", "debug").variable("DAEMONCTL_LOG_LOGGING_LEVEL", "warn");
    home.app = "log".parse().unwrap();
    let resolved = home.resolve().unwrap();
    assert_eq!(resolved.options.logging.level, Level::Warn);
    assert_eq!(resolved.warnings, []);
}

#[test]
fn the_names_of_variables_are_unambiguous() {
    let names = variables::names();
    for opt in table() {
        let long = format!("{}_{}", opt.section, opt.key).to_ascii_uppercase();
        assert_eq!(names[&long].name, opt.name);
    }
    for (name, opt) in names {
        let others = table().iter().filter(|other| other.name != opt.name);
        let mut taken = others.map(|other| format!("{}_{}", other.section, other.key).to_ascii_uppercase());
        assert!(!taken.any(|other| other == *name), "{name} is {} and another", opt.name);
    }
    for (key, name) in
        [("USER", "security.user"), ("MEMORY_LIMIT", "limits.memory_limit"), ("LIMITS_TIMEOUT", "limits.timeout")]
    {
        assert_eq!(names[key].name, name);
    }
    assert!(!names.contains_key("ENABLED"), "three sections have it");
}

#[test]
fn a_wall_implies_a_sandbox_and_contradicts_none() {
    let home = Home::new().config("[sandbox]\nprivate_tmp = true\n");
    assert_eq!(home.resolve().unwrap().options.sandbox.kind, SandboxType::Unshare);
    assert_eq!(home.origin("sandbox.type"), "ROOT/web/conf.toml:2");

    let home = home.ask("--sandbox", "sandbox.type", "none");
    insta::assert_snapshot!(home.wrong());

    let off = Home::new().config("[sandbox]\ntype = \"none\"\nprivate_tmp = false\nreadonly_paths = []\n");
    assert_eq!(off.resolve().unwrap().options.sandbox.kind, SandboxType::None);
}

#[test]
fn what_is_not_known_or_cannot_be_meant_together_is_told_with_its_place() {
    let home = Home::new()
        .config("[security]\ncapabilities_drop = [\"all\", \"NET_RAW\"]\nno_new_privs = false\n")
        .ask("--caps-keep", "security.capabilities_keep", "cap_net_raw");
    insta::assert_snapshot!(home.wrong());
    let home = Home::new().config("[security]\ncapabilities_keep = [\n  \"net_bind\",\n]\n");
    insta::assert_snapshot!(home.wrong());
}

#[test]
fn nothing_is_compressed_by_who_cannot() {
    let home = Home::new().config("[logging]\ncollector = \"teelog\"\ncompress = \"gzip\"\n");
    insta::assert_snapshot!(home.wrong());
    let home = Home::new().config("[logging]\ncompress = \"zstd\"\n");
    insta::assert_snapshot!(home.wrong());
}

#[test]
fn a_backoff_that_cannot_grow_is_a_warning() {
    let home = Home::new().config("[process]\nrestart_delay = \"10m\"\n");
    insta::assert_snapshot!(Problems(home.resolve().unwrap().warnings));
}

#[test]
fn what_seems_to_do_something_and_does_not_is_a_warning() {
    let home = Home::new().config(
        "[logging]\nmax_age = \"1d\"\nmax_count = 3\nstdout_file = \"~/web.log\"\n\n[pidfile]\npath = \"$HOME/web.pid\"\n",
    );
    insta::assert_snapshot!(Problems(home.resolve().unwrap().warnings));
    let home = Home::new().config("[logging]\nmax_size = \"1M\"\nmax_count = 3\nstdout_file = \"a~\"\n");
    assert!(home.resolve().unwrap().warnings.is_empty());
}

#[test]
fn walls_without_a_wall_are_a_warning() {
    let home = Home::new().config("[sandbox]\ntype = \"unshare\"\n");
    insta::assert_snapshot!(Problems(home.resolve().unwrap().warnings), @"sandbox.type: unshare by itself separates nothing: add private_tmp, private_dev, no_network, readonly_paths or seccomp");
    let home = Home::new().config("[sandbox]\ntype = \"unshare\"\nno_network = true\n");
    assert_eq!(home.resolve().unwrap().warnings, []);
}

#[test]
fn a_limit_of_nothing_is_no_limit_that_could_be_meant() {
    let home = Home::new().config(
        "[limits]\ntimeout = 0\nfile_limit = 0\nmemory_limit = \"1K\"\nprocess_limit = 0\n\n\
         [monitoring]\ncheck_interval = 0\ncheck_timeout = 0\n",
    );
    insta::assert_snapshot!(home.wrong());
}

#[test]
fn the_global_file_holds_settings_of_daemonctl_itself() {
    let home = Home::new().global("[daemonctl]\nlog_level = \"debug\"\nop_timeout = 5\n\n[process]\nrestrat = 1\n");
    let file = home.dir.path().join("conf.toml");
    let settings = program(&file, false).unwrap();
    assert_eq!(settings.log_level, Some(Level::Debug));
    assert_eq!(settings.op_timeout.unwrap().to_string(), "5s");
    assert_eq!(settings.no_color, None);
    let missing = home.dir.path().join("missing.toml");
    assert_eq!(program(&missing, false).unwrap(), Program::default());
    assert!(program(&missing, true).is_err());
}
