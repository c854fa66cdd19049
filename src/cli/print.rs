//! What is printed: tables and lines for people, JSON for programs. Progress goes to standard error.

use std::io::{self, Write as _};

use serde_json::{Map, Value};

use super::environment;

#[derive(Debug, Clone, Copy)]
pub struct Output {
    pub json: bool,
}

const HEADS: [&str; 6] = ["NAME", "KIND", "SIZE", "STATE", "ADDRESS", "ID"];

impl Output {
    pub fn services(self, services: &[Value]) -> io::Result<()> {
        if self.json {
            return print(&Value::from(services).to_string());
        }
        let mut rows = vec![HEADS.map(str::to_owned)];
        rows.extend(services.iter().map(row));
        let widths: Vec<usize> =
            (0..HEADS.len()).map(|at| rows.iter().map(|row| row[at].len()).max().unwrap_or(0)).collect();
        for row in rows {
            let cells: Vec<String> = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}")).collect();
            print(cells.join("  ").trim_end())?;
        }
        Ok(())
    }

    pub fn service(self, service: &Value) -> io::Result<()> {
        if self.json {
            return print(&service.to_string());
        }
        print(&format!(
            "{}  {}  {}  {}",
            text(&service["name"]),
            state(service),
            address(service),
            text(&service["id"])
        ))
    }

    /// How far something is.
    pub fn progress(self, event: &Value) -> io::Result<()> {
        writeln!(io::stderr(), "{}", text(&event["message"]))
    }

    pub fn environment(self, variables: &[(String, String)]) -> io::Result<()> {
        if self.json {
            let object: Map<String, Value> =
                variables.iter().map(|(key, value)| (key.clone(), value.as_str().into())).collect();
            return print(&Value::from(object).to_string());
        }
        variables.iter().try_for_each(|(key, value)| print(&environment::line(key, value)))
    }

    pub fn line(self, line: &Value) -> io::Result<()> {
        if self.json { print(&line.to_string()) } else { print(text(&line["text"])) }
    }

    pub fn event(self, event: &Value) -> io::Result<()> {
        if self.json {
            return print(&event.to_string());
        }
        let by = event["actor"].as_str().map(|actor| format!("  ({actor})")).unwrap_or_default();
        print(&format!("{}  {:12}  {}{by}", text(&event["occurredAt"]), text(&event["state"]), text(&event["message"])))
    }
}

fn row(service: &Value) -> [String; 6] {
    let kind = format!("{} {}", text(&service["kind"]), text(&service["version"]));
    let owned = |value: &Value| text(value).to_owned();
    [
        owned(&service["name"]),
        kind,
        owned(&service["tier"]["tier"]),
        state(service),
        address(service),
        owned(&service["id"]),
    ]
}

/// The state, and what is being done or is amiss.
fn state(service: &Value) -> String {
    let state = text(&service["state"]);
    let more = [&service["operation"]["kind"], &service["error"]["code"]].into_iter().find_map(Value::as_str);
    more.map_or_else(|| state.to_owned(), |more| format!("{state} ({more})"))
}

/// The published address; the one on the project's network where there is none.
fn address(service: &Value) -> String {
    match service["externalPort"].as_u64() {
        Some(port) => format!("{}:{port}", text(&service["externalHost"])),
        None => format!("{}:{}", text(&service["hostname"]), service["port"]),
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// A reader that has gone, such as `head`, ends the program as it ends others.
fn print(line: &str) -> io::Result<()> {
    let mut out = io::stdout();
    writeln!(out, "{line}")?;
    out.flush()
}
