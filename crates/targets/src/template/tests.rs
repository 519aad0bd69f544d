use proptest::prelude::*;

use super::*;

const MODES: [Dialect; 5] = [
    Dialect::POSTGRESQL,
    Dialect::MYSQL,
    Dialect { engine: Engine::Mysql, backslash: false, ansi_quotes: false },
    Dialect { engine: Engine::Mysql, backslash: true, ansi_quotes: true },
    Dialect { engine: Engine::Mysql, backslash: false, ansi_quotes: true },
];

fn read(dialect: Dialect, text: &str) -> Result<Script, TargetError> {
    Script::read(dialect, Purpose::Create, &[text.to_owned()])
}

fn rendered(dialect: Dialect, text: &str, username: &str, password: &str) -> Vec<String> {
    let password = SecretString::from(password);
    let values = Values { username, password: Some(&password), expiration: Some("2030-01-02 03:04:05+0000") };
    let statements = read(dialect, text).unwrap().render(&values).unwrap();
    statements.iter().map(|statement| statement.trim().to_owned()).collect()
}

fn refused(dialect: Dialect, text: &str) -> String {
    match read(dialect, text) {
        Err(TargetError::Settings(reason)) => reason,
        other => panic!("{text} is not refused: {other:?}"),
    }
}

#[test]
fn the_statements_of_vault_users_are_read() {
    let text = "CREATE ROLE \"{{name}}\" WITH LOGIN PASSWORD '{{password}}' VALID UNTIL '{{expiration}}';\n  \
                GRANT SELECT ON ALL TABLES IN SCHEMA public TO \"{{name}}\";";
    assert_eq!(
        rendered(Dialect::POSTGRESQL, text, "v-\"x", "p'w\\"),
        [
            "CREATE ROLE \"v-\"\"x\" WITH LOGIN PASSWORD 'p''w\\' VALID UNTIL '2030-01-02 03:04:05+0000'",
            "GRANT SELECT ON ALL TABLES IN SCHEMA public TO \"v-\"\"x\"",
        ]
    );
    let text = "CREATE USER '{{name}}'@'%' IDENTIFIED BY '{{password}}';GRANT SELECT ON *.* TO '{{name}}'@'%';";
    assert_eq!(
        rendered(Dialect::MYSQL, text, "v'x", "p'w\\"),
        ["CREATE USER 'v''x'@'%' IDENTIFIED BY 'p''w\\\\'", "GRANT SELECT ON *.* TO 'v''x'@'%'"]
    );
}

#[test]
fn a_name_outside_quotes_gets_its_own() {
    let text = "ALTER USER {{name}} WITH PASSWORD '{{password}}'";
    assert_eq!(rendered(Dialect::POSTGRESQL, text, "a; DROP", "x"), ["ALTER USER \"a; DROP\" WITH PASSWORD 'x'"]);
    assert_eq!(rendered(Dialect::MYSQL, "DROP USER {{name}}@'%'", "a`b", "x"), ["DROP USER `a``b`@'%'"]);
}

#[test]
fn semicolons_part_statements_only_between_them() {
    let text = "SELECT ';'; SELECT \"a;b\"; -- no; end\nSELECT $$;$$; ; CREATE RULE r AS ON INSERT TO t DO (SELECT 1; SELECT 2)";
    assert_eq!(rendered(Dialect::POSTGRESQL, text, "u", "p").len(), 4);
    let block =
        "CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT 1; SELECT 2; END; GRANT EXECUTE ON f TO \"{{name}}\"";
    assert_eq!(rendered(Dialect::POSTGRESQL, block, "u", "p").len(), 1);
}

#[test]
fn brackets_of_a_transaction_are_left_out_and_its_undoing_is_refused() {
    let text = "BEGIN; CREATE ROLE \"{{name}}\"; COMMIT;";
    assert_eq!(rendered(Dialect::POSTGRESQL, text, "u", "p"), ["CREATE ROLE \"u\""]);
    assert!(refused(Dialect::POSTGRESQL, "SELECT 1; ROLLBACK").contains("transaction"));
}

