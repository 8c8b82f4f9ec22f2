//! The nearest known name to a mistyped one.

/// The candidate that `word` was most likely meant to be, ignoring case; none where nothing is near.
pub fn nearest<'a>(word: &str, candidates: &[&'a str]) -> Option<&'a str> {
    let word: Vec<char> = word.to_lowercase().chars().take(64).collect();
    let allowed = match word.len() {
        0..=1 => 0,
        2..=3 => 1,
        4..=7 => 2,
        _ => 3,
    };
    candidates
        .iter()
        .map(|candidate| (distance(&word, &candidate.to_lowercase()), *candidate))
        .filter(|(distance, _)| (1..=allowed).contains(distance))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// The first of the nearest candidates, with case, as BuildKit suggests names of variables: at most two
/// letters away, where a swap of neighbours counts as two. None where `word` is a candidate itself.
pub(crate) fn closest<'a>(word: &str, candidates: &[&'a str]) -> Option<&'a str> {
    let letters: Vec<char> = word.chars().take(64).collect();
    let distances =
        candidates.iter().map(|candidate| (edits(&letters, candidate, false), candidate));
    let nearest = distances.min_by_key(|(distance, _)| *distance)?;
    (1..=2).contains(&nearest.0).then_some(*nearest.1)
}

fn distance(a: &[char], b: &str) -> usize {
    edits(a, b, true)
}

/// Edits (insert, delete, replace, and perhaps swap of neighbours) that turn `a` into `b`.
fn edits(a: &[char], b: &str, swaps: bool) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let replace = last[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut least = replace.min(last[j] + 1).min(row[j - 1] + 1);
            if swaps && i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                least = least.min(before[j - 2] + 1);
            }
            row.push(least);
        }
        before = std::mem::replace(&mut last, row);
    }
    last[b.len()]
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn finds_the_near_and_only_the_near() {
        let names = ["RUN", "FROM", "COPY", "CMD", "ENTRYPOINT", "ENV", "USER"];
        for (word, expected) in [
            ("RNU", Some("RUN")),
            ("form", Some("FROM")),
            ("COPPY", Some("COPY")),
            ("ENTRPIONT", Some("ENTRYPOINT")),
            ("EVN", Some("ENV")),
            ("X", None),
            ("INSTALL", None),
            ("", None),
        ] {
            assert_eq!(nearest(word, &names), expected, "{word}");
        }
    }
}
