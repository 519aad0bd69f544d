//! What is accepted, what is refused and with which words, and that docs/configuration.md tells no lies.

use std::{path::Path, time::Duration};

use super::{reader::Schema, *};

const DOC: &str = include_str!("../../../../docs/configuration.md");

static SCHEMAS: [&Schema; 17] = [
    &sections::TOP,
    &sections::STORAGE,
    &sections::LISTENER,
    &sections::SEAL,
    &audit::AUDIT,
    &audit::DEVICE,
    &sections::LIMITS,
    &sections::LOG,
    &aws::AWS,
    &aws::REPLICA,
    &aws::ACCOUNT,
    &doppler::DOPPLER,
    &alerts::ALERTS,
    &alerts::RULE,
    &alerts::WEBHOOK,
    &rotation::ROTATION,
    &rotation::HOOK,
];

fn parse(text: &str) -> Result<Config, ConfigError> {
    Config::parse(Path::new("keyturn.toml"), text)
}

/// The problems of `text`, which must be refused.
fn problems(text: &str) -> Vec<String> {
    match parse(text) {
        Err(ConfigError::Invalid { problems }) => problems,
        other => panic!("accepted: {other:?}"),
    }
}

const MEMORY: &str = "[storage]\ntype = \"memory\"\n";

#[test]
fn the_least_file_has_safe_defaults() {
    let config = parse(MEMORY).expect("config");
    assert_eq!(config.storage, StorageConfig::Memory);
    assert_eq!(config.listeners, [ListenerConfig { address: "127.0.0.1:8200".parse().expect("address"), tls: None }]);
    assert_eq!(config.seal, SealConfig::Shamir);
    assert!(config.open_ceremonies);
    assert_eq!(config.limits, Limits::default());
    assert!(config.audit.is_empty());
}

#[test]
fn an_unknown_key_is_refused_with_its_place_and_what_is_allowed() {
    assert_eq!(
        problems("# a comment\n[storage]\ntype = \"embedded\"\npath = \"a\"\n  pathh = \"b\"\n"),
        ["keyturn.toml:5:3: unknown key `pathh` in [storage]; allowed: type, path, cache_size"]
    );
    assert_eq!(
        problems("[storage]\ntype = \"memory\"\n[logs]\n"),
        [
            "keyturn.toml:3:2: unknown key `logs` at the top; allowed: storage, listener, seal, audit, limits, log, aws, doppler, \
             alerts, rotation"
        ]
    );
}

#[test]
fn a_region_has_one_mount() {
    let text = "[aws]\nregion = \"eu-west-1\"\naccount_id = \"123456789012\"\nmount = \"/team/kv\"\n\
                [[aws.replica]]\nregion = \"us-east-1\"\nmount = \"us\"\n\
                [[aws.account]]\naccount_id = \"210987654321\"\nmount = \"other\"\n";
    let aws = parse(&format!("{MEMORY}{text}")).expect("config").api.aws;
    assert_eq!((aws.region.as_str(), aws.mount.as_str()), ("eu-west-1", "team/kv/"));
    assert_eq!(aws.region_mounts, [("us-east-1".to_owned(), "us/".to_owned())].into());
    assert_eq!(aws.account_mounts, [("210987654321".to_owned(), "other/".to_owned())].into());
    for (text, told) in [
        ("account_id = \"12\"", "twelve digits"),
        ("region = \"Europe\"", "such as \"us-east-1\""),
        ("mount = \"a/../b\"", "kv version 2"),
        ("[[aws.replica]]\nregion = \"us-east-1\"\nmount = \"us\"", "one mount stands for one region"),
        ("[[aws.replica]]\nregion = \"eu-west-1\"\nmount = \"secret\"", "one mount stands for one region"),
        ("[[aws.replica]]\nregion = \"eu-west-1\"", "aws.replica.mount is missing"),
        ("[[aws.account]]\naccount_id = \"12\"\nmount = \"b\"", "twelve digits"),
        ("[[aws.account]]\naccount_id = \"000000000000\"\nmount = \"b\"", "one mount stands for one account"),
        ("[[aws.account]]\naccount_id = \"210987654321\"\nmount = \"secret\"", "one mount stands for one account"),
        ("[[aws.account]]\nmount = \"b\"", "aws.account.account_id is missing"),
    ] {
        let told_here = problems(&format!("{MEMORY}[aws]\n{text}\n"));
        assert!(told_here.len() == 1 && told_here[0].contains(told), "{text}: {told_here:?}");
    }
}

