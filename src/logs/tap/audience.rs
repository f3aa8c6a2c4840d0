//! Who hears of a log: every app whose output goes there, so that what an app hears to begin it hears to end.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::rc::{Rc, Weak};

use super::News;

/// What a tap tells news by.
pub(super) type Tell = dyn Fn(News) + Send;

/// The taps of a log, by the directories of their apps.
#[derive(Default)]
pub(super) struct Audience(RefCell<BTreeMap<PathBuf, Vec<Weak<Tell>>>>);

impl Audience {
    /// Takes in a tap. Whether it is the first of its app that is open.
    pub(super) fn join(&self, home: &Path, tell: &Rc<Tell>) -> bool {
        let mut apps = self.0.borrow_mut();
        let taps = apps.entry(home.to_owned()).or_default();
        taps.retain(|tell| tell.strong_count() > 0);
        taps.push(Rc::downgrade(tell));
        taps.len() == 1
    }

    /// Tells each app once, however many of its streams go there.
    pub(super) fn tell(&self, news: &News) {
        let apps = self.0.borrow();
        let ears = apps.values().filter_map(|taps| taps.iter().find_map(Weak::upgrade));
        ears.for_each(|tell| tell(news.clone()));
    }
}
