//! What an app uses, against what it may.

use super::super::text;
use super::{View, facts};
use crate::control::status::LimitStatus;
use crate::observe::resources::{Resources, Usage};

/// One kind a line.
pub(in crate::cli) fn resources(used: &Resources, view: &View) -> String {
    let optional = |value: Option<u64>| value.map_or("unknown".to_owned(), text::bytes);
    let files = match (used.open_files, used.open_files_most) {
        (Some(all), Some(most)) => {
            let of = used.open_files_limit.map(|limit| format!(" of {limit}")).unwrap_or_default();
            format!("{all}, {most}{of} in one process")
        }
        _ => "unknown".to_owned(),
    };
    let memory = format!(
        "{} resident, {} proportional, {} virtual",
        text::bytes(used.memory_bytes),
        optional(used.memory_proportional_bytes),
        text::bytes(used.memory_virtual_bytes)
    );
    let cpu = format!("{} since start, {} in all", text::percent(used.cpu_percent), text::seconds(used.cpu_seconds));
    let mut told = vec![
        ("memory", memory),
        ("cpu", cpu),
        ("threads", format!("{} in {}", used.threads, text::processes(used.processes as usize))),
        ("open files", files),
        ("storage", format!("{} read, {} written", optional(used.read_bytes), optional(used.written_bytes))),
    ];
    told.extend(used.limits.iter().map(|usage| ("limit", usage_text(usage))));
    facts(told, view)
}

/// `memory 12M of 64M: cgroup v1`.
pub(super) fn usage_text(usage: &Usage) -> String {
    let LimitStatus { limit, asked, held_by, .. } = &usage.limit;
    let used = usage.used.map_or("unknown".to_owned(), |used| match limit.as_str() {
        "memory" => text::bytes(used as u64),
        "cpu" => text::percent(used),
        _ => format!("{used}"),
    });
    let waited = usage.throttled_seconds.map(|waited| format!(", held back for {}", text::seconds(waited)));
    format!("{limit} {used} of {asked}: {held_by}{}", waited.unwrap_or_default())
}

/// `memory 64M: cgroup v1`, where nothing runs that could use it.
pub(super) fn limit_text(limit: &LimitStatus) -> String {
    format!("{} {}: {}", limit.limit, limit.asked, limit.held_by)
}

#[cfg(test)]
mod tests {
    use super::super::samples::{used, view};
    use super::*;

    #[test]
    fn what_is_used_is_told_against_what_is_allowed() {
        let nobody = Resources { open_files: None, limits: Vec::new(), ..used() };
        insta::assert_snapshot!([resources(&used(), &view()), resources(&nobody, &view())].join("\n"));
    }
}
