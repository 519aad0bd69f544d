//! Secrets with labels where time matters: recovery windows, what is removed when they end, and listings by date.

use keyturn_core::{
    clock::SignedDuration,
    core::Core,
    door::{Answer, Ask, Credential, Permit},
    kv::{
        Browse, KvError, NewReplica, NewVersion, Order, Payload, Position, PutVersion, Reading, Secret, SecretChange,
        SecretError, Select, Step, Verdict,
    },
    policy::Operation,
};
use keyturn_testing::TestNode;

const DAY: u64 = 86_400;

struct Door {
    store: TestNode,
    core: std::sync::Arc<Core>,
}

impl Door {
    async fn open() -> Self {
        let store = TestNode::start().await.expect("a store");
        let core = store.core().expect("open");
        Self { store, core }
    }

    async fn permit(&self, operation: Operation, path: &str) -> Permit {
        let credential = Some(Credential::Token(&self.store.root_token));
        let ask = Ask { credential, ..Ask::new("test", operation, path) };
        let (exchange, admitted) = self.core.admit(ask).await;
        exchange.conclude(Answer::default()).await.expect("recorded");
        admitted.expect("admitted")
    }

    async fn create(&self, name: &str, text: &str) {
        let permit = self.permit(Operation::Update, &format!("secret/data/{name}")).await;
        let version = Some(version(&format!("{name}-1"), text));
        self.core.kv().create(permit, SecretChange { version, ..SecretChange::default() }).await.expect("made");
    }

    async fn put(&self, name: &str, text: &str) {
        let permit = self.permit(Operation::Update, &format!("secret/data/{name}")).await;
        let change = SecretChange { version: Some(version(text, text)), ..SecretChange::default() };
        self.core.kv().update(permit, change, &allowed).await.expect("put");
    }

    async fn read(&self, name: &str) -> Result<String, SecretError> {
        let permit = self.permit(Operation::Read, &format!("secret/data/{name}")).await;
        let (_, _, payload) = self.core.kv().read_labelled(permit, Select::default(), &allowed).await?;
        Ok(String::from_utf8(payload.into_json_object().expose_secret().to_vec()).expect("UTF-8"))
    }

    async fn delete(&self, name: &str, window: u64) -> Result<(), SecretError> {
        let permit = self.permit(Operation::Delete, &format!("secret/data/{name}")).await;
        self.core.kv().schedule_deletion(permit, window, &allowed).await.map(|_| ())
    }

    async fn restore(&self, name: &str) -> Result<(), SecretError> {
        let permit = self.permit(Operation::Update, &format!("secret/undelete/{name}")).await;
        self.core.kv().restore(permit, &allowed).await.map(|_| ())
    }

    async fn pass(&self, seconds: u64) {
        self.store.clock.advance(SignedDuration::from_secs(i64::try_from(seconds).expect("seconds")));
        self.core.tend().await.expect("upkeep");
    }

    async fn names(
        &self,
        order: Order,
        descending: bool,
        after: Option<Position>,
        count: usize,
    ) -> (Vec<String>, Option<Position>) {
        let permit = self.permit(Operation::List, "secret/metadata/").await;
        let mut names = Vec::new();
        let browse = Browse { order, descending, after, looks: 1000 };
        let next = self.core.kv().browse(permit, browse, |name, _| {
            if names.len() == count {
                return Step::StopBefore;
            }
            names.push(name.to_owned());
            Step::On
        });
        let next = next.await.expect("listed");
        (names, next)
    }
}

fn allowed(_: &Secret) -> Verdict {
    Verdict::Allowed
}

fn version(id: &str, text: &str) -> PutVersion {
    PutVersion { id: id.to_owned(), payload: Payload::from_text(text.as_bytes().to_vec().into()), stages: Vec::new() }
}

