//! Values as GVariant writes them as text, for the annotations `org.systemd.property.*`: `true`,
//! `uint64 5`, `'text'`, `['a', 'b']`, `("a", 1)`, `@as []`. A number without a type is an `int32`, one
//! with a point a `double`.

use super::value::Value;

/// Reads one value, all of `text`.
pub(super) fn parse(text: &str) -> Result<Value, String> {
    let mut rest = Rest(text.trim());
    let value = rest.value()?;
    match rest.0.trim() {
        "" => Ok(value),
        left => Err(format!("unexpected {left:?}")),
    }
}

struct Rest<'a>(&'a str);

impl<'a> Rest<'a> {
    fn value(&mut self) -> Result<Value, String> {
        self.0 = self.0.trim_start();
        match self.0.chars().next().ok_or("the value ends too early")? {
            '\'' | '"' => self.quoted().map(Value::Text),
            '[' => self.array(None),
            '(' => self.list('(', ')').map(Value::Tuple),
            '<' => {
                let mut values = self.list('<', '>')?;
                let value = values.pop().filter(|_| values.is_empty()).ok_or("bad variant")?;
                Ok(Value::Variant(Box::new(value)))
            }
            '@' => {
                let signature = self.word().trim_start_matches('@').to_owned();
                self.typed(&signature)
            }
            _ => {
                let word = self.word();
                match signature_of(word) {
                    Some(signature) => self.typed(signature),
                    None => plain(word),
                }
            }
        }
    }

    fn word(&mut self) -> &'a str {
        let end = self.0.find([' ', ',', ']', ')', '>']).unwrap_or(self.0.len());
        let (word, rest) = self.0.split_at(end);
        self.0 = rest;
        word
    }

    /// A value after its type.
    fn typed(&mut self, signature: &str) -> Result<Value, String> {
        self.0 = self.0.trim_start();
        if let Some(element) = signature.strip_prefix('a') {
            return self.array(Some(element));
        }
        if matches!(signature, "s" | "o" | "g") {
            return self.quoted().map(Value::Text);
        }
        number(self.word(), signature)
    }

    fn array(&mut self, element: Option<&str>) -> Result<Value, String> {
        let mut values = self.list('[', ']')?;
        if let Some(wanted) = element {
            values =
                values.into_iter().map(|value| retype(value, wanted)).collect::<Result<_, _>>()?;
        }
        let first = values.first().map(Value::signature);
        let element =
            element.map(str::to_owned).or(first).ok_or("an empty array needs its type")?;
        match values.iter().all(|value| value.signature() == element) {
            true => Ok(Value::Array(element, values)),
            false => Err("an array's elements must be of one type".into()),
        }
    }

    fn list(&mut self, open: char, close: char) -> Result<Vec<Value>, String> {
        self.0 = self.0.strip_prefix(open).ok_or_else(|| format!("expected {open:?}"))?;
        let mut values = Vec::new();
        loop {
            self.0 = self.0.trim_start();
            if let Some(rest) = self.0.strip_prefix(close) {
                self.0 = rest;
                return Ok(values);
            }
            if !values.is_empty() {
                self.0 = self.0.strip_prefix(',').ok_or("expected a comma")?.trim_start();
                if self.0.starts_with(close) {
                    continue;
                }
            }
            values.push(self.value()?);
        }
    }

    fn quoted(&mut self) -> Result<String, String> {
        let mut letters = self.0.char_indices();
        let quote = letters.next().map(|(_, quote)| quote).filter(|quote| "'\"".contains(*quote));
        let quote = quote.ok_or("expected a quoted text")?;
        let mut text = String::new();
        while let Some((at, letter)) = letters.next() {
            match letter {
                '\\' => text.push(match letters.next().ok_or("the text does not end")?.1 {
                    'n' => '\n',
                    't' => '\t',
                    other => other,
                }),
                letter if letter == quote => {
                    self.0 = &self.0[at + 1..];
                    return Ok(text);
                }
                letter => text.push(letter),
            }
        }
        Err("the text does not end".into())
    }
}

fn signature_of(word: &str) -> Option<&'static str> {
    Some(match word {
        "byte" => "y",
        "boolean" => "b",
        "int16" => "n",
        "uint16" => "q",
        "int32" => "i",
        "uint32" => "u",
        "int64" => "x",
        "uint64" => "t",
        "double" => "d",
        "string" => "s",
        "objectpath" => "o",
        "signature" => "g",
        _ => return None,
    })
}

fn plain(word: &str) -> Result<Value, String> {
    match word {
        "true" | "false" => number(word, "b"),
        word if word.contains('.') => number(word, "d"),
        word => number(word, "i"),
    }
}

fn number(word: &str, signature: &str) -> Result<Value, String> {
    fn read<T: std::str::FromStr>(word: &str, make: impl Fn(T) -> Value) -> Option<Value> {
        word.parse().ok().map(make)
    }
    let value = match signature {
        "y" => read(word, Value::Byte),
        "b" => read(word, Value::Bool),
        "n" => read(word, Value::I16),
        "q" => read(word, Value::U16),
        "i" => read(word, Value::I32),
        "u" => read(word, Value::U32),
        "x" => read(word, Value::I64),
        "t" => read(word, Value::U64),
        "d" => read(word, Value::Double),
        _ => return Err(format!("unknown type {signature:?}")),
    };
    value.ok_or_else(|| format!("{word:?} is no value of type {signature:?}"))
}

/// An element without a type of its own takes its array's.
fn retype(value: Value, wanted: &str) -> Result<Value, String> {
    match &value {
        Value::I32(plain) if wanted != "i" => number(&plain.to_string(), wanted),
        _ => Ok(value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_read() {
        for (text, value) in [
            ("true", Value::Bool(true)),
            ("uint64 5000000", Value::U64(5_000_000)),
            ("-3", Value::I32(-3)),
            ("@t 7", Value::U64(7)),
            ("1.5", Value::Double(1.5)),
            (r#""it's""#, Value::text("it's")),
            (r"'a\'b'", Value::text("a'b")),
            ("['a', 'b']", Value::texts(["a".into(), "b".into()])),
            ("@as []", Value::texts([])),
            ("@at [1, 2]", Value::Array("t".into(), vec![Value::U64(1), Value::U64(2)])),
            ("('/dev/a', 'r')", Value::Tuple(vec![Value::text("/dev/a"), Value::text("r")])),
        ] {
            assert_eq!(parse(text), Ok(value), "{text}");
        }
        for wrong in ["", "'open", "[]", "uint64 x", "[1, 'a']", "5 6", "(1", "byte 256"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
