//! The values of options, each with one text form that is read everywhere: in files, flags, variables and overrides.
//!
//! Every type here is written by `Display` as `FromStr` reads it. In TOML and JSON a value is its text, a list an array
//! of texts; where people write a bare number or `true`, that is accepted as well. An error says what is allowed, as
//! the end of a sentence that begins with the option: `--umask: "999" is not a permission mask: use …`.
//!
//! - `capability`: names of capabilities.
//! - `choice`: one of a few words.
//! - `quantity`: numbers with a unit or a base: sizes, durations, the umask.
//! - `list`: several values in one, and the one lexer that splits them.

pub(crate) mod capability;
mod choice;
mod list;
mod quantity;

use std::borrow::Cow;
use std::fmt::{self, Write as _};
use std::marker::PhantomData;
use std::path::PathBuf;
use std::str::FromStr;

use serde::de::{Deserialize, Deserializer, Error, Visitor};
use serde::ser::{Serialize, Serializer};

pub use choice::{Collector, Compress, Level, Restart, SandboxType};
pub(super) use list::in_quotes;
pub use list::{Codes, EnvMap, Names, Paths, Signals, Words};
pub use quantity::{CoreLimit, Size, Span, Umask};

/// Why a text is not a value of its type, and what would be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ValueError(Cow<'static, str>);

impl ValueError {
    /// `"12X" is not a size: use …`.
    pub(super) fn not(text: &str, what: &str, allowed: &str) -> Self {
        Self(format!("{} is not {what}: {allowed}", shown(text)).into())
    }

    /// Any other sentence.
    pub(super) fn new(sentence: impl Into<Cow<'static, str>>) -> Self {
        Self(sentence.into())
    }
}

/// The longest piece of a wrong value that is repeated to the person.
const SHOWN: usize = 60;

/// A wrong value as an error repeats it: quoted, control characters escaped, and cut where it grows long.
pub(super) fn shown(text: &str) -> String {
    match text.char_indices().nth(SHOWN) {
        None => format!("{text:?}"),
        Some((end, _)) => {
            let mut quoted = format!("{:?}", &text[..end]);
            quoted.pop();
            let _ = write!(quoted, "…\"");
            quoted
        }
    }
}

/// Gives a type with `FromStr` and `Display` its serde form: a text, or a bare number or boolean read as one.
macro_rules! serde_as_text {
    ($($type:ty),+) => {$(
        impl serde::Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> serde::Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                super::scalar(deserializer)
            }
        }
    )+};
}
use serde_as_text;

/// Reads a text, a whole number or a boolean, and takes its text for the value.
fn scalar<'de, T, D>(deserializer: D) -> Result<T, D::Error>
where
    T: FromStr<Err: fmt::Display>,
    D: Deserializer<'de>,
{
    struct Scalar<T>(PhantomData<T>);

    impl<T: FromStr<Err: fmt::Display>> Visitor<'_> for Scalar<T> {
        type Value = T;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a text or a whole number")
        }

        fn visit_str<E: Error>(self, text: &str) -> Result<T, E> {
            text.parse().map_err(E::custom)
        }

        fn visit_bool<E: Error>(self, truth: bool) -> Result<T, E> {
            self.visit_str(if truth { "true" } else { "false" })
        }

        fn visit_i64<E: Error>(self, number: i64) -> Result<T, E> {
            self.visit_str(&number.to_string())
        }

        fn visit_u64<E: Error>(self, number: u64) -> Result<T, E> {
            self.visit_str(&number.to_string())
        }
    }

    deserializer.deserialize_any(Scalar(PhantomData))
}

/// One element of a list: anything [`scalar`] reads.
struct Element<T>(T);

impl<'de, T: FromStr<Err: fmt::Display>> Deserialize<'de> for Element<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        scalar(deserializer).map(Self)
    }
}

/// Writes an optional path as text. A path that is not UTF-8 is written with replacement characters, so that it fails
/// later, by name, rather than making the whole configuration unwritable.
pub(super) fn path_as_text<S: Serializer>(path: &Option<PathBuf>, serializer: S) -> Result<S::Ok, S::Error> {
    path.as_ref().map(|path| path.to_string_lossy()).serialize(serializer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_value_is_cut_and_a_strange_one_escaped() {
        assert_eq!(shown("a\tb\u{1b}"), r#""a\tb\u{1b}""#);
        assert_eq!(shown(&"é".repeat(60)), format!("\"{}\"", "é".repeat(60)));
        assert_eq!(shown(&"é".repeat(61)), format!("\"{}…\"", "é".repeat(60)));
    }
}
