//! Truth values, in the words that docker's tools take.

/// True or false, as Go's `strconv.ParseBool` reads it; none for any other word.
///
/// ```
/// assert_eq!(dockerfile::truth("True"), Some(true));
/// assert_eq!(dockerfile::truth("0"), Some(false));
/// assert_eq!(dockerfile::truth("yes"), None);
/// ```
pub fn truth(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}
