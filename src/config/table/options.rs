//! The values of all options of one app, and their defaults.
//!
//! [`Options`] is what the rest of the program reads, field by field. What loops over options uses its JSON form, in
//! which a value is found by section and key.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use clap::Args;
use serde::de::{DeserializeOwned, Error};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use super::opt::{Opt, read_section};
use super::table;
use crate::config::sections::{
    Daemon, Limits, Logging, Monitoring, Pidfile, Process, Sandbox, Security, SignalOptions,
};

/// Lists the sections: makes of them [`Options`] and the table's source.
macro_rules! sections {
    ($($name:ident: $section:ident,)+) => {
        /// The values of all options of one app.
        #[derive(Clone, Debug, PartialEq, Serialize)]
        pub struct Options {
            $(
                #[doc = concat!("`[", stringify!($name), "]`.")]
                pub $name: $section,
            )+
        }

        impl Options {
            /// The defaults, with the keys of each section laid over them.
            fn from_tree(mut tree: Tree) -> Result<Self, serde_json::Error> {
                Ok(Self {
                    $($name: match tree.remove(stringify!($name)) {
                        None => Self::defaults().$name.clone(),
                        Some(keys) => over_defaults(stringify!($name), keys)?,
                    },)+
                })
            }

            /// The declared defaults, read once.
            fn defaults() -> &'static Self {
                static DEFAULTS: OnceLock<Options> = OnceLock::new();
                DEFAULTS.get_or_init(|| Self {
                    $($name: over_defaults(stringify!($name), Value::Object(Tree::new()))
                        .expect("defaults are values of their types, as the tests of the table check"),)+
                })
            }
        }

        $(
            impl Default for $section {
                fn default() -> Self {
                    Options::defaults().$name.clone()
                }
            }
        )+

        /// The names of the sections, in the order of the table.
        pub const SECTIONS: &[&str] = &[$(stringify!($name)),+];

        /// Every option, read off the sections.
        pub(super) fn read_table() -> Vec<Opt> {
            let mut table = Vec::with_capacity(80);
            $(read_section(&mut table, stringify!($name), $section::augment_args);)+
            table
        }
    };
}

sections! {
    daemon: Daemon,
    process: Process,
    security: Security,
    logging: Logging,
    pidfile: Pidfile,
    signals: SignalOptions,
    sandbox: Sandbox,
    limits: Limits,
    monitoring: Monitoring,
}

/// Options in their JSON form: section, key, value.
type Tree = serde_json::Map<String, Value>;

impl Options {
    /// The JSON form of all sections. Options without a value are null.
    fn tree(&self) -> Tree {
        match serde_json::to_value(self) {
            Ok(Value::Object(tree)) => tree,
            // An empty tree would read as "nothing is limited, and nobody is set as user".
            other => unreachable!("sections are structs of texts, numbers and lists, all of which JSON has: {other:?}"),
        }
    }

    /// The value of every option that is set, by name, in its JSON form.
    pub fn values(&self) -> BTreeMap<&'static str, Value> {
        let mut tree = self.tree();
        let value = |opt: &'static Opt| Some((opt.name.as_str(), tree.get_mut(opt.section)?.get_mut(&opt.key)?.take()));
        table().iter().filter_map(value).filter(|(_, value)| !value.is_null()).collect()
    }

    /// The defaults with these values laid over them.
    pub(in crate::config) fn from_values(values: BTreeMap<&'static str, Value>) -> Result<Self, serde_json::Error> {
        let mut tree = Tree::new();
        for (name, value) in values {
            let (section, key) = name.split_once('.').unwrap_or((name, ""));
            let keys = tree.entry(section).or_insert_with(|| Value::Object(Tree::new()));
            if let Value::Object(keys) = keys {
                keys.insert(key.to_owned(), value);
            }
        }
        Self::from_tree(tree)
    }
}

impl Default for Options {
    fn default() -> Self {
        Self::defaults().clone()
    }
}

impl<'de> Deserialize<'de> for Options {
    /// What is missing has its default, so that a record from before an option existed can be read.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::from_tree(Tree::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

/// A section of defaults, with some keys laid over them. A section that is complete needs neither defaults nor table,
/// which is what makes reading a whole record quick.
fn over_defaults<S: DeserializeOwned>(section: &str, keys: Value) -> Result<S, serde_json::Error> {
    if let Ok(complete) = S::deserialize(&keys) {
        return Ok(complete);
    }
    match (default_tree().get(section), keys) {
        (Some(Value::Object(defaults)), Value::Object(keys)) => {
            let mut all = defaults.clone();
            all.extend(keys);
            serde_json::from_value(Value::Object(all))
        }
        (_, keys) => serde_json::from_value(keys),
    }
}

/// The declared defaults. Their ranges are not looked at: the tests do that.
fn default_tree() -> &'static Tree {
    static TREE: OnceLock<Tree> = OnceLock::new();
    TREE.get_or_init(|| {
        let empty = |name: &&str| ((*name).to_owned(), Value::Object(Tree::new()));
        let mut tree: Tree = SECTIONS.iter().map(empty).collect();
        for opt in table() {
            let value = opt.default.as_ref().and_then(|text| (opt.kind.parse)(text).ok());
            if let (Some(value), Some(Value::Object(keys))) = (value, tree.get_mut(opt.section)) {
                keys.insert(opt.key.clone(), value);
            }
        }
        tree
    })
}

/// The options of some set that differ from their defaults, with their values.
pub(super) fn changed(options: &Options, among: impl Fn(&Opt) -> bool) -> Vec<(&'static Opt, Value)> {
    let (mut tree, defaults) = (options.tree(), default_tree());
    let differs = |opt: &'static Opt| {
        let value = tree.get_mut(opt.section)?.get_mut(&opt.key)?.take();
        let default = defaults.get(opt.section)?.get(&opt.key);
        (!value.is_null() && Some(&value) != default).then_some((opt, value))
    };
    table().iter().filter(|opt| among(opt)).filter_map(differs).collect()
}
