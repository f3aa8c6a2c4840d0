//! The screen as cells, and what keys do to it.

use jiff::tz::TimeZone;
use ratatui_core::buffer::Buffer;
use ratatui_core::layout::Rect;
use ratatui_core::style::{Color, Modifier};
use termion::event::Key;

use super::super::known::Which;
use super::super::report::Seen;
use super::super::report::samples::{self, NOW};
use super::super::screens;
use super::deed::{Deed, Outcome};
use super::draw::{Paint, draw, page};
use super::look::{Brief, Look};
use super::model::{Effect, Mode, Model, Panel, Part};
use crate::control::status::AppStatus;

fn brief(status: AppStatus) -> Brief {
    let runs = status.pid.is_some();
    Brief { cpu: runs.then_some(1.5), memory: runs.then_some(12 << 20), status }
}

/// The apps of every kind; the first is looked at closely.
fn kinds() -> Vec<Brief> {
    samples::every().into_iter().map(brief).collect()
}

/// So many apps that run.
fn many(number: usize) -> Vec<Brief> {
    let web = samples::blocks().remove(0).status;
    let one = |at: usize| AppStatus {
        name: format!("app{at:03}").parse().unwrap(),
        pid: Some(1000 + at as i32),
        check: None,
        restarts: 0,
        last_exit: None,
        changed: Vec::new(),
        run_moved_to: None,
        ..web.clone()
    };
    (1..=number)
        .map(|at| Brief { cpu: Some((at % 7) as f64), memory: Some((at as u64) << 20), status: one(at) })
        .collect()
}

fn look(apps: Vec<Brief>, selected: Option<&str>) -> Result<Look, String> {
    let close = apps.iter().find(|app| Some(app.status.name.as_str()) == selected).map(|app| {
        let all = samples::blocks().remove(0);
        Seen { status: app.status.clone(), ..all }
    });
    Ok(Look { at: NOW, apps, close, whole: true })
}

fn model(apps: Vec<Brief>) -> Model {
    let mut model = Model::new("/srv/apps".into(), Which { names: Vec::new(), all: true }, Part::Processes);
    let first = apps.first().map(|app| app.status.name.to_string());
    for _ in 0..3 {
        model.looked(look(apps.clone(), first.as_deref()));
    }
    model
}

fn press(model: &mut Model, keys: &[Key]) -> Vec<Effect> {
    keys.iter().filter_map(|key| model.key(*key, 10)).collect()
}

fn drawn(model: &Model, width: u16, height: u16, color: bool) -> Buffer {
    let area = Rect::new(0, 0, width, height);
    let mut buffer = Buffer::empty(area);
    draw(model, &Paint { color, zone: TimeZone::UTC }, area, &mut buffer);
    buffer
}

/// The screen as text, without blanks at the ends of lines.
fn text(model: &Model, width: u16, height: u16) -> String {
    let buffer = drawn(model, width, height, false);
    let line = |y| (0..width).map(|x| buffer[(x, y)].symbol()).collect::<String>().trim_end().to_owned() + "\n";
    (0..height).map(line).collect()
}

fn selected(model: &Model) -> &str {
    model.selected.as_ref().map_or("", |name| name.as_str())
}

#[test]
fn the_page_of_watch_shows_what_is_drawn() {
    let mut closed = model(kinds());
    press(&mut closed, &[Key::Char('\n'), Key::Char('\n'), Key::Char('o')]);
    let mut asked = model(many(30));
    press(&mut asked, &[Key::Char('x')]);
    let mut wide = model(many(300));
    press(&mut wide, &[Key::Char('o'), Key::Char('o')]);
    let first = selected(&wide).to_owned();
    wide.looked(look(many(300), Some(&first)));
    let mut help = model(many(1));
    press(&mut help, &[Key::Char('?')]);
    let mut none = Model::new("/srv/apps".into(), Which::default(), Part::Processes);
    none.looked(look(Vec::new(), None));
    let shown = vec![
        ("no app", text(&none, 80, 24)),
        ("one app", text(&model(many(1)), 80, 24)),
        ("30 apps, and a question", text(&asked, 80, 24)),
        ("apps of every kind, by state, without the panel", text(&closed, 100, 24)),
        ("300 apps, by processor time", text(&wide, 200, 50)),
        ("help", text(&help, 80, 24)),
    ];
    screens::keep("docs/watch.md", &shown);
}

