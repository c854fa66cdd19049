//! What is printed: tables and lines for people, JSON for programs. Progress goes to standard error.

use std::io::{self, Write as _};

use serde_json::{Map, Value};

use super::environment;

#[derive(Debug, Clone, Copy)]
pub struct Output {
    pub json: bool,
}

const HEADS: [&str; 6] = ["NAME", "KIND", "SIZE", "STATE", "ADDRESS", "ID"];
const BACKUP_HEADS: [&str; 6] = ["SERVICE", "KIND", "TAKEN", "STATE", "KEPT", "ID"];

impl Output {
    pub fn services(self, services: &[Value]) -> io::Result<()> {
        self.table(HEADS, row, services)
    }

    pub fn backups(self, backups: &[Value]) -> io::Result<()> {
        self.table(BACKUP_HEADS, backup_row, backups)
    }

    fn table<const N: usize>(self, heads: [&str; N], row: fn(&Value) -> [String; N], of: &[Value]) -> io::Result<()> {
        if self.json {
            return print(&Value::from(of).to_string());
        }
        let mut rows = vec![heads.map(str::to_owned)];
        rows.extend(of.iter().map(row));
        let widths: Vec<usize> = (0..N).map(|at| rows.iter().map(|row| row[at].len()).max().unwrap_or(0)).collect();
        for row in rows {
            let cells: Vec<String> = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}")).collect();
            print(cells.join("  ").trim_end())?;
        }
        Ok(())
    }

    /// A backup, with what was found in it and what is wrong with it.
    pub fn backup(self, backup: &Value) -> io::Result<()> {
        if self.json {
            return print(&backup.to_string());
        }
        print(&backup_row(backup).join("  "))?;
        for fact in backup["verification"]["facts"].as_array().into_iter().flatten() {
            print(&format!("  {}: {}", text(&fact["name"]), text(&fact["value"])))?;
        }
        match backup["error"]["message"].as_str() {
            Some(message) => print(&format!("  {message}")),
            None => Ok(()),
        }
    }

    /// How far a backup is.
    pub fn backup_progress(self, backup: &Value) -> io::Result<()> {
        let why = backup["error"]["message"].as_str().map(|message| format!(": {message}")).unwrap_or_default();
        let phase = backup["phase"].as_str().unwrap_or_else(|| text(&backup["state"])).replace('_', " ").to_lowercase();
        writeln!(io::stderr(), "The backup of {} is {phase}{why}", text(&backup["serviceName"]))
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

fn backup_row(backup: &Value) -> [String; 6] {
    let owned = |value: &Value| text(value).to_owned();
    let kept = match backup["storedBytes"].as_u64() {
        Some(bytes @ 0..1_048_576) => format!("{} KiB", bytes.div_ceil(1 << 10)),
        Some(bytes) => format!("{} MiB", bytes.div_ceil(1 << 20)),
        None => String::new(),
    };
    let more = [&backup["phase"], &backup["error"]["code"]].into_iter().find_map(Value::as_str);
    let state = text(&backup["state"]);
    [
        owned(&backup["serviceName"]),
        format!("{} {}", text(&backup["kind"]), text(&backup["version"])),
        owned(&backup["createdAt"]),
        more.map_or_else(|| state.to_owned(), |more| format!("{state} ({more})")),
        kept,
        owned(&backup["id"]),
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
