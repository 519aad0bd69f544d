//! Keeps key material out of swap, core dumps and freed memory. The one module of the workspace with unsafe code.
//!
//! All of it is best effort: a container may refuse to lock memory, and the server must still run. What was refused
//! is reported, never passed over.
#![allow(
    unsafe_code,
    reason = "locking, wiping and owning whole pages needs raw memory; each block says why it is sound"
)]

use std::{
    alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error},
    fmt,
    ops::Deref,
    ptr::NonNull,
    sync::{Once, atomic},
};

use rustix::{
    mm::{Advice, MlockAllFlags},
    param::page_size,
    process::{DumpableBehavior, Resource, Rlimit},
};

/// A value alone on its memory pages, which are locked into RAM and wiped when it is dropped.
///
/// What the value points to elsewhere on the heap is not covered, and neither are copies that the caller made before
/// handing it over.
pub struct Locked<T> {
    value: NonNull<T>,
    layout: Layout,
    locked: bool,
}

impl<T> Locked<T> {
    /// Moves `value` to pages of its own and locks them, if the system permits.
    #[must_use]
    pub fn new(value: T) -> Self {
        let layout = whole_pages::<T>();
        // SAFETY: `layout` is at least one page, so its size is not zero.
        let memory = unsafe { alloc_zeroed(layout) };
        let Some(slot) = NonNull::new(memory.cast::<T>()) else { handle_alloc_error(layout) };
        // SAFETY: the range is one allocation of ours; both calls change only how the kernel treats its pages.
        let locked = unsafe {
            let _ = rustix::mm::madvise(memory.cast(), layout.size(), Advice::LinuxDontDump);
            rustix::mm::mlock(memory.cast(), layout.size())
        };
        if let Err(error) = locked {
            report_unlocked(error);
        }
        // SAFETY: `slot` is allocated, aligned for `T` (page alignment is at least that) and holds no value yet.
        unsafe { slot.write(value) };
        Self { value: slot, layout, locked: locked.is_ok() }
    }
}

impl<T> Deref for Locked<T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: `new` wrote a value, and it lives until `drop`; only shared references are handed out.
        unsafe { self.value.as_ref() }
    }
}

impl<T> Drop for Locked<T> {
    fn drop(&mut self) {
        let memory = self.value.as_ptr().cast::<u8>();
        // SAFETY: the value is dropped once and not touched again; the allocation is ours, `layout` is the one that it
        // was made with, and every write stays inside it. Volatile writes are not optimised away.
        unsafe {
            self.value.drop_in_place();
            for offset in 0..size_of::<T>() {
                memory.add(offset).write_volatile(0);
            }
            atomic::compiler_fence(atomic::Ordering::SeqCst);
            let _ = rustix::mm::madvise(memory.cast(), self.layout.size(), Advice::LinuxDoDump);
            if self.locked {
                let _ = rustix::mm::munlock(memory.cast(), self.layout.size());
            }
            dealloc(memory, self.layout);
        }
    }
}

impl<T> fmt::Debug for Locked<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(keyturn_core::secret::REDACTED)
    }
}

// SAFETY: `Locked` owns its value as a `Box` does.
unsafe impl<T: Send> Send for Locked<T> {}
// SAFETY: as for `Send`; only `&T` is reachable through `&Locked<T>`.
unsafe impl<T: Sync> Sync for Locked<T> {}

/// Room for a `T` in whole pages, so that no other value shares them: unlocking is by page, not by value.
fn whole_pages<T>() -> Layout {
    let size = size_of::<T>().max(1).next_multiple_of(page_size());
    let align = align_of::<T>().max(page_size());
    Layout::from_size_align(size, align).unwrap_or_else(|_| handle_alloc_error(Layout::new::<T>()))
}

fn report_unlocked(error: rustix::io::Errno) {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        tracing::warn!(%error, "key material could not be locked into memory and may be swapped out; \
            raise the limit of locked memory (ulimit -l, LimitMEMLOCK) or turn swap off");
    });
}