#[test]
fn all_problems_are_told_at_once_in_the_order_of_the_file() {
    let text = "\
[storage]
type = \"sqlite\"
cache_size = \"64MB\"
[[listener]]
address = \"localhost:8200\"
[limits]
max_connections = 0
idle_timeout = \"soon\"
json_depth = 1.5
[log]
level = \"verbose\"
";
    assert_eq!(
        problems(text),
        [
            "keyturn.toml:2:8: storage.type is \"sqlite\"; allowed: \"embedded\", \"memory\"",
            "keyturn.toml:3:14: storage.cache_size is \"64MB\"; allowed: 1MiB to 1024GiB, as a number of bytes or with \
             a unit: \"512KiB\", \"64MiB\", \"1GiB\"",
            "keyturn.toml:5:11: listener.address is \"localhost:8200\"; allowed: an IP address and a port, such as \
             \"127.0.0.1:8200\" or \"[::1]:8200\" (no host names)",
            "keyturn.toml:7:19: limits.max_connections is 0; allowed: a whole number from 1 to 1000000",
            "keyturn.toml:8:16: limits.idle_timeout is \"soon\"; allowed: 1s to 3600s, as \"90s\", \"5m\" or a number \
             of seconds",
            "keyturn.toml:9:14: limits.json_depth is of type float; allowed: a whole number from 8 to 127",
            "keyturn.toml:11:9: log.level is \"verbose\"; allowed: \"off\", \"error\", \"warn\", \"info\", \"debug\", \
             \"trace\"",
        ]
    );
}

#[test]
fn broken_toml_is_told_with_its_place() {
    let found = problems("[storage]\ntype = \"memory\npath = 1\n");
    assert!(found[0].starts_with("keyturn.toml:2:"), "{found:?}");
    assert!(problems("[storage]\ntype = \"memory\"\ntype = \"memory\"\n")[0].starts_with("keyturn.toml:3:"));
}

#[test]
fn plain_http_beyond_this_machine_must_be_asked_for() {
    let listener = |address: &str, rest: &str| format!("{MEMORY}[[listener]]\naddress = \"{address}\"\n{rest}\n");
    for address in ["0.0.0.0:8200", "192.0.2.1:8200", "[::]:8200"] {
        assert!(problems(&listener(address, ""))[0].contains("would travel unencrypted"));
        assert!(problems(&listener(address, "tls_disable = false"))[0].contains("would travel unencrypted"));
        parse(&listener(address, "tls_disable = true")).expect("asked for");
        parse(&listener(address, "tls_cert_file = \"a\"\ntls_key_file = \"b\"")).expect("TLS");
    }
    for address in ["127.0.0.1:0", "127.8.8.8:8200", "[::1]:8200"] {
        parse(&listener(address, "")).expect("loopback");
    }
}

#[test]
fn clients_are_asked_for_a_certificate_unless_that_is_switched_off() {
    let files = "tls_cert_file = \"a\"\ntls_key_file = \"b\"\n";
    for (rest, ignored) in
        [("", false), ("tls_disable_client_certs = false", false), ("tls_disable_client_certs = true", true)]
    {
        let text = format!("{MEMORY}[[listener]]\naddress = \"127.0.0.1:1\"\n{files}{rest}\n");
        let config = parse(&text).expect("TLS");
        assert_eq!(config.listeners[0].tls.as_ref().map(|tls| tls.ignore_clients), Some(ignored), "{rest}");
    }
}

