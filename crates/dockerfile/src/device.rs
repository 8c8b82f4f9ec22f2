//! `RUN --device=VENDOR/CLASS=NAME,required` (Dockerfile reference, "RUN --device"): devices by the
//! names of the Container Device Interface.

use crate::mount::{boolean, fields};
use crate::problem::Problem;

/// A device that a `RUN` asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Device {
    /// As the Container Device Interface has it: `vendor.com/class`, `vendor.com/class=name`.
    pub name: String,
    /// Whether the command cannot do without it.
    pub required: bool,
}

impl Device {
    /// A flag's value: fields as of `--mount`, of which the first that is no other is the name.
    pub(crate) fn read(value: &str) -> Result<Self, Problem> {
        let wrong = |why: String| Problem::Device { value: value.to_owned(), why };
        let mut device = Self::default();
        for field in fields(value).map_err(|error| wrong(error.to_string()))? {
            device.set(&field).map_err(wrong)?;
        }
        match device.is_named() {
            true => Ok(device),
            false => Err(wrong(format!("{:?} is not the name of a device", device.name))),
        }
    }

    fn set(&mut self, field: &str) -> Result<(), String> {
        let (key, value) = field.split_once('=').unzip();
        match (key.unwrap_or(field).to_ascii_lowercase().as_str(), value) {
            ("required", None) => self.required = true,
            ("required", Some(value)) => {
                self.required = boolean("required", value).map_err(|error| error.to_string())?;
            }
            ("name", Some(name)) if self.name.is_empty() => self.name = name.to_owned(),
            ("name", Some(_)) => return Err("two names".to_owned()),
            _ if self.name.is_empty() => self.name = field.to_owned(),
            (key, _) => return Err(format!("unknown key {key:?}")),
        }
        Ok(())
    }

    fn is_named(&self) -> bool {
        let (kind, _) = self.name.split_once('=').unwrap_or((&self.name, ""));
        let parts = kind.split_once('/');
        parts.is_some_and(|(vendor, class)| is_part(vendor, "_-.") && is_part(class, "_-"))
    }
}

/// A letter first, a letter or digit last, and between them also what is `allowed`.
fn is_part(text: &str, allowed: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.ends_with(|c: char| c.is_ascii_alphanumeric())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || allowed.contains(c))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_whether_they_must_be_there() {
        for (text, name, required) in [
            ("vendor.com/gpu", "vendor.com/gpu", false),
            ("vendor.com/gpu=all", "vendor.com/gpu=all", false),
            ("vendor.com/gpu=*,required", "vendor.com/gpu=*", true),
            ("name=vendor.com/gpu,required=1", "vendor.com/gpu", true),
            ("Required=false,v/c", "v/c", false),
        ] {
            let want = Device { name: name.to_owned(), required };
            assert_eq!(Device::read(text), Ok(want), "{text}");
        }
        for wrong in
            ["", "gpu", "v/c,x", "v/c,x=y", "required=2,v/c", "name=v/c,name=v/d", "1v/c", "v/c-"]
        {
            assert!(Device::read(wrong).is_err(), "{wrong}");
        }
    }
}