#[test]
fn what_cannot_be_quoted_safely_is_refused() {
    for text in [
        "CREATE ROLE x PASSWORD {{password}}",
        "CREATE ROLE pre_{{name}}",
        "CREATE ROLE {{name}}post",
        "-- {{name}}\nSELECT 1",
        "/* /* */ {{name}} */ SELECT 1",
        "SELECT U&'{{name}}'",
        "SELECT U&\"{{name}}\"",
        "SELECT x'{{name}}'",
        "SELECT E'\\x41{{name}}'",
        "SELECT '{{name}}",
        "SELECT $a$ '{{name}}' $b$",
        "DO LANGUAGE plpython3u $$ plpy.execute(\"{{name}}\") $$",
        "DO $$ plpy.execute(\"{{name}}\") $$ LANGUAGE plpython3u",
        "DO $$ BEGIN EXECUTE 'CREATE ROLE x PASSWORD {{password}}'; END $$",
        "CREATE ROLE \"{{ name }}\"",
        "CREATE ROLE \"{{nmae}}\"",
        "SET standard_conforming_strings = off; CREATE ROLE \"{{name}}\"",
    ] {
        refused(Dialect::POSTGRESQL, text);
    }
    for text in
        ["# {{name}}", "-- {{name}}", "/*! {{name}} */", "SET sql_mode = ''; SELECT '{{name}}'", "SELECT b'{{name}}'"]
    {
        refused(Dialect::MYSQL, text);
    }
    let without =
        Script::read(Dialect::POSTGRESQL, Purpose::Revoke, &["ALTER ROLE x PASSWORD '{{password}}'".to_owned()]);
    assert!(matches!(without, Err(TargetError::Settings(reason)) if reason.contains("{{password}}")));
}

#[test]
fn refusals_hold_nothing_of_the_statements() {
    let reason = refused(Dialect::POSTGRESQL, "CREATE ROLE x PASSWORD 'hunter2' {{password}}");
    assert!(!reason.contains("hunter2") && reason.starts_with("statement 1"));
}

#[test]
fn code_within_code_is_quoted_at_each_level() {
    let text = "DO $$ BEGIN IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '{{name}}') THEN \
                CREATE ROLE \"{{name}}\" PASSWORD '{{password}}'; END IF; END $$";
    let [statement] = rendered(Dialect::POSTGRESQL, text, "a'\"$$b", "$kt0$'$$").try_into().unwrap();
    assert!(statement.starts_with("DO $kt1$ BEGIN") && statement.ends_with("END $kt1$"));
    assert!(statement.contains("rolname = 'a''\"$$b'"));
    assert!(statement.contains("CREATE ROLE \"a'\"\"$$b\" PASSWORD '$kt0$''$$'"));

    let text = "DO $$ BEGIN EXECUTE 'CREATE ROLE \"{{name}}\" PASSWORD ''{{password}}'''; END $$";
    let [statement] = rendered(Dialect::POSTGRESQL, text, "a\"b'c", "p'w").try_into().unwrap();
    assert!(statement.contains("EXECUTE 'CREATE ROLE \"a\"\"b''c\" PASSWORD ''p''''w'''"), "{statement}");
}

#[test]
fn a_name_bare_in_quoted_code_must_mean_nothing_there() {
    let script = read(Dialect::POSTGRESQL, "DO $$ BEGIN EXECUTE 'GRANT a TO {{name}}'; END $$").unwrap();
    let with = |username| script.render(&Values { username, ..Values::default() });
    assert!(with("v_token_1").is_ok());
    for hostile in ["a, b", "a WITH ADMIN OPTION", "a'", "a\"", "a;b", "a--", "a/*", "a\\"] {
        assert!(matches!(with(hostile), Err(TargetError::Settings(_))), "{hostile}");
    }
    // A whole text is no code, nor is one of a name's characters alone.
    for text in ["SELECT '{{name}}'", "SELECT 'prefix_{{name}}:x'"] {
        assert_eq!(rendered(Dialect::POSTGRESQL, text, "a, b'", "p").len(), 1);
    }
}

