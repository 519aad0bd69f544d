use proptest::prelude::*;

use super::*;

fn name(template: &str, display: &str, role: &str) -> Result<String, UsernameError> {
    let now = "2026-03-04T05:06:07.089Z".parse().expect("a time");
    let random = Random::default();
    Template::parse(template)?.name(&Naming { display_name: display, role_name: role, now, random: &random })
}

fn of(template: &str) -> String {
    name(template, "token-ann", "readonly").unwrap_or_else(|error| panic!("{template}: {error}"))
}

#[test]
fn values_go_through_functions() {
    for (template, made) in [
        ("plain", "plain"),
        ("{{.DisplayName}}_{{ .RoleName }}", "token-ann_readonly"),
        ("{{ .RoleName | uppercase }}", "READONLY"),
        ("{{ .RoleName | truncate 4 | uppercase }}", "READ"),
        ("{{ truncate 4 .RoleName }}", "read"),
        ("{{ .DisplayName | replace \"-\" `_` }}", "token_ann"),
        ("{{ .RoleName | sha256 | truncate 8 }}", &hash("readonly")[..8]),
        ("{{ .RoleName | base64 }}", "cmVhZG9ubHk="),
        ("{{ unix_time }}.{{unix_time_millis}}", "1772600767.1772600767089"),
        ("{{ timestamp \"2006-01-02T15:04:05Z07:00\" }}", "2026-03-04T05:06:07Z"),
        ("{{ timestamp \"20060102150405%d\" }}", "20260304050607%d"),
        ("{{ printf \"%s-%v-%d-%%\" .RoleName unix_time 7 }}", "readonly-1772600767-7-%"),
        ("{{ printf \"%s\" (printf \"%s\" (.RoleName | truncate 2)) }}", "re"),
        ("a {{- .RoleName -}} b", "areadonlyb"),
        ("{{ \"say \\\"x\\\"\" }}", "say \"x\""),
        ("{{ 7 }}", "7"),
    ] {
        assert_eq!(of(template), made, "{template}");
    }
}

fn hash(text: &str) -> String {
    hex::encode(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, text.as_bytes()))
}

#[test]
fn what_vault_makes_by_default_is_made() {
    let made = of(
        "{{ printf \"v-%s-%s-%s-%s\" (.DisplayName | truncate 8) (.RoleName | truncate 8) (random 20) (unix_time) | truncate 63 }}",
    );
    let parts: Vec<_> = made.split('-').collect();
    assert_eq!((parts[0], parts[1], parts[2], parts[3]), ("v", "token", "an", "readonly"), "{made}");
    assert_eq!((parts[4].len(), parts[5]), (20, "1772600767"));
}

#[test]
fn a_long_name_keeps_the_hash_of_what_was_cut() {
    let made = name("{{ .RoleName | truncate_sha256 20 }}", "", "a-role-with-a-rather-long-name").expect("a name");
    assert_eq!(made, format!("a-role-with-{}", &hash("a-rather-long-name")[..8]));
    assert_eq!(name("{{ .RoleName | truncate_sha256 20 }}", "", "short").as_deref(), Ok("short"));
    assert_eq!(name("{{ .RoleName | truncate 2 }}", "", "aä").as_deref(), Ok("a"), "no half characters");
}

#[test]
fn what_is_not_read_is_refused_when_it_is_written() {
    for (template, told) in [
        ("", "missing template"),
        ("{{", "no end"),
        ("{{ .RoleName", "no end"),
        ("{{ }}", "unexpected"),
        ("{{ .Secret }}", "the fields are"),
        ("{{ if .RoleName }}x{{ end }}", "\"if\" is not offered"),
        ("{{ $x := 1 }}", "variables"),
        ("{{ env \"HOME\" }}", "\"env\" is not offered"),
        ("{{ random }}", "wrong number of arguments"),
        ("{{ .RoleName | truncate }}", "wrong number of arguments"),
        ("{{ .RoleName | 5 }}", "only a function"),
        ("{{ .RoleName .DisplayName }}", "unexpected"),
        ("{{ truncate 1.5 .RoleName }}", "not a whole number"),
        ("{{ \"x }}", "no end"),
        ("{{ \"\\n\" }}", "backslash"),
        ("{{ printf \"%s\" random }}", "needs arguments"),
    ] {
        let error = Template::parse(template).expect_err(template).to_string();
        assert!(error.contains(told), "{template}: {error}");
    }
    assert!(Template::parse(&"x".repeat(MAX_TEMPLATE + 1)).is_err());
    assert!(Template::parse(&format!("{{{{ {}1{} }}}}", "(".repeat(99), ")".repeat(99))).is_err());
}

#[test]
fn what_gives_no_name_is_an_error() {
    for template in [
        "{{ \"\" }}",
        "{{ truncate 0 .RoleName }}",
        "{{ truncate .RoleName 5 }}",
        "{{ random 99999 }}",
        "{{ .RoleName | truncate_sha256 8 }}",
        "{{ printf \"%x\" 5 }}",
        "{{ printf \"%s\" 5 }}",
        "{{ printf \"%s\" }}",
        "{{ printf \"x\" 5 }}",
        "a\nb",
        "{{ .RoleName | replace \"\" (random 100) | replace \"\" (random 100) }}",
    ] {
        assert!(matches!(name(template, "token", "role"), Err(UsernameError::Apply(_))), "{template}");
    }
    assert!(name("{{ .DisplayName }}", "a\0b", "role").is_err());
}

proptest! {
    #[test]
    fn nothing_that_is_written_makes_it_panic(template in "[ -~]{0,40}", action in "[ -~]{0,40}", field in ".{0,40}") {
        _ = name(&template, &field, &field);
        _ = name(&format!("{template}{{{{{action}}}}}"), &field, &field);
    }

    #[test]
    fn names_of_callers_and_roles_are_data(display in "[^\\p{C}]{1,40}", role in "[^\\p{C}]{1,40}") {
        prop_assert_eq!(name("{{.DisplayName}}{{.RoleName}}", &display, &role), Ok(format!("{display}{role}")));
    }
}
