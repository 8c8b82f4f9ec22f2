//! How names are spelled: StageNameCasing, FromAsCasing, ConsistentInstructionCasing,
//! DuplicateStageName, ReservedStageName.

use super::Finding;
use super::rule::{
    CONSISTENT_INSTRUCTION_CASING, DUPLICATE_STAGE_NAME, FROM_AS_CASING, RESERVED_STAGE_NAME,
    STAGE_NAME_CASING,
};
use crate::source::Lines;

/// The `AS name` of a FROM; `words` are its arguments.
pub(super) fn from(keyword: &str, words: &[&str], lines: Lines, findings: &mut Vec<Finding>) {
    if let [_, _, name] = words
        && *name != name.to_lowercase()
    {
        let detail = format!("Stage name '{name}' should be lowercase");
        findings.push(Finding::new(&STAGE_NAME_CASING, lines, detail));
    }
    if let [_, r#as, _, ..] = words
        && !same_case(keyword, r#as)
    {
        let detail = format!("'{as}' and '{keyword}' keywords' casing do not match");
        findings.push(Finding::new(&FROM_AS_CASING, lines, detail));
    }
}

/// A FROM that mixes cases itself is another rule's concern.
fn same_case(from: &str, r#as: &str) -> bool {
    match (is_lower(from), is_upper(from)) {
        (false, false) => true,
        (true, _) => is_lower(r#as),
        (false, true) => is_upper(r#as),
    }
}

fn is_lower(name: &str) -> bool {
    name == name.to_lowercase()
}

fn is_upper(name: &str) -> bool {
    name == name.to_uppercase()
}

/// The instructions' names as written: all should be as most are. Upper case wins a tie.
pub(super) fn keywords(keywords: &[(String, Lines)], findings: &mut Vec<Finding>) {
    let count = |is: fn(&str) -> bool| keywords.iter().filter(|(name, _)| is(name)).count();
    let (wanted, is): (_, fn(&str) -> bool) = match count(is_lower) > count(is_upper) {
        true => ("lowercase", is_lower),
        false => ("uppercase", is_upper),
    };
    for (name, lines) in keywords.iter().filter(|(name, _)| !is(name)) {
        let detail =
            format!("Command '{name}' should match the case of the command majority ({wanted})");
        findings.push(Finding::new(&CONSISTENT_INSTRUCTION_CASING, *lines, detail));
    }
}

/// The names of stages, in lower case, in order.
pub(super) fn stages(names: &[(&str, Lines)], findings: &mut Vec<Finding>) {
    for (index, (name, lines)) in names.iter().enumerate() {
        if matches!(*name, "context" | "scratch") {
            let detail =
                format!("Stage name should not use the same name as reserved stage \"{name}\"");
            findings.push(Finding::new(&RESERVED_STAGE_NAME, *lines, detail));
        }
        if names[..index].iter().any(|(earlier, _)| earlier == name) {
            let detail = format!("Duplicate stage name \"{name}\", stage names should be unique");
            findings.push(Finding::new(&DUPLICATE_STAGE_NAME, *lines, detail));
        }
    }
}
