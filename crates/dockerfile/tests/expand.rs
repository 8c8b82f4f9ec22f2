//! Variable expansion, as a table: the word, and what it becomes.

use std::collections::BTreeMap;

use dockerfile::{ExpandProblem, Expander, expand, expand_words};

const VALUES: &[(&str, &str)] = &[
    ("A", "alpha"),
    ("EMPTY", ""),
    ("SPACES", "  one  two "),
    ("STAR", "a***yy*"),
    ("PATH", "/usr/local/lib:/usr/lib"),
    ("FILE", "archive.tar.gz"),
    ("QUOTES", "\"x\" 'y'"),
    ("DOLLAR", "$A"),
    ("BACKSLASH", "a\\b"),
    ("KOREAN", "한국어"),
    ("PATTERN", "\\*y"),
    ("LINES", "one\ntwo\nthree"),
    ("1", "digit"),
    ("_x9", "underscore"),
    ("é", "letter"),
];

fn value(name: &str) -> Option<String> {
    let values: BTreeMap<_, _> = VALUES.iter().copied().collect();
    values.get(name).map(|value| (*value).to_owned())
}

const WORDS: &[(&str, &str)] = &[
    // Without variables: quotes and escapes go, blanks stay.
    ("", ""),
    ("plain", "plain"),
    ("a  b", "a  b"),
    ("'a  b'", "a  b"),
    ("\"a  b\"", "a  b"),
    ("a'b'\"c\"d", "abcd"),
    ("'\"'\"'\"", "\"'"),
    (r"a\ b", "a b"),
    (r"\a\\\'", r"a\'"),
    (r"'\a\\'", r"\a\\"),
    (r#""\a\\\"\$A""#, r#"\a\"$A"#),
    (r"end\", "end"),
    ("한국어", "한국어"),
    ("\\한국어", "한국어"),
    ("''", ""),
    // Plain variables.
    ("$A", "alpha"),
    ("${A}", "alpha"),
    ("x$A.y", "xalpha.y"),
    ("$Ay", ""),
    ("${A}y", "alphay"),
    ("$A$A", "alphaalpha"),
    ("'$A'", "$A"),
    ("\"$A\"", "alpha"),
    ("\"'$A'\"", "'alpha'"),
    (r"\$A", "$A"),
    (r"\${A}", "${A}"),
    (r"\\$A", r"\alpha"),
    ("$UNSET", ""),
    ("a${UNSET}b", "ab"),
    ("$KOREAN", "한국어"),
    ("$_x9-", "underscore-"),
    ("$é.", "letter."),
    ("$1x", "digitx"),
    ("$12x", "x"),
    ("${1}", "digit"),
    // What a value holds is not looked at again.
    ("$QUOTES", "\"x\" 'y'"),
    ("$DOLLAR", "$A"),
    ("$BACKSLASH", r"a\b"),
    ("$SPACES", "  one  two "),
    // A dollar that begins nothing.
    ("$", "$"),
    ("a$", "a$"),
    ("$.", "$."),
    ("$ A", "$ A"),
    ("a/$/b", "a/$/b"),
    ("$(x)", "$(x)"),
    // The shell's special parameters have no value here.
    ("$$", ""),
    ("$@x", "x"),
    ("$?$!$-$#$*", ""),
    // Defaults.
    ("${A:-d}", "alpha"),
    ("${A-d}", "alpha"),
    ("${EMPTY:-d}", "d"),
    ("${EMPTY-d}", ""),
    ("${UNSET:-d}", "d"),
    ("${UNSET-d}", "d"),
    ("${UNSET:-}", ""),
    ("${UNSET:-a b}", "a b"),
    ("${UNSET:-$A}", "alpha"),
    ("${UNSET:-${NONE:-${A}}}x", "alphax"),
    ("${UNSET:-'}'}", "}"),
    ("${UNSET:-\"a}b\"}", "a}b"),
    (r"${UNSET:-a\}b}", "a}b"),
    ("${UNSET:-http://x:80/?q}", "http://x:80/?q"),
    ("\"${UNSET:-a 'b'}\"", "a b"),
    // Alternatives.
    ("${A:+x}", "x"),
    ("${A+x}", "x"),
    ("${EMPTY:+x}", ""),
    ("${EMPTY+x}", "x"),
    ("${UNSET:+x}", ""),
    ("${UNSET+x}", ""),
    ("a${A:+-$A}", "a-alpha"),
    // Required.
    ("${A:?no}", "alpha"),
    ("${A?no}", "alpha"),
    ("${EMPTY?no}", ""),
    // Prefixes and suffixes.
    ("${PATH#/usr}", "/local/lib:/usr/lib"),
    ("${PATH#*/}", "usr/local/lib:/usr/lib"),
    ("${PATH##*/}", "lib"),
    ("${PATH%/*}", "/usr/local/lib:/usr"),
    ("${PATH%%:*}", "/usr/local/lib"),
    ("${PATH%%/*}", ""),
    ("${FILE%.*}", "archive.tar"),
    ("${FILE%%.*}", "archive"),
    ("${FILE#*.}", "tar.gz"),
    ("${FILE##*.}", "gz"),
    ("${FILE#?}", "rchive.tar.gz"),
    ("${FILE%??}", "archive.tar."),
    ("${FILE#nothing}", "archive.tar.gz"),
    ("${FILE#}", "archive.tar.gz"),
    ("${FILE##}", "archive.tar.gz"),
    ("${FILE%}", "archive.tar.gz"),
    ("${FILE##*}", ""),
    ("${FILE#*}", "archive.tar.gz"),
    ("${A#$A}", ""),
    (r"${STAR%%\**\*}", "a"),
    (r"${STAR#a\*}", "**yy*"),
    (r"${STAR%\*}", "a***yy"),
    ("${KOREAN#?}", "국어"),
    ("${KOREAN%어}", "한국"),
    ("${UNSET#x}", ""),
    ("${LINES##*o}", "\nthree"),
    // Replacement.
    ("${A/a/o}", "olpha"),
    ("${A//a/o}", "olpho"),
    ("${A/l*h/-}", "a-a"),
    ("${A//?/.}", "....."),
    ("${A/x/y}", "alpha"),
    ("${A//a/}", "lph"),
    ("${A/*/x}", "x"),
    ("${A//*/x}", "x"),
    ("${PATH//\\//:}", ":usr:local:lib::usr:lib"),
    (r"${PATH/\/usr/\/opt}", r"\/opt/local/lib:/usr/lib"),
    ("${PATH//$EMPTY/}", "/usr/local/lib:/usr/lib"),
    ("${A//$EMPTY/.}", ".a.l.p.h.a."),
    ("${A/$EMPTY/.}", ".alpha"),
    ("${EMPTY//$EMPTY/.}", "."),
    ("${STAR//$PATTERN/-}", "a**-y*"),
    ("${A/a/$A}", "alphalpha"),
    ("${UNSET/a/b}", ""),
    ("${KOREAN/국/-}", "한-어"),
];

#[test]
fn words_become_what_the_table_says() {
    for (word, expected) in WORDS {
        assert_eq!(expand(word, '\\', &value).as_deref(), Ok(*expected), "{word}");
    }
}

#[test]
fn the_other_escape_character_escapes_likewise() {
    for (word, expected) in [
        ("a` b", "a b"),
        ("`$A", "$A"),
        (r"C:\dir\$A", r"C:\dir\alpha"),
        ("\"`\"`x\"", "\"`x"),
        ("${STAR#a`*}", "**yy*"),
        ("end`", "end"),
    ] {
        assert_eq!(expand(word, '`', &value).as_deref(), Ok(expected), "{word}");
    }
}

#[test]
fn malformed_words_are_refused_with_the_reason() {
    let required = |name: &str, message: &str| ExpandProblem::Required {
        name: name.to_owned(),
        message: message.to_owned(),
    };
    let modifier =
        |modifier: &str| ExpandProblem::UnsupportedModifier { modifier: modifier.to_owned() };
    let pattern = |escape: &str| ExpandProblem::InvalidPattern { escape: escape.to_owned() };
    let nested = "${x:-".repeat(1000);
    for (word, problem) in [
        ("'a", ExpandProblem::UnclosedQuote { quote: '\'' }),
        ("\"a", ExpandProblem::UnclosedQuote { quote: '"' }),
        ("a'b\"c", ExpandProblem::UnclosedQuote { quote: '\'' }),
        ("\"a\\\"", ExpandProblem::UnclosedQuote { quote: '"' }),
        ("${", ExpandProblem::UnclosedBrace),
        ("${A", ExpandProblem::UnclosedBrace),
        ("${A:", ExpandProblem::UnclosedBrace),
        ("${A:-b", ExpandProblem::UnclosedBrace),
        ("${A:-$B", ExpandProblem::UnclosedBrace),
        ("${A:-${B}", ExpandProblem::UnclosedBrace),
        ("${A#b", ExpandProblem::UnclosedBrace),
        ("${A/b/c", ExpandProblem::UnclosedBrace),
        ("${A/b}", ExpandProblem::MissingSlash),
        ("${A//", ExpandProblem::MissingSlash),
        ("${}", ExpandProblem::BadSubstitution),
        ("${{A}}", ExpandProblem::BadSubstitution),
        ("${:-a}", ExpandProblem::BadSubstitution),
        ("${A=b}", modifier("=")),
        ("${A:=b}", modifier(":=")),
        ("${A^}", modifier("^")),
        ("${A b}", modifier(" ")),
        ("${.}", modifier(".")),
        ("${A#\\x}", pattern("\\x")),
        ("${UNSET:?}", required("UNSET", "is not allowed to be unset")),
        ("${UNSET?}", required("UNSET", "is not allowed to be unset")),
        ("${EMPTY:?}", required("EMPTY", "is not allowed to be empty")),
        ("${UNSET:?set it to $A}", required("UNSET", "set it to alpha")),
        (nested.as_str(), ExpandProblem::TooDeep),
    ] {
        let error = expand(word, '\\', &value).expect_err(word);
        assert_eq!((error.problem, error.word.as_str()), (problem, word));
    }
}

#[test]
fn words_are_split_after_expansion_where_blanks_are_not_quoted() {
    for (word, expected) in [
        ("", &[][..]),
        ("  a  b ", &["a", "b"]),
        ("$SPACES", &["one", "two"]),
        ("x$SPACES.y", &["x", "one", "two", ".y"]),
        ("\"$SPACES\"", &["  one  two "]),
        ("'a b' c", &["a b", "c"]),
        (r"a\ b c", &["a b", "c"]),
        ("a'b c'd", &["ab cd"]),
        ("$UNSET", &[]),
        ("a $UNSET b", &["a", "b"]),
        ("${UNSET:-80 443}/tcp", &["80", "443/tcp"]),
    ] {
        assert_eq!(expand_words(word, '\\', &value).unwrap(), expected, "{word}");
    }
}

#[test]
fn heredoc_content_keeps_its_quotes() {
    let mut expander = Expander::new('`', &value);
    for (content, expected) in [
        ("it's \"$A\"\n", "it's \"alpha\"\n"),
        ("\\$A ${UNSET:-d}\n", "$A d\n"),
        ("\\\\\n", "\\\n"),
        ("`$A`\n", "`alpha`\n"),
    ] {
        assert_eq!(expander.content(content).as_deref(), Ok(expected), "{content}");
    }
}

#[test]
fn text_for_people_shows_values_and_keeps_the_rest() {
    let expander = Expander::new('\\', &value);
    for (text, expected) in [
        ("COPY $A \"${A}\" /x", "COPY alpha \"alpha\" /x"),
        (
            "RUN echo $UNSET ${UNSET} ${UNSET:-d} ${UNSET#a}",
            "RUN echo $UNSET ${UNSET} ${UNSET:-d} ${UNSET#a}",
        ),
        (r"RUN echo \$A 'it'\''s'", r"RUN echo \$A 'it'\''s'"),
        ("RUN echo it's $A", "RUN echo it's $A"),
        ("RUN echo '$A'", "RUN echo '$A'"),
    ] {
        assert_eq!(expander.display(text), expected, "{text}");
    }
}

#[test]
fn what_had_no_value_is_remembered() {
    let mut expander = Expander::new('\\', &value);
    expander.text("$A $B ${C} ${D:-x} ${E+x} ${F#x} ${EMPTY}").unwrap();
    expander.words("\"$B$G\"").unwrap();
    assert_eq!(expander.missing(), ["B", "C", "D", "E", "F", "B", "G"]);
    assert_eq!(expander.found().collect::<Vec<_>>(), ["A", "EMPTY"]);
}

#[test]
fn values_that_double_do_not_exhaust_memory() {
    let value = |_: &str| Some("x".repeat(1 << 20));
    let word = "$A".repeat(1000);
    assert_eq!(expand(&word, '\\', &value).unwrap_err().problem, ExpandProblem::TooLong);
    let word = "${A//x/$A}";
    assert_eq!(expand(word, '\\', &value).unwrap_err().problem, ExpandProblem::TooLong);
}

#[test]
fn patterns_take_no_quadratic_time() {
    let value = |_: &str| Some("a".repeat(100_000));
    assert_eq!(expand("${A//a*b/}", '\\', &value).unwrap().len(), 100_000);
    assert_eq!(expand("${A##*a*a*a*b}", '\\', &value).unwrap().len(), 100_000);
    let word = format!("${{A#{}}}", "a*".repeat(100_000));
    assert_eq!(expand(&word, '\\', &value).unwrap_err().problem, ExpandProblem::TooLong);
}
