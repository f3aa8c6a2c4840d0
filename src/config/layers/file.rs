//! One configuration file, walked against the table, so that all its mistakes are found at once and each has a place.
//!
//! The parser recovers from syntax errors; what stands on the same line as one is not looked at any further.

use std::collections::BTreeSet;
use std::ops::Range;
use std::path::Path;

use serde_json::{Map, Value};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::app::{reason, small};
use crate::config::problem::{Position, Problem, nearest};
use crate::config::table::{Opt, SECTIONS, Shape, program_table, suggest, table};
use crate::config::values::{EnvMap, in_quotes, shown};

/// The largest file that is read, in bytes.
const MAX: u64 = 1 << 20;

/// The greatest number of mistakes that are reported of one file; a file that has more is not a configuration.
const MAX_PROBLEMS: usize = 50;

/// The number of mistakes after which no more are looked for: they are found in another order than they are reported.
const ENOUGH: usize = 20 * MAX_PROBLEMS;

/// Which file it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scope {
    /// The global one: options for all apps, and `[daemonctl]`, which is checked and left aside.
    Global,
    /// An app's.
    App,
    /// The global one, of which only `[daemonctl]` matters.
    Program,
}

/// One key of a file, with a value its option takes.
pub(super) struct Entry {
    /// The option.
    pub(super) opt: &'static Opt,
    /// The value.
    pub(super) value: Value,
    /// Where the key stands.
    pub(super) position: Position,
    /// The lines of the variables, where the value is a table of them.
    pub(super) variables: Vec<(String, usize)>,
}

/// The text of a configuration file; nothing if it does not exist and was not `required`.
pub(super) fn read(path: &Path, required: bool) -> Result<Option<String>, Problem> {
    let problem = |message: String| Problem::new(message).in_file(path, None);
    let cannot = |error: std::io::Error| problem(format!("cannot read it: {}", reason(&error)));
    let bytes = match small::head(path, MAX + 1) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && !required => return Ok(None),
        read => read.map_err(cannot)?,
    };
    if bytes.len() as u64 > MAX {
        return Err(problem("it is larger than 1 MiB, which no configuration is".into()));
    }
    String::from_utf8(bytes).map(Some).map_err(|error| {
        let valid = error.utf8_error().valid_up_to();
        let before = String::from_utf8_lossy(&error.as_bytes()[..valid]);
        let position = Position::of(&before, valid);
        Problem::new("not UTF-8: save the file in that encoding").in_file(path, Some(position))
    })
}

/// Every valid entry of a file, and its mistakes in the order of their places.
pub(super) fn check(path: &Path, text: &str, scope: Scope) -> (Vec<Entry>, Vec<Problem>) {
    let (document, errors) = DeTable::parse_recoverable(text);
    let document = document.get_ref();
    let mut walk = Walk { text, scope, entries: Vec::new(), wrong: Vec::new() };
    walk.root(document);

    let line = |place: &Place| text.as_bytes()[..place.start].iter().rposition(|byte| *byte == b'\n');
    let end = text.len()..text.len();
    let place = |error: &toml::de::Error| error.span().filter(|at| at.start <= end.start).unwrap_or(end.clone());
    // Of several syntax errors in a line the first counts: the others follow from it, as does whatever else seems
    // wrong there.
    let mut broken: Vec<(Place, &str)> = errors.iter().map(|error| (place(error), error.message())).collect();
    broken.sort_by_key(|(place, _)| place.start);
    broken.dedup_by_key(|(place, _)| line(place));
    if let Some((at, kind)) = foreign(text).filter(|_| !broken.is_empty()) {
        let message = format!("not valid TOML, it looks like {kind}: write [section], and below it key = value");
        return (Vec::new(), vec![Problem::new(message).in_file(path, Some(Position::of(text, at)))]);
    }
    let broken_lines: BTreeSet<_> = broken.iter().map(|(place, _)| line(place)).collect();
    let mut wrong = walk.wrong;
    wrong.retain(|(place, _)| !broken_lines.contains(&line(place)));
    // The keys below a header that is not closed are in no section only because of that.
    for (header, _) in broken.iter().filter(|(_, words)| words.starts_with(UNCLOSED)).take(MAX_PROBLEMS) {
        let next = text.get(header.start..).and_then(|rest| rest.find("\n["));
        let end = next.map_or(text.len(), |length| header.start + length);
        wrong.retain(|(place, _)| !(header.start..=end).contains(&place.start));
    }
    for (place, words) in broken.into_iter().take(ENOUGH) {
        let message = syntax(words, text, &place, document);
        wrong.push((place, Problem::new(message)));
    }
    wrong.sort_by_key(|(place, _)| place.start);

    let more = wrong.len() > MAX_PROBLEMS;
    wrong.truncate(MAX_PROBLEMS);
    let mut problems: Vec<Problem> = wrong
        .into_iter()
        .map(|(place, problem)| problem.in_file(path, Some(Position::of(text, place.start))))
        .collect();
    if more {
        problems.push(Problem::new("and more mistakes like these").in_file(path, None));
    }
    (walk.entries, problems)
}

