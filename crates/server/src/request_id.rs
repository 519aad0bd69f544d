//! Request ids: version 4 UUIDs (RFC 9562), drawn a hundred at a time, because asking for randomness costs more than
//! using it.

use std::cell::RefCell;

use keyturn_core::random::{Random, RandomError};

/// Bytes of one id.
const LEN: usize = 16;
/// Ids that are drawn at once.
const DRAWN: usize = 128;

struct Drawn {
    bytes: [u8; LEN * DRAWN],
    used: usize,
}

thread_local! {
    static POOL: RefCell<Drawn> = const { RefCell::new(Drawn { bytes: [0; LEN * DRAWN], used: DRAWN }) };
}

/// A fresh id.
///
/// # Errors
/// When the operating system's source fails.
pub(crate) fn next() -> Result<String, RandomError> {
    POOL.with_borrow_mut(|pool| {
        if pool.used == DRAWN {
            Random::default().fill(&mut pool.bytes)?;
            pool.used = 0;
        }
        let mut id = [0; LEN];
        id.copy_from_slice(&pool.bytes[pool.used * LEN..][..LEN]);
        pool.used += 1;
        Ok(uuid::Builder::from_random_bytes(id).into_uuid().to_string())
    })
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn ids_are_uuids_and_none_comes_twice() {
        let ids: HashSet<String> = (0..DRAWN * 3).map(|_| next().expect("random")).collect();
        assert_eq!(ids.len(), DRAWN * 3);
        assert!(ids.iter().all(|id| uuid::Uuid::parse_str(id).is_ok_and(|id| id.get_version_num() == 4)));
    }
}