#[tokio::test]
async fn a_secret_is_gone_when_its_window_ends_and_not_before() {
    let door = Door::open().await;
    door.create("a", "one").await;
    door.create("b", "two").await;
    door.delete("a", 7 * DAY).await.expect("scheduled");
    door.delete("b", 8 * DAY).await.expect("scheduled");
    door.pass(7 * DAY - 1).await;
    assert!(matches!(door.read("a").await, Err(SecretError::Scheduled)));
    door.pass(1).await;
    assert!(matches!(door.read("a").await, Err(SecretError::NotFound)));
    assert!(matches!(door.read("b").await, Err(SecretError::Scheduled)));
    assert!(matches!(door.restore("a").await, Err(SecretError::NotFound)));
    // The name is free, and what is made under it is not touched by what was noted of the other.
    door.create("a", "new").await;
    door.pass(30 * DAY).await;
    assert_eq!(door.read("a").await.expect("there"), "{\"value\":\"new\"}");
}

#[tokio::test]
async fn a_secret_that_was_restored_stays() {
    let door = Door::open().await;
    door.create("a", "one").await;
    door.delete("a", 7 * DAY).await.expect("scheduled");
    door.pass(DAY).await;
    door.restore("a").await.expect("restored");
    door.pass(8 * DAY).await;
    assert!(door.read("a").await.is_ok());
    // Deleted again, it has the whole of the new window.
    door.delete("a", 30 * DAY).await.expect("scheduled");
    door.pass(8 * DAY).await;
    door.restore("a").await.expect("still there");
}

#[tokio::test]
async fn pages_by_date_follow_what_changes() {
    let door = Door::open().await;
    for number in 0..300 {
        door.create(&format!("{:03}", 999 - number), "x").await;
        door.store.clock.advance(SignedDuration::from_secs(1));
    }
    let (first, next) = door.names(Order::Created, false, None, 100).await;
    assert_eq!((first[0].as_str(), first[99].as_str(), first.len()), ("999", "900", 100));
    // Between two pages some come and some go; each that stays is on one page.
    door.create("new", "x").await;
    let permit = door.permit(Operation::Delete, "secret/metadata/898").await;
    door.core.kv().delete_secret(permit).await.expect("deleted");
    let (second, next) = door.names(Order::Created, false, next, 100).await;
    assert_eq!((second[0].as_str(), second[1].as_str(), second[99].as_str()), ("899", "897", "799"));
    let (third, next) = door.names(Order::Created, false, next, 1000).await;
    assert_eq!((third.len(), third.last().map(String::as_str), next), (100, Some("new"), None));
    let (changed, _) = door.names(Order::Changed, true, None, 2).await;
    assert_eq!(changed, ["new", "700"]);
    // A write at the other door moves a secret as well.
    let permit = door.permit(Operation::Update, "secret/data/850").await;
    door.store.clock.advance(SignedDuration::from_secs(1));
    let payload = Payload::Fields(b"{\"a\":\"b\"}".to_vec().into());
    door.core.kv().write(permit, NewVersion { payload, cas: None }).await.expect("written");
    let (changed, _) = door.names(Order::Changed, true, None, 1).await;
    assert_eq!(changed, ["850"]);
    // An index that nobody used is made anew.
    door.pass(3600).await;
    assert_eq!(door.names(Order::Created, true, None, 1).await.0, ["new"]);
    assert_eq!(door.names(Order::Name, false, None, 2).await.0, ["700", "701"]);
    assert_eq!(door.names(Order::Name, true, None, 2).await.0, ["new", "999"]);
}

#[tokio::test]
async fn a_position_is_good_for_its_listing_alone() {
    let door = Door::open().await;
    for name in ["a", "b"] {
        door.create(name, "x").await;
    }
    let (_, next) = door.names(Order::Name, false, None, 1).await;
    let next = next.expect("more");
    let kv = door.core.kv();
    let token = kv.seal_position(b"mine", &next);
    assert_eq!(kv.open_position(b"mine", &token), Some(next));
    assert_eq!(kv.open_position(b"yours", &token), None);
    let mut bytes = token.into_bytes();
    for at in 0..bytes.len() {
        let before = bytes[at];
        bytes[at] = if before == b'A' { b'B' } else { b'A' };
        let altered = String::from_utf8(bytes.clone()).expect("ASCII");
        assert_eq!(kv.open_position(b"mine", &altered), None, "{at}");
        bytes[at] = before;
    }
    assert_eq!(kv.open_position(b"mine", ""), None);
}

