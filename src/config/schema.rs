//! The rules of a configuration file for editors, as a JSON Schema.
//!
//! It says what a rule without memory can say: names, types, words, ranges. What concerns several options, and what this
//! host has, only `config check` knows. The schema is one of draft 7 and keeps to words that mean the same in draft 4,
//! because the editors that know TOML differ in which of the two they follow.

use std::ops::RangeInclusive;

use serde_json::{Map, Value, json};

use super::table::{Form, Opt, SECTIONS, Shape, program_table, table};

/// The whole schema: the file of an app, and the global one, which may have `[daemonctl]` as well.
pub fn schema() -> Value {
    let own = ("daemonctl", "Settings of daemonctl itself. In the global file only.".to_owned(), program_table());
    let apps = SECTIONS.iter().map(|name| (*name, format!("Options of an app: {name}."), table()));
    let sections: Map<String, Value> =
        apps.chain([own]).map(|(name, about, options)| section(name, &about, options)).collect();
    json!({
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "daemonctl configuration",
        "description": "conf.toml of an app, or of the apps root.",
        "type": "object",
        "additionalProperties": false,
        "properties": sections,
    })
}

fn section(name: &str, about: &str, options: &[Opt]) -> (String, Value) {
    let own = options.iter().filter(|opt| opt.section == name);
    let keys: Map<String, Value> = own.map(|opt| (opt.key.clone(), option(opt))).collect();
    let table = json!({ "description": about, "type": "object", "additionalProperties": false, "properties": keys });
    (name.to_owned(), table)
}

/// One option: its sentence, its default, and the values that it takes.
fn option(opt: &Opt) -> Value {
    let mut rule = values(opt);
    if let Value::Object(rule) = &mut rule {
        rule.insert("description".to_owned(), format!("{}.", opt.help()).into());
        let default = opt.default.as_ref().and_then(|text| opt.check(text).ok());
        rule.extend(default.map(|default| ("default".to_owned(), default)));
    }
    rule
}

fn values(opt: &Opt) -> Value {
    let scalar = json!({ "type": ["string", "number", "boolean"] });
    match (opt.kind.shape, &opt.kind.form) {
        (Shape::Boolean, _) => json!({ "type": "boolean" }),
        (Shape::Integer, _) => numbers(opt.bounds().unwrap_or(&(i64::MIN..=i64::MAX))),
        (Shape::TextOrBoolean, Form::Words(words)) => {
            json!({ "anyOf": [{ "type": "string", "enum": words }, { "type": "boolean" }] })
        }
        (_, Form::Words(words)) => json!({ "type": "string", "enum": words }),
        (_, Form::Matching(pattern, range)) => {
            json!({ "anyOf": [{ "type": "string", "pattern": pattern }, numbers(range)] })
        }
        (Shape::List, Form::Numbers(range)) => list(&json!({ "anyOf": [numbers(range), { "type": "string" }] })),
        (Shape::List, Form::Any) => list(&scalar),
        (Shape::Map, _) => {
            json!({ "anyOf": [{ "type": "object", "additionalProperties": scalar }, { "type": "string" }] })
        }
        (Shape::Text | Shape::TextOrInteger | Shape::TextOrBoolean, Form::Any | Form::Numbers(_)) => {
            json!({ "type": "string", "minLength": 1 })
        }
    }
}

/// A list, or its text.
fn list(element: &Value) -> Value {
    json!({ "anyOf": [{ "type": "array", "items": element }, { "type": "string" }] })
}

