//! Properties that hold for any input.

use dockerfile::{Descent, Expander, Glob, IgnorePatterns, Kind, expand, parse, parse_trigger};
use proptest::prelude::*;

/// Text made of what the language gives a meaning.
fn dockerfile_like() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "FROM a",
        "FROM",
        " AS ",
        "RUN ",
        "COPY ",
        "ADD ",
        "ENV ",
        "LABEL ",
        "ARG ",
        "ONBUILD ",
        "CMD ",
        "HEALTHCHECK ",
        "VOLUME ",
        "EXPOSE ",
        "SHELL ",
        "USER ",
        "\n",
        "\r\n",
        "\n\n",
        "\\\n",
        "`\n",
        "\\",
        "`",
        " ",
        "\t",
        "#",
        "# escape=`\n",
        "# syntax=x\n",
        "<<EOF",
        "<<-E",
        "<<'E'",
        "\nEOF\n",
        "\nE\n",
        "[\"a\"]",
        "[",
        "]",
        "\"",
        "'",
        "$",
        "${",
        "}",
        ":-",
        "#",
        "%",
        "/",
        "=",
        "--",
        "--from=",
        "--link",
        "--mount=",
        "type=cache,target=/x",
        ",",
        "a",
        "B",
        "1",
        "*",
        "é",
        "\u{feff}",
    ]);
    prop::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat())
}

fn some_value(name: &str) -> Option<String> {
    (name.len() % 2 == 1).then(|| format!("<{name}>"))
}

fn exercise(text: &[u8]) {
    match parse(text, "D") {
        Ok(file) => {
            let mut expander = Expander::new(file.escape, &some_value);
            for instruction in file.stages.iter().flat_map(|stage| &stage.instructions) {
                let _ = instruction.expanded(&mut expander);
                let _ = expander.display(&instruction.summary());
                if let Kind::Run(run) = &instruction.kind {
                    let _ = run.command();
                }
            }
        }
        Err(error) => {
            assert!(error.lines().start >= 1);
            let place = match error.column() {
                Some(column) => format!("D:{}:{column}: ", error.lines().start),
                None => format!("D:{}: ", error.lines().start),
            };
            assert!(error.to_string().starts_with(&place), "{error}");
            let _ = (error.excerpt(), error.hint());
        }
    }
}

proptest! {
    #[test]
    fn any_bytes_are_parsed_or_refused(text in prop::collection::vec(any::<u8>(), 0..300)) {
        exercise(&text);
    }

    #[test]
    fn likely_text_is_parsed_or_refused(text in dockerfile_like()) {
        exercise(text.as_bytes());
        exercise(format!("FROM a\n{text}").as_bytes());
        let _ = parse_trigger(&text, '\\');
    }

    #[test]
    fn lines_are_in_order_and_inside_the_file(text in dockerfile_like()) {
        if let Ok(file) = parse(format!("FROM a\n{text}").as_bytes(), "D") {
            let count = text.lines().count() + 1;
            let mut last = 0;
            for stage in &file.stages {
                prop_assert!(stage.lines.start > last && stage.lines.end <= count);
                last = stage.lines.end;
                for instruction in &stage.instructions {
                    prop_assert!(instruction.lines.start > last);
                    prop_assert!(instruction.lines.end <= count);
                    last = instruction.lines.end;
                }
            }
        }
    }

    #[test]
    fn the_text_of_an_instruction_means_the_same(text in dockerfile_like()) {
        let parsed = parse(format!("FROM a\n{text}").as_bytes(), "D");
        for instruction in parsed.iter().flat_map(|file| &file.stages[0].instructions) {
            let holds_more = instruction.text.contains("<<") || instruction.text.ends_with(['\\', '`']);
            let described = matches!(instruction.kind, Kind::Arg(_) | Kind::OnBuild(_));
            let escape = parsed.as_ref().map_or('\\', |file| file.escape);
            if !holds_more && !described {
                let again = format!("# escape={escape}\nFROM a\n{}", instruction.text);
                let again = parse(again.as_bytes(), "D").unwrap();
                prop_assert_eq!(&again.stages[0].instructions[0].kind, &instruction.kind);
                prop_assert_eq!(&again.stages[0].instructions[0].text, &instruction.text);
            }
        }
    }

    #[test]
    fn quoted_text_expands_to_itself(text in "[^']*") {
        let quoted = format!("'{text}'");
        prop_assert_eq!(expand(&quoted, '\\', &some_value).unwrap(), text);
    }

    #[test]
    fn escaped_text_expands_to_itself(text in any::<String>()) {
        let escaped: String = text.chars().flat_map(|c| ['\\', c]).collect();
        prop_assert_eq!(expand(&escaped, '\\', &some_value).unwrap(), text);
    }

    #[test]
    fn a_heredoc_keeps_its_body(lines in prop::collection::vec("[^\n\r]{0,20}", 0..10)) {
        let lines: Vec<_> = lines.into_iter().filter(|line| line != "END").collect();
        let body: String = lines.iter().map(|line| format!("{line}\n")).collect();
        let file = parse(format!("FROM a\nCOPY <<'END' /x\n{body}END\n").as_bytes(), "D").unwrap();
        let Kind::Copy(copy) = &file.stages[0].instructions[0].kind else { panic!() };
        prop_assert_eq!(&copy.files.inline[0].content, &body);
    }

    #[test]
    fn any_glob_is_compiled_or_refused(pattern in "[a*?\\[\\]^\\\\/.!-]{0,12}", path in "[ab/.]{0,12}") {
        if let Ok(glob) = Glob::new(&pattern) {
            let _ = glob.matches(path.as_bytes());
        }
    }

    #[test]
    fn an_escaped_name_is_literal(name in "[^/]{1,12}") {
        let escaped: String = name.chars().flat_map(|c| ['\\', c]).collect();
        let glob = Glob::new(&format!("dir/{escaped}")).unwrap();
        let matched = glob.matches(format!("dir/{name}").as_bytes());
        prop_assert!(matched || matches!(name.as_str(), "." | ".."));
    }

    /// What a walk skips whole must be ignored in every part.
    #[test]
    fn nothing_below_a_skipped_directory_is_kept(
        lines in prop::collection::vec("!?[ab*?/]{1,6}", 1..6),
        directory in "[ab](/[ab]){0,2}",
        below in "[ab](/[ab]){0,3}",
    ) {
        if let Ok(patterns) = IgnorePatterns::parse(lines.join("\n").as_bytes()) {
            let path = format!("{directory}/{below}");
            let descent = patterns.directory(directory.as_bytes());
            prop_assert_eq!(descent == Descent::Enter, !patterns.matches(directory.as_bytes()));
            prop_assert!(descent != Descent::Skip || patterns.matches(path.as_bytes()), "{}", path);
        }
    }
}
