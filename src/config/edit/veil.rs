//! A configuration file as it may be shown: the values of variables may be secrets.

use std::ops::Range;

use toml_edit::Item;

use super::parse;

/// The text with every value of `process.environment` hidden. One that is not what it was in `before` is told apart.
pub fn veiled(text: &str, before: Option<&str>) -> String {
    let old = before.map(secrets).unwrap_or_default();
    let was = |name: &str, value: &str| old.iter().any(|(other, _, text)| other == name && text == value);
    let mut veiled = text.to_owned();
    for (name, place, value) in secrets(text).iter().rev() {
        let mask = if before.is_none() || was(name, value) { "\"***\"" } else { "\"*** (new)\"" };
        veiled.replace_range(place.clone(), mask);
    }
    veiled
}

/// Name, place and text of every value of `process.environment`, in the order of their places.
fn secrets(text: &str) -> Vec<(String, Range<usize>, String)> {
    let Ok(doc) = parse(text) else { return Vec::new() };
    let environment = doc.as_table().get("process").and_then(Item::as_table_like).and_then(|p| p.get("environment"));
    let mut found: Vec<_> = match environment.map(|item| (item, item.as_table_like())) {
        Some((_, Some(table))) => {
            table.iter().filter_map(|(name, item)| Some((name.to_owned(), item.span()?))).collect()
        }
        Some((item, None)) => item.span().into_iter().map(|place| (String::new(), place)).collect(),
        None => Vec::new(),
    };
    found.sort_by_key(|(_, place)| place.start);
    found.into_iter().map(|(name, place)| (name, place.clone(), text[place].to_owned())).collect()
}