/// Whole numbers. An end that is only that of the type is not worth a word.
fn numbers(range: &RangeInclusive<i64>) -> Value {
    let mut rule = json!({ "type": "integer" });
    if *range.start() > i64::MIN {
        rule["minimum"] = (*range.start()).into();
    }
    if *range.end() < i64::MAX {
        rule["maximum"] = (*range.end()).into();
    }
    rule
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::layers::check_text;

    fn text() -> String {
        serde_json::to_string_pretty(&schema()).unwrap() + "\n"
    }

    /// Whether validators that know nothing of daemonctl accept a file, whichever draft they follow.
    fn accepts(text: &str) -> bool {
        let instance = serde_json::to_value(text.parse::<toml::Table>().unwrap()).unwrap();
        let schema = schema();
        let new = jsonschema::draft7::new(&schema).unwrap().is_valid(&instance);
        assert_eq!(jsonschema::draft4::new(&schema).unwrap().is_valid(&instance), new, "{text}");
        new
    }

    #[test]
    fn it_is_a_schema_of_both_drafts() {
        assert!(jsonschema::draft7::meta::is_valid(&schema()));
        assert!(jsonschema::draft4::meta::is_valid(&schema()));
    }

    #[test]
    fn what_set_writes_is_accepted() {
        let texts =
            ["5", "1h30m", "512M", "true", "no", "web", "077", "TERM", "RTMIN+1", "none", "debug", "a,b", "A=1"];
        for opt in table().iter().chain(program_table()) {
            let values = texts.iter().map(|text| (*text).to_owned()).chain(opt.default.clone());
            for value in values.filter_map(|text| opt.check(&text).ok()) {
                let file = format!("[{}]\n{} = {}\n", opt.section, opt.key, crate::config::edit::written(&value));
                assert!(accepts(&file), "{file}");
            }
        }
    }

    /// Lines as people write them, good ones and bad ones.
    const LINES: [&str; 44] = [
        "daemon.enabled = true",
        "daemon.enabled = \"yes\"",
        "daemon.name = 5",
        "daemon.umask = \"027\"",
        "daemon.umask = 0o027",
        "daemon.umask = \"rwx\"",
        "process.args = [\"--port\", 80]",
        "process.args = \"--port 80\"",
        "process.args = 80",
        "process.environment = { A = \"1\", B = 2, C = true }",
        "process.environment = { A = [1] }",
        "process.environment = \"A=1\"",
        "process.priority = -20",
        "process.priority = 20",
        "process.priority = \"5\"",
        "process.restart = true",
        "process.restart = \"on-failure\"",
        "process.restart = \"sometimes\"",
        "process.restart = 1",
        "process.restart_delay = 5",
        "process.restart_delay = \"1h 30m\"",
        "process.restart_delay = \"5 minutes\"",
        "process.restart_delay = -5",
        "process.restart_delay = \"1M\"",
        "process.restart_delay = \"soon\"",
        "process.success_exit_codes = [0, 3]",
        "process.success_exit_codes = [0, 300]",
        "process.restrat = \"no\"",
        "signals.stop_signal = \"sigint\"",
        "signals.stop_signal = 65",
        "signals.forward_list = [\"USR1\", 10]",
        "sandbox.type = \"unshare\"",
        "sandbox.type = \"docker\"",
        "limits.memory_limit = \"1GiB\"",
        "limits.memory_limit = 1048576",
        "limits.memory_limit = \"12X\"",
        "limits.memory_limit = 8.5",
        "limits.core_limit = \"unlimited\"",
        "limits.cpu_limit = 100",
        "limits.cpu_limit = 101",
        "monitoring.failure_threshold = 0",
        "network.port = 80",
        "daemonctl.op_timeout = 5",
        "daemonctl.no_color = \"no\"",
    ];

    #[test]
    fn it_accepts_what_a_start_accepts() {
        for line in LINES {
            let problems = check_text(Path::new("conf.toml"), line, true);
            assert_eq!(accepts(line), problems.is_empty(), "{line}: {problems:?}");
        }
    }

    #[test]
    fn the_examples_are_accepted() {
        let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
        let files = std::fs::read_dir(examples).unwrap().map(|entry| entry.unwrap().path().join("conf.toml"));
        let files: Vec<_> = files.filter(|file| file.exists()).collect();
        assert!(files.len() >= 3, "{files:?}");
        for file in files {
            assert!(accepts(&std::fs::read_to_string(&file).unwrap()), "{}", file.display());
        }
    }

    #[test]
    fn the_schema_in_the_documentation_is_up_to_date() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/conf.schema.json");
        if std::env::var_os("UPDATE").is_some() {
            std::fs::write(&path, text()).unwrap();
        }
        let written = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(written == text(), "{} is out of date: run this test with UPDATE=1", path.display());
    }
}
