//! Shutdown: what is at work is finished, what stands idle is closed, what does not finish is cut.

use keyturn_server::limits::Limits;

use crate::{SHORT, Server};

#[tokio::test]
async fn a_request_at_work_is_finished_and_idle_connections_are_closed() {
    let mut server = Server::start(Limits::default(), None).await;
    let mut idle = server.connect().await;
    assert_eq!(idle.get("/peer").await.0, 200);
    let mut held = server.connect().await;
    held.send("GET /held HTTP/1.1\r\nhost: test\r\n\r\n").await;
    server.arrivals.recv().await.expect("arrived");

    server.trigger.advance();
    assert!(idle.closed().await.is_empty());
    server.release();
    assert_eq!(held.answer().await, (200, "released".to_owned()));
    assert!(held.closed().await.is_empty());
    server.task.await.expect("the server has returned");
    assert!(tokio::net::TcpStream::connect(server.address).await.is_err(), "it still listens");
}

#[tokio::test]
async fn a_request_that_does_not_finish_is_cut() {
    let mut server = Server::start(Limits { drain_timeout: SHORT, ..Limits::default() }, None).await;
    let mut held = server.connect().await;
    held.send("GET /held HTTP/1.1\r\nhost: test\r\n\r\n").await;
    server.arrivals.recv().await.expect("arrived");
    server.trigger.advance();
    server.task.await.expect("the server has returned");
    assert!(held.closed().await.is_empty());
}

#[tokio::test]
async fn asked_a_second_time_it_does_not_wait() {
    let mut server = Server::start(Limits::default(), None).await;
    let mut held = server.connect().await;
    held.send("GET /held HTTP/1.1\r\nhost: test\r\n\r\n").await;
    server.arrivals.recv().await.expect("arrived");
    server.trigger.advance();
    server.trigger.advance();
    server.task.await.expect("the server has returned");
    assert!(held.closed().await.is_empty());
}

#[tokio::test]
async fn a_server_whose_trigger_is_gone_stops() {
    let server = Server::start(Limits::default(), None).await;
    drop(server.trigger);
    server.task.await.expect("the server has returned");
}
