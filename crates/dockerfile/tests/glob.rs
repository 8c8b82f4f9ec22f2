//! Wildcards of `COPY` sources, as tables.

use dockerfile::Glob;

#[test]
fn paths_match_as_the_table_says() {
    for (pattern, path, expected) in [
        ("abc", "abc", true),
        ("*", "abc", true),
        ("*", ".hidden", true),
        ("*", "a/b", false),
        ("*c", "abc", true),
        ("a*", "a", true),
        ("a*", "ab/c", false),
        ("a*/b", "abc/b", true),
        ("a*/b", "a/c/b", false),
        ("a*b*c*d*e*/f", "axbxcxdxexxx/f", true),
        ("a*b*c*d*e*/f", "axbxcxdxe/xxx/f", false),
        ("a*b?c*x", "abxbbxdbxebxczzx", true),
        ("a*b?c*x", "abxbbxdbxebxczzy", false),
        ("ab[c]", "abc", true),
        ("ab[b-d]", "abc", true),
        ("ab[^b-d]", "abc", false),
        ("a?b", "a☺b", true),
        ("a???b", "a☺b", false),
        ("a[^x]b", "a/b", false),
        ("[\\]a]", "]", true),
        ("[x\\-]", "-", true),
        ("[z-a]", "m", false),
        ("\\*", "*", true),
        ("\\*", "a", false),
        ("a\\/b", "a/b", true),
        ("*x", "xxx", true),
        ("", "", true),
        (".", "", true),
        ("/", "", true),
        ("..", "", true),
        ("/a/b", "a/b", true),
        ("./a//b/", "a/b", true),
        ("x/../a", "a", true),
        ("../../a", "a", true),
        ("*/../a", "a", true),
        ("**", "a", true),
        ("**", "a/b", false),
        ("*.txt", "a.txt", true),
        ("é", "e\u{301}", false),
    ] {
        let glob = Glob::new(pattern).unwrap();
        assert_eq!(glob.matches(path.as_bytes()), expected, "{pattern} {path}");
    }
}

#[test]
fn paths_without_wildcards_are_told_literally() {
    for (pattern, expected) in [
        ("a/b", Some("a/b")),
        ("./a/../b/", Some("b")),
        ("a\\*b", Some("a*b")),
        ("a\\[b", Some("a[b")),
        ("/", Some("")),
        ("a*", None),
        ("a/?/b", None),
        ("[a]", None),
    ] {
        let glob = Glob::new(pattern).unwrap();
        assert_eq!(glob.literal().as_deref(), expected.map(str::as_bytes), "{pattern}");
    }
}

#[test]
fn components_are_matched_one_by_one() {
    let glob = Glob::new("src/*.c").unwrap();
    let [first, second] = glob.components() else { panic!("{glob:?}") };
    assert_eq!(first.literal(), Some(b"src".to_vec()));
    assert_eq!(second.literal(), None);
    assert!(second.matches(b"\xff.c") && !second.matches(b"a.h"));
}

#[test]
fn malformed_patterns_are_refused() {
    for pattern in ["[", "[]", "[^]", "[a", "[a-", "a\\", "[-]", "x/[a/b"] {
        assert_eq!(Glob::new(pattern).unwrap_err().pattern, pattern);
    }
}
