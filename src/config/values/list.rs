//! Values that hold several, and the lexer that takes their text apart.
//!
//! Lists are separated by commas. A text that holds a separator, a quote or blanks at its edges is written in quotes,
//! as in a shell: `'…'` holds everything as it is, in `"…"` a backslash protects the next character, and outside
//! quotes a backslash does the same. Nothing is expanded: `$HOME` is five characters. A list may be written as in a
//! configuration file as well: `["a", "b"]`, and variables as `{ A = "1" }`.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde::ser::{Serialize, Serializer};

use daemonctl_actors::value::{Signal, SignalError};

use super::{Element, ValueError, capability};

/// Splits a text at unquoted separators. Unquoted blanks around a piece fall away, and so do empty pieces.
fn pieces(text: &str, separates: fn(char) -> bool) -> Result<Vec<String>, ValueError> {
    let open = |quote: &str| ValueError::new(format!("a {quote} is not closed"));
    if text.contains('\0') {
        return Err(ValueError::new("a NUL character cannot be part of it"));
    }
    let mut done = Vec::new();
    let mut piece = String::new();
    // What lies before this length is quoted and keeps its blanks; something quoted keeps even an empty piece.
    let (mut kept, mut quoted) = (0, false);
    let mut finish = |piece: &mut String, kept: &mut usize, quoted: &mut bool| {
        piece.truncate(piece.trim_end().len().max(*kept));
        if !piece.is_empty() || *quoted {
            done.push(std::mem::take(piece));
        }
        (*kept, *quoted) = (0, false);
    };
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        match c {
            '\'' => {
                loop {
                    match rest.next().ok_or_else(|| open("single quote"))? {
                        '\'' => break,
                        inner => piece.push(inner),
                    }
                }
                (kept, quoted) = (piece.len(), true);
            }
            '"' => {
                loop {
                    match rest.next().ok_or_else(|| open("double quote"))? {
                        '"' => break,
                        '\\' => piece.push(rest.next().ok_or_else(|| open("double quote"))?),
                        inner => piece.push(inner),
                    }
                }
                (kept, quoted) = (piece.len(), true);
            }
            '\\' => {
                piece.push(rest.next().ok_or_else(|| ValueError::new("a backslash at the end protects nothing"))?);
                (kept, quoted) = (piece.len(), true);
            }
            c if separates(c) => finish(&mut piece, &mut kept, &mut quoted),
            c if c.is_whitespace() && piece.is_empty() && !quoted => {}
            c => piece.push(c),
        }
    }
    finish(&mut piece, &mut kept, &mut quoted);
    Ok(done)
}

/// A value that is written as in a configuration file, between these brackets: `["a", "b"]`. What is no TOML is nothing
/// of the kind, and may be a word of a list.
fn as_in_a_file(text: &str, bracket: char) -> Option<toml::Value> {
    let text = text.trim();
    if !text.starts_with(bracket) {
        return None;
    }
    let mut table: toml::Table = format!("value = {text}").parse().ok()?;
    table.remove("value").filter(|_| table.is_empty())
}

/// A text as [`pieces`] reads it back in one piece: as it is, or in single quotes.
fn quoted(text: &str, separates: fn(char) -> bool) -> String {
    let plain = |c: char| !separates(c) && !c.is_whitespace() && !c.is_control() && !matches!(c, '\'' | '"' | '\\');
    match !text.is_empty() && !text.starts_with('[') && text.chars().all(plain) {
        true => text.to_owned(),
        false => in_quotes(text),
    }
}

