//! Connection URLs as they may be shown: without the password that somebody wrote into one.

const SHOWN: &str = "xxxxx";

/// The URL with what may be a password replaced, and whether there was one. Rather too much is replaced than too little.
pub(super) fn redacted(url: &str) -> (String, bool) {
    let (mut shown, in_authority) = without_userinfo(url);
    let in_query = hide_parameters(&mut shown);
    (shown, in_authority || in_query)
}

/// `scheme://user:password@…`, or without a scheme, as MySQL's clients write it.
fn without_userinfo(url: &str) -> (String, bool) {
    let start = url.find("://").map_or(0, |at| at + 3);
    let (head, rest) = url.split_at(start);
    let Some(at) = rest.rfind('@') else { return (url.to_owned(), false) };
    let (userinfo, tail) = rest.split_at(at);
    match userinfo.split_once(':') {
        Some((user, password)) if !password.is_empty() && !is_placeholder(password) => {
            (format!("{head}{user}:{SHOWN}{tail}"), true)
        }
        _ => (url.to_owned(), false),
    }
}

fn is_placeholder(password: &str) -> bool {
    let inner = password.strip_prefix("{{").and_then(|rest| rest.strip_suffix("}}"));
    inner.is_some_and(|inner| inner.trim() == "password")
}

/// `password=…`, as a parameter of the query.
fn hide_parameters(url: &mut String) -> bool {
    let (mut found, mut from) = (false, 0);
    while let Some(at) = url.get(from..).and_then(|rest| rest.to_ascii_lowercase().find("password=")) {
        let value = from + at + "password=".len();
        let length = url[value..].find(['&', ' ', '#']).unwrap_or(url.len() - value);
        if length > 0 && !is_placeholder(&url[value..value + length]) {
            url.replace_range(value..value + length, SHOWN);
            found = true;
        }
        from = value;
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_password_is_shown() {
        for (url, shown, told) in [
            (
                "postgresql://{{username}}:{{password}}@db:5432/app?sslmode=disable",
                "postgresql://{{username}}:{{password}}@db:5432/app?sslmode=disable",
                false,
            ),
            ("postgresql://db:5432/app", "postgresql://db:5432/app", false),
            ("postgresql://ann@db/app", "postgresql://ann@db/app", false),
            ("postgresql://ann:s3cret@db/app", "postgresql://ann:xxxxx@db/app", true),
            ("postgresql://ann:s3/c@r@db/app", "postgresql://ann:xxxxx@db/app", true),
            ("{{username}}:{{password}}@tcp(db:3306)/", "{{username}}:{{password}}@tcp(db:3306)/", false),
            ("ann:s3cret@tcp(db:3306)/", "ann:xxxxx@tcp(db:3306)/", true),
            ("postgresql://db/app?user=a&PASSWORD=s3cret&x=1", "postgresql://db/app?user=a&PASSWORD=xxxxx&x=1", true),
            ("", "", false),
        ] {
            assert_eq!(redacted(url), (shown.to_owned(), told), "{url}");
        }
    }

    proptest::proptest! {
        #[test]
        fn whatever_it_holds(password in "[!-~ä]{6,20}") {
            let (shown, _) = redacted(&format!("postgresql://ann:{password}@db/app"));
            let hidden = !shown.contains(&password) || is_placeholder(&password) || "postgresql://ann:xxxxx@db/app".contains(&password);
            proptest::prop_assert!(hidden, "{}", shown);
        }
    }
}
