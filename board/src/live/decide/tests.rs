//! Scripted sequences of answers.

use super::*;

fn rules(threshold: Option<f32>, unknown: bool, consensus: &str) -> Rules {
    Rules {
        threshold,
        unknown,
        consensus: consensus.parse().expect("a consensus"),
    }
}

/// Plays answers, one a second: a class's letter, in upper case if it is likely, `?` if the pack knows none. Returns
/// the states that begin, each with the second in which that is decided.
fn play(decider: &mut Decider, script: &str) -> Vec<(usize, Change)> {
    let start = Instant::now();
    let answers = script.chars().enumerate();
    let changes = answers.filter_map(|(second, answer)| {
        let change = decider.see(&sight(start, second, answer))?;
        Some((second, change))
    });
    changes.collect()
}

fn sight(start: Instant, second: usize, answer: char) -> Sight {
    let likely = answer.is_ascii_uppercase() || answer == '?';
    Sight {
        frame: second as u64,
        captured: start + Duration::from_secs(second as u64),
        class: usize::from(answer.to_ascii_lowercase() as u8 % 32),
        // Later frames show more.
        probability: if likely { 0.9 } else { 0.3 } + 1e-4 * second as f32,
        is_unknown: answer == '?',
    }
}

const A: Vote = Vote::Class(1);
const B: Vote = Vote::Class(2);

/// What begins when.
fn states(rules: Rules, script: &str) -> Vec<(usize, Vote)> {
    let changes = play(&mut Decider::new(rules), script);
    changes
        .iter()
        .map(|(second, change)| (*second, change.now.state))
        .collect()
}

#[test]
fn without_rules_every_frame_decides() {
    let rules = rules(None, false, "1/1");
    assert_eq!(states(rules, "AAaBbA"), [(0, A), (3, B), (5, A)]);
    // What the pack says counts where it is asked for.
    assert_eq!(states(rules, "A?A").len(), 3);
}

#[test]
fn what_is_not_likely_enough_is_nothing_or_unknown() {
    let threshold = Some(0.5);
    let plain = rules(threshold, false, "1/1");
    assert_eq!(states(plain, "aAabB"), [(1, A), (2, Vote::Nothing), (4, B)]);
    let unknown = rules(threshold, true, "1/1");
    assert_eq!(
        states(unknown, "aA?B"),
        [(0, Vote::Unknown), (1, A), (2, Vote::Unknown), (3, B)]
    );
    let pack = rules(None, true, "1/1");
    assert_eq!(states(pack, "a?A"), [(0, A), (1, Vote::Unknown), (2, A)]);
    let no_number = Sight {
        probability: f32::NAN,
        ..sight(Instant::now(), 0, 'A')
    };
    assert_eq!(plain.vote(&no_number), Vote::Nothing);
}

#[test]
fn a_state_needs_enough_of_the_last_frames() {
    let rules = rules(Some(0.5), false, "3/5");
    assert_eq!(states(rules, "AABBBB"), [(4, B)]);
    assert_eq!(states(rules, "AABAB"), [(3, A)]);
    // Flicker changes nothing.
    assert_eq!(states(rules, "AAABABAABAABA"), [(2, A)]);
    // Nothing must be agreed on too.
    assert_eq!(states(rules, "AAAaaAAaaaA"), [(2, A), (7, Vote::Nothing)]);
}

#[test]
fn accounts_say_when_how_long_and_which_frame_was_best() {
    let mut decider = Decider::new(rules(Some(0.5), false, "2/3"));
    let start = Instant::now();
    let mut see = |second, answer| decider.see(&sight(start, second, answer));
    assert_eq!(see(0, 'A'), None);
    let first = see(1, 'A').expect("two of three");
    assert_eq!(first.before, None);
    assert_eq!(
        (first.now.since, first.now.duration),
        (start, Duration::from_secs(1))
    );
    assert_eq!(first.now.best.map(|best| best.frame), Some(1));
    assert_eq!(see(2, 'A'), None);
    assert_eq!(see(3, 'B'), None);
    let second = see(4, 'B').expect("two of three");
    let before = second.before.expect("there was one");
    assert_eq!((before.state, before.since), (A, start));
    assert_eq!(before.duration, Duration::from_secs(3));
    assert_eq!(before.best.map(|best| best.frame), Some(2));
    assert_eq!(second.now.since, start + Duration::from_secs(3));
    assert_eq!(decider.state(), B);
    let end = decider.end().expect("something was decided");
    assert_eq!(end.now.state, Vote::Nothing);
    let before = end.before.expect("it was");
    assert_eq!((before.state, before.duration), (B, Duration::from_secs(1)));
    assert_eq!(decider.end(), None);
    assert_eq!(decider.state(), Vote::Nothing);
}

#[test]
fn the_unknown_has_no_best_frame() {
    let mut decider = Decider::new(rules(None, true, "1/1"));
    let changes = play(&mut decider, "?A?");
    let best: Vec<bool> = changes
        .iter()
        .map(|(_, change)| change.now.best.is_some())
        .collect();
    assert_eq!(best, [false, true, false]);
}

#[test]
fn a_consensus_is_a_majority() {
    let parse = |text: &str| text.parse::<Consensus>();
    assert_eq!(parse("3/5"), Ok(Consensus { needed: 3, of: 5 }));
    assert_eq!(parse("1/1"), Ok(Consensus::default()));
    for text in [
        "", "3", "0/1", "2/1", "1/0", "-1/3", "1/1001", "a/b", "1/2", "2/4",
    ] {
        assert!(parse(text).is_err(), "{text}");
    }
}