#[test]
fn keys_that_contradict_each_other_are_refused() {
    let cases = [
        (
            "@[[listener]]\naddress = \"127.0.0.1:1\"\ntls_disable_client_certs = true",
            "listener.tls_disable_client_certs is not used without tls_cert_file",
        ),
        ("[storage]\ntype = \"memory\"\npath = \"a\"", "storage.path is not used by type = \"memory\""),
        ("[storage]\ntype = \"embedded\"", "storage.path is missing"),
        ("[storage]\npath = \"a\"", "storage.type is missing"),
        ("", "there is no [storage]"),
        ("storage = 1", "`storage` must be a section: write [storage]"),
        ("@[listener]\naddress = \"127.0.0.1:1\"", "`listener` may be there several times: write [[listener]]"),
        ("@[[listener]]\ntls_disable = true", "listener.address is missing"),
        (
            "@[[listener]]\naddress = \"127.0.0.1:1\"\ntls_cert_file = \"a\"",
            "listener.tls_cert_file needs tls_key_file",
        ),
        ("@[[listener]]\naddress = \"127.0.0.1:1\"\ntls_key_file = \"a\"", "listener.tls_key_file needs tls_cert_file"),
        (
            "@[[listener]]\naddress = \"127.0.0.1:1\"\ntls_cert_file = \"a\"\ntls_key_file = \"b\"\ntls_disable = true",
            "listener.tls_disable contradicts",
        ),
        (
            "@[[listener]]\naddress = \"127.0.0.1:1\"\n[[listener]]\naddress = \"127.0.0.1:1\"",
            "127.0.0.1:1 is there twice",
        ),
        ("@[seal]\ntype = \"static\"", "needs a key: set key_file or key_env"),
        ("@[seal]\ntype = \"static\"\nkey_file = \"a\"\nkey_env = \"B\"", "are both there; remove one"),
        ("@[seal]\nkey_file = \"a\"", "seal.key_file is not used by type = \"shamir\""),
        ("@[[audit.device]]\ntype = \"file\"", "audit.device.path is missing"),
        ("@[[audit.device]]\ntype = \"pigeon\"", "allowed: \"file\", \"stdout\", \"socket\", \"syslog\""),
        ("@[[audit.device]]\ntype = \"socket\"", "audit.device: address is required"),
        ("@[[audit.device]]\ntype = \"socket\"\naddress = \"/tmp/a\"", "is not a host and a port"),
        (
            "@[[audit.device]]\ntype = \"socket\"\naddress = \"a:1\"\npath = \"b\"",
            "not used by type = \"socket\", but by file",
        ),
        ("@[[audit.device]]\ntype = \"syslog\"\nsocket_type = \"udp\"", "not used by type = \"syslog\", but by socket"),
        ("@[[audit.device]]\ntype = \"syslog\"\nfacility = \"x\"", "facility \"x\" is none of KERN"),
        ("@[[audit.device]]\ntype = \"syslog\"\nwrite_timeout = \"2m\"", "audit.device.write_timeout is \"2m\""),
        ("@[[audit.device]]\ntype = \"stdout\"\npath = \"a\"", "audit.device.path is not used by type = \"stdout\""),
        ("@[[audit.device]]\ntype = \"stdout\"\n[[audit.device]]\ntype = \"stdout\"", "\"stdout\" is there twice"),
        ("@[[audit.device]]\ntype = \"stdout\"\nname = \"a/b\"", "allowed: letters, digits, - and _"),
        ("@[[audit.device]]\ntype = \"file\"\npath = \"a\"\nmode = \"rw\"", "write it in octal"),
        ("@[limits]\nbody_timeout = \"2m\"", "longer than request_timeout"),
    ];
    for (text, expected) in cases {
        let found = problems(&text.replacen('@', MEMORY, 1));
        assert!(found.len() == 1 && found[0].contains(expected), "{text}\n{found:?}");
    }
}

