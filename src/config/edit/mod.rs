//! One value of a configuration file changed, and nothing else in it.
//!
//! A file belongs to whoever wrote it: comments, order, blank lines and spelling are theirs. So a change is made in the
//! text, at the place that the parser names, and not by writing the file anew from what was read. Afterwards both texts
//! are read and compared: a change that would change more than was asked for is refused.
//!
//! - `spelling`: a new value written as the old one was; lists over several lines, with their comments.
//! - `veil`: the same text with what may be secret hidden.

mod spelling;
mod veil;

use std::ops::Range;

use serde_json::Value;
use toml_edit::{Array, Document, InlineTable, Item, Table};

use super::key::Key;
use super::problem::{Position, Problem};
use super::values::EnvMap;
use spelling::in_place_of;

pub use veil::veiled;

/// A value as it is written in a file.
pub fn written(value: &Value) -> toml_edit::Value {
    match value {
        Value::Bool(truth) => (*truth).into(),
        Value::Number(number) => number.as_i64().unwrap_or_default().into(),
        Value::String(text) => text.as_str().into(),
        Value::Array(elements) => elements.iter().map(written).collect::<Array>().into(),
        Value::Object(pairs) => {
            pairs.iter().map(|(key, value)| (key.as_str(), written(value))).collect::<InlineTable>().into()
        }
        // No option has it as a value: what is not set is not written.
        Value::Null => "".into(),
    }
}

/// The text with an option set.
pub fn set(text: &str, key: &Key, value: &Value) -> Result<String, Problem> {
    let doc = parse(text)?;
    let path = key.path();
    let after = match find(&doc, &path)? {
        Spot::At(item) => match item.span().filter(|_| item.is_value()) {
            Some(place) => splice(text, &place, &in_place_of(&text[place.clone()], value)),
            // A table of variables that is replaced as a whole: its lines go, and it comes back as one.
            None => set(&unset(text, key)?.unwrap_or_else(|| text.to_owned()), key, value)?,
        },
        Spot::Missing { parent, depth } => insert(text, parent, &path, depth, written(value))?,
        Spot::InText { item, variable } => {
            in_text(text, item, |map| drop(map.0.insert(variable.to_owned(), text_of(value))))?
        }
    };
    verified(text, after, &path, Some(value))
}

/// The text without an option; nothing if it was not set.
pub fn unset(text: &str, key: &Key) -> Result<Option<String>, Problem> {
    let path = key.path();
    match remove(text, &path)? {
        Some(after) => verified(text, after, &path, None).map(Some),
        None => Ok(None),
    }
}

/// The text without something that is no option; nothing if there is nothing of this name.
pub fn strike(text: &str, name: &str) -> Result<Option<String>, Problem> {
    let path: Vec<&str> = name.split('.').collect();
    match remove(text, &path)? {
        Some(after) => verified(text, after, &path, None).map(Some),
        None => Ok(None),
    }
}

/// What is written as the value of an option.
pub fn get(text: &str, key: &Key) -> Option<String> {
    let doc = parse(text).ok()?;
    let path = key.path();
    match find(&doc, &path).ok()? {
        Spot::At(item) => item.span().filter(|_| item.is_value()).map(|place| text[place].to_owned()),
        Spot::InText { item, variable } => {
            let map: EnvMap = item.as_str()?.parse().ok()?;
            map.0.get(variable).map(|value| written(&value.as_str().into()).to_string())
        }
        Spot::Missing { .. } => None,
    }
}

