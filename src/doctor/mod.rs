//! What this host, and this user on it, can enforce.
//!
//! Nothing is deduced that can be tried: for each option a harmless process is launched with it, by the launcher that
//! launches apps, and what that says is the finding. So a finding cannot disagree with what a start would do.
//!
//! - `trials`: which options are tried, and with which values.
//! - `surroundings`: what is not an option: the kernel, the account, tools.

mod surroundings;
mod trials;

use serde::Serialize;

/// What was found out about one thing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What it belongs to: limits, sandbox, …
    pub topic: &'static str,
    /// The option, or the thing, by its name.
    pub name: &'static str,
    /// Whether it can be had.
    pub verdict: Verdict,
    /// By which mechanism it is held, what stands in for it, or why it cannot be had.
    pub detail: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

/// Whether something can be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// It is enforced as documented.
    Yes,
    /// Something weaker stands in for it; the detail says what.
    Partly,
    /// A start that asks for it fails.
    No,
}

impl Verdict {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Yes => "yes",
            Self::Partly => "partly",
            Self::No => "no",
        }
    }
}

/// Everything that can be found out, in the order a person reads it.
pub fn examine() -> Vec<Finding> {
    let mut findings = surroundings::kernel();
    findings.extend(trials::run());
    findings.push(surroundings::teelog());
    findings
}

/// The kernel and the account, as a heading.
pub fn heading() -> String {
    surroundings::heading()
}