#[test]
fn paths_start_at_the_file_and_never_name_a_device() {
    let text =
        "[storage]\ntype = \"embedded\"\npath = \"data/store\"\n[[audit.device]]\ntype = \"file\"\npath = \"discard\"";
    let config = Config::parse(Path::new("/etc/keyturn/keyturn.toml"), text).expect("config");
    assert!(
        matches!(config.storage, StorageConfig::Embedded { path, .. } if path == Path::new("/etc/keyturn/data/store"))
    );
    let config = parse(text).expect("config");
    assert_eq!(config.audit[0].options["file_path"], "./discard");
}

#[test]
fn a_hook_is_a_program_with_what_is_around_it() {
    let text = "[rotation.hook.crm]\ncommand = [\"/usr/bin/rotate\", \"crm\"]\ntimeout = \"2m\"\ndirectory = \"hooks\"\n\
                environment = [\"HOME\", \"AWS_REGION=eu-west-1\", \"EMPTY=\"]\n\
                [rotation.hook.other]\ncommand = [\"/bin/other\"]\n";
    let hooks =
        Config::parse(Path::new("/etc/keyturn/keyturn.toml"), &format!("{MEMORY}{text}")).expect("config").hooks;
    let own = |text: &str| text.to_owned();
    assert_eq!(
        hooks["crm"],
        HookCommand {
            command: vec![own("/usr/bin/rotate"), own("crm")],
            timeout: Duration::from_secs(120),
            directory: PathBuf::from("/etc/keyturn/hooks"),
            environment: vec![
                (own("HOME"), None),
                (own("AWS_REGION"), Some(own("eu-west-1"))),
                (own("EMPTY"), Some(String::new())),
            ],
        }
    );
    let other = &hooks["other"];
    assert_eq!((other.timeout, &*other.directory), (Duration::from_secs(30), Path::new("/")));
    assert!(other.environment.is_empty());
    for (text, told) in [
        ("[rotation.hook.a]", "keyturn.toml:3:1: rotation.hook.NAME.command is missing"),
        ("[rotation.hook.a]\ncommand = []", "keyturn.toml:4:11: rotation.hook.NAME.command is empty"),
        ("[rotation.hook.a]\ncommand = \"/bin/true\"", "the first an absolute path"),
        ("[rotation.hook.a]\ncommand = [\"true\"]", "keyturn.toml:4:11: rotation.hook.NAME.command is"),
        ("[rotation.hook.\"a b\"]\ncommand = [\"/bin/true\"]", "letters, digits, - and _"),
        (
            "[rotation.hook.a]\ncommand = [\"/bin/true\"]\ntimeout = \"1h\"",
            "keyturn.toml:5:11: rotation.hook.NAME.timeout",
        ),
        ("[rotation.hook.a]\ncommand = [\"/bin/true\"]\nenvironment = [\"A B\"]", "rotation.hook.NAME.environment"),
        (
            "[rotation.hook.a]\ncommand = [\"/bin/true\"]\nenvironment = [\"KEYTURN_HOOK_STEP=x\"]",
            "rotation.hook.NAME.environment",
        ),
        ("[rotation.hook.a]\ncommand = [\"/bin/true\"]\nshell = true", "unknown key `shell`"),
        ("[rotation]\nhook = 1", "must be sections: write [rotation.hook.NAME]"),
    ] {
        let found = problems(&format!("{MEMORY}{text}\n"));
        assert!(found.len() == 1 && found[0].contains(told), "{text}: {found:?}");
    }
}

