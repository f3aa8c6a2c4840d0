//! Names of capabilities: `net_raw`, `CAP_NET_RAW` and `cap_net_raw` are one, and are written as capabilities(7) has it
//! in lower case. What no kernel header knows is refused here, where the file and line of it are still known.

use caps::Capability;

use super::ValueError;
use crate::config::problem::nearest;

/// The name that stands for every capability.
pub(crate) const ALL: &str = "all";

/// The one way a capability, or all of them, is written.
pub(super) fn canonical(text: &str) -> Result<String, ValueError> {
    let lower = text.to_ascii_lowercase();
    if lower == ALL {
        return Ok(lower);
    }
    let full = if lower.starts_with("cap_") { lower } else { format!("cap_{lower}") };
    if find(&full).is_some() {
        return Ok(full);
    }
    let known: Vec<String> = caps::all().iter().map(|capability| capability.to_string().to_ascii_lowercase()).collect();
    let hint = match nearest(&full, known.iter().map(String::as_str)) {
        _ if text.eq_ignore_ascii_case("none") => "leave the option out, or its list empty".to_owned(),
        Some(near) => format!("did you mean {near}?"),
        None => "use names such as cap_net_raw, with or without cap_, or all; capabilities(7) lists them".to_owned(),
    };
    Err(ValueError::not(text, "a capability", &hint))
}

/// The capability of a canonical name; none for `all`.
pub(crate) fn find(canonical: &str) -> Option<Capability> {
    canonical.to_ascii_uppercase().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_known_in_every_spelling_and_a_wrong_one_has_a_neighbour() {
        for text in ["net_raw", "NET_RAW", "cap_net_raw", "CAP_NET_RAW", "Cap_Net_Raw"] {
            assert_eq!(canonical(text).unwrap(), "cap_net_raw");
        }
        assert_eq!(canonical("ALL").unwrap(), "all");
        assert_eq!(find("cap_bpf"), Some(Capability::CAP_BPF));
        assert_eq!(find("all"), None);
        let wrong = |text: &str| canonical(text).unwrap_err().to_string();
        assert_eq!(wrong("net_rwa"), r#""net_rwa" is not a capability: did you mean cap_net_raw?"#);
        assert_eq!(
            wrong("everything"),
            r#""everything" is not a capability: use names such as cap_net_raw, with or without cap_, or all; capabilities(7) lists them"#
        );
        assert_eq!(wrong("none"), r#""none" is not a capability: leave the option out, or its list empty"#);
        assert!(canonical("").is_err());
    }
}