#[test]
fn every_part_of_an_app_is_shown() {
    let mut all = model(kinds());
    let shown = Part::EVERY.map(|part| {
        assert_eq!(all.part, part);
        let screen = text(&all, 80, 30);
        press(&mut all, &[Key::Char('\t')]);
        screen
    });
    assert_eq!(all.part, Part::Processes, "round and round");
    insta::assert_snapshot!(shown.join("=====\n"));
}

#[test]
fn without_colour_nothing_is_coloured_and_the_words_are_the_same() {
    let all = model(kinds());
    let (plain, painted) = (drawn(&all, 80, 24, false), drawn(&all, 80, 24, true));
    let words = |buffer: &Buffer| buffer.content().iter().map(|cell| cell.symbol().to_owned()).collect::<Vec<_>>();
    assert_eq!(words(&plain), words(&painted));
    assert!(plain.content().iter().all(|cell| cell.fg == Color::Reset && cell.bg == Color::Reset));
    assert!(painted.content().iter().any(|cell| cell.fg == Color::Green));
    // The selected app stands out all the same.
    assert!(plain.content().iter().any(|cell| cell.modifier.contains(Modifier::REVERSED)));
}

#[test]
fn every_size_is_drawn() {
    for apps in [Vec::new(), many(1), many(30), kinds()] {
        for said in [None, Some(Outcome { good: false, said: vec!["no".into(); 9] })] {
            let mut one = model(apps.clone());
            one.said = said;
            for panel in [Panel::Half, Panel::Whole, Panel::None] {
                one.panel = panel;
                for width in [1, 20, 30, 31, 44, 80, 250] {
                    for height in [1, 5, 6, 7, 12, 24, 80] {
                        drawn(&one, width, height, true);
                    }
                }
            }
        }
    }
    assert!(text(&model(many(3)), 29, 24).starts_with("too small"));
}

#[test]
fn a_panel_of_little_room_counts_processes_and_nothing_else() {
    let apps = vec![kinds().remove(0)];
    let mut one = model(apps);
    if let Some(seen) = &mut one.close {
        seen.processes.iter_mut().for_each(|tree| tree.children.clear());
    }
    for height in 5..12 {
        let screen = text(&one, 80, height);
        assert!(!screen.contains("more process"), "{screen}");
    }
}

#[test]
fn the_selected_app_is_on_the_screen_wherever_it_is() {
    let mut all = model(many(300));
    for key in [Key::End, Key::PageUp, Key::Up, Key::Home, Key::Down, Key::PageDown] {
        press(&mut all, &[key]);
        let screen = drawn(&all, 80, 24, false);
        let marked: Vec<u16> = (0..24).filter(|y| screen[(0, *y)].modifier.contains(Modifier::REVERSED)).collect();
        let name: String = (0..6).map(|x| screen[(x, marked[0])].symbol()).collect();
        assert_eq!((marked.len(), name.as_str()), (1, selected(&all)), "{key:?}");
    }
    assert_eq!(selected(&all), "app012");
    assert!(page(&all, 24) > 5);
}

#[test]
fn an_app_stays_selected_while_others_come_and_go() {
    let mut all = model(many(5));
    press(&mut all, &[Key::Down, Key::Down]);
    assert_eq!(selected(&all), "app003");
    all.looked(look(many(4), None));
    assert_eq!(selected(&all), "app003");
    press(&mut all, &[Key::Char('o'), Key::Char('o'), Key::Char('o')]);
    assert_eq!(selected(&all), "app004", "most memory is where an order by memory begins");
    press(&mut all, &[Key::Down]);
    all.looked(look(many(5), None));
    assert_eq!((selected(&all), all.apps[2].status.name.as_str()), ("app003", "app003"));
    let without: Vec<Brief> = many(4).into_iter().filter(|app| app.status.name.as_str() != "app003").collect();
    all.looked(look(without, None));
    assert_eq!(selected(&all), all.apps[0].status.name.as_str());
    all.looked(look(Vec::new(), None));
    assert_eq!(press(&mut all, &[Key::Char('s'), Key::Char('l'), Key::Char('x'), Key::Char('y')]), []);
}

