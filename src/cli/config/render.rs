//! What is set, in the three forms it is printed in. TOML is a valid file again, also with origins, which are comments.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::cli::text;
use crate::config::edit::written;
use crate::config::table::{Opt, Shape, program_table, table};
use crate::config::{Global, Origin, Resolved};

/// What a value that may be a secret is shown as.
pub(super) const MASK: &str = "***";

/// One option as it is shown.
#[derive(Clone, Debug)]
pub(super) struct Row {
    /// The option.
    pub(super) opt: &'static Opt,
    /// Its value, if it has one.
    pub(super) value: Option<Value>,
    /// Where that was set.
    pub(super) origin: Origin,
    /// Where each variable was set, of the one option that has them.
    pub(super) variables: BTreeMap<String, Origin>,
}

/// A form of the output.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Format {
    #[default]
    Toml,
    Json,
    Yaml,
}

/// Every option, in the order of the table.
pub(super) fn rows(resolved: &Resolved) -> Vec<Row> {
    let mut values = resolved.options.values();
    let row = |opt: &'static Opt| Row {
        opt,
        value: values.remove(opt.name.as_str()),
        origin: resolved.origins.get(&opt.name).cloned().unwrap_or(Origin::Default),
        variables: if opt.kind.shape == Shape::Map { resolved.variables.clone() } else { BTreeMap::new() },
    };
    table().iter().map(row).collect()
}

/// Every option of the global file, daemonctl's own settings first.
pub(super) fn global_rows(global: &Global) -> Vec<Row> {
    let own = program_table().iter().map(|opt| {
        let (value, origin) = global.program.get(&opt.name).cloned().unzip();
        Row { opt, value, origin: origin.unwrap_or(Origin::Default), variables: BTreeMap::new() }
    });
    own.chain(rows(&global.resolved)).collect()
}

/// Only what is set somewhere.
pub(super) fn explicit(mut rows: Vec<Row>) -> Vec<Row> {
    rows.retain(|row| row.origin != Origin::Default);
    rows
}

/// Hides the values of variables. Returns whether there were any.
pub(super) fn mask(rows: &mut [Row]) -> bool {
    let maps = rows.iter_mut().filter_map(|row| row.value.as_mut()?.as_object_mut());
    let hidden = maps.flat_map(Map::values_mut).map(|value| *value = MASK.into()).count();
    hidden > 0
}

/// A whole output: one configuration, or one for each app by name.
pub(super) fn whole(parts: &[(Option<String>, Vec<Row>)], format: Format, origins: bool) -> String {
    if format == Format::Toml {
        let texts: Vec<String> =
            parts.iter().map(|(name, rows)| toml(name.as_deref(), rows, origins)).filter(|t| !t.is_empty()).collect();
        return texts.join("\n");
    }
    let tree = match parts {
        [(None, rows)] => tree(rows, origins),
        named => named.iter().map(|(name, rows)| (name.clone().unwrap_or_default(), tree(rows, origins))).collect(),
    };
    text_of(&tree, format)
}

/// A value as JSON or YAML, or as its TOML.
pub(super) fn text_of(value: &Value, format: Format) -> String {
    match format {
        Format::Toml => written(value).to_string(),
        Format::Json => text::json(value),
        Format::Yaml => {
            // Without folding: a line of the output is a line of the value, and nothing else.
            let options = serde_saphyr::ser_options! { prefer_block_scalars: false };
            serde_saphyr::to_string_with_options(value, options).unwrap_or_default()
        }
    }
}

/// Section, key, and the value, with its origin where that is asked for.
fn tree(rows: &[Row], origins: bool) -> Value {
    let mut sections = Map::new();
    for Row { opt, value, origin, variables } in rows {
        let value = value.clone().unwrap_or(Value::Null);
        let value = match (origins, opt.kind.shape) {
            (false, _) => value,
            (true, Shape::Map) => {
                let each: Map<String, Value> =
                    variables.iter().map(|(name, origin)| (name.clone(), origin.to_string().into())).collect();
                json!({ "value": value, "origin": origin.to_string(), "variables": each })
            }
            (true, _) => json!({ "value": value, "origin": origin.to_string() }),
        };
        let section = sections.entry(opt.section).or_insert_with(|| Value::Object(Map::new()));
        if let Value::Object(keys) = section {
            keys.insert(opt.key.clone(), value);
        }
    }
    Value::Object(sections)
}

/// A configuration file; with the app's name before each section where there are several apps.
fn toml(app: Option<&str>, rows: &[Row], origins: bool) -> String {
    let mut text = String::new();
    for section in rows.chunk_by(|a, b| a.opt.section == b.opt.section) {
        let Some(first) = section.first() else { continue };
        let name = first.opt.section;
        let header = app.map_or_else(|| name.to_owned(), |app| format!("{}.{name}", key(app)));
        let between = if text.is_empty() { "" } else { "\n" };
        text += &format!("{between}[{header}]\n{}", lines(section, origins));
    }
    text
}

/// The lines of one section. With origins, they are in a column of their own.
fn lines(section: &[Row], origins: bool) -> String {
    let pairs: Vec<(String, Option<&Origin>)> = section.iter().flat_map(|row| pairs(row, origins)).collect();
    if !origins {
        return pairs.into_iter().map(|(pair, _)| pair + "\n").collect();
    }
    let width = pairs.iter().filter(|(_, origin)| origin.is_some()).map(|(pair, _)| pair.chars().count());
    // A line that is much longer than the others does not push their column out of sight.
    let width = width.filter(|width| *width <= 60).max().unwrap_or_default();
    let line = |(pair, origin): (String, Option<&Origin>)| match origin {
        Some(origin) => format!("{pair:width$}  # {origin}\n"),
        None => format!("{pair}\n"),
    };
    pairs.into_iter().map(line).collect()
}

/// `key = value`, with its origin; variables one by one where each has an origin of its own.
fn pairs(row: &Row, origins: bool) -> Vec<(String, Option<&Origin>)> {
    let name = &row.opt.key;
    match &row.value {
        None => vec![(format!("# {name} is not set"), None)],
        Some(Value::Object(variables)) if origins && !variables.is_empty() => variables
            .iter()
            .map(|(variable, value)| {
                let origin = row.variables.get(variable).unwrap_or(&row.origin);
                (format!("{name}.{} = {}", key(variable), written(value)), Some(origin))
            })
            .collect(),
        Some(value) => vec![(format!("{name} = {}", written(value)), Some(&row.origin))],
    }
}

/// A key as TOML writes it.
fn key(text: &str) -> String {
    toml_edit::Key::new(text).display_repr().into_owned()
}