#[test]
fn an_apostrophe_in_a_remark_is_none_of_code() {
    let text = "COMMENT ON ROLE \"{{name}}\" IS '{{name}}''s, for a while'";
    assert_eq!(rendered(Dialect::POSTGRESQL, text, "u", "p"), ["COMMENT ON ROLE \"u\" IS 'u''s, for a while'"]);
    refused(Dialect::POSTGRESQL, "COMMENT ON ROLE x IS 'it''s {{name}}, mine'");
}

/// What a scanner that knows one kind of quote only makes of a statement: the text between the first quotes, and what
/// follows them.
fn scan(text: &str, quote: Quote) -> (String, &str) {
    let start = text.find(quote.mark).unwrap() + 1;
    let length = quote.length(&text[start..]).unwrap();
    (quote.read(&text[start..start + length]).unwrap(), &text[start + length + 1..])
}

proptest! {
    #[test]
    fn any_value_reads_back_whole_and_ends_nothing(
        name in r#"([\PC'"`\\;$\n{}-]|\{\{password\}\}|--|/\*|''|\\'|\$\$){1,20}"#,
        password in r#"([\PC'"`\\;$\n{}-]|\{\{name\}\}|--|/\*|''|\\'|\$\$){1,20}"#,
    ) {
        for dialect in MODES {
            let literal = dialect.literal();
            let [statement] = rendered(dialect, "SET x '{{password}}'|", &name, &password).try_into().unwrap();
            prop_assert_eq!(scan(&statement, literal), (password.clone(), "|"));
            let [statement] = rendered(dialect, "SET x {{name}} ,", &name, &password).try_into().unwrap();
            prop_assert_eq!(scan(&statement, dialect.identifier()), (name.clone(), " ,"));
        }
        let double = [Quote::plain('"'), Quote { mark: '"', backslash: true }, Quote::plain('"'), Quote::plain('"'), Quote::plain('"')];
        for (dialect, quote) in MODES.into_iter().zip(double) {
            let [statement] = rendered(dialect, "SET x \"{{name}}\"|", &name, &password).try_into().unwrap();
            prop_assert_eq!(scan(&statement, quote), (name.clone(), "|"));
        }
        let escape = Quote { mark: '\'', backslash: true };
        let [statement] = rendered(Dialect::POSTGRESQL, "SET x E'{{password}}'|", &name, &password).try_into().unwrap();
        prop_assert_eq!(scan(&statement, escape), (password.clone(), "|"));
    }

    #[test]
    fn any_value_in_a_body_reads_back_and_does_not_end_it(
        password in r#"([\PC'"$\n]|\$\$|\$kt0\$|\$kt){1,20}"#,
    ) {
        let [statement] = rendered(Dialect::POSTGRESQL, "DO $$x '{{password}}'$$", "u", &password).try_into().unwrap();
        let mark_length = statement[4..].find('$').unwrap() + 2;
        let mark = &statement[3..3 + mark_length];
        let body = &statement[3 + mark_length..];
        prop_assert_eq!(body.find(mark).unwrap(), body.len() - mark.len());
        let (read, rest) = scan(body, Quote::plain('\''));
        prop_assert_eq!((read, rest), (password, mark));
    }

    #[test]
    fn no_statement_panics(text in r#"([\PC'"`\\;$\n{}()#-]|\{\{name\}\}|\{\{password\}\}|--|/\*|\*/|\$\$|E'|BEGIN|END){0,30}"#) {
        for dialect in MODES {
            if let Ok(script) = read(dialect, &text) {
                let password = SecretString::from("p'w");
                let _ = script.render(&Values { username: "u'\"`", password: Some(&password), expiration: Some("x") });
            }
        }
    }
}