#[test]
fn orders_begin_with_what_an_operator_looks_for() {
    let mut all = model(kinds());
    let first = |all: &Model| all.apps[0].status.name.to_string();
    let firsts: Vec<String> = (0..6)
        .map(|_| {
            let name = first(&all);
            press(&mut all, &[Key::Char('o')]);
            name
        })
        .collect();
    // By name, by state, then by what is greatest.
    assert_eq!(firsts[..2], ["api", "sick"]);
    assert_eq!(all.apps.iter().map(|app| app.status.restarts).max(), Some(2));
    assert_eq!(firsts[5], "crash");
    press(&mut all, &[Key::Char('O')]);
    assert_eq!(first(&all), "wrong", "by name, turned round");
}

#[test]
fn letters_of_a_filter_are_no_commands() {
    let mut all = model(kinds());
    assert_eq!(press(&mut all, &[Key::Char('/'), Key::Char('X'), Key::Char('q'), Key::Backspace, Key::Backspace]), []);
    press(&mut all, &[Key::Char('R'), Key::Char('e'), Key::Char('F'), Key::Char('u'), Key::Char('s')]);
    assert_eq!(all.mode, Mode::Filter);
    // What the check of an app says is in its note.
    let names: Vec<_> = all.shown().iter().map(|app| app.status.name.to_string()).collect();
    assert_eq!(names, ["api", "ill", "waits"]);
    press(&mut all, &[Key::Down, Key::Char('\n')]);
    assert_eq!((all.mode, selected(&all)), (Mode::Look, "ill"));
    let kept = text(&all, 80, 24);
    assert!(kept.contains(&format!("3 with \"ReFus\" of {} apps: ", all.apps.len())), "{kept}");
    press(&mut all, &[Key::Esc]);
    assert_eq!(all.shown().len(), all.apps.len());
}

#[test]
fn what_hurts_is_asked_first() {
    let mut all = model(many(3));
    let app = || "app001".parse().unwrap();
    assert_eq!(press(&mut all, &[Key::Char('s')]), [Effect::Do(Deed::Start, app())]);
    assert_eq!(press(&mut all, &[Key::Char('x')]), []);
    assert_eq!(all.mode, Mode::Ask(Deed::Stop));
    assert_eq!(press(&mut all, &[Key::Char('n'), Key::Char('r'), Key::Char('\n'), Key::Char('x'), Key::Char('x')]), []);
    assert_eq!(press(&mut all, &[Key::Char('r'), Key::Char('y')]), [Effect::Do(Deed::Restart, app())]);
    assert!(text(&all, 80, 24).contains("restart app001 …"));
    all.done(Deed::Restart, &app(), Outcome { good: true, said: vec!["restarted app001 (pid 7)".into()] });
    assert!(text(&all, 80, 24).contains("restarted app001 (pid 7)"));
    assert_eq!(all.doing.len(), 1, "the start goes on");
    // Whatever is asked, Ctrl-C leaves.
    assert_eq!(press(&mut all, &[Key::Char('x'), Key::Ctrl('c')]), [Effect::Quit]);
}

#[test]
fn what_cannot_be_looked_at_is_said_and_the_rest_stays() {
    let mut all = model(many(2));
    all.looked(Err("cannot read /srv/apps: No such file or directory".into()));
    let screen = text(&all, 80, 24);
    assert!(screen.contains("app002") && screen.contains("cannot read /srv/apps"), "{screen}");
    all.looked(look(many(2), None));
    assert!(!text(&all, 80, 24).contains("cannot read"));
}
