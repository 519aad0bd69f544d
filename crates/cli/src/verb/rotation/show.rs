//! `rotation show`.

use serde_json::{Map, Value};

use crate::client::Client;
use crate::failure::Failure;
use crate::output::{self, Format, Table, cell};

/// Who reads, whose columns these are.
const CONSUMER: [&str; 5] = ["identity", "name", "version", "last_read_time", "address"];
const SESSION: [&str; 4] = ["username", "address", "application", "since"];

pub(super) fn run(client: &Client, path: &str, format: Format) -> Result<(), Failure> {
    let data: Map<String, Value> = client.get(&format!("sys/rotation/{}", super::super::bare(path)))?.data()?;
    if format == Format::Json {
        return Ok(output::print_json(&Value::Object(data))?);
    }
    let mut table = Table::of_fields();
    let lists = ["consumers", "stragglers", "sessions"];
    for (name, value) in data.iter().filter(|(name, _)| !lists.contains(&name.as_str())) {
        match value {
            Value::Object(members) => {
                for (member, value) in members {
                    table.row([&format!("{name}.{member}"), &cell(value)]);
                }
            }
            value => table.row([name, &cell(value)]),
        }
    }
    output::print(&table.render())?;
    print_rows(&data, "consumers", CONSUMER)?;
    print_rows(&data, "stragglers", CONSUMER)?;
    print_rows(&data, "sessions", SESSION)
}

fn print_rows<const N: usize>(data: &Map<String, Value>, list: &str, columns: [&str; N]) -> Result<(), Failure> {
    let Some(rows) = data.get(list).and_then(Value::as_array).filter(|rows| !rows.is_empty()) else { return Ok(()) };
    let mut table = Table::new(columns);
    for row in rows {
        let cells = columns.map(|column| cell(&row[column]));
        table.row(cells.each_ref().map(String::as_str));
    }
    output::print_line(&format!("\n{list}:"))?;
    Ok(output::print(&table.render())?)
}
