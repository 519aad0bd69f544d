//! Durable commits a second, with one writer and with 64, on a real file.
//!
//! `cargo bench -p keyturn-storage --bench commits [-- DIRECTORY]`; the directory (default: the system's temporary
//! one) chooses the disk. The records are of the size of a sealed secret. The two take turns, so that a disk or a
//! machine that is busy for a while is so for both; the medians are printed.
#![allow(clippy::print_stdout, clippy::unwrap_used, clippy::panic, reason = "a benchmark prints and may stop")]

use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use keyturn_core::storage::{Commit, Storage, Transaction, Write};
use keyturn_storage::backend::Embedded;

const ROUNDS: usize = 9;
const ROUND: Duration = Duration::from_secs(1);
const WRITERS: [u32; 2] = [1, 64];
const VALUE_BYTES: usize = 512;

fn main() {
    let directory = std::env::args().skip(1).find(|argument| !argument.starts_with("--"));
    let directory = directory.map_or_else(std::env::temp_dir, PathBuf::from);
    let scratch = tempfile::tempdir_in(directory).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let store: Arc<dyn Storage> = Arc::new(Embedded::open(&scratch.path().join("store"), 64 << 20).unwrap());

    let mut rates = [[0.0; ROUNDS]; 2];
    for round in 0..ROUNDS {
        for (rates, writers) in rates.iter_mut().zip(WRITERS) {
            rates[round] = runtime.block_on(commits_per_second(&store, writers, round));
        }
    }
    println!("{:>8} {:>12} {:>10}", "writers", "commits/s", "mean ms");
    let medians = rates.map(|mut rates| {
        rates.sort_by(f64::total_cmp);
        rates[ROUNDS / 2]
    });
    for (rate, writers) in medians.iter().zip(WRITERS) {
        println!("{writers:>8} {rate:>12.0} {:>10.2}", 1000.0 * f64::from(writers) / rate);
    }
    println!("ratio {:.1}", medians[1] / medians[0]);
}

async fn commits_per_second(store: &Arc<dyn Storage>, writers: u32, round: usize) -> f64 {
    let done = Arc::new(AtomicU64::new(0));
    let start = Instant::now();
    let tasks: Vec<_> = (0..writers)
        .map(|writer| {
            let (store, done) = (Arc::clone(store), Arc::clone(&done));
            tokio::spawn(async move {
                let value: Arc<[u8]> = vec![0xA5; VALUE_BYTES].into();
                let mut number = 0_u64;
                while start.elapsed() < ROUND {
                    let key = format!("secret/{writer}/{round}/{number}").into_bytes();
                    let transaction =
                        Transaction { expect: Vec::new(), writes: vec![Write::Put(key, Arc::clone(&value))] };
                    let Ok(Commit::Committed(_)) = store.commit(transaction).await else { panic!("not committed") };
                    done.fetch_add(1, Ordering::Relaxed);
                    number += 1;
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    #[allow(clippy::cast_precision_loss, reason = "a rate to print")]
    let commits = done.load(Ordering::Relaxed) as f64;
    commits / start.elapsed().as_secs_f64()
}
