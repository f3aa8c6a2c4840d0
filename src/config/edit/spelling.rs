//! A new value in the spelling of the old one.
//!
//! The parser counts a comment behind an element of a list to whatever comes next: the following element, or the end of
//! the list. A person counts it to the element that it stands behind, and so does this.

use serde_json::Value;
use toml_edit::Array;

use super::{text_of, written};

/// A new value in the spelling of the old one, as far as it has one: single quotes, a list over several lines.
pub(super) fn in_place_of(old: &str, value: &Value) -> String {
    let new = written(value);
    match value {
        Value::String(text) if old.starts_with('\'') && !old.starts_with("'''") => {
            let plain = !text.contains(|c: char| c == '\'' || c.is_control());
            if plain { format!("'{text}'") } else { new.to_string() }
        }
        Value::Array(elements) if old.contains('\n') => list_in_place_of(old, elements).unwrap_or(new).to_string(),
        _ => new.to_string(),
    }
}

/// The old list without the elements that are not wanted any more, and with the new ones at its end: comments stay with
/// the elements they are about. None where that is not the new list.
fn list_in_place_of(old: &str, elements: &[Value]) -> Option<toml_edit::Value> {
    let mut list: toml_edit::Value = old.parse().ok()?;
    let array = list.as_array_mut()?;
    let wanted: Vec<String> = elements.iter().map(text_of).collect();
    for at in (0..array.len()).rev() {
        if !wanted.contains(&bare(array.get(at)?)) {
            remove_element(array, at);
        }
    }
    let kept = array.len();
    let same = array.iter().map(bare).eq(wanted.iter().take(kept).cloned());
    let before = raw(array.get(kept.checked_sub(1)?).filter(|_| same)?.decor().prefix());
    let indent = before.rfind('\n').map_or("\n  ", |at| &before[at..]).to_owned();
    for element in &elements[kept..] {
        let (comment, rest) = behind_last(array);
        array.push_formatted(written(element).decorated(comment + &indent, ""));
        array.set_trailing(rest);
    }
    Some(list)
}

/// Takes an element out of a list, with the comment behind it. The parser counts that one to whatever comes next.
fn remove_element(array: &mut Array, at: usize) {
    let gone = array.get(at).map(|element| raw(element.decor().prefix())).unwrap_or_default();
    let (above, _) = first_line(&gone);
    if at + 1 == array.len() {
        let (_, rest) = behind_last(array);
        array.set_trailing(format!("{above}{rest}"));
    } else if let Some(next) = array.get_mut(at + 1) {
        let below = raw(next.decor().prefix());
        next.decor_mut().set_prefix(format!("{above}{}", first_line(&below).1));
    }
    array.remove(at);
}

/// What stands behind the last element of a list, on its line and below; it is taken from there.
fn behind_last(array: &mut Array) -> (String, String) {
    let mut behind = raw(Some(array.trailing()));
    if let Some(last) = array.len().checked_sub(1).and_then(|at| array.get_mut(at)) {
        behind.insert_str(0, &raw(last.decor().suffix()));
        last.decor_mut().set_suffix("");
    }
    let (comment, rest) = first_line(&behind);
    (comment.to_owned(), rest.to_owned())
}

/// A text up to the end of its first line, and what follows, newline first.
fn first_line(text: &str) -> (&str, &str) {
    text.split_at(text.find('\n').unwrap_or(text.len()))
}

fn raw(text: Option<&toml_edit::RawString>) -> String {
    text.and_then(|text| text.as_str()).unwrap_or_default().to_owned()
}

fn bare(value: &toml_edit::Value) -> String {
    value.as_str().map_or_else(|| value.clone().decorated("", "").to_string(), str::to_owned)
}
