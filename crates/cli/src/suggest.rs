//! "Did you mean": the nearest of the names that exist.

/// Those of `names` that a slip of the fingers could have turned into `given`, nearest first, three at most.
pub fn nearest<'a>(given: &str, names: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
    let limit = given.chars().count().div_ceil(3).max(1);
    let mut found: Vec<(usize, &str)> = names
        .into_iter()
        .map(|name| (distance(given, name), name))
        .filter(|&(distance, name)| distance <= limit || (given.len() >= 3 && name.contains(given)))
        .collect();
    found.sort();
    found.dedup();
    found.into_iter().map(|(_, name)| name).take(3).collect()
}

/// Edits that turn `a` into `b`: insertions, deletions, replacements (Levenshtein).
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, to) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(from != *to);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances() {
        for (a, b, edits) in
            [("", "", 0), ("abc", "", 3), ("kitten", "sitting", 3), ("ab", "ba", 2)]
        {
            assert_eq!(distance(a, b), edits, "{a} {b}");
        }
    }

    #[test]
    fn the_nearest_comes_first_and_strangers_do_not_come() {
        let names = ["debian:bookworm", "debian:trixie", "app:latest"];
        assert_eq!(nearest("debain:bookworm", names), ["debian:bookworm"]);
        assert_eq!(nearest("debian", names), ["debian:trixie", "debian:bookworm"]);
        assert!(nearest("nginx", names).is_empty());
    }
}
