//! What has a rotation: a secret with versions, or a static role of the database engine. The machine is the same for
//! both; where their records lie and who keeps the credential differs.

use crate::{clock::Timestamp, keys, storage::Key};

/// Who keeps the credential.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub(crate) enum Keeper {
    /// A secret, in a version.
    #[default]
    Secret,
    /// A static role, in its record.
    StaticRole,
}

/// Where a rotated credential is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Site {
    pub(crate) keeper: Keeper,
    /// The mount's uuid.
    pub(crate) mount: String,
    pub(crate) name: String,
}

/// What stands before the mount in the notes of static roles; no uuid is like it.
const STATIC: &str = "static";

/// What stands before the name of a static role, below its mount.
pub(super) const STATIC_ROLES: &str = "static-roles/";

impl Site {
    pub(crate) fn secret(mount: &str, name: &str) -> Self {
        Self { keeper: Keeper::Secret, mount: mount.to_owned(), name: name.to_owned() }
    }

    pub(crate) fn static_role(mount: &str, name: &str) -> Self {
        Self { keeper: Keeper::StaticRole, mount: mount.to_owned(), name: name.to_owned() }
    }

    pub(crate) fn is_static_role(&self) -> bool {
        self.keeper == Keeper::StaticRole
    }

    /// Where the rotation's record lies.
    pub(crate) fn rotation_key(&self) -> Key {
        match self.keeper {
            Keeper::Secret => keys::kv_rotation(&self.mount, &self.name),
            Keeper::StaticRole => keys::database(&self.mount, "rotation", &self.name),
        }
    }

    /// Where it is written down who has read it.
    pub(crate) fn readers_key(&self) -> Key {
        match self.keeper {
            Keeper::Secret => keys::kv_readers(&self.mount, &self.name),
            Keeper::StaticRole => keys::database(&self.mount, "readers", &self.name),
        }
    }

    /// The note that something is to be done with it by then.
    pub(crate) fn due_key(&self, at: Timestamp) -> Key {
        match self.keeper {
            Keeper::Secret => keys::rotation_due(at, &self.mount, &self.name),
            Keeper::StaticRole => keys::rotation_due(at, STATIC, &format!("{}/{}", self.mount, self.name)),
        }
    }

    /// The note that it does not simply wait for its time.
    pub(crate) fn watch_key(&self) -> Key {
        match self.keeper {
            Keeper::Secret => keys::rotation_watched(&self.mount, &self.name),
            Keeper::StaticRole => keys::rotation_watched(STATIC, &format!("{}/{}", self.mount, self.name)),
        }
    }

    /// The second and the site that a note of what is due says.
    pub(crate) fn of_due_key(key: &[u8]) -> Option<(String, Self)> {
        let rest = std::str::from_utf8(key.strip_prefix(keys::ROTATIONS_DUE)?).ok()?;
        let (second, rest) = rest.split_once('/')?;
        Some((second.to_owned(), Self::noted(rest)?))
    }

    /// The site that a note of what is watched says.
    pub(crate) fn of_watch_key(key: &[u8]) -> Option<Self> {
        Self::noted(std::str::from_utf8(key.strip_prefix(keys::ROTATIONS_WATCHED)?).ok()?)
    }

    fn noted(place: &str) -> Option<Self> {
        let (mount, name) = place.split_once('/')?;
        match mount {
            STATIC => name.split_once('/').map(|(mount, name)| Self::static_role(mount, name)),
            mount => Some(Self::secret(mount, name)),
        }
    }

    /// How it is named to people, below the path of its mount.
    pub(crate) fn path(&self, mount: &str) -> String {
        match self.keeper {
            Keeper::Secret => format!("{mount}{}", self.name),
            Keeper::StaticRole => format!("{mount}{STATIC_ROLES}{}", self.name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_leads_back_to_its_site() {
        let at = Timestamp::from_second(77).expect("a time");
        for site in [Site::secret("uuid", "app/db"), Site::static_role("uuid", "app"), Site::secret("uuid", "static/x")]
        {
            let (second, found) = Site::of_due_key(&site.due_key(at)).expect("a note");
            assert_eq!((second.as_str(), &found), ("000000000000004d", &site));
            assert_eq!(Site::of_watch_key(&site.watch_key()), Some(site));
        }
        assert_eq!(Site::of_due_key(keys::ROTATIONS_DUE), None);
        assert_eq!(Site::of_watch_key(keys::ROTATIONS_WATCHED), None);
        assert_eq!(Site::static_role("uuid", "app").path("db/"), "db/static-roles/app");
    }
}
