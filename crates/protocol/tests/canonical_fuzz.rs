//! What the fuzz target `canonical` checks, on the stable toolchain: the corpus, AWS's vectors, and mutations of both, the
//! same each time. `KEYTURN_FUZZ_CASES` says how many, `KEYTURN_FUZZ_SEED` which.

#![allow(clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

#[path = "../../../fuzz/src/canonical.rs"]
mod canonical;

use std::{fs, panic, path::Path};

use canonical::Dice;

const VECTORS: &str = include_str!("sigv4_vectors.txt");
/// Mutations of a run that nobody asks more of: some seconds.
const CASES: u64 = 20_000;
/// What requests are made of, and what readers stumble over.
const PIECES: [&[u8]; 32] = [
    b"%",
    b"%2",
    b"%2f",
    b"%2F",
    b"%zz",
    b"%00",
    b"%c3%bc",
    b"+",
    b"&",
    b"&&",
    b"=",
    b"==",
    b"?",
    b"/",
    b"//",
    b"/./",
    b"/../",
    b"..",
    b";",
    b":",
    b",",
    b" ",
    b"\t",
    b"\n",
    b"\n\n",
    b"\r\n",
    b"\xff",
    "ü".as_bytes(),
    b"X-Amz-Signature=",
    b"X-Amz-Date=1",
    b"host:",
    b"AWS4-HMAC-SHA256",
];

fn seeds() -> Vec<Vec<u8>> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus/canonical");
    let mut files: Vec<_> =
        fs::read_dir(directory).expect("a corpus").map(|entry| entry.expect("an entry").path()).collect();
    files.sort();
    let kept = files.iter().map(|path| fs::read(path).expect("a file"));
    let vectors = VECTORS.split("=== ").skip(1).map(|vector| {
        let request = vector.split_once('\n').expect("a name").1.split_once("\n--- canonical\n").expect("a request").0;
        request.as_bytes().to_vec()
    });
    kept.chain(vectors).collect()
}

fn number(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).ok().map_or(otherwise, |text| text.parse().expect("a number"))
}

/// Checks an input, and says which it was if it fails.
fn check(input: &[u8]) {
    if panic::catch_unwind(|| canonical::check(input)).is_err() {
        panic!("an input fails; add it to the corpus: {:?}", String::from_utf8_lossy(input));
    }
}

fn mutated(seeds: &[Vec<u8>], dice: &mut Dice) -> Vec<u8> {
    let mut input = seeds[dice.below(seeds.len())].clone();
    for _ in 0..=dice.below(6) {
        let from = dice.below(input.len() + 1);
        let to = (from + dice.below(16)).min(input.len());
        match dice.below(6) {
            0 => _ = input.drain(from..to),
            1 => {
                let again = input[from..to].to_vec();
                input.splice(to..to, again);
            }
            2 if from < input.len() => input[from] ^= 1 << dice.below(8),
            3 => {
                let other = &seeds[dice.below(seeds.len())];
                let start = dice.below(other.len() + 1);
                let piece = other[start..(start + dice.below(64)).min(other.len())].to_vec();
                input.splice(from..to, piece);
            }
            _ => {
                let piece = PIECES[dice.below(PIECES.len())];
                input.splice(from..from, piece.iter().copied());
            }
        }
    }
    input
}

#[test]
fn the_corpus_and_the_vectors_pass() {
    let seeds = seeds();
    assert!(seeds.len() > 60, "{}", seeds.len());
    seeds.iter().for_each(|seed| check(seed));
}

#[test]
fn mutations_of_signed_requests_pass() {
    let seeds = seeds();
    let mut dice = Dice(number("KEYTURN_FUZZ_SEED", 4));
    for _ in 0..number("KEYTURN_FUZZ_CASES", CASES) {
        check(&mutated(&seeds, &mut dice));
    }
}

/// Mutations of the seeds never have as many parameters as the bound.
#[test]
fn the_bound_on_parameters_is_read_alike() {
    let query = vec!["a=1"; 1000].join("&");
    check(format!("GET /?{query}\nhost:x\n\n").as_bytes());
    check(format!("GET /?{query}&a=1\nhost:x\n\n").as_bytes());
}
