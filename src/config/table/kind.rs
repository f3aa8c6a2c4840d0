//! The types of options: how each is read from text, written as text, and written in a file.
//!
//! clap forgets the type of a field once it is an argument, but keeps the type's identity; this table finds the rest.

use std::any::TypeId;
use std::fmt::Display;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::str::FromStr;

use clap::builder::ValueParser;
use daemonctl_actors::value::Signal;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::config::values::{
    Codes, Collector, Compress, CoreLimit, EnvMap, Level, Names, Paths, Restart, SandboxType, Signals, Size, Span,
    Umask, Words, shown,
};

/// Which TOML values an option takes. A list takes a text as well: its text form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// `true` or `false`.
    Boolean,
    /// A whole number.
    Integer,
    /// A text.
    Text,
    /// A text, or a whole number that stands for it.
    TextOrInteger,
    /// A text, or a boolean that stands for it.
    TextOrBoolean,
    /// An array.
    List,
    /// A table of texts.
    Map,
}

/// What the values of a type look like, beyond their shape.
#[derive(Clone, Debug, PartialEq)]
pub enum Form {
    /// Nothing more can be said.
    Any,
    /// One of these words; other spellings that are read, too, are not advertised.
    Words(&'static [&'static str]),
    /// A text that matches, or a whole number in this range.
    Matching(&'static str, RangeInclusive<i64>),
    /// A list of whole numbers in this range.
    Numbers(RangeInclusive<i64>),
}

/// Texts of sizes.
const SIZE: &str = "^ *[0-9]+ *([KMGTkmgt]([Ii]?[Bb])?|[Bb])? *$";
/// Texts of sizes that may be unlimited.
const LIMIT: &str = "^ *([Uu]nlimited|[Ii]nfinity|[0-9]+ *([KMGTkmgt]([Ii]?[Bb])?|[Bb])?) *$";
/// Texts of durations.
const SPAN: &str = "^ *([0-9]+|([0-9]+ *(nanos|nsec|ns|usec|us|µs|millis|msec|ms|seconds|second|secs|sec|s|minutes|\
                    minute|mins|min|m|hours|hour|hrs|hr|h|days|day|d|weeks|week|wks|wk|w) *)+)$";
/// Texts of umasks.
const UMASK: &str = "^ *(0o)?0*[0-7]{1,3} *$";
/// Texts of signals.
const SIGNAL: &str = "^ *(([Ss][Ii][Gg])?[A-Za-z][A-Za-z0-9]*([+-][0-9]+)?|[0-9]+) *$";

/// One type of option.
#[derive(Debug)]
pub struct Kind {
    id: fn() -> TypeId,
    /// Which TOML values it takes.
    pub shape: Shape,
    /// How it is written in a file, for a person who wrote something else.
    pub written: &'static str,
    /// The same for an editor, as far as a rule without memory can tell.
    pub form: Form,
    /// The value that a text stands for.
    pub(super) parse: fn(&str) -> Result<Value, String>,
    /// The text of a value.
    pub(super) text: fn(&Value) -> Option<String>,
}

const fn kind<T>(shape: Shape, written: &'static str, form: Form) -> Kind
where
    T: FromStr<Err: Display> + Display + Serialize + DeserializeOwned + 'static,
{
    Kind { id: TypeId::of::<T>, shape, written, form, parse: parse::<T>, text: text::<T> }
}

const fn number<T: 'static>() -> Kind {
    let written = "a whole number, without quotes";
    Kind {
        id: TypeId::of::<T>,
        shape: Shape::Integer,
        written,
        form: Form::Any,
        parse: parse_number,
        text: scalar_text,
    }
}

const fn plain<T: 'static>() -> Kind {
    let written = "a text in quotes";
    Kind { id: TypeId::of::<T>, shape: Shape::Text, written, form: Form::Any, parse: parse_plain, text: scalar_text }
}

