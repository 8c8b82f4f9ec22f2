//! `.dockerignore`, as tables: patterns, and the paths that they leave out or keep.

use dockerfile::{Descent, IgnorePatterns};

/// The patterns, what is ignored, what is not.
const CASES: &[(&str, &[&str], &[&str])] = &[
    ("", &[], &["a", "a/b"]),
    ("# comment\n\n  \n", &[], &["# comment", "a"]),
    ("a", &["a", "a/b", "a/b/c"], &["b", "b/a", "ab", "a.b"]),
    ("/a", &["a", "a/b"], &["b/a"]),
    ("a/", &["a", "a/b"], &["b/a"]),
    ("./a", &["a"], &["b/a"]),
    ("a/../b//c/.", &["b/c", "b/c/d"], &["a", "b"]),
    ("  a  \n\tb\t", &["a", "b"], &["c"]),
    (" # x", &["# x"], &["x"]),
    ("a b", &["a b"], &["a", "b"]),
    ("a\r\nb\r\n", &["a", "b"], &["c"]),
    ("\u{feff}a", &["a"], &[]),
    (".", &[], &["a", "a/b"]),
    ("/", &[], &["a"]),
    ("..", &[], &["a"]),
    ("../a", &[], &["a"]),
    ("/../a", &["a"], &["b/a"]),
    // Wildcards within a component.
    ("*", &["a", "a/b", ".hidden"], &[]),
    ("*.md", &["README.md", ".md", "x.md/y"], &["docs/README.md", "md"]),
    ("*/*.md", &["docs/README.md"], &["README.md", "a/b/c.md"]),
    ("a?c", &["abc", "a☺c"], &["ac", "a/c", "abbc"]),
    ("a*/b", &["a/b", "abc/b", "abc/b/d"], &["a/c/b", "ab"]),
    ("[a-c]x", &["ax", "bx", "cx/y"], &["dx", "x", "[a-c]x"]),
    ("[^a-c]x", &["dx"], &["ax"]),
    ("[a\\]b]x", &["]x", "ax"], &["cx"]),
    ("[a-ζ]*", &["αx"], &["A"]),
    ("\\*", &["*"], &["a"]),
    ("\\!a", &["!a"], &["a"]),
    ("\\# a", &["# a"], &["a"]),
    ("a.c+(x)|{1}^$", &["a.c+(x)|{1}^$"], &["abc"]),
    // Any number of components.
    ("**", &["a", "a/b", ".x"], &[]),
    ("**/", &["a", "a/b"], &[]),
    ("**/a", &["a", "x/a", "x/y/a", "x/a/b"], &["ba", "x/ab"]),
    ("**/*.o", &["a.o", "x/a.o", "x/y/a.o"], &["a.oo", "x/o"]),
    ("**.go", &["a.go", "x/a.go", ".go"], &["a.gox"]),
    ("**x", &["x", "ax", "a/bx"], &["xa"]),
    ("**/.x", &[".x", "a/.x"], &["a.x"]),
    ("a/**", &["a/b", "a/b/c"], &["a", "ab"]),
    ("a/**/b", &["a/b", "a/x/b", "a/x/y/b", "a/b/c"], &["a", "b", "a/xb"]),
    ("a**/b", &["a/b", "a/x/b", "ab", "ax/b"], &["b", "axb"]),
    ("**/a/**", &["a/b", "x/a/b", "x/a/y/b"], &["a", "x/a"]),
    ("**/a/*", &["a/b", "x/a/b", "a/b/c"], &["a", "x/a"]),
    ("**/**/*.txt", &["a.txt", "x/y/a.txt"], &["a.txt2"]),
    // Exceptions: the last match wins.
    ("*\n!a", &["b", "c/d"], &["a", "a/b"]),
    ("!a\n*", &["a", "b"], &[]),
    (
        "*.md\n!README*.md\nREADME-secret.md",
        &["x.md", "README-secret.md"],
        &["README.md", "README-x.md"],
    ),
    ("*\n! a", &["b"], &["a"]),
    ("*\n!/a/", &["b"], &["a", "a/x"]),
    ("docs\n!docs/README.md", &["docs", "docs/x"], &["docs/README.md"]),
    ("docs/*\n!docs/README.md", &["docs/x"], &["docs", "docs/README.md"]),
    ("**\n!a/b\na/b/c", &["a", "a/x", "a/b/c", "a/b/c/d"], &["a/b", "a/b/d"]),
    ("a\n!a/**/keep", &["a/x", "a/b/x"], &["a/keep", "a/b/keep", "a/b/keep/x"]),
    ("node_modules\n!**/package.json", &["node_modules/x"], &["node_modules/x/package.json"]),
];

