//! Connections, heads and bodies that ask for too much.

use std::sync::atomic::Ordering;

use keyturn_server::limits::Limits;

use crate::{SHORT, Server, soon};

#[tokio::test]
async fn handlers_learn_who_asks() {
    let server = Server::start(Limits::default(), None).await;
    let mut client = server.connect().await;
    let address = client.0.local_addr().expect("address").to_string();
    assert_eq!(client.get("/peer").await, (200, address));
}

#[tokio::test]
async fn a_connection_that_sends_nothing_or_half_a_head_is_closed() {
    let server = Server::start(Limits { header_timeout: SHORT, ..Limits::default() }, None).await;
    for sent in ["", "PRI", "G", "GET /peer HTTP/1.1\r\nhost: test\r\nx-slow: "] {
        let mut client = server.connect().await;
        client.send(sent).await;
        assert!(client.closed().await.is_empty(), "{sent:?} got an answer");
    }
}

#[tokio::test]
async fn an_idle_connection_is_closed_after_it_was_served() {
    let limits = Limits { header_timeout: SHORT, idle_timeout: SHORT, ..Limits::default() };
    let server = Server::start(limits, None).await;
    let mut client = server.connect().await;
    assert_eq!(client.get("/peer").await.0, 200);
    assert!(client.closed().await.is_empty());
    let mut client = server.connect().await;
    assert_eq!(client.get("/peer").await.0, 200);
    client.send("GET /peer HTTP/1.1\r\nx-slow: ").await;
    assert!(client.closed().await.is_empty());
}

#[tokio::test]
async fn a_request_at_work_is_not_idle() {
    let limits = Limits { header_timeout: SHORT, idle_timeout: SHORT, ..Limits::default() };
    let mut server = Server::start(limits, None).await;
    let mut held = server.connect().await;
    held.send("GET /held HTTP/1.1\r\nhost: test\r\n\r\n").await;
    server.arrival().await;
    // Others come, stand idle and are closed in the meantime, one after the other, several timeouts long.
    for _ in 0..5 {
        let mut idle = server.connect().await;
        assert_eq!(idle.get("/peer").await.0, 200);
        idle.closed().await;
    }
    server.release();
    let (head, body) = soon(held.head_and_body()).await;
    assert_eq!(body, "released");
    assert!(!head.contains("connection: close"), "it was retired: {head}");
}

#[tokio::test]
async fn a_long_answer_that_is_taken_is_not_cut() {
    let limits = Limits { header_timeout: SHORT, idle_timeout: SHORT, ..Limits::default() };
    let server = Server::start(limits, None).await;
    let mut taking = server.connect().await;
    let taken = tokio::spawn(async move {
        taking.send("GET /endless HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n").await;
        taking.closed().await
    });
    // Several timeouts long.
    for _ in 0..5 {
        let mut idle = server.connect().await;
        assert_eq!(idle.get("/peer").await.0, 200);
        idle.closed().await;
    }
    server.shared.enough.store(true, Ordering::SeqCst);
    let answer = soon(taken).await.expect("no panic");
    assert!(answer.ends_with(b"\r\n0\r\n\r\n"), "it was cut after {} bytes", answer.len());
}

#[tokio::test]
async fn a_client_that_does_not_take_its_answer_is_cut() {
    let limits = Limits { header_timeout: SHORT, idle_timeout: SHORT, max_connections: 1, ..Limits::default() };
    let server = Server::start(limits, None).await;
    let mut greedy = server.connect().await;
    // Requests without end, whose answers are not read: the server's buffers fill, and the one slot is taken.
    let flood = tokio::spawn(async move {
        use tokio::io::AsyncWriteExt;
        while greedy.0.write_all(&b"GET /peer HTTP/1.1\r\nhost: test\r\n\r\n".repeat(1000)).await.is_ok() {}
    });
    assert_eq!(server.connect().await.get("/peer").await.0, 200, "the slot came free");
    soon(flood).await.expect("the flood was cut off");
}

#[tokio::test]
async fn a_head_over_the_limit_is_refused() {
    let server = Server::start(Limits { max_header_bytes: 8 * 1024, ..Limits::default() }, None).await;
    let mut client = server.connect().await;
    client.send(format!("GET /peer HTTP/1.1\r\nx-large: {}", "a".repeat(16 * 1024))).await;
    assert_eq!(client.answer().await.0, 431);

    let mut client = server.connect().await;
    client.send(format!("GET /peer HTTP/1.1\r\n{}\r\n", "x-many: 1\r\n".repeat(101))).await;
    assert_eq!(client.answer().await.0, 431);
}

#[tokio::test]
async fn a_body_over_the_limit_is_413_announced_or_chunked() {
    let server = Server::start(Limits { max_body_bytes: 1024, ..Limits::default() }, None).await;
    let mut client = server.connect().await;
    client.send(format!("POST /body HTTP/1.1\r\nhost: test\r\ncontent-length: 1024\r\n\r\n{}", "a".repeat(1024))).await;
    assert_eq!(client.answer().await, (200, "1024".to_owned()));
    client.send("POST /body HTTP/1.1\r\nhost: test\r\ncontent-length: 1025\r\n\r\n").await;
    assert_eq!(client.answer().await.0, 413);

    let mut client = server.connect().await;
    let chunk = format!("200\r\n{}\r\n", "a".repeat(0x200));
    client.send(format!("POST /body HTTP/1.1\r\nhost: test\r\ntransfer-encoding: chunked\r\n\r\n{chunk}{chunk}")).await;
    client.send("1\r\na\r\n").await;
    assert_eq!(client.answer().await.0, 413);
}

#[tokio::test]
async fn a_body_that_stops_arriving_is_408() {
    let server = Server::start(Limits { body_timeout: SHORT, ..Limits::default() }, None).await;
    let mut client = server.connect().await;
    client.send("POST /body HTTP/1.1\r\nhost: test\r\ncontent-length: 10\r\n\r\n12345").await;
    let (status, reason) = client.answer().await;
    assert_eq!(status, 408);
    assert!(reason.contains("100ms"), "{reason}");
}

#[tokio::test]
async fn a_request_that_takes_too_long_is_503() {
    let server = Server::start(Limits { request_timeout: SHORT, ..Limits::default() }, None).await;
    assert_eq!(server.connect().await.get("/held").await.0, 503);
}

#[tokio::test]
async fn above_the_cap_a_connection_waits_for_a_free_slot() {
    let mut server = Server::start(Limits { max_connections: 1, ..Limits::default() }, None).await;
    let mut first = server.connect().await;
    assert_eq!(first.get("/peer").await.0, 200);
    let mut second = server.connect().await;
    second.send("GET /held HTTP/1.1\r\nhost: test\r\n\r\n").await;
    for _ in 0..50 {
        assert_eq!(first.get("/peer").await.0, 200);
    }
    assert!(server.arrivals.try_recv().is_err(), "the second connection was served beside the first");
    drop(first);
    server.arrival().await;
    server.release();
    assert_eq!(second.answer().await.0, 200);
}
