use proptest::prelude::*;

use super::*;

fn key() -> ChainKey {
    ChainKey::new(&Key256::new([7; 32]))
}

/// Writes entries by chunks, as a device gets them; a new segment at each position in `breaks`.
fn log(entries: usize, breaks: &[usize]) -> Vec<Vec<u8>> {
    let mut chain = Chain::begin(key(), Random::default(), None).expect("randomness");
    let mut out = Vec::new();
    for number in 0..entries {
        if breaks.contains(&number) {
            chain.break_off().expect("randomness");
        }
        let line = format!("{{\"time\":\"t\",\"path\":\"secret/{number}\"}}\n");
        let digests: Vec<_> = digests(line.as_bytes()).collect();
        let head = chain.link(line.as_bytes(), &digests, &mut out);
        chain.keep(head);
    }
    out.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).map(<[u8]>::to_vec).collect()
}

/// What a verifier with the key finds: the lines at fault.
fn faults(lines: &[Vec<u8>]) -> Vec<(usize, Fault)> {
    let wanted = lines.iter().filter_map(|line| Link::of_line(line)?.0.after);
    let mut walk = Walk::wanting(wanted.collect::<Vec<_>>());
    let key = key();
    let judge = |line: &Vec<u8>| match walk.line(line) {
        Err(fault) => Some(fault),
        Ok(claim) => {
            let claim = claim.map(|claim| Claim::parse(&claim.to_text()).expect("reads back"));
            claim.filter(|claim| !key.holds(claim)).map(|_| Fault::Altered)
        }
    };
    lines.iter().map(judge).enumerate().filter_map(|(at, fault)| Some((at, fault?))).collect()
}

#[test]
fn a_log_as_it_was_written_is_whole() {
    for breaks in [&[][..], &[0], &[3], &[1, 2, 3], &[9]] {
        assert_eq!(faults(&log(10, breaks)), [], "{breaks:?}");
    }
}

#[test]
fn a_rotated_away_beginning_is_no_fault() {
    assert_eq!(faults(&log(10, &[6])[4..]), []);
    assert_eq!(faults(&log(10, &[6])[6..]), []);
}

#[test]
fn the_end_shows_by_the_head() {
    let lines = log(4, &[]);
    let last = Link::of_line(&lines[3]).expect("link").0;
    let mut walk = Walk::wanting([(last.segment.clone(), last.number)]);
    for line in &lines[..3] {
        walk.line(line).expect("in place");
    }
    assert!(!walk.has_met(&last.segment, last.number));
    walk.line(&lines[3]).expect("in place");
    assert!(walk.has_met(&last.segment, last.number));
}

#[test]
fn a_segment_that_is_gone_shows() {
    let mut lines = log(9, &[3, 6]);
    lines.drain(3..6);
    assert!(matches!(&faults(&lines)[..], [(3, Fault::Missing { entries: 3, .. })]), "{:?}", faults(&lines));
}

#[test]
fn what_only_looks_like_an_entry_is_foreign() {
    let mut lines = log(3, &[]);
    lines.insert(1, b"{\"time\":\"t\"}".to_vec());
    lines.insert(2, b"{\"ti".to_vec());
    assert_eq!(faults(&lines), [(1, Fault::Foreign), (2, Fault::Foreign)]);
}

#[test]
fn a_chain_under_another_key_does_not_hold() {
    let other = ChainKey::new(&Key256::new([8; 32]));
    let lines = log(2, &[]);
    let mut walk = Walk::default();
    let claim = walk.line(&lines[0]).expect("in place").expect("the beginning has a claim");
    assert!(key().holds(&claim) && !other.holds(&claim));
}

proptest! {
    #[test]
    fn any_tampering_shows(
        breaks in prop::collection::vec(0_usize..12, 0..3),
        at in 0_usize..12,
        other in 0_usize..12,
        kind in 0..4,
        byte in any::<u8>(),
        position in any::<prop::sample::Index>(),
    ) {
        let whole = log(12, &breaks);
        let mut lines = whole.clone();
        match kind {
            // The first line may be rotated away and the end is the head's to tell: see the tests above.
            0 if (1..11).contains(&at) => { lines.remove(at); }
            1 if at > 0 => {
                let position = position.index(lines[at].len());
                lines[at][position] = byte;
            }
            2 => lines.swap(at, other),
            3 => lines.insert(other, whole[at].clone()),
            _ => {}
        }
        prop_assume!(lines != whole);
        prop_assert_ne!(faults(&lines), vec![]);
    }
}
