//! `--stats-tag`: a tag that every stat carries.

use std::str::FromStr;

/// A tag's name and value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StatsTag {
    /// Letters and digits.
    pub(crate) name: String,
    /// Without dots, which separate the parts of a stat's name.
    pub(crate) value: String,
}

impl FromStr for StatsTag {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let Some((name, value)) = text.split_once(':') else {
            return Err("not name:value".to_owned());
        };
        if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            return Err(format!("the name '{name}' may have letters and digits only"));
        }
        if value.is_empty() || value.contains('.') {
            return Err(format!("the value '{value}' must not be empty and may have no dot"));
        }
        Ok(Self { name: name.to_owned(), value: value.to_owned() })
    }
}

impl std::fmt::Display for StatsTag {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.name, self.value)
    }
}
