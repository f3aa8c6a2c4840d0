//! Changes to files as people write them.

use proptest::prelude::*;

use super::*;
use crate::config::table::table;

fn key(name: &str) -> Key {
    Key::read(name, true).unwrap()
}

/// A change: `KEY=VALUE`, or `KEY` alone to take it out.
fn change(text: &str, change: &str) -> Result<String, Problem> {
    match change.split_once('=') {
        Some((name, value)) => {
            let key = key(name);
            let value = if key.variable.is_some() { value.into() } else { key.opt.check(value).unwrap() };
            set(text, &key, &value)
        }
        None => unset(text, &key(change)).map(|after| after.unwrap_or_else(|| "(not set)\n".to_owned())),
    }
}

const FILE: &str = "\
# The site.
daemon.umask = \"022\"   # as ever

[process]
  # Two of them.
  restart = 'on-failure'  # and no more
  success_exit_codes = [
    0,  # fine
    3,  # nothing to do
  ]
  environment = { LANG = \"C\", TOKEN = \"hunter2\" }

# As much as there is.
[limits]
memory_limit = \"512M\"

[monitoring] # every minute
check_interval = 60
# The end.
";

#[test]
fn a_change_touches_nothing_else() {
    let changes = [
        "daemon.umask=077",
        "daemon.enabled=no",
        "process.restart=always",
        "process.restart",
        "process.priority=-5",
        "process.success_exit_codes=0,4",
        "process.environment.LANG=de_DE.UTF-8",
        "process.environment.A=it's, so",
        "process.environment.TOKEN",
        "process.environment",
        "limits.memory_limit=1g",
        "limits.file_limit=1024",
        "limits.memory_limit",
        "limits.cpu_limit",
        "monitoring.check_interval=1h30m",
        "monitoring.check_interval",
        "security.user=www-data",
        "daemonctl.op_timeout=5",
    ];
    let told = changes.map(|one| {
        let after = change(FILE, one).unwrap_or_else(|problem| format!("! {problem}\n"));
        let (old, new): (Vec<&str>, Vec<&str>) = (FILE.lines().collect(), after.lines().collect());
        let gone = old.iter().filter(|line| !new.contains(line)).map(|line| format!("- {line}\n"));
        let came = new.iter().filter(|line| !old.contains(line)).map(|line| format!("+ {line}\n"));
        format!("{one}\n{}{}", gone.collect::<String>(), came.collect::<String>())
    });
    insta::assert_snapshot!(told.join("\n"));
}

#[test]
fn every_way_to_write_a_section_can_be_changed() {
    let cases = [
        ("", "limits.cpu_limit=50"),
        ("# only words", "limits.cpu_limit=50"),
        ("[limits]", "limits.cpu_limit=50"),
        ("limits.file_limit = 5\nprocess.priority = 1\nlimits.process_limit = 7\n", "limits.cpu_limit=50"),
        ("limits = {}\n", "limits.cpu_limit=50"),
        ("limits = { file_limit = 5 }\n", "limits.cpu_limit=50"),
        ("limits = { file_limit = 5, cpu_limit = 20 }\n", "limits.file_limit"),
        ("[process.environment]\nA = '1'\n", "process.environment.B=2"),
        ("[process.environment]\nA = '1'\n", "process.environment.A"),
        ("[process.environment]\nA = '1'\n", "process.priority=5"),
        ("[process.environment]\n# ours\nA = '1'\n\n[limits]\n", "process.environment=B=2"),
        ("[process]\nenvironment.A = '1'\npriority = 1\n", "process.environment.B=2"),
        ("[process]\nenvironment = \"A=1,B='x,y'\"\n", "process.environment.B=2"),
        ("[process]\nenvironment = \"A=1\"\n", "process.environment.A"),
        ("[process]\nargs = ['a', 'b']\n", "process.args=b c"),
        ("[process]\r\npriority = 1\r\n", "process.restart=always"),
        ("[process]\r\npriority = 1\r\n", "limits.cpu_limit=50"),
        ("[limits]\ncpu_limit = 1", "limits.cpu_limit"),
        ("process = 'web'\n", "process.priority=1"),
        ("[[limits]]\ncpu_limit = 1\n", "limits.cpu_limit=2"),
        ("[limits\n", "limits.cpu_limit=2"),
        ("\u{feff}[limits]\nfile_limit = 5\n", "limits.cpu_limit=50"),
        ("é = 'ö'\n[limits]\nfile_limit = 5 # ü\n", "limits.file_limit=6"),
        ("[limits]\n\tfile_limit = 5\n\n\n# the end\n", "limits.cpu_limit=50"),
        ("process.environment = { A = '1' }\nprocess.priority = 1\n", "process.environment.A"),
        ("process = { environment = { A = '1' } }\n", "process.environment.A"),
    ];
    let told = cases.map(|(text, one)| {
        let after = change(text, one).unwrap_or_else(|problem| format!("! {problem}"));
        format!("{text:?}\n  {one}\n{after:?}\n")
    });
    insta::assert_snapshot!(told.join("\n"));
}

#[test]
fn what_was_added_and_taken_away_again_leaves_no_trace() {
    for text in ["", "# words\n", "[process]\npriority = 1\n", FILE] {
        for one in ["limits.cpu_limit=50", "security.user=web", "process.environment.NEW=1"] {
            let (name, _) = one.split_once('=').unwrap();
            let after = change(&change(text, one).unwrap(), name).unwrap();
            assert_eq!(after, text, "{one}");
        }
    }
}

#[test]
fn what_is_written_can_be_asked_for_and_hidden() {
    assert_eq!(get(FILE, &key("limits.memory_limit")).as_deref(), Some("\"512M\""));
    assert_eq!(get(FILE, &key("process.environment.LANG")).as_deref(), Some("\"C\""));
    assert_eq!(get(FILE, &key("limits.cpu_limit")), None);
    let new = change(FILE, "process.environment.LANG=C.UTF-8").unwrap();
    let veiled = veiled(&new, Some(FILE));
    assert!(veiled.contains("environment = { LANG = \"*** (new)\", TOKEN = \"***\" }"), "{veiled}");
}

/// Options, and texts of which each is a value of some of them.
fn values() -> impl Strategy<Value = (usize, String)> {
    let texts =
        ["5", "1h", "512M", "true", "no", "web", "077", "TERM", "none", "info", "auto", "a,b", "/x:/y", "A=1", "'é\"'"];
    (0..table().len(), proptest::sample::select(texts.to_vec()).prop_map(str::to_owned))
}

/// What files are made of.
const FRAGMENTS: [&str; 20] = [
    "[",
    "]",
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
    "#",
    "é",
    "1",
    "limits",
    "cpu_limit",
    "process",
    "environment",
    "A",
];

proptest! {
    #[test]
    fn no_file_is_too_strange(fragments in proptest::collection::vec(0..FRAGMENTS.len(), 0..30)) {
        let text: String = fragments.into_iter().map(|at| FRAGMENTS[at]).collect();
        for one in ["limits.cpu_limit=50", "limits.cpu_limit", "process.environment.A=2", "process.environment.A"] {
            let _ = change(&text, one);
            veiled(&text, None);
        }
    }

    #[test]
    fn a_file_without_mistakes_can_always_be_changed(
        fragments in proptest::collection::vec(proptest::sample::select(PARTS.to_vec()), 0..6)
    ) {
        let text: String = fragments.concat();
        prop_assume!(text.parse::<toml::Table>().is_ok());
        for one in ["limits.cpu_limit=50", "process.environment.A=2", "process.environment=B=1", "process.args=a b"] {
            let after = change(&text, one);
            prop_assert!(after.is_ok(), "{}: {}\n{}", one, after.unwrap_err(), text);
            prop_assert!(change(&after.unwrap(), one.split('=').next().unwrap()).is_ok(), "{}\n{}", one, text);
        }
    }
}

/// Parts of files, each a whole line or more.
const PARTS: [&str; 12] = [
    "# words\n",
    "\n",
    "[limits]\n",
    "[process]\n",
    "[process.environment]\n",
    "limits.file_limit = 1\n",
    "process = { environment = { A = '1' }, priority = 2 }\n",
    "process.environment.Z = '1'\n",
    "environment = 'A=1,C=3'\n",
    "args = [\n  'a', # one\n  'b' # two\n]\n",
    "cpu_limit = 1 # percent\n",
    "A = '''\nx\n'''\n",
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn any_series_of_changes_leaves_a_file_that_says_what_was_asked_for(
        changes in proptest::collection::vec(values(), 1..10)
    ) {
        let mut text = FILE.to_owned();
        for (at, value) in changes {
            let opt = &table()[at];
            let key = Key { opt, variable: None };
            match opt.check(&value) {
                Ok(value) => text = set(&text, &key, &value).unwrap(),
                Err(_) => text = unset(&text, &key).unwrap().unwrap_or(text),
            }
            prop_assert!(text.contains("# The end.") && text.contains("# The site."), "{}", text);
        }
    }
}

#[test]
fn what_is_no_option_is_taken_out_by_its_name() {
    let text = "# kept\n[process]\nrestrat = \"always\" # gone\nnice = 1\n\n[proces]\na = 1\n";
    let struck = |name| strike(text, name).unwrap();
    assert_eq!(struck("process.restrat").unwrap(), "# kept\n[process]\nnice = 1\n\n[proces]\na = 1\n");
    assert_eq!(struck("proces.a").unwrap(), "# kept\n[process]\nrestrat = \"always\" # gone\nnice = 1\n");
    assert_eq!(struck("proces").as_deref().map(|text| text.contains("a = 1")), Some(false));
    assert_eq!(struck("process.restart"), None);
    assert_eq!(strike("top = 1\n", "top").unwrap().as_deref(), Some(""));
}
