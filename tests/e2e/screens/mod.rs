//! What a person sees, in a terminal emulator: `list`, `status` and its watch, for no app and for hundreds, on a small
//! and a large window, with and without colour. What is the same each time is kept in docs/screens.md.

mod lasting;

use std::path::Path;

use crate::support::{Home, Window, binary};

/// How many apps there are; the first few run.
const FLEETS: [usize; 4] = [0, 1, 30, 300];
const RUNNING: usize = 3;

const WINDOWS: [(u16, u16); 2] = [(80, 24), (200, 50)];

const COMMANDS: [&str; 4] = ["list", "status --all", "status app001", "status --all --watch"];

/// One screen, as text, and where it was seen.
struct Screen {
    command: &'static str,
    apps: usize,
    window: (u16, u16),
    lines: Vec<String>,
}

#[test]
fn every_screen_fits_and_is_as_documented() {
    let home = Home::new();
    let bin = home.base().join("bin");
    std::fs::create_dir(&bin).expect("a directory for the command");
    std::os::unix::fs::symlink(binary("daemonctl"), bin.join("daemonctl")).expect("the command");
    let window = Window::open(&home, 80, 24);
    window.line("export PATH=../bin:$PATH");
    let settings = window.settings("../settings");
    let mut screens = Vec::new();
    for apps in FLEETS {
        grow(&home, apps);
        for size in WINDOWS {
            window.resize(size.0, size.1);
            for command in COMMANDS {
                let look = |colour| {
                    window.line(if colour { "unset NO_COLOR" } else { "export NO_COLOR=1" });
                    window.clear();
                    if command.contains("watch") { watch(&window, command, apps) } else { print(&window, command) }
                };
                let [(plain, plain_codes), (coloured, codes)] = [look(false), look(true)];
                let place = format!("{command}, {apps} apps, {size:?}");
                assert!(!has_colour(&plain_codes), "{place}: colour, with NO_COLOR:\n{plain_codes}");
                assert!(has_colour(&codes) || apps == 0, "{place}: no colour:\n{codes}");
                fits(&coloured, size.0, &place);
                let lines = lasting::lines(&coloured, size.0, &home.root());
                assert_eq!(lines, lasting::lines(&plain, size.0, &home.root()), "{place}: colour changes the text");
                screens.push(Screen { command, apps, window: size, lines });
            }
        }
    }
    window.resize(80, 24);
    assert_eq!(window.settings("../settings-after"), settings, "the terminal is not as it was");
    home.ctl(["stop-all", "--parallel"]).ok();
    keep(&screens, &home);
}

/// Makes as many apps, and starts the first.
fn grow(home: &Home, apps: usize) {
    for number in 1..=apps {
        let name = format!("app{number:03}");
        let app = home.app(&name);
        if !app.dir().exists() {
            app.run_script("exec sleep 1000");
        }
        if number <= RUNNING {
            home.ctl(["start", &name]).ok();
        }
    }
}

/// What a command prints, without and with its colours.
#[track_caller]
fn print(window: &Window, command: &str) -> (Vec<String>, String) {
    let typed = format!("daemonctl {command}");
    window.line(&typed);
    window.wait_until("the prompt behind it", |_| {
        let printed = window.printed(false);
        Window::is_at_prompt(&printed) && printed.matches("shell>").count() == 2
    });
    let lines = window.printed(false);
    let mut lines: Vec<String> = lines.trim_end().lines().map(|line| line.trim_end().to_owned()).collect();
    assert_eq!((lines.remove(0), lines.pop().as_deref()), (format!("shell> {typed}"), Some("shell>")));
    (lines, window.printed(true))
}

/// What a watch draws, and that nothing of it is left.
#[track_caller]
fn watch(window: &Window, command: &str, apps: usize) -> (Vec<String>, String) {
    window.line(&format!("daemonctl {command} --refresh 300ms"));
    let before = format!("shell> daemonctl {command} --refresh 300ms");
    let drawn = window.wait_until("all that it knows", |screen| match apps {
        0 => screen.contains("daemonctl init NAME makes one"),
        // The bar of memory is there from the second look on.
        _ => screen.contains("COMMAND") && screen.contains('█') && screen.contains("sleep 1000"),
    });
    let codes = window.tmux(&["capture-pane", "-p", "-e"]);
    window.press("q");
    let left = window.wait_until("the shell as it was", Window::is_at_prompt);
    assert_eq!(left.trim_end(), format!("{before}\nshell>"), "something is left of the watch");
    (drawn.trim_end().lines().map(|line| line.trim_end().to_owned()).collect(), codes)
}

