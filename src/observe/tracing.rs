//! What a supervisor says about its own work.

use std::io::Write;

use tracing_subscriber::filter::LevelFilter;

/// Begins to write events of this level and above, each with a writer of its own. A process says this once; later calls
/// change nothing.
pub fn init<W: Write + 'static>(level: LevelFilter, writer: impl Fn() -> W + Send + Sync + 'static) {
    let _ = tracing_subscriber::fmt()
        .with_max_level(level)
        .with_writer(writer)
        .with_ansi(false)
        .with_target(false)
        .try_init();
}

/// The level of `DAEMONCTL_LOG_LEVEL`, or warnings where it is not set or names none.
pub fn level(env: &dyn Fn(&str) -> Option<String>) -> LevelFilter {
    // An empty text would be the level of errors.
    let set = env("DAEMONCTL_LOG_LEVEL").filter(|text| !text.is_empty());
    set.and_then(|text| text.parse().ok()).unwrap_or(LevelFilter::WARN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_level_comes_from_the_environment() {
        let of = |value: Option<&str>| level(&|_| value.map(str::to_owned));
        assert_eq!(of(None), LevelFilter::WARN);
        assert_eq!(of(Some("debug")), LevelFilter::DEBUG);
        assert_eq!(of(Some("INFO")), LevelFilter::INFO);
        assert_eq!(of(Some("loud")), LevelFilter::WARN);
        assert_eq!(of(Some("")), LevelFilter::WARN);
    }
}
