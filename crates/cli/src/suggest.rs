//! "Did you mean": the nearest of the names that exist.

use image::Reference;

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

/// As [`nearest`], for the names of images: where no tag was given, tags do not count, and `latest`
/// never does. Gives short names.
pub fn nearest_images(given: &str, names: impl IntoIterator<Item = String>) -> Vec<String> {
    let familiar = |name: String| match name.parse::<Reference>() {
        Ok(reference) => reference.familiar(),
        Err(_) => name,
    };
    let short: Vec<String> = names
        .into_iter()
        .map(familiar)
        .map(|name| name.strip_suffix(":latest").map(str::to_owned).unwrap_or(name))
        .collect();
    let given = given.strip_suffix(":latest").unwrap_or(given);
    let repository = |name: &str| name.split([':', '@']).next().unwrap_or_default().to_owned();
    let (tagged, repositories): (bool, Vec<String>) =
        (given.contains(':'), short.iter().map(|name| repository(name)).collect());
    let keys = if tagged { &short } else { &repositories };
    let near = nearest(given, keys.iter().map(String::as_str));
    let is_near = |(key, _): &(&String, &String)| near.contains(&key.as_str());
    keys.iter().zip(&short).filter(is_near).map(|(_, name)| name.clone()).take(3).collect()
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
    fn images_are_near_with_and_without_tags() {
        let names = || {
            ["docker.io/library/busybox:latest", "docker.io/library/debian:bookworm"]
                .map(str::to_owned)
        };
        assert_eq!(nearest_images("busybx", names()), ["busybox"]);
        assert_eq!(nearest_images("debain", names()), ["debian:bookworm"]);
        assert_eq!(nearest_images("debian:bokworm", names()), ["debian:bookworm"]);
        assert_eq!(nearest_images("debian", names()), ["debian:bookworm"]);
        assert!(nearest_images("nginx", names()).is_empty());
    }

    #[test]
    fn the_nearest_comes_first_and_strangers_do_not_come() {
        let names = ["debian:bookworm", "debian:trixie", "app:latest"];
        assert_eq!(nearest("debain:bookworm", names), ["debian:bookworm"]);
        assert_eq!(nearest("debian", names), ["debian:trixie", "debian:bookworm"]);
        assert!(nearest("nginx", names).is_empty());
    }
}
