//! What the screen shows, and what keys do to that.

use std::collections::{BTreeMap, VecDeque};

use daemonctl_actors::value::AppName;
use termion::event::Key;

use super::super::known::Which;
use super::super::report::{Seen, note};
use super::deed::{Deed, Outcome};
use super::look::{Brief, Look, Wish};
use super::sort::Sort;

/// How many looks are remembered of each app.
const REMEMBERED: usize = 240;

/// What is shown of the selected app.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::cli) enum Part {
    /// Its processes and its last lines.
    Processes,
    Resources,
    Health,
    /// All that is known, as `status APP` tells it.
    All,
}

impl Part {
    pub(super) const EVERY: [Self; 4] = [Self::Processes, Self::Resources, Self::Health, Self::All];

    pub(super) fn title(self) -> &'static str {
        match self {
            Self::Processes => "processes",
            Self::Resources => "resources",
            Self::Health => "health",
            Self::All => "all",
        }
    }

    fn next(self, step: usize) -> Self {
        let at = Self::EVERY.iter().position(|part| *part == self).unwrap_or(0);
        Self::EVERY[(at + step) % Self::EVERY.len()]
    }
}

/// How much of the screen the selected app gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Panel {
    Half,
    Whole,
    None,
}

/// What keys mean just now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    Look,
    /// Letters go to the filter.
    Filter,
    /// Whether to do this is asked.
    Ask(Deed),
    Help,
}

/// What a key asks for beyond the screen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Effect {
    Quit,
    Suspend,
    Do(Deed, AppName),
    Logs(AppName),
}

/// What an app has used, at each look, the last one at the end: percent of a CPU, and bytes.
#[derive(Clone, Debug, Default)]
pub(super) struct History {
    pub(super) cpu: VecDeque<f64>,
    pub(super) memory: VecDeque<f64>,
}

/// The screen's state.
#[derive(Debug)]
pub(super) struct Model {
    /// The directory of the apps.
    pub(super) root: String,
    which: Which,
    pub(super) mode: Mode,
    pub(super) part: Part,
    pub(super) panel: Panel,
    pub(super) filter: String,
    pub(super) sort: Sort,
    pub(super) reversed: bool,
    /// When apps were looked at last, in seconds since the epoch; nothing before the first look.
    pub(super) at: Option<f64>,
    /// All that were seen, in the order in which they are shown.
    pub(super) apps: Vec<Brief>,
    pub(super) close: Option<Seen>,
    pub(super) history: BTreeMap<AppName, History>,
    pub(super) selected: Option<AppName>,
    /// What was said last, and whether it is good.
    pub(super) said: Option<Outcome>,
    /// Why apps could not be looked at.
    pub(super) blind: Option<String>,
    /// What is being done.
    pub(super) doing: Vec<(Deed, AppName)>,
    /// Lines of the panel that are above its top.
    pub(super) scrolled: usize,
}

impl Model {
    /// A screen before the first look.
    pub(super) fn new(root: String, which: Which, part: Part) -> Self {
        Self {
            root,
            which,
            mode: Mode::Look,
            part,
            panel: Panel::Half,
            filter: String::new(),
            sort: Sort::Name,
            reversed: false,
            at: None,
            apps: Vec::new(),
            close: None,
            history: BTreeMap::new(),
            selected: None,
            said: None,
            blind: None,
            doing: Vec::new(),
            scrolled: 0,
        }
    }

    /// What should be looked at.
    pub(super) fn wish(&self) -> Wish {
        let selected = self.selected.clone().filter(|_| self.panel != Panel::None);
        Wish { which: self.which.clone(), selected, part: self.part }
    }

    /// Whether every app is shown, also those that were never started.
    pub(super) fn shows_all(&self) -> bool {
        self.which.all
    }

    /// The apps that pass the filter.
    pub(super) fn shown(&self) -> Vec<&Brief> {
        let wanted = self.filter.to_lowercase();
        let passes = |app: &&Brief| {
            let note = note(&app.status, self.at.unwrap_or(0.0)).unwrap_or_default();
            [app.status.name.as_str(), app.status.state.as_str(), &note]
                .iter()
                .any(|text| text.to_lowercase().contains(&wanted))
        };
        self.apps.iter().filter(passes).collect()
    }

    /// Takes in what was seen.
    pub(super) fn looked(&mut self, look: Result<Look, String>) {
        let look = match look {
            Ok(look) => look,
            Err(why) => {
                self.blind = Some(why);
                return;
            }
        };
        if look.whole {
            self.history.retain(|name, _| look.apps.iter().any(|app| app.status.name == *name));
            for app in &look.apps {
                let history = self.history.entry(app.status.name.clone()).or_default();
                remember(&mut history.cpu, app.cpu.unwrap_or(0.0));
                remember(&mut history.memory, app.memory.unwrap_or(0) as f64);
            }
        }
        self.blind = None;
        self.at = Some(look.at);
        self.apps = look.apps;
        self.close = look.close;
        self.order();
    }

    /// Takes in what became of a deed.
    pub(super) fn done(&mut self, deed: Deed, app: &AppName, outcome: Outcome) {
        self.doing.retain(|(one, name)| (*one, name) != (deed, app));
        self.said = Some(outcome);
    }

