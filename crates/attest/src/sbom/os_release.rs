//! Which distribution an image is made of: `os-release`(5).

/// What is known of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Distribution {
    id: String,
    version: String,
}

impl Distribution {
    pub(super) fn read(&mut self, text: &str) {
        for line in text.lines() {
            let Some((name, value)) = line.split_once('=') else { continue };
            let value = value.trim().trim_matches(['"', '\'']).to_owned();
            match name.trim() {
                "ID" => self.id = value,
                "VERSION_ID" => self.version = value,
                _ => {}
            }
        }
    }

    /// Its name, or what it is else.
    pub(super) fn id_or<'a>(&'a self, usual: &'a str) -> &'a str {
        if self.id.is_empty() { usual } else { &self.id }
    }

    /// `debian-12`; empty where nothing is known.
    pub(super) fn qualifier(&self) -> String {
        match (self.id.is_empty(), self.version.is_empty()) {
            (true, _) => String::new(),
            (false, true) => self.id.clone(),
            (false, false) => format!("{}-{}", self.id, self.version),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn with_and_without_quotes() {
        let mut distribution = Distribution::default();
        assert_eq!((distribution.id_or("x"), &*distribution.qualifier()), ("x", ""));
        distribution.read("PRETTY_NAME=\"Debian 12\"\nID=debian\nVERSION_ID=\"12\"\n");
        assert_eq!((distribution.id_or("x"), &*distribution.qualifier()), ("debian", "debian-12"));
    }
}
