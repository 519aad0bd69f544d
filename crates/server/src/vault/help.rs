//! `?help=1` on any path: what is served there, from the table that requests are routed by.

use std::fmt::Write as _;

use keyturn_core::{mount::Mount, policy::Operation};
use serde_json::json;

use super::{reply::Reply, routes::Routes};

/// Help on the path `rest` below a mount: on its route, or if there is none, on all of the engine's.
pub(super) fn on(routes: &Routes, mount: &Mount, rest: &str) -> Reply {
    let found = routes.route_of(mount.engine, rest);
    let mut text = String::new();
    // Writing to memory cannot fail.
    match found {
        Some((pattern, operations)) => {
            _ = writeln!(text, "Request:        {rest}\nMatching Route: {pattern}\n\n{}", words(operations));
        }
        None => {
            _ = writeln!(text, "## PATHS\n\nThe paths of {:?}, of the type {}:\n", mount.path, mount.engine.name());
            for (pattern, operations) in routes.of(mount.engine) {
                _ = writeln!(text, "    {pattern}\n        {}\n", words(operations));
            }
        }
    }
    Reply::plain("application/json", json!({ "help": text, "see_also": [] }).to_string())
}

fn words(operations: &[Operation]) -> String {
    let words: Vec<&str> = operations.iter().map(|operation| operation.as_str()).collect();
    format!("Operations: {}", words.join(", "))
}