#[test]
fn paths_are_ignored_as_the_table_says() {
    for (text, ignored, kept) in CASES {
        let patterns = IgnorePatterns::parse(text.as_bytes()).unwrap();
        for path in *ignored {
            assert!(patterns.matches(path.as_bytes()), "{text:?} does not ignore {path:?}");
        }
        for path in *kept {
            assert!(!patterns.matches(path.as_bytes()), "{text:?} ignores {path:?}");
        }
    }
}

#[test]
fn a_walk_enters_searches_or_skips() {
    use Descent::{Enter, Search, Skip};
    for (text, directory, expected) in [
        ("", "a", Enter),
        ("b", "a", Enter),
        ("a/b", "a", Enter),
        ("a", "a", Skip),
        ("a", "a/b", Skip),
        ("**/target", "x/target", Skip),
        ("a\n!b", "a", Skip),
        ("a\n!b/c", "a", Skip),
        ("a\n!a/b", "a", Search),
        ("a\n!a/b", "a/b", Enter),
        ("a\n!a/b", "a/c", Skip),
        ("a\n!a/b/c", "a/b", Search),
        ("a\n!**/keep", "a/x/y", Search),
        ("a\n!*/keep", "a", Search),
        ("a\n!*/keep", "a/x", Skip),
        ("!a/b\na", "a", Skip),
        ("a\n!a/b\na", "a", Skip),
        ("a\n!a\na/b", "a", Enter),
        ("*\n!src/**", "src", Search),
        ("*\n!src/**", "src/x", Enter),
        ("*\n!src", "lib", Skip),
    ] {
        let patterns = IgnorePatterns::parse(text.as_bytes()).unwrap();
        assert_eq!(patterns.directory(directory.as_bytes()), expected, "{text:?} {directory}");
    }
}

#[test]
fn names_that_are_not_utf8_are_matched() {
    let patterns = IgnorePatterns::parse(b"*.o\na?c\n").unwrap();
    assert!(patterns.matches(b"\xff\xfe.o"));
    assert!(patterns.matches(b"a\xffc"));
    assert!(!patterns.matches(b"\xff"));
}

#[test]
fn malformed_patterns_are_refused_with_their_line() {
    for pattern in [
        "!", "! ", "[", "a[", "[^", "[^bc", "[]", "[]a]", "[-]", "[x-]", "[-x]", "[a-b-c]", "a\\",
        "!a[",
    ] {
        let error =
            IgnorePatterns::parse(format!("# x\n{pattern}\n").as_bytes()).expect_err(pattern);
        assert_eq!((error.line, error.pattern.as_str()), (2, pattern.trim()));
    }
}

#[test]
fn many_wildcards_take_no_exponential_time() {
    let text = format!("{}b", "**/*a".repeat(100));
    let patterns = IgnorePatterns::parse(text.as_bytes()).unwrap();
    let path = "a/".repeat(500) + "c";
    assert!(!patterns.matches(path.as_bytes()));
}

#[test]
fn patterns_of_any_length_are_matched() {
    for length in [1, 62, 63, 64, 65, 127, 128, 129, 500] {
        let name = "x".repeat(length);
        let patterns = IgnorePatterns::parse(format!("*/{name}").as_bytes()).unwrap();
        assert!(patterns.matches(format!("a/{name}/b").as_bytes()), "{length}");
        assert!(!patterns.matches(format!("a/{name}x").as_bytes()), "{length}");
        assert!(!patterns.matches(format!("a/{}", &name[1..]).as_bytes()), "{length}");
    }
}

#[test]
fn patterns_of_flags_are_taken_as_given() {
    for (pattern, path, want) in [
        ("/a", "a", false),
        ("a", "a", true),
        ("./a", "a", true),
        ("b/../a", "a", true),
        ("#a", "#a", true),
        (" a ", "a", true),
        ("a/", "a/b", true),
        (".", "a", false),
        ("", "a", false),
    ] {
        let patterns = IgnorePatterns::of([pattern]).unwrap();
        assert_eq!(patterns.matches(path.as_bytes()), want, "{pattern:?} {path:?}");
    }
    assert_eq!(IgnorePatterns::of(["a", "["]).unwrap_err().line, 2);
    let both = IgnorePatterns::of(["*", "!a"]).unwrap();
    assert!(both.matches(b"b") && !both.matches(b"a"));
}
