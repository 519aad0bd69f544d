use std::{fs, os::unix::fs::PermissionsExt as _, path::Path};

use rustix::process::test_kill_process;

use super::*;

const EVENT: HookEvent<'static> =
    HookEvent { step: "createSecret", secret_id: "arn:of:it", version_id: "the-version-that-comes" };

/// The one command `it`: a shell script.
fn commands(directory: &Path, script: &str, timeout: u64) -> Commands {
    let path = directory.join("hook");
    fs::write(&path, format!("#!/bin/sh\n{script}\n")).expect("written");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).expect("executable");
    // A file that was just written may still be open for writing in a child of another test: the shell reads it.
    let command = vec!["/bin/sh".to_owned(), path.to_str().expect("UTF-8").to_owned(), "argument".to_owned()];
    configured(directory, command, timeout)
}

fn configured(directory: &Path, command: Vec<String>, timeout: u64) -> Commands {
    let environment = vec![
        ("SET".to_owned(), Some("here".to_owned())),
        ("CARGO_PKG_NAME".to_owned(), None),
        ("UNSET".to_owned(), None),
    ];
    let timeout = Duration::from_secs(timeout);
    Commands::new(
        [("it".to_owned(), HookCommand { command, timeout, directory: directory.to_owned(), environment })].into(),
    )
}

async fn run(commands: &Commands) -> Result<CommandReply, CommandError> {
    commands.run("it", EVENT).await
}

fn text(reply: &CommandReply) -> String {
    String::from_utf8(reply.output.expose_secret().to_vec()).expect("UTF-8")
}

#[tokio::test]
async fn a_command_gets_the_event_and_a_clean_environment() {
    let directory = tempfile::tempdir().expect("a directory");
    let commands = commands(directory.path(), r#"echo "$# $1"; pwd; env | sort; cat; echo noise >&2"#, 20);
    let reply = run(&commands).await.expect("it ran");
    assert_eq!(reply.code, Some(0));
    let shown = text(&reply);
    let (before, event) = shown.split_once('{').expect("an event");
    let event: serde_json::Value = serde_json::from_str(&format!("{{{event}")).expect("JSON");
    assert_eq!(event["Step"], "createSecret");
    assert_eq!((&event["SecretId"], &event["ClientRequestToken"]), (&"arn:of:it".into(), &EVENT.version_id.into()));
    let mut names: Vec<_> = before.lines().filter_map(|line| Some(line.split_once('=')?.0)).collect();
    // What the shell itself sets.
    names.retain(|name| !["PWD", "OLDPWD", "SHLVL", "_"].contains(name));
    assert_eq!(
        names,
        ["CARGO_PKG_NAME", "KEYTURN_HOOK_SECRET_ID", "KEYTURN_HOOK_STEP", "KEYTURN_HOOK_VERSION_ID", "PATH", "SET"],
        "{before}"
    );
    let place = directory.path().canonicalize().expect("a path");
    assert!(before.starts_with(&format!("1 argument\n{}\n", place.display())), "{before}");
    assert!(!before.contains("noise"));
}

#[tokio::test]
async fn exit_codes_signals_and_missing_programs_are_told_apart() {
    let directory = tempfile::tempdir().expect("a directory");
    assert_eq!(run(&commands(directory.path(), "exit 3", 20)).await.expect("it ran").code, Some(3));
    assert_eq!(run(&commands(directory.path(), "kill -9 $$", 20)).await.expect("it ran").code, None);
    let missing = configured(directory.path(), vec!["/nonexistent/hook".to_owned()], 20);
    assert!(matches!(run(&missing).await, Err(CommandError::NotStarted(_))));
    let gone = configured(Path::new("/nonexistent"), vec!["/bin/true".to_owned()], 20);
    assert!(matches!(run(&gone).await, Err(CommandError::NotStarted(_))));
    assert!(matches!(missing.run("other", EVENT).await, Err(CommandError::Unknown(name)) if name == "other"));
    assert_eq!((missing.timeout("it"), missing.timeout("other")), (Some(Duration::from_secs(20)), None));
}

/// The process that the script wrote down is no more. Who was killed and has no parent left is reaped by `init`, or stays
/// a zombie where there is none.
async fn is_gone(file: &Path) {
    let pid: i32 = fs::read_to_string(file).expect("written down").trim().parse().expect("a number");
    loop {
        let state = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let state = state.rsplit_once(')').map_or("", |(_, rest)| rest.trim());
        if test_kill_process(Pid::from_raw(pid).expect("positive")).is_err() || state.starts_with('Z') {
            return;
        }
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn what_takes_too_long_is_killed_with_its_grandchildren() {
    let directory = tempfile::tempdir().expect("a directory");
    let script = "(sh -c 'echo $$ > grandchild; exec sleep 1000') & while :; do sleep 1000; done";
    let error = run(&commands(directory.path(), script, 1)).await.expect_err("too long").to_string();
    assert!(error.contains("still running after 1s"), "{error}");
    is_gone(&directory.path().join("grandchild")).await;
}

#[tokio::test]
async fn what_a_command_leaves_behind_is_killed_and_not_waited_for() {
    let directory = tempfile::tempdir().expect("a directory");
    let script = "sleep 1000 & echo $! > left; exit 0";
    let reply = run(&commands(directory.path(), script, 60)).await.expect("it ran");
    assert_eq!(reply.code, Some(0));
    is_gone(&directory.path().join("left")).await;
}

#[tokio::test]
async fn a_run_that_nobody_waits_for_is_killed() {
    let directory = tempfile::tempdir().expect("a directory");
    let commands = commands(directory.path(), "echo $$ > leader.new; mv leader.new leader; exec sleep 1000", 60);
    let leader = directory.path().join("leader");
    let started = async {
        while !leader.exists() {
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        ended = run(&commands) => panic!("{ended:?}"),
        () = started => {}
    }
    is_gone(&leader).await;
}

#[tokio::test]
async fn output_is_bounded() {
    let directory = tempfile::tempdir().expect("a directory");
    let error =
        run(&commands(directory.path(), "while :; do echo secret-words; done", 60)).await.expect_err("too much");
    assert!(error.to_string().contains("more than 65536 bytes") && !error.to_string().contains("secret-words"));
    let reply = run(&commands(directory.path(), "head -c 65536 /dev/zero", 60)).await.expect("just fits");
    assert_eq!((reply.code, reply.output.expose_secret().len()), (Some(0), MAX_OUTPUT));
}

#[tokio::test]
async fn a_command_that_reads_nothing_is_none_the_worse() {
    let directory = tempfile::tempdir().expect("a directory");
    let reply = run(&commands(directory.path(), "exec <&-; printf '{}'", 20)).await.expect("it ran");
    assert_eq!((reply.code, text(&reply).as_str()), (Some(0), "{}"));
}