/// A text in single quotes: one element of any list, whatever it contains.
pub(in crate::config) fn in_quotes(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

fn comma(c: char) -> bool {
    c == ','
}

fn comma_or_colon(c: char) -> bool {
    c == ',' || c == ':'
}

fn blank(c: char) -> bool {
    c.is_whitespace()
}

fn comma_or_blank(c: char) -> bool {
    c == ',' || c.is_whitespace()
}

/// Declares a list type: what it holds, how one element is read and written, and what separates them.
macro_rules! list {
    ($(#[$meta:meta])* $name:ident($element:ty), $separates:ident, $separator:literal, $read:expr, $write:expr) => {
        $(#[$meta])*
        #[derive(Clone, Debug, Default, PartialEq, Eq)]
        pub struct $name(pub Vec<$element>);

        impl FromStr for $name {
            type Err = ValueError;

            fn from_str(text: &str) -> Result<Self, ValueError> {
                if let Some(list) = as_in_a_file(text, '[') {
                    return Self::deserialize(list).map_err(|error| ValueError::new(error.message().to_owned()));
                }
                let read: fn(String) -> Result<$element, ValueError> = $read;
                pieces(text, $separates)?.into_iter().map(read).collect::<Result<_, _>>().map(Self)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let write: fn(&$element) -> String = $write;
                let texts: Vec<String> = self.0.iter().map(|one| quoted(&write(one), $separates)).collect();
                f.write_str(&texts.join($separator))
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct List;

                impl<'de> Visitor<'de> for List {
                    type Value = $name;

                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str("a list")
                    }

                    fn visit_str<E: Error>(self, text: &str) -> Result<$name, E> {
                        text.parse().map_err(E::custom)
                    }

                    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<$name, A::Error> {
                        let read: fn(String) -> Result<$element, ValueError> = $read;
                        let mut list = Vec::new();
                        while let Some(Element(text)) = elements.next_element::<Element<String>>()? {
                            list.push(read(text).map_err(A::Error::custom)?);
                        }
                        Ok($name(list))
                    }
                }

                deserializer.deserialize_any(List)
            }
        }
    };
}

list!(
    /// Exit codes.
    Codes(u8), comma_or_blank, ",",
    |text| text.parse().map_err(|_| ValueError::not(&text, "an exit code", "use whole numbers from 0 to 255, such as 0,3")),
    u8::to_string
);

list!(
    /// Names of capabilities, each in its one spelling: `cap_net_raw`, or `all`.
    Names(String), comma_or_blank, ",", |text| capability::canonical(&text), String::clone
);

list!(
    /// Paths, separated by commas or colons.
    Paths(PathBuf), comma_or_colon, ":",
    |text| Ok(text.into()),
    |path| path.to_string_lossy().into_owned()
);

list!(
    /// Signals.
    Signals(Signal), comma_or_blank, ",",
    |text| text.parse().map_err(|error: SignalError| ValueError::new(error.to_string())),
    Signal::to_string
);

list!(
    /// Words as a shell splits them: at blanks, unless quoted.
    Words(String), blank, " ", Ok, String::clone
);

impl Serialize for Codes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(&self.0)
    }
}

impl Serialize for Names {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(&self.0)
    }
}

impl Serialize for Paths {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(|path| path.to_string_lossy()))
    }
}

impl Serialize for Signals {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(&self.0)
    }
}

impl Serialize for Words {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(&self.0)
    }
}

/// Environment variables.
///
/// Values may be secrets, so no error repeats one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EnvMap(pub BTreeMap<String, String>);

impl EnvMap {
    /// One variable, written `NAME=VALUE` as for env(1): everything behind the first `=` is the value, as it is.
    pub fn variable(text: &str) -> Result<Self, ValueError> {
        let (name, value) = text.split_once('=').ok_or_else(|| ValueError::new("it has no '=': use NAME=VALUE"))?;
        let mut map = Self::default();
        map.insert(name.trim_end(), value)?;
        Ok(map)
    }

    /// Adds a variable, or replaces it, if it can be one.
    pub fn insert(&mut self, name: &str, value: &str) -> Result<(), ValueError> {
        let odd =
            |c: char| c.is_whitespace() || c.is_control() || matches!(c, '=' | ',' | '\'' | '"' | '\\' | '{' | '}');
        if name.is_empty() || name.contains(odd) {
            return Err(ValueError::not(
                name,
                "the name of a variable",
                "it may have no blanks, quotes, commas, braces, '=' and '\\'",
            ));
        }
        if value.contains('\0') {
            return Err(ValueError::new(format!("the value of {name} contains a NUL character")));
        }
        self.0.insert(name.to_owned(), value.to_owned());
        Ok(())
    }
}

impl FromStr for EnvMap {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        if let Some(table) = as_in_a_file(text, '{') {
            return Self::deserialize(table).map_err(|error| ValueError::new(error.message().to_owned()));
        }
        let mut map = Self::default();
        for (at, piece) in pieces(text, comma)?.iter().enumerate() {
            let (name, value) = piece.split_once('=').ok_or_else(|| {
                let hint = "use NAME=VALUE, and quotes around a value with a comma";
                ValueError::new(format!("variable {} has no '=': {hint}", at + 1))
            })?;
            map.insert(name.trim_end(), value)?;
        }
        Ok(map)
    }
}

impl fmt::Display for EnvMap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = |text: &str| if text.is_empty() { String::new() } else { quoted(text, comma) };
        let texts: Vec<String> = self.0.iter().map(|(name, text)| format!("{name}={}", value(text))).collect();
        f.write_str(&texts.join(","))
    }
}

impl Serialize for EnvMap {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for EnvMap {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Map;

        impl<'de> Visitor<'de> for Map {
            type Value = EnvMap;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a table of variables")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<EnvMap, E> {
                text.parse().map_err(E::custom)
            }