/// Whether a text sets a colour; bold and reversed are none.
fn has_colour(text: &str) -> bool {
    let codes = text.split("\x1b[").skip(1).filter_map(|rest| rest.split_once('m'));
    let mut numbers = codes.flat_map(|(code, _)| code.split(';')).filter_map(|number| number.parse::<u32>().ok());
    numbers.any(|number| matches!(number, 30..=38 | 40..=48 | 90..=107))
}

/// Nothing is wider than the window, but for remarks, which are prose; a table has its titles, and columns below them.
#[track_caller]
fn fits(lines: &[String], columns: u16, place: &str) {
    let all = lines.join("\n");
    for line in lines.iter().filter(|line| !line.starts_with("daemonctl: ")) {
        assert!(line.chars().count() <= usize::from(columns), "{place}: too wide: {line:?}\n{all}");
    }
    let titles = lines.iter().position(|line| lasting::is_titles(line));
    let has_table = !all.contains("daemonctl: no ") && !all.contains("init NAME makes one");
    assert!(titles.is_some() || !has_table, "{place}: no titles:\n{all}");
    let Some(titles) = titles else { return };
    let cells = |line: &str| line.chars().collect::<Vec<_>>();
    let above = cells(&lines[titles]);
    let indent = above.iter().take_while(|c| **c == ' ').count();
    let starts: Vec<usize> = (indent + 1..above.len())
        .filter(|at| above[*at] != ' ' && above[at - 1] == ' ' && above.get(at - 2).is_some_and(|c| *c == ' '))
        .collect();
    for row in lines[titles + 1..].iter().take_while(|line| lasting::is_row(line)) {
        let row = cells(row);
        for at in starts.iter().filter(|at| **at < row.len()) {
            assert!(row[*at] != ' ' && row[at - 1] == ' ', "{place}: column {at} is not below its title:\n{all}");
        }
    }
}

/// Holds docs/screens.md against what was seen, or writes it.
fn keep(screens: &[Screen], home: &Home) {
    let usual = format!("/tmp/{}", "daemonctl-e2e-XXXXXX");
    if home.base().to_string_lossy().len() != usual.len() || !home.base().starts_with("/tmp") {
        eprintln!("SKIPPED: the page, whose paths are as long as those below /tmp");
        return;
    }
    let mut page = HEAD.to_owned();
    for command in COMMANDS {
        page += &format!("\n## `{command}`\n");
        for Screen { apps, window: (columns, rows), lines, .. } in screens.iter().filter(|one| one.command == command) {
            let apps = if *apps == 1 { "1 app".to_owned() } else { format!("{apps} apps") };
            page += &format!("\n{apps}, {columns}×{rows}:\n\n```text\n");
            for line in lasting::shortened(lines) {
                page += &format!("{line}\n");
            }
            page += "```\n";
        }
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/screens.md");
    let update = std::env::var_os("UPDATE").is_some();
    if update {
        std::fs::write(&path, &page).expect("the page");
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    let differs = written.lines().zip(page.lines()).find(|(written, seen)| written != seen);
    assert!(written == page, "{} is out of date: run this test with UPDATE=1\n{differs:#?}", path.display());
}

const HEAD: &str = "\
# Screens

What `list` and `status` show in a real terminal, for no app, one, thirty and three hundred, of which at most three run,
on windows of 80×24 and of 200×50. Each is drawn with colour and without, and the text is the same. A test draws them in
tmux, holds them against this page (`UPDATE=1 cargo test --test e2e screens` writes it), and looks whether they fit, whether
columns are aligned, and whether the terminal is left as it was. Pids, times, sizes and the bars of the watch stand for
those that were seen. Of long tables the middle is left out: `…`. What the columns and notes mean: [status](status.md),
[watch](watch.md).
";
