//! `keyturn`.

mod config;
mod logging;
mod serving;

fn main() {}