            fn visit_map<A: MapAccess<'de>>(self, mut variables: A) -> Result<EnvMap, A::Error> {
                let mut map = EnvMap::default();
                while let Some((name, Element(value))) = variables.next_entry::<String, Element<String>>()? {
                    map.insert(&name, &value).map_err(A::Error::custom)?;
                }
                Ok(map)
            }
        }

        deserializer.deserialize_any(Map)
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::{btree_map, vec};
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn words_split_as_in_a_shell() {
        let table: [(&str, &[&str]); 8] = [
            ("", &[]),
            ("  -v   --port 80 ", &["-v", "--port", "80"]),
            ("'two words' \"and 'two'\"", &["two words", "and 'two'"]),
            (r#"a\ b "c\"d" 'e\f'"#, &["a b", "c\"d", "e\\f"]),
            ("'' \"\"", &["", ""]),
            ("--name='a b'c", &["--name=a bc"]),
            ("a,b:c", &["a,b:c"]),
            ("$HOME *", &["$HOME", "*"]),
        ];
        for (text, words) in table {
            assert_eq!(text.parse::<Words>().unwrap().0, words, "{text}");
        }
        for bad in ["'open", "\"open", "\"open\\", "end\\"] {
            assert!(bad.parse::<Words>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn lists_take_the_separators_people_use() {
        assert_eq!("net_raw, CAP_CHOWN".parse::<Names>().unwrap().0, ["cap_net_raw", "cap_chown"]);
        assert_eq!("0,3 , 143".parse::<Codes>().unwrap().0, [0, 3, 143]);
        assert_eq!("/etc:/usr,/opt/my app".parse::<Paths>().unwrap().to_string(), "/etc:/usr:'/opt/my app'");
        assert_eq!("USR1,sighup,15".parse::<Signals>().unwrap().to_string(), "SIGUSR1,SIGHUP,SIGTERM");
        assert_eq!(
            "300".parse::<Codes>().unwrap_err().to_string(),
            r#""300" is not an exit code: use whole numbers from 0 to 255, such as 0,3"#
        );
        assert!("TERM,FOO".parse::<Signals>().is_err());
    }

    #[test]
    fn a_variable_may_hold_anything_and_an_error_never_shows_it() {
        let map: EnvMap = "A=1, B='x, y' ,C=a=b,D=".parse().unwrap();
        let pairs: Vec<_> = map.0.iter().map(|(name, value)| format!("{name}={value}")).collect();
        assert_eq!(pairs, ["A=1", "B=x, y", "C=a=b", "D="]);
        assert_eq!(EnvMap::variable("A=it's, you know").unwrap().0["A"], "it's, you know");
        for bad in ["A=1,hunter2", "'hunter2", "=hunter2", "A=\0hunter2"] {
            let error = bad.parse::<EnvMap>().unwrap_err().to_string();
            assert!(!error.contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn json_is_an_array_of_texts_or_the_text() {
        for json in [r#"["TERM", 1]"#, r#""TERM,1""#] {
            assert_eq!(serde_json::from_str::<Signals>(json).unwrap().to_string(), "SIGTERM,SIGHUP");
        }
        assert_eq!(serde_json::to_string(&Codes(vec![0, 3])).unwrap(), "[0,3]");
        assert_eq!(serde_json::from_str::<Paths>(r#"["/a:b"]"#).unwrap().0, [PathBuf::from("/a:b")]);
    }

    proptest! {
        #[test]
        fn all_words_survive_their_text(words in vec("[^\0]*", 0..5)) {
            let words = Words(words);
            prop_assert_eq!(words.to_string().parse(), Ok(words.clone()));
            let json = serde_json::to_string(&words).unwrap();
            prop_assert_eq!(serde_json::from_str::<Words>(&json).unwrap(), words);
        }

        #[test]
        fn all_paths_survive_their_text(paths in vec("[^\0]+", 0..5)) {
            let paths = Paths(paths.into_iter().map(PathBuf::from).collect());
            prop_assert_eq!(paths.to_string().parse(), Ok(paths));
        }

        #[test]
        fn all_variables_survive_their_text(variables in btree_map("[A-Z_]{1,5}", "[^\0]*", 0..5)) {
            let map = EnvMap(variables);
            prop_assert_eq!(map.to_string().parse(), Ok(map));
        }

        #[test]
        fn no_text_is_too_strange(text in any::<String>()) {
            let _ = (text.parse::<Words>(), text.parse::<Paths>(), text.parse::<EnvMap>(), text.parse::<Signals>());
        }
    }

    #[test]
    fn what_is_written_as_in_a_file_is_read_as_there() {
        let words = |text: &str| text.parse::<Words>().map(|words| words.0).map_err(|error| error.to_string());
        assert_eq!(words(r#"["--port", "80 80"]"#), Ok(vec!["--port".to_owned(), "80 80".to_owned()]));
        assert_eq!(words(" [1, 'a'] "), Ok(vec!["1".to_owned(), "a".to_owned()]));
        // Not TOML: words, as a shell would see them.
        assert_eq!(words("[a] b"), Ok(vec!["[a]".to_owned(), "b".to_owned()]));
        let odd = Words(vec!["[1]".to_owned()]);
        assert_eq!(odd.to_string().parse(), Ok(odd));
        assert_eq!("[0, 3]".parse::<Codes>(), Ok(Codes(vec![0, 3])));
        assert!("[0, 300]".parse::<Codes>().is_err());
        let variables = r#"{A="1", B = "x,y"}"#.parse::<EnvMap>().unwrap();
        assert_eq!(variables.to_string(), "A=1,B='x,y'");
        let wrong = "{A=1".parse::<EnvMap>().unwrap_err().to_string();
        assert!(wrong.contains("the name of a variable"), "{wrong}");
    }
}