/// What a text may be that is no TOML, by the first line with something in it, and where that begins.
fn foreign(text: &str) -> Option<(usize, &'static str)> {
    let line = text.lines().find(|line| !line.trim().is_empty() && !line.trim_start().starts_with('#'))?;
    let (at, word) = (line.as_ptr() as usize - text.as_ptr() as usize, line.trim());
    let kind = match word {
        _ if word.starts_with('{') => "JSON",
        "---" => "YAML",
        _ if word.ends_with(':') && !word.contains(['=', '"', ' ']) => "YAML",
        _ => return None,
    };
    Some((at, kind))
}

/// How the parser tells of a header without its bracket.
const UNCLOSED: &str = "unclosed table";

/// A syntax error as a sentence: the parser's words, except where they would puzzle someone who does not know its
/// grammar.
fn syntax(words: &str, text: &str, place: &Place, document: &DeTable<'_>) -> String {
    let here = text.get(place.clone()).unwrap_or_default();
    let (what, expected) = words.split_once(", expected ").unwrap_or((words, ""));
    let sentence = match what {
        "duplicate key" => return duplicate(here, text, place, document),
        "string values must be quoted" if here.is_empty() => "a value is missing".to_owned(),
        "string values must be quoted" | "invalid float" | "invalid boolean" | "invalid mantissa" => bare(text, place),
        "unexpected leading zero" => {
            let text = quoted(text, place).map_or("put it in quotes".to_owned(), |quoted| format!("write {quoted}"));
            format!("a number that begins with 0: {text}, or leave the 0 out where a number is meant")
        }
        "invalid unquoted key" if text.get(place.start..).is_some_and(|rest| rest.starts_with(':')) => {
            format!("a key is followed by =, not by a colon: write {} = …", before(text, place).trim())
        }
        UNCLOSED => format!("a section without its closing bracket: write {}]", before(text, place).trim()),
        "key with no value" => "a line without a value: write key = value".to_owned(),
        "invalid basic string" | "invalid literal string" => {
            "a text is not closed in its line, or holds a control character".to_owned()
        }
        _ if expected.is_empty() => what.to_owned(),
        _ => format!("{what}, expected {}", expected.replace('\n', ", ")),
    };
    format!("not valid TOML: {sentence}")
}

/// A value that is none, because it is a text without quotes, or true or false in capitals. It is not repeated here: it
/// may be a secret.
fn bare(text: &str, place: &Place) -> String {
    let key = key(text, place);
    let at = key.map_or(place.start, |key| line_start(text, place) + key.len());
    let rest = text.get(at..).unwrap_or_default();
    let word = rest.split(|c: char| c.is_whitespace() || ",]}#".contains(c)).next().unwrap_or_default();
    let small = word.to_ascii_lowercase();
    match small.as_str() {
        "true" | "false" if small != word => {
            format!(
                "true and false are written in small letters: write {}{small}",
                key.unwrap_or_default().trim_start()
            )
        }
        _ => {
            let write = quoted(text, place).map(|quoted| format!(": write {quoted}")).unwrap_or_default();
            format!("a text without quotes{write}")
        }
    }
}

/// How a text is written as the value of the key at this place.
fn quoted(text: &str, place: &Place) -> Option<String> {
    key(text, place).map(|key| format!("{}\"…\"", key.trim_start()))
}

/// What stands in the line before a value, `umask = `, if that is all there is: not in a list or a table in one line.
fn key<'a>(text: &'a str, place: &Place) -> Option<&'a str> {
    let before = before(text, place);
    let is_plain = |text: &str| text.chars().all(|c| c.is_alphanumeric() || "._-+".contains(c));
    let (name, value) = before.split_once('=')?;
    // A mistake may be found in the middle of a value.
    let value_at = before.len() - value.trim_start().len();
    (is_plain(name.trim()) && is_plain(value.trim())).then(|| &before[..value_at])
}

/// What stands in the line before a place.
fn before<'a>(text: &'a str, place: &Place) -> &'a str {
    text.get(line_start(text, place)..place.start).unwrap_or_default()
}

fn line_start(text: &str, place: &Place) -> usize {
    text.as_bytes()[..place.start].iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1)
}