#[test]
fn audit_devices_get_the_options_of_their_type() {
    let text = format!(
        "{MEMORY}[[audit.device]]\ntype = \"socket\"\naddress = \"collector:9090\"\nwrite_timeout = \"5s\"\nchain = false\n\
         [[audit.device]]\ntype = \"syslog\"\nname = \"log\"\nfacility = \"LOCAL3\"\n"
    );
    let config = parse(&text).expect("config");
    let told: Vec<_> = config.audit.iter().map(|device| (device.name.as_str(), device.kind, &device.options)).collect();
    let options = |pairs: &[(&str, &str)]| pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    let socket = options(&[("address", "collector:9090"), ("write_timeout", "5"), ("chain", "false")]);
    assert_eq!(told, [("socket", "socket", &socket), ("log", "syslog", &options(&[("facility", "LOCAL3")]))]);
}

/// The line `prefix = …` that sets the one `key` of `schema`, within an otherwise good file.
fn file_with(schema: &Schema, line: &str) -> String {
    let storage = if schema.section == "[storage]" { "" } else { MEMORY };
    if schema.section.is_empty() { format!("{line}\n") } else { format!("{storage}{}\n{line}\n", schema.section) }
}

#[test]
fn every_key_of_the_schema_is_read() {
    for schema in SCHEMAS {
        for key in schema.keys {
            let found = problems(&file_with(schema, &format!("{key} = 1979-05-27")));
            assert!(found.iter().any(|problem| problem.contains(key)), "{} {key}: {found:?}", schema.section);
        }
    }
}

#[test]
fn the_document_has_every_key_under_its_section_and_no_other() {
    for schema in SCHEMAS.into_iter().filter(|schema| schema.section != "[audit]" && !schema.section.is_empty()) {
        let heading = format!("## `{}`", schema.section);
        let from = DOC.find(&heading).unwrap_or_else(|| panic!("no heading {heading}"));
        let body = &DOC[from + heading.len()..];
        let body = body.split("\n## ").next().expect("a section");
        let documented: Vec<_> =
            body.lines().filter_map(|line| line.strip_prefix("| `")?.split_once('`')).map(|(key, _)| key).collect();
        assert_eq!(documented, schema.keys, "{}", schema.section);
    }
}

/// The code blocks of the document that are TOML.
fn examples() -> impl Iterator<Item = &'static str> {
    DOC.split("```toml\n").skip(1).map(|rest| rest.split("```").next().expect("an end"))
}

#[test]
fn the_documents_whole_example_parses_and_shows_every_key() {
    let whole = examples().next().expect("an example");
    let config = parse(whole).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(config.limits, Limits::default(), "the example shows the limits' defaults");
    for key in SCHEMAS.into_iter().filter(|schema| schema.section != "[audit]").flat_map(|schema| schema.keys) {
        let set = |line: &str| line.trim_start_matches("# ").starts_with(&format!("{key} ="));
        let heads = |line: &str| {
            let line = line.trim_start_matches("# ");
            line.starts_with('[') && line.trim_matches(['[', ']']).split('.').any(|part| part == *key)
        };
        assert!(whole.lines().any(|line| set(line) || heads(line)) || *key == "audit", "{key}");
    }
}

#[test]
fn the_documents_other_examples_parse() {
    for example in examples().skip(1) {
        parse(example).unwrap_or_else(|error| panic!("{error}\n{example}"));
    }
}

#[test]
fn the_documents_message_is_the_one_that_is_given() {
    let message = &problems("[storage]\ntype = \"embedded\"\npathh = \"x\"\npath = \"y\"")[0];
    assert!(DOC.contains(message.as_str()), "{message}");
}

#[test]
fn durations_and_sizes_are_numbers_too() {
    let text = format!("{MEMORY}[limits]\nidle_timeout = 90\nbody_timeout = \"1m\"\nmax_body_size = 2048\n");
    let limits = parse(&text).expect("config").limits;
    assert_eq!((limits.idle_timeout, limits.body_timeout), (Duration::from_secs(90), Duration::from_secs(60)));
    assert_eq!(limits.max_body_bytes, 2048);
}
