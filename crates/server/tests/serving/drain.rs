//! Shutdown: what is at work is finished, what stands idle is closed, what does not finish is cut.

use std::time::Duration;

use keyturn_server::limits::Limits;

use crate::{SHORT, Server, soon};

/// Limits that never strike while a test waits: whatever ends is ended by the shutdown.
fn patient() -> Limits {
    let hour = Duration::from_secs(3600);
    Limits { header_timeout: hour, idle_timeout: hour, drain_timeout: hour, ..Limits::default() }
}

#[tokio::test]
async fn a_request_at_work_is_finished_and_idle_connections_are_closed() {
    let mut server = Server::start(patient(), None).await;
    let mut idle = server.connect().await;
    assert_eq!(idle.get("/peer").await.0, 200);
    let mut held = server.connect().await;
    held.send("GET /held HTTP/1.1\r\nhost: test\r\n\r\n").await;
    server.arrival().await;

    server.trigger.advance();
    assert!(idle.closed().await.is_empty());
    server.release();
    assert_eq!(held.answer().await, (200, "released".to_owned()));
    assert!(held.closed().await.is_empty());
    server.returned().await;
    assert!(tokio::net::TcpStream::connect(server.address).await.is_err(), "it still listens");
}

#[tokio::test]
async fn a_request_that_does_not_finish_is_cut() {
    let mut server = Server::start(Limits { drain_timeout: SHORT, ..patient() }, None).await;
    let mut held = server.connect().await;
    held.send("GET /held HTTP/1.1\r\nhost: test\r\n\r\n").await;
    server.arrival().await;
    server.trigger.advance();
    server.returned().await;
    assert!(held.closed().await.is_empty());
}

#[tokio::test]
async fn asked_a_second_time_it_does_not_wait() {
    let mut server = Server::start(patient(), None).await;
    let mut held = server.connect().await;
    held.send("GET /held HTTP/1.1\r\nhost: test\r\n\r\n").await;
    server.arrival().await;
    server.trigger.advance();
    server.trigger.advance();
    server.returned().await;
    assert!(held.closed().await.is_empty());
}

#[tokio::test]
async fn a_server_whose_trigger_is_gone_stops() {
    let Server { trigger, task, .. } = Server::start(patient(), None).await;
    drop(trigger);
    soon(task).await.expect("no panic");
}