#[tokio::test]
async fn a_whole_mount_is_listed_with_a_permit_for_it_alone() {
    let door = Door::open().await;
    let permit = door.permit(Operation::List, "secret/metadata/team/").await;
    let browse = Browse { order: Order::Name, descending: false, after: None, looks: 10 };
    assert!(matches!(door.core.kv().browse(permit, browse, |_, _| Step::On).await, Err(KvError::UnsupportedPath)));
}

#[tokio::test]
async fn a_restriction_is_asked_before_anything_is_told() {
    let door = Door::open().await;
    door.create("a", "one").await;
    for (verdict, expected) in [(Verdict::Denied, "permission denied"), (Verdict::Another, "there is no such secret")] {
        let says = move |_: &Secret| verdict;
        let permit = door.permit(Operation::Read, "secret/data/a").await;
        let error = door.core.kv().read_labelled(permit, Select::default(), &says).await.expect_err("refused");
        assert_eq!(error.to_string(), expected);
        let permit = door.permit(Operation::Update, "secret/data/a").await;
        let change = SecretChange { version: Some(version("2", "two")), ..SecretChange::default() };
        let error = door.core.kv().update(permit, change, &says).await.expect_err("refused");
        assert_eq!(error.to_string(), expected);
    }
    assert_eq!(door.read("a").await.expect("unchanged"), "{\"value\":\"one\"}");
}

#[tokio::test]
async fn a_permit_for_one_area_is_none_for_another() {
    let door = Door::open().await;
    door.create("a", "one").await;
    let permit = door.permit(Operation::Read, "secret/metadata/a").await;
    let read = door.core.kv().read_labelled(permit, Select::default(), &allowed).await;
    assert!(matches!(read, Err(SecretError::Kv(KvError::UnsupportedPath))));
    let permit = door.permit(Operation::Delete, "secret/data/a").await;
    assert!(matches!(
        door.core.kv().delete_now(permit, &allowed).await,
        Err(SecretError::Kv(KvError::UnsupportedPath))
    ));
}

#[tokio::test]
async fn a_secret_is_no_replica_of_itself_nor_of_another_name() {
    let door = Door::open().await;
    door.create("a", "one").await;
    for path in ["secret/data/a", "secret/data/b"] {
        let permit = door.permit(Operation::Update, "secret/metadata/a").await;
        let there = door.permit(Operation::Update, path).await;
        let replica = NewReplica { permit: there, key_id: String::new(), overwrite: true };
        let refused = door.core.kv().replicate(permit, vec![replica], &allowed).await;
        assert!(matches!(refused, Err(SecretError::Kv(KvError::UnsupportedPath))), "{path}");
    }
    assert_eq!(door.read("a").await.expect("there"), "{\"value\":\"one\"}");
}

#[tokio::test]
async fn a_replica_whose_mount_goes_takes_nothing_along() {
    let door = Door::open().await;
    door.create("a", "one").await;
    let permit = door.permit(Operation::Update, "sys/mounts/other").await;
    let other = keyturn_core::mount::Enable {
        path: "other/".into(),
        engine: keyturn_core::mount::Engine::Kv2,
        description: String::new(),
        options: Default::default(),
        config: Default::default(),
        local: false,
        seal_wrap: false,
    };
    door.core.mounts().enable(permit, other).await.expect("mounted");
    let permit = door.permit(Operation::Update, "secret/metadata/a").await;
    let there = door.permit(Operation::Update, "other/data/a").await;
    let replica = NewReplica { permit: there, key_id: String::new(), overwrite: false };
    door.core.kv().replicate(permit, vec![replica], &allowed).await.expect("replicated");
    door.put("a", "two").await;
    let permit = door.permit(Operation::Read, "other/data/a").await;
    let Reading::Live(_, payload) = door.core.kv().read(permit, None).await.expect("read") else { panic!("gone") };
    assert_eq!(payload.into_json_object().expose_secret(), b"{\"value\":\"two\"}");
    let permit = door.permit(Operation::Delete, "sys/mounts/other").await;
    door.core.disable_mount(permit, "other/").await.expect("unmounted");
    assert_eq!(door.read("a").await.expect("there"), "{\"value\":\"two\"}");
}
