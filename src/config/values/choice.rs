//! Values that are one of a few words.

use std::fmt;
use std::str::FromStr;

use super::{ValueError, serde_as_text};

/// Declares an enum whose variants are words. The first word of a variant is how it is written, the others are read.
macro_rules! choice {
    (
        $(#[$meta:meta])*
        pub enum $name:ident ($what:literal, $allowed:literal) {
            $($(#[$variant_meta:meta])* $variant:ident = $word:literal $(| $alias:literal)*,)+
        }
    ) => {
        $(#[$meta])*
        pub enum $name {
            $($(#[$variant_meta])* $variant,)+
        }

        impl $name {
            /// The word of each value, in order.
            pub const WORDS: &[&str] = &[$($word),+];

            /// The word for it.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $word,)+
                }
            }
        }

        impl FromStr for $name {
            type Err = ValueError;

            fn from_str(text: &str) -> Result<Self, ValueError> {
                match text.trim().to_ascii_lowercase().as_str() {
                    $($word $(| $alias)* => Ok(Self::$variant),)+
                    _ => Err(ValueError::not(text, $what, $allowed)),
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.as_str())
            }
        }

        serde_as_text!($name);
    };
}

choice! {
    /// Who writes and rotates an app's logs.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub enum Collector ("a log collector", "use auto, builtin or teelog") {
        /// teelog where it is found, else the built-in one.
        #[default]
        Auto = "auto",
        /// The supervisor itself.
        Builtin = "builtin" | "built-in",
        /// The external program.
        Teelog = "teelog",
    }
}

choice! {
    /// How archives of logs are stored.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub enum Compress ("a way to compress", "use none or gzip") {
        /// As they were written.
        #[default]
        None = "none",
        /// By gzip (RFC 1952).
        Gzip = "gzip" | "gz",
    }
}

choice! {
    /// How much an event matters.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
    pub enum Level ("a log level", "use debug, info, warn or error") {
        /// For whoever looks for a fault in daemonctl or a configuration.
        Debug = "debug",
        /// What happened.
        #[default]
        Info = "info",
        /// What somebody should look at.
        Warn = "warn" | "warning",
        /// What failed.
        Error = "error" | "err",
    }
}

choice! {
    /// Whether an app that has ended by itself is started again.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub enum Restart ("a restart policy", "use no, on-failure or always") {
        /// Never.
        #[default]
        No = "no" | "false" | "off" | "never",
        /// When it was killed or exited with a code that is not a success.
        OnFailure = "on-failure" | "on_failure",
        /// Whatever way it ended.
        Always = "always" | "true" | "yes" | "on",
    }
}

choice! {
    /// What builds the walls around an app.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub enum SandboxType ("a sandbox type", "use none, unshare or firejail") {
        /// Nothing: there are none.
        #[default]
        None = "none",
        /// The program firejail.
        Firejail = "firejail",
        /// The launcher itself, with namespaces.
        Unshare = "unshare",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_survive_their_text_and_their_json() {
        for word in Restart::WORDS {
            let policy: Restart = word.parse().unwrap();
            assert_eq!(policy.to_string(), *word);
            let json = serde_json::to_value(policy).unwrap();
            assert_eq!(json, *word);
            assert_eq!(serde_json::from_value::<Restart>(json).unwrap(), policy);
        }
    }

    #[test]
    fn a_restart_policy_may_be_a_boolean() {
        assert_eq!(serde_json::from_str::<Restart>("true").unwrap(), Restart::Always);
        assert_eq!(serde_json::from_str::<Restart>("false").unwrap(), Restart::No);
    }

    #[test]
    fn levels_are_ordered_by_weight() {
        assert!(Level::Debug < Level::Info && Level::Info < Level::Warn && Level::Warn < Level::Error);
    }

    #[test]
    fn a_wrong_word_is_told_the_right_ones() {
        let error = "sometimes".parse::<Restart>().unwrap_err();
        assert_eq!(error.to_string(), r#""sometimes" is not a restart policy: use no, on-failure or always"#);
        assert!("".parse::<SandboxType>().is_err());
    }
}
