//! Lists of processors or memory nodes (`0-3,7`), as the kernel's bit sets.

/// How many bits there are: the kernel's own limit is 8192 processors on x86, and 1024 nodes.
const BITS: usize = 1024;

/// Numbers below 1024.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CpuSet([u64; BITS / 64]);

impl CpuSet {
    /// Every number: of these the kernel takes those that exist and are allowed.
    pub(crate) const ALL: Self = Self([u64::MAX; BITS / 64]);

    /// Reads a list: numbers and ranges, with commas between them; spaces and empty elements do no
    /// harm. The error is the reason.
    pub(crate) fn parse(list: &str) -> Result<Self, String> {
        let mut set = Self([0; BITS / 64]);
        for part in list.split(',').map(str::trim).filter(|part| !part.is_empty()) {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            let (first, last) = (number(first)?, number(last)?);
            if first > last {
                return Err(format!("invalid range: {part}"));
            }
            for number in first..=last {
                set.0[number / 64] |= 1 << (number % 64);
            }
        }
        if set.0.iter().all(|word| *word == 0) {
            return Err(format!("no numbers in {list:?}"));
        }
        Ok(set)
    }

    pub(crate) fn words(&self) -> &[u64] {
        &self.0
    }

    /// As one hexadecimal number: `0x3`.
    pub(crate) fn mask(&self) -> String {
        let digits: String = self.0.iter().rev().map(|word| format!("{word:016x}")).collect();
        format!("0x{}", digits.trim_start_matches('0'))
    }
}

fn number(text: &str) -> Result<usize, String> {
    let number: usize = text.parse().map_err(|_| format!("{text:?} is no number"))?;
    if number >= BITS || text.starts_with('+') {
        return Err(format!("values larger than {} are not supported", BITS - 1));
    }
    Ok(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists() {
        for (list, mask) in [
            ("0", "0x1"),
            ("0-1", "0x3"),
            ("0,1", "0x3"),
            (" 1 , 3-5,", "0x3a"),
            ("64", "0x10000000000000000"),
        ] {
            assert_eq!(CpuSet::parse(list).unwrap().mask(), mask, "{list}");
        }
        for list in ["", ",", "x", "1-", "-1", "2-1", "1024", "0-9876543210", "1 2", "+1", "1--2"] {
            CpuSet::parse(list).unwrap_err();
        }
    }
}
