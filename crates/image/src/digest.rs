//! Content digests: one representation, and a type of its own for each thing that has one.
//!
//! Image-spec, descriptor.md, "Digests". Only `sha256` is taken: it is what every registry and tool
//! writes, and one algorithm means one name for each blob.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// A SHA-256 digest: `sha256:` and 64 lower-case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Digest([u8; 32]);

/// Why text is not a [`Digest`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DigestError {
    /// There is no `algorithm:` in front.
    #[error("digest {0:?} has no algorithm: want sha256:<64 hexadecimal digits>")]
    NoAlgorithm(String),
    /// The algorithm is another one.
    #[error("digest {0:?} is of an unsupported algorithm: want sha256")]
    Algorithm(String),
    /// What follows is not 64 lower-case hexadecimal digits.
    #[error("digest {0:?} is malformed: want sha256:<64 lower-case hexadecimal digits>")]
    Hex(String),
}

impl Digest {
    /// The digest of `bytes`.
    pub fn of(bytes: impl AsRef<[u8]>) -> Self {
        Self(Sha256::digest(bytes.as_ref()).into())
    }

    /// The digest whose 32 bytes a hasher has computed.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The 32 bytes.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The 64 hexadecimal digits, which name the blob's file in an image layout.
    pub fn hex(&self) -> String {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let digit = |nibble: u8| char::from(DIGITS[usize::from(nibble)]);
        self.0.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
    }

    /// The digest with these 64 lower-case hexadecimal digits.
    ///
    /// # Errors
    /// Anything else is refused.
    pub fn from_hex(hex: &str) -> Result<Self, DigestError> {
        let error = || DigestError::Hex(hex.to_owned());
        let digits = hex.as_bytes();
        if digits.len() != 64 {
            return Err(error());
        }
        let mut bytes = [0; 32];
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
            *byte =
                nibble(pair[0]).zip(nibble(pair[1])).map(|(h, l)| h << 4 | l).ok_or_else(error)?;
        }
        Ok(Self(bytes))
    }
}

/// The value of a lower-case hexadecimal digit. Upper case is refused: image-spec demands lower, and
/// two spellings would give a blob two names.
fn nibble(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}

impl FromStr for Digest {
    type Err = DigestError;

    fn from_str(text: &str) -> Result<Self, DigestError> {
        match text.split_once(':') {
            None => Err(DigestError::NoAlgorithm(text.to_owned())),
            Some(("sha256", hex)) => {
                Self::from_hex(hex).map_err(|_| DigestError::Hex(text.to_owned()))
            }
            Some(_) => Err(DigestError::Algorithm(text.to_owned())),
        }
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sha256:{}", self.hex())
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl From<Digest> for String {
    fn from(digest: Digest) -> Self {
        digest.to_string()
    }
}

impl TryFrom<String> for Digest {
    type Error = DigestError;

    fn try_from(text: String) -> Result<Self, DigestError> {
        text.parse()
    }
}

impl TryFrom<&oci_spec::image::Digest> for Digest {
    type Error = DigestError;

    fn try_from(digest: &oci_spec::image::Digest) -> Result<Self, DigestError> {
        digest.as_ref().parse()
    }
}

impl From<Digest> for oci_spec::image::Digest {
    fn from(digest: Digest) -> Self {
        digest.to_string().parse().expect("our digests are a subset of oci_spec's")
    }
}

/// A digest with a meaning: a newtype, so that the compiler tells one from the other.
macro_rules! digest_type {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Digest);

        impl $name {
            /// Gives a digest this meaning.
            pub fn new(digest: Digest) -> Self {
                Self(digest)
            }

            /// The digest without the meaning.
            pub fn digest(&self) -> &Digest {
                &self.0
            }

            /// The 64 hexadecimal digits.
            pub fn hex(&self) -> String {
                self.0.hex()
            }
        }

        impl FromStr for $name {
            type Err = DigestError;

            fn from_str(text: &str) -> Result<Self, DigestError> {
                text.parse().map(Self)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self.0)
            }
        }

        impl From<Digest> for $name {
            fn from(digest: Digest) -> Self {
                Self(digest)
            }
        }

        impl From<$name> for Digest {
            fn from(this: $name) -> Self {
                this.0
            }
        }
    };
}

digest_type! {
    /// The digest of an uncompressed layer tar (image-spec, config.md, "Layer DiffID").
    DiffId
}

digest_type! {
    /// The digest of a layer blob as it is stored or sent, compressed or not.
    LayerDigest
}

digest_type! {
    /// The digest that names a stack of layers (image-spec, config.md, "Layer ChainID").
    ChainId
}

impl ChainId {
    /// The chain ID of `layers`, lowest first. No layers have the chain ID of the empty text, which
    /// is ours: the specification leaves it open.
    pub fn of(layers: &[DiffId]) -> Self {
        let Some((first, rest)) = layers.split_first() else {
            return Self(Digest::of(b""));
        };
        rest.iter().fold(Self(first.0), |chain, layer| chain.then(layer))
    }

    /// The chain ID of this stack with `layer` put on top.
    pub fn then(&self, layer: &DiffId) -> Self {
        Self(Digest::of(format!("{self} {layer}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EMPTY: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[test]
    fn text_round_trip() {
        assert_eq!(Digest::of(b"").to_string(), EMPTY);
        assert_eq!(EMPTY.parse::<Digest>().unwrap(), Digest::of(b""));
        assert_eq!(serde_json::to_string(&Digest::of(b"")).unwrap(), format!("{EMPTY:?}"));
    }

    #[test]
    fn refused() {
        for text in [
            "",
            "sha256:",
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
            "sha256:E3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
            "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b85",
            "sha256:../../../../../../../../../../../../../../../../../../../../../e",
            "sha512:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        ] {
            text.parse::<Digest>().expect_err(text);
        }
    }

    #[test]
    fn chain_of_one_is_its_diff_id() {
        let layer = DiffId::new(Digest::of(b"layer"));
        assert_eq!(ChainId::of(&[layer]).digest(), layer.digest());
    }

    #[test]
    fn chain_follows_the_specification() {
        let [a, b, c] = [b"a", b"b", b"c"].map(|bytes| DiffId::new(Digest::of(bytes)));
        let ab = Digest::of(format!("{a} {b}"));
        assert_eq!(*ChainId::of(&[a, b]).digest(), ab);
        assert_eq!(*ChainId::of(&[a, b, c]).digest(), Digest::of(format!("{ab} {c}")));
    }
}