/// Every type a field of a section may have.
static KINDS: [Kind; 21] = [
    Kind {
        id: TypeId::of::<bool>,
        shape: Shape::Boolean,
        written: "true or false, without quotes",
        form: Form::Any,
        parse: parse_bool,
        text: scalar_text,
    },
    number::<i32>(),
    number::<u32>(),
    number::<u64>(),
    plain::<String>(),
    plain::<PathBuf>(),
    kind::<Compress>(Shape::Text, "\"none\" or \"gzip\"", Form::Words(Compress::WORDS)),
    kind::<Collector>(Shape::Text, "\"auto\", \"builtin\" or \"teelog\"", Form::Words(Collector::WORDS)),
    kind::<Level>(Shape::Text, "\"debug\", \"info\", \"warn\" or \"error\"", Form::Words(Level::WORDS)),
    kind::<Restart>(
        Shape::TextOrBoolean,
        "\"no\", \"on-failure\", \"always\", or true or false",
        Form::Words(Restart::WORDS),
    ),
    kind::<SandboxType>(Shape::Text, "\"none\", \"unshare\" or \"firejail\"", Form::Words(SandboxType::WORDS)),
    kind::<Size>(
        Shape::TextOrInteger,
        "a size such as \"512M\", or a whole number of bytes",
        Form::Matching(SIZE, 0..=i64::MAX),
    ),
    kind::<CoreLimit>(
        Shape::TextOrInteger,
        "a size such as \"512M\", a whole number of bytes, or \"unlimited\"",
        Form::Matching(LIMIT, 0..=i64::MAX),
    ),
    kind::<Span>(
        Shape::TextOrInteger,
        "a duration such as \"1h30m\", or a whole number of seconds",
        Form::Matching(SPAN, 0..=3_153_600_000),
    ),
    kind::<Umask>(Shape::TextOrInteger, "octal digits such as \"022\" or 0o022", Form::Matching(UMASK, 0..=777)),
    kind::<Signal>(
        Shape::TextOrInteger,
        "the name of a signal such as \"TERM\", or its number",
        Form::Matching(SIGNAL, 1..=64),
    ),
    kind::<Codes>(Shape::List, "a list of exit codes such as [0, 3]", Form::Numbers(0..=255)),
    kind::<Names>(Shape::List, "a list of names such as [\"net_raw\"]", Form::Any),
    kind::<Paths>(Shape::List, "a list of paths such as [\"/etc\", \"/usr\"]", Form::Any),
    kind::<Signals>(Shape::List, "a list of signals such as [\"USR1\", \"HUP\"]", Form::Any),
    kind::<Words>(Shape::List, "a list of words such as [\"--port\", \"8080\"]", Form::Any),
];

/// Apart from the others, because it is written as a table.
static ENVIRONMENT: Kind = kind::<EnvMap>(Shape::Map, "a table of variables such as { LANG = \"C\" }", Form::Any);

impl Kind {
    /// The type that an argument's values have. Every type a section uses is in the table; a test says so.
    pub fn of(parser: &ValueParser) -> Option<&'static Self> {
        let id = parser.type_id();
        KINDS.iter().chain([&ENVIRONMENT]).find(|kind| id == (kind.id)())
    }

    /// The words that its values are written as, where they are but a few.
    pub fn words(&self) -> &'static [&'static str] {
        match (&self.form, self.shape) {
            (Form::Words(words), _) => words,
            (_, Shape::Boolean) => &["true", "false"],
            _ => &[],
        }
    }
}

fn parse<T: FromStr<Err: Display> + Serialize>(text: &str) -> Result<Value, String> {
    let value: T = text.parse().map_err(|error: T::Err| error.to_string())?;
    serde_json::to_value(value).map_err(|error| error.to_string())
}

fn text<T: Display + DeserializeOwned>(value: &Value) -> Option<String> {
    serde_json::from_value::<T>(value.clone()).ok().map(|value| value.to_string())
}

fn parse_bool(text: &str) -> Result<Value, String> {
    match text.trim().to_ascii_lowercase().as_str() {
        "true" | "yes" | "on" | "1" => Ok(true.into()),
        "false" | "no" | "off" | "0" => Ok(false.into()),
        _ => Err(format!("{} is neither true nor false", shown(text))),
    }
}

/// Any whole number that TOML can hold; what the option allows of them is its range.
fn parse_number(text: &str) -> Result<Value, String> {
    let number: Result<i64, _> = text.trim().parse();
    number.map(Value::from).map_err(|_| format!("{} is not a whole number", shown(text)))
}

fn parse_plain(text: &str) -> Result<Value, String> {
    match text {
        "" => Err("it is empty: give it a value, or leave it out".into()),
        text if text.contains('\0') => Err("a NUL character cannot be part of it".into()),
        text => Ok(text.into()),
    }
}

fn scalar_text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Bool(_) | Value::Number(_) => Some(value.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}