/// What [`harden_process`] achieved.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HardeningReport {
    /// No core file is written when the process crashes.
    pub core_dumps_off: bool,
    /// Other processes of the same user can neither attach to this one nor read its memory.
    pub not_dumpable: bool,
    /// All memory is locked, not only that of keys.
    pub memory_locked: bool,
    /// What was refused and why, to be logged.
    pub remarks: Vec<String>,
}

/// Closes the ways in which a process leaks its memory: core dumps, debuggers, swap. Call it before secrets exist.
#[must_use]
pub fn harden_process() -> HardeningReport {
    let mut report = HardeningReport::default();
    let no_core = Rlimit { current: Some(0), maximum: Some(0) };
    match rustix::process::setrlimit(Resource::Core, no_core) {
        Ok(()) => report.core_dumps_off = true,
        Err(error) => report.remarks.push(format!("core dumps could not be turned off: {error}")),
    }
    match rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable) {
        Ok(()) => report.not_dumpable = true,
        Err(error) => report.remarks.push(format!("the process could not be made undumpable: {error}")),
    }
    // Under a limit, locking all memory would make a later allocation fail and end the server.
    if rustix::process::getrlimit(Resource::Memlock).current.is_some() {
        report.remarks.push("memory other than keys is not locked: allow it (ulimit -l unlimited, LimitMEMLOCK=infinity) or encrypt swap".to_owned());
        return report;
    }
    let on_fault = MlockAllFlags::CURRENT | MlockAllFlags::FUTURE | MlockAllFlags::ONFAULT;
    match rustix::mm::mlockall(on_fault) {
        Ok(()) => report.memory_locked = true,
        Err(error) => report.remarks.push(format!("memory other than keys is not locked: {error}")),
    }
    report
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    };

    use super::*;

    struct Counted(Arc<AtomicU32>);

    impl Drop for Counted {
        fn drop(&mut self) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    #[test]
    fn a_locked_value_is_reachable_alone_on_its_page_and_dropped_once() {
        let drops = Arc::new(AtomicU32::new(0));
        let locked = Locked::new(Counted(Arc::clone(&drops)));
        assert_eq!(locked.0.load(Ordering::SeqCst), 0);
        assert_eq!(std::ptr::from_ref(&*locked).addr() % page_size(), 0);
        drop(locked);
        assert_eq!(drops.load(Ordering::SeqCst), 1);
    }

    #[test]
    fn a_locked_value_prints_nothing() {
        assert_eq!(format!("{:?}", Locked::new([7_u8; 32])), "[REDACTED]");
    }

    #[test]
    fn a_value_without_size_is_fine() {
        let unit = Locked::new(());
        let () = *unit;
    }

    const CHILD: &str = "KEYTURN_TEST_HARDEN";

    /// Hardens a process of its own, run by the test below; inert without the variable.
    #[test]
    fn hardened_child() {
        if std::env::var_os(CHILD).is_none() {
            return;
        }
        let report = harden_process();
        assert!(report.core_dumps_off && report.not_dumpable, "{report:?}");
        assert_eq!(report.memory_locked, report.remarks.is_empty(), "{report:?}");
        let limits = rustix::process::getrlimit(Resource::Core);
        assert_eq!((limits.current, limits.maximum), (Some(0), Some(0)));
        let dumpable = rustix::process::dumpable_behavior().expect("ask");
        assert_eq!(dumpable, DumpableBehavior::NotDumpable);
        // A server goes on to allocate and to lock keys.
        assert_eq!(*Locked::new([7_u8; 32]), [7; 32]);
        println!("HARDENED");
    }

    #[test]
    fn a_process_can_be_hardened() {
        let child = std::process::Command::new(std::env::current_exe().expect("executable"))
            .args(["hardening::tests::hardened_child", "--exact", "--nocapture"])
            .env(CHILD, "1")
            .output()
            .expect("run");
        let output = String::from_utf8_lossy(&child.stdout);
        assert!(child.status.success() && output.contains("HARDENED"), "{output}");
    }
}