/// Where an option is, or would be.
enum Spot<'a> {
    /// Here.
    At(&'a Item),
    /// Nowhere: this table, which the first `depth` keys lead to, has no such key.
    Missing { parent: &'a Item, depth: usize },
    /// In a text that holds several variables.
    InText { item: &'a Item, variable: &'a str },
}

fn parse(text: &str) -> Result<Document<&str>, Problem> {
    Document::parse(text).map_err(|error| Problem::new(format!("not valid TOML: {}", error.message())))
}

fn find<'a>(doc: &'a Document<&str>, path: &[&'a str]) -> Result<Spot<'a>, Problem> {
    let mut at = doc.as_item();
    for (depth, name) in path.iter().enumerate() {
        let Some(table) = at.as_table_like() else {
            return match (depth, at.as_str()) {
                (2, Some(_)) => Ok(Spot::InText { item: at, variable: name }),
                _ => Err(Problem::new(format!("{} is not a table", path[..depth].join(".")))),
            };
        };
        match table.get(name) {
            Some(item) => at = item,
            None => return Ok(Spot::Missing { parent: at, depth }),
        }
    }
    Ok(Spot::At(at))
}

/// The text with a key added to a table that has none of this name.
fn insert(text: &str, parent: &Item, path: &[&str], depth: usize, value: toml_edit::Value) -> Result<String, Problem> {
    let mut value = value;
    // Tables between the one that is there and the key: a section gets a header, all others are written in one line.
    let stop = depth.max(1);
    for name in path[stop + 1..].iter().rev() {
        value = InlineTable::from_iter([(*name, value)]).into();
    }
    let name = path[stop];
    let end = if text.contains("\r\n") { "\r\n" } else { "\n" };
    match parent {
        Item::Table(table) if depth > 0 && (table.is_dotted() || !table.is_implicit()) => {
            let prefix = if table.is_dotted() { dotted_prefix(text, table, &path[..depth]) } else { String::new() };
            let line = format!("{prefix}{} = {value}", quoted(name));
            let own = last_entry(table);
            let place = own.or_else(|| table.span().map(|header| header.end));
            let place = place.ok_or_else(|| Problem::new("its section has no place in the file"))?;
            let model = &text[line_start(text, place)..];
            let indent: String = model.chars().take_while(|c| matches!(c, ' ' | '\t')).collect();
            let at = line_end(text, place);
            let before = if text[..at].ends_with('\n') { "" } else { end };
            Ok(splice(text, &(at..at), &format!("{before}{indent}{line}{end}")))
        }
        Item::Table(_) => {
            let mut after = text.to_owned();
            if !after.is_empty() && !after.ends_with('\n') {
                after += end;
            }
            let blank = if after.trim().is_empty() { "" } else { end };
            Ok(format!("{after}{blank}[{}]{end}{} = {value}{end}", quoted(path[0]), quoted(name)))
        }
        Item::Value(toml_edit::Value::InlineTable(table)) => {
            let mut table = table.clone();
            table.insert(name, value);
            rewritten(text, parent, table)
        }
        _ => Err(Problem::new(format!("{} is not a table", path[..depth].join(".")))),
    }
}

/// The text without what a path leads to; nothing if it leads nowhere.
fn remove(text: &str, path: &[&str]) -> Result<Option<String>, Problem> {
    let doc = parse(text)?;
    let (Some((name, above)), spot) = (path.split_last(), find(&doc, path)?) else { return Ok(None) };
    let item = match spot {
        Spot::Missing { .. } => return Ok(None),
        Spot::InText { item, variable } => {
            let known =
                item.as_str().and_then(|all| all.parse::<EnvMap>().ok()).is_some_and(|m| m.0.contains_key(variable));
            return if known { in_text(text, item, |map| drop(map.0.remove(variable))).map(Some) } else { Ok(None) };
        }
        Spot::At(item) => item,
    };
    let Spot::At(parent) = find(&doc, above)? else { return Ok(None) };
    if let Item::Value(toml_edit::Value::InlineTable(table)) = parent {
        if table.len() == 1 && above.len() > 1 {
            return remove(text, above);
        }
        let mut table = table.clone();
        table.remove(name);
        return rewritten(text, parent, table).map(Some);
    }
    let mut lines = Vec::new();
    let key = parent.as_table_like().and_then(|table| table.get_key_value(name)).map(|(key, _)| key);
    lines_of(text, key, item, &mut lines);
    lines.sort_by_key(|line| std::cmp::Reverse(line.start));
    lines.dedup();
    let mut after = text.to_owned();
    lines.into_iter().for_each(|line| after.replace_range(line, ""));
    Ok(Some(without_empty_header(after, above)))
}

/// The lines that an entry takes up: its own, or those of all there is in a table, with its header.
fn lines_of(text: &str, key: Option<&toml_edit::Key>, item: &Item, lines: &mut Vec<Range<usize>>) {
    let whole = |from: usize, to: usize| line_start(text, from)..line_end(text, to);
    match item {
        Item::Table(table) => {
            if let Some(header) = table.span().filter(|_| !table.is_dotted() && !table.is_implicit()) {
                lines.push(whole(header.start, header.start));
            }
            for (name, entry) in table.iter() {
                lines_of(text, table.get_key_value(name).map(|(key, _)| key), entry, lines);
            }
        }
        item => {
            let places = key.and_then(toml_edit::Key::span).zip(item.span());
            lines.extend(places.map(|(key, value)| whole(key.start, value.end)));
        }
    }
}

/// Takes away the header of a section that has become empty, unless somebody has written a comment about it.
fn without_empty_header(text: String, path: &[&str]) -> String {
    let header = || {
        let doc = parse(&text).ok()?;
        let Ok(Spot::At(Item::Table(table))) = find(&doc, path) else { return None };
        let bare = table.is_empty() && !table.is_dotted() && !table.is_implicit();
        table.span().filter(|_| bare)
    };
    let Some(header) = header() else { return text };
    let line = line_start(&text, header.start)..line_end(&text, header.start);
    let below = text[line.end..].lines().take_while(|line| !line.trim_start().starts_with('['));
    let above = text[..line.start].lines().next_back().unwrap_or_default();
    let told = |line: &str| line.contains('#');
    if told(&text[line.clone()]) || below.into_iter().any(told) || told(above) {
        return text;
    }
    // The blank line that parted it from what is above goes with it.
    let blank = if above.trim().is_empty() { line_start(&text, line.start.saturating_sub(1)) } else { line.start };
    splice(&text, &(blank..line.end), "")
}

/// The text of a value that may be part of a list or of an environment.
fn text_of(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// Variables that are written as one text, changed, as a table.
fn in_text(text: &str, item: &Item, change: impl FnOnce(&mut EnvMap)) -> Result<String, Problem> {
    let all = item.as_str().unwrap_or_default().parse::<EnvMap>();
    let mut map = all.map_err(|wrong| Problem::new(wrong.to_string()).about("process.environment"))?;
    change(&mut map);
    let table: InlineTable =
        map.0.iter().map(|(name, value)| (name.as_str(), toml_edit::Value::from(value.as_str()))).collect();
    rewritten(text, item, table)
}

/// The text with an inline table in place of what was there.
fn rewritten(text: &str, item: &Item, mut table: InlineTable) -> Result<String, Problem> {
    let place = item.span().ok_or_else(|| Problem::new("it has no place in the file"))?;
    // What was parsed refers to the text by place; written anew, each value has a text of its own.
    table.fmt();
    let parts: Vec<String> = table
        .iter()
        .map(|(name, value)| {
            let value =
                value.span().map_or_else(|| value.to_string().trim().to_owned(), |place| text[place].to_owned());
            format!("{} = {value}", quoted(name))
        })
        .collect();
    let inside = if parts.is_empty() { "{}".to_owned() } else { format!("{{ {} }}", parts.join(", ")) };
    Ok(splice(text, &place, &inside))
}

/// Where the last entry of a table ends that is written below its own header.
fn last_entry(table: &Table) -> Option<usize> {
    let ends = table.iter().filter_map(|(_, item)| match item {
        Item::Table(inner) if inner.is_dotted() => last_entry(inner),
        Item::Value(value) => value.span().map(|place| place.end),
        _ => None,
    });
    ends.max()
}

/// How the keys of a dotted table begin, as the first of them does: `limits.`.
fn dotted_prefix(text: &str, table: &Table, path: &[&str]) -> String {
    let first = table.iter().find_map(|(name, _)| table.get_key_value(name)?.0.span());
    let line = first.map(|key| text[line_start(text, key.start)..key.start].trim_start().to_owned());
    line.unwrap_or_else(|| path.iter().map(|name| quoted(name) + ".").collect())
}

/// A key as TOML writes it.
fn quoted(name: &str) -> String {
    toml_edit::Key::new(name).display_repr().into_owned()
}

fn line_start(text: &str, at: usize) -> usize {
    text[..at.min(text.len())].rfind('\n').map_or(0, |newline| newline + 1)
}

/// Behind the newline that ends the line at `at`.
fn line_end(text: &str, at: usize) -> usize {
    text[at.min(text.len())..].find('\n').map_or(text.len(), |newline| at + newline + 1)
}

fn splice(text: &str, place: &Range<usize>, new: &str) -> String {
    format!("{}{new}{}", &text[..place.start], &text[place.end..])
}

/// The new text, if it differs from the old one in what was asked for, and in nothing else.
fn verified(before: &str, after: String, path: &[&str], value: Option<&Value>) -> Result<String, Problem> {
    let read = |text: &str| text.parse::<toml::Table>().ok();
    let without = |mut table: toml::Table| {
        let found = take(&mut table, path);
        (table, found)
    };
    let outcome = read(before).map(without).zip(read(&after).map(without));
    let is_right = outcome.is_some_and(|((old, _), (new, found))| {
        old == new && found == value.and_then(|value| toml::Value::try_from(value).ok())
    });
    if is_right {
        return Ok(after);
    }
    let line = Position::of(before, before.len()).line;
    Err(Problem::new(format!(
        "cannot change {} among these {line} lines without changing more than that: edit the file by hand",
        path.join(".")
    )))
}

/// Takes what a path leads to out of a tree, with the tables that it leaves empty.
fn take(table: &mut toml::Table, path: &[&str]) -> Option<toml::Value> {
    let (name, rest) = path.split_first()?;
    if rest.is_empty() {
        return table.remove(*name);
    }
    // Variables in one text are the same as in a table.
    if let Some(toml::Value::String(text)) = table.get(*name) {
        let map: EnvMap = text.parse().ok()?;
        table.insert((*name).to_owned(), toml::Value::try_from(&map).ok()?);
    }
    let inner = table.get_mut(*name)?.as_table_mut()?;
    let found = take(inner, rest);
    if inner.is_empty() {
        table.remove(*name);
    }
    found
}

#[cfg(test)]
mod tests;