    /// Does what a key means. A page is so many apps.
    pub(super) fn key(&mut self, key: Key, page: usize) -> Option<Effect> {
        if key == Key::Ctrl('c') {
            return Some(Effect::Quit);
        }
        if key == Key::Ctrl('z') {
            return Some(Effect::Suspend);
        }
        self.said = None;
        match self.mode {
            Mode::Look => self.look(key, page),
            Mode::Filter => {
                self.type_filter(key, page);
                None
            }
            Mode::Ask(deed) => {
                self.mode = Mode::Look;
                if matches!(key, Key::Char('y' | 'Y')) { self.begin(deed) } else { None }
            }
            Mode::Help => {
                self.mode = Mode::Look;
                None
            }
        }
    }

    fn look(&mut self, key: Key, page: usize) -> Option<Effect> {
        match key {
            Key::Char('q') => return Some(Effect::Quit),
            Key::Char('?' | 'h') => self.mode = Mode::Help,
            Key::Char('/') => self.mode = Mode::Filter,
            Key::Esc if !self.filter.is_empty() => self.set_filter(String::new()),
            Key::Char('o') => {
                self.sort = self.sort.next();
                self.order();
                self.step(|_| 0); // Whoever asks for an order wants to see what it begins with.
            }
            Key::Char('O') => {
                self.reversed = !self.reversed;
                self.order();
                self.step(|_| 0);
            }
            Key::Char('a') if self.which.names.is_empty() => self.which.all = !self.which.all,
            Key::Char('\t') => self.show(self.part.next(1)),
            Key::BackTab => self.show(self.part.next(Part::EVERY.len() - 1)),
            Key::Char('\n') => {
                self.scrolled = 0;
                self.panel = match self.panel {
                    Panel::Half => Panel::Whole,
                    Panel::Whole => Panel::None,
                    Panel::None => Panel::Half,
                }
            }
            Key::Char('J') => self.scrolled = self.scrolled.saturating_add(1),
            Key::Char('K') => self.scrolled = self.scrolled.saturating_sub(1),
            Key::Char('s') => return self.begin(Deed::Start),
            Key::Char('x') => self.ask(Deed::Stop),
            Key::Char('r') => self.ask(Deed::Restart),
            Key::Char('l') => return self.selected.clone().map(Effect::Logs),
            key => self.go(key, page),
        }
        None
    }

    /// Selects another app.
    fn go(&mut self, key: Key, page: usize) {
        let page = page.max(1);
        match key {
            Key::Up | Key::Char('k') => self.step(|at| at.saturating_sub(1)),
            Key::Down | Key::Char('j') => self.step(|at| at + 1),
            Key::PageUp | Key::Ctrl('b') => self.step(|at| at.saturating_sub(page)),
            Key::PageDown | Key::Ctrl('f') => self.step(|at| at + page),
            Key::Home | Key::Char('g') => self.step(|_| 0),
            Key::End | Key::Char('G') => self.step(|_| usize::MAX),
            _ => {}
        }
    }

    fn type_filter(&mut self, key: Key, page: usize) {
        match key {
            Key::Char('\n') => self.mode = Mode::Look,
            Key::Esc => {
                self.mode = Mode::Look;
                self.set_filter(String::new());
            }
            Key::Backspace => {
                let mut shorter = self.filter.clone();
                shorter.pop();
                self.set_filter(shorter);
            }
            Key::Ctrl('u') => self.set_filter(String::new()),
            Key::Char(letter) if !letter.is_control() => self.set_filter(format!("{}{letter}", self.filter)),
            key @ (Key::Up | Key::Down | Key::PageUp | Key::PageDown | Key::Home | Key::End) => self.go(key, page),
            _ => {}
        }
    }

    fn set_filter(&mut self, filter: String) {
        self.filter = filter;
        self.select();
    }

    fn show(&mut self, part: Part) {
        self.scrolled = 0;
        self.part = part;
        if self.panel == Panel::None {
            self.panel = Panel::Half;
        }
    }

    fn step(&mut self, to: impl Fn(usize) -> usize) {
        let shown = self.shown();
        let at = shown.iter().position(|app| Some(&app.status.name) == self.selected.as_ref()).unwrap_or(0);
        let next = shown.get(to(at).min(shown.len().saturating_sub(1))).map(|app| app.status.name.clone());
        if next != self.selected {
            self.scrolled = 0;
            self.close = None;
        }
        self.selected = next;
    }

    /// Puts apps in their order. The one that is selected stays it.
    fn order(&mut self) {
        let (sort, reversed) = (self.sort, self.reversed);
        self.apps.sort_by(|a, b| {
            let by = sort.compare(a, b);
            if reversed { by.reverse() } else { by }
        });
        self.select();
    }

    /// Selects an app that is shown, if the one that was selected is not.
    fn select(&mut self) {
        let shown = self.shown();
        if !shown.iter().any(|app| Some(&app.status.name) == self.selected.as_ref()) {
            self.selected = shown.first().map(|app| app.status.name.clone());
            self.close = None;
            self.scrolled = 0;
        }
    }

    fn ask(&mut self, deed: Deed) {
        if self.selected.is_some() {
            self.mode = if deed.hurts() { Mode::Ask(deed) } else { Mode::Look };
        }
    }

    fn begin(&mut self, deed: Deed) -> Option<Effect> {
        let app = self.selected.clone()?;
        self.doing.push((deed, app.clone()));
        Some(Effect::Do(deed, app))
    }
}

fn remember(numbers: &mut VecDeque<f64>, number: f64) {
    numbers.push_back(number);
    if numbers.len() > REMEMBERED {
        numbers.pop_front();
    }
}
