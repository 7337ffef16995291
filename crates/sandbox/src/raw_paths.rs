//! Paths in JSON: text where they are UTF-8, else their bytes. A file name may be any bytes, and one that a plan could not
//! carry could not be protected.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Raw {
    Text(String),
    Bytes(Vec<u8>),
}

impl From<&Path> for Raw {
    fn from(path: &Path) -> Self {
        match path.to_str() {
            Some(text) => Raw::Text(text.to_owned()),
            None => Raw::Bytes(path.as_os_str().as_bytes().to_vec()),
        }
    }
}

impl From<Raw> for PathBuf {
    fn from(raw: Raw) -> Self {
        match raw {
            Raw::Text(text) => text.into(),
            Raw::Bytes(bytes) => OsString::from_vec(bytes).into(),
        }
    }
}

pub(crate) fn serialize<S: Serializer>(paths: &[PathBuf], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(paths.iter().map(|path| Raw::from(path.as_path())))
}

pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<PathBuf>, D::Error> {
    Ok(Vec::<Raw>::deserialize(deserializer)?.into_iter().map(PathBuf::from).collect())
}

pub(crate) mod one {
    use super::{Deserialize, Deserializer, Path, PathBuf, Raw, Serialize, Serializer};

    pub(crate) fn serialize<S: Serializer>(path: &Path, serializer: S) -> Result<S::Ok, S::Error> {
        Raw::from(path).serialize(serializer)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<PathBuf, D::Error> {
        Raw::deserialize(deserializer).map(PathBuf::from)
    }
}

pub(crate) mod option {
    use super::{Deserialize, Deserializer, PathBuf, Raw, Serialize, Serializer};

    pub(crate) fn serialize<S: Serializer>(
        paths: &Option<Vec<PathBuf>>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        let raw: Option<Vec<Raw>> =
            paths.as_ref().map(|paths| paths.iter().map(|path| Raw::from(path.as_path())).collect());
        raw.serialize(serializer)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Vec<PathBuf>>, D::Error> {
        let raw = Option::<Vec<Raw>>::deserialize(deserializer)?;
        Ok(raw.map(|paths| paths.into_iter().map(PathBuf::from).collect()))
    }
}