/// That a key or section is there already, and where.
fn duplicate(name: &str, text: &str, place: &Place, document: &DeTable<'_>) -> String {
    let before = text.get(..place.start).unwrap_or_default();
    if before.ends_with('[') {
        let header = format!("[{name}]");
        let first = before.lines().position(|line| line.trim_start().starts_with(&header));
        let line = first.map(|index| format!(" on line {}", index + 1)).unwrap_or_default();
        return format!("section {header} is there already{line}: put its keys together");
    }
    let tables = document.values().filter_map(|value| value.get_ref().as_table());
    let keys = document.keys().chain(tables.flat_map(DeTable::keys));
    let first =
        keys.filter(|key| key.get_ref() == name).map(|key| key.span().start).filter(|at| *at < place.start).max();
    let line = first.map(|at| format!(" on line {}", Position::of(text, at).line)).unwrap_or_default();
    format!("{} is set already{line}: keep one of them", shown(name))
}

/// A place in the text.
type Place = Range<usize>;

struct Walk<'a> {
    text: &'a str,
    scope: Scope,
    entries: Vec<Entry>,
    wrong: Vec<(Place, Problem)>,
}

impl Walk<'_> {
    fn report(&mut self, place: &Place, message: impl Into<String>) {
        self.wrong.push((place.clone(), Problem::new(message)));
    }

    fn root(&mut self, document: &DeTable<'_>) {
        for (key, value) in document {
            if self.wrong.len() >= ENOUGH {
                return;
            }
            let name: &str = key.get_ref();
            let known = SECTIONS.iter().find(|section| **section == name);
            match (name, known, self.scope) {
                ("daemonctl", _, Scope::App) => {
                    self.report(
                        &key.span(),
                        "[daemonctl] belongs in the global file: it is about daemonctl, not an app",
                    );
                }
                ("daemonctl", _, _) => self.section("daemonctl", program_table(), value),
                (_, Some(_), Scope::Program) | (_, None, Scope::Program) => {}
                (_, Some(section), _) => self.section(section, table(), value),
                (_, None, _) => {
                    self.wrong.push((key.span(), stranger(name, value.get_ref())));
                }
            }
        }
    }

    fn section(&mut self, section: &'static str, options: &'static [Opt], value: &Spanned<DeValue<'_>>) {
        let DeValue::Table(keys) = value.get_ref() else {
            let message = format!("{section} is a table: write [{section}], with its keys below");
            return self.report(&value.span(), message);
        };
        for (key, value) in keys {
            if self.wrong.len() >= ENOUGH {
                return;
            }
            let name: &str = key.get_ref();
            match options.iter().find(|opt| opt.section == section && opt.key == name) {
                Some(opt) => self.option(opt, &key.span(), value),
                None => {
                    let keys = options.iter().filter(|opt| opt.section == section).map(|opt| opt.key.as_str());
                    let near = match section {
                        "daemonctl" => nearest(name, keys.clone()).map(str::to_owned),
                        _ => suggest(section, name),
                    };
                    let unknown = format!("unknown key {} in [{section}]", shown(name));
                    let problem = match near {
                        Some(near) if near.contains('.') => Problem::new(format!("{unknown}; did you mean {near}?")),
                        Some(near) => Problem::new(format!("{unknown}; did you mean {near:?}?")),
                        None => Problem::new(unknown)
                            .with_hint(format!("the keys of [{section}] are {}", keys.collect::<Vec<_>>().join(", "))),
                    };
                    self.wrong.push((key.span(), problem));
                }
            }
        }
    }

    fn option(&mut self, opt: &'static Opt, key: &Place, given: &Spanned<DeValue<'_>>) {
        let value = given;
        let outcome = match (opt.kind.shape, value.get_ref()) {
            (Shape::List, DeValue::Array(elements)) => list(opt, elements.iter()),
            (Shape::Map, DeValue::Table(variables)) => map(opt, variables),
            (shape, one) => match text_of(shape, one) {
                Some(text) => opt.check(&text),
                None => Err(format!("found {}: write {}", found(one), opt.kind.written)),
            }
            .map_err(|wrong| vec![(value.span(), format!("{}: {wrong}", opt.name))]),
        };
        match outcome {
            Ok(value) => {
                let position = Position::of(self.text, key.start);
                let variables = value_table(opt, given).into_iter().flat_map(DeTable::keys);
                let line = |name: &Spanned<_>| Position::of(self.text, name.span().start).line;
                let variables = variables.map(|name| (name.get_ref().to_string(), line(name))).collect();
                self.entries.push(Entry { opt, value, position, variables });
            }
            Err(wrongs) => {
                self.wrong.extend(wrongs.into_iter().map(|(place, wrong)| (place, Problem::new(wrong))));
            }
        }
    }
}

/// The variables of a table of them.
fn value_table<'a, 'i>(opt: &Opt, value: &'a Spanned<DeValue<'i>>) -> Option<&'a DeTable<'i>> {
    if opt.kind.shape == Shape::Map { value.get_ref().as_table() } else { None }
}

