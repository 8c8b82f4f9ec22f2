//! Stanzas of `Name: value` lines, as RFC 822 has them and as Debian's and Python's tools write them. A
//! line that begins with a space goes on with the value before.

/// One stanza.
#[derive(Debug, Default)]
pub(super) struct Fields<'a>(Vec<(&'a str, &'a str)>);

impl<'a> Fields<'a> {
    /// The fields up to the first empty line; only the first line of each.
    pub(super) fn read(text: &'a str) -> Self {
        let lines = text.lines().take_while(|line| !line.trim_end().is_empty());
        let field = |line: &'a str| {
            let (name, value) = line.split_once(':')?;
            (!line.starts_with([' ', '\t'])).then(|| (name, value.trim()))
        };
        Self(lines.filter_map(field).collect())
    }

    /// The value of a field, whatever the case of its name; empty for none.
    pub(super) fn get(&self, name: &str) -> &'a str {
        let found = self.0.iter().find(|(field, _)| field.eq_ignore_ascii_case(name));
        found.map_or("", |(_, value)| value)
    }

    /// The same as a text of its own.
    pub(super) fn text(&self, name: &str) -> String {
        self.get(name).to_owned()
    }

    /// The values of a field that comes several times.
    pub(super) fn all(&self, name: &str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(field, _)| field.eq_ignore_ascii_case(name)).map(|(_, it)| *it)
    }
}

/// The stanzas of a text, which empty lines part.
pub(super) fn stanzas(text: &str) -> impl Iterator<Item = &str> {
    text.split("\n\n").map(str::trim_start).filter(|stanza| !stanza.is_empty())
}