/// The values of a list, or what is wrong with each that is not one.
fn list<'a, 'i: 'a>(
    opt: &Opt,
    elements: impl Iterator<Item = &'a Spanned<DeValue<'i>>>,
) -> Result<Value, Vec<(Place, String)>> {
    let (mut values, mut wrongs) = (Vec::new(), Vec::new());
    for element in elements {
        let checked = match scalar(element.get_ref()) {
            // In quotes, an element stays one element, whatever it contains.
            Some(text) => opt.check(&in_quotes(&text)),
            None => Err(format!("found {} in it: write {}", found(element.get_ref()), opt.kind.written)),
        };
        match checked {
            Ok(Value::Array(one)) => values.extend(one),
            Ok(_) => {}
            Err(wrong) => wrongs.push((element.span(), format!("{}: {wrong}", opt.name))),
        }
    }
    if wrongs.is_empty() { Ok(Value::Array(values)) } else { Err(wrongs) }
}

/// The variables of a table, or what is wrong with each that is not one. Values are not repeated: they may be secrets.
fn map(opt: &Opt, variables: &DeTable<'_>) -> Result<Value, Vec<(Place, String)>> {
    let (mut values, mut wrongs) = (Map::new(), Vec::new());
    for (key, value) in variables {
        let name: &str = key.get_ref();
        let Some(text) = scalar(value.get_ref()) else {
            let message = format!("{}.{name}: found {}: write a text in quotes", opt.name, found(value.get_ref()));
            wrongs.push((value.span(), message));
            continue;
        };
        match EnvMap::default().insert(name, &text) {
            Ok(()) => drop(values.insert(name.to_owned(), text.into())),
            Err(wrong) => wrongs.push((key.span(), format!("{}: {wrong}", opt.name))),
        }
    }
    if wrongs.is_empty() { Ok(Value::Object(values)) } else { Err(wrongs) }
}

/// The text of a value, if an option of this shape takes it.
fn text_of(shape: Shape, value: &DeValue<'_>) -> Option<String> {
    let takes = match value {
        DeValue::String(_) => !matches!(shape, Shape::Boolean | Shape::Integer),
        DeValue::Integer(_) => matches!(shape, Shape::Integer | Shape::TextOrInteger),
        DeValue::Boolean(_) => matches!(shape, Shape::Boolean | Shape::TextOrBoolean),
        DeValue::Float(_) | DeValue::Datetime(_) | DeValue::Array(_) | DeValue::Table(_) => false,
    };
    takes.then(|| scalar(value)).flatten()
}

/// The text of a value that is neither list nor table. Octal digits stay what they are: `0o22` is how TOML writes a
/// umask of `022`. Other bases become decimal.
fn scalar(value: &DeValue<'_>) -> Option<String> {
    match value {
        DeValue::String(text) => Some(text.to_string()),
        DeValue::Integer(number) if matches!(number.radix(), 2 | 16) => {
            i64::from_str_radix(number.as_str(), number.radix()).ok().map(|number| number.to_string())
        }
        DeValue::Integer(number) => Some(number.to_string()),
        DeValue::Float(number) => Some(number.to_string()),
        DeValue::Boolean(truth) => Some(truth.to_string()),
        DeValue::Datetime(_) | DeValue::Array(_) | DeValue::Table(_) => None,
    }
}

/// A value of the wrong type, in words.
fn found(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(text) => format!("the text {}", shown(text)),
        DeValue::Integer(number) => format!("the number {number}"),
        DeValue::Float(number) => format!("the number {number}"),
        DeValue::Boolean(truth) => truth.to_string(),
        DeValue::Datetime(_) => "a date".into(),
        DeValue::Array(_) => "a list".into(),
        DeValue::Table(_) => "a table".into(),
    }
}

/// A name at the top of a file that is no section.
fn stranger(name: &str, value: &DeValue<'_>) -> Problem {
    let home = suggest("", name);
    if matches!(value, DeValue::Table(_)) {
        let home = home.filter(|near| table().iter().any(|opt| opt.name == *near && opt.kind.shape == Shape::Map));
        let near = nearest(name, SECTIONS.iter().copied().chain(["daemonctl"])).map(str::to_owned).or(home);
        return match near {
            Some(near) => Problem::new(format!("unknown section [{name}]; did you mean [{near}]?")),
            None => Problem::new(format!("unknown section [{name}]"))
                .with_hint(format!("the sections are {}", SECTIONS.join(", "))),
        };
    }
    let home = home.map(|near| format!("; did you mean {near}?")).unwrap_or_default();
    Problem::new(format!("unknown key {} outside of any section{home}", shown(name)))
}
