//! The files of a disk layer: one for each key, in folders that are the parts of its name.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use config::RuntimeEntry;
use config::model::DiskLayer;

/// Folders below each other, as in Envoy.
const DEPTH_MAX: usize = 16;

/// Files of one layer.
const FILES_MAX: usize = 10_000;

/// Bytes of one file: a value is a number or a few words.
const FILE_BYTES_MAX: usize = 64 * 1024;

/// Tells a symbolic link from one that took its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Identity {
    device: u64,
    inode: u64,
    changed: (i64, i64),
}

/// What `path` is now, a link itself and not what it points to; `None` where there is nothing.
pub(super) fn identity(path: &str) -> Option<Identity> {
    let found = fs::symlink_metadata(path).ok()?;
    // A folder changes with what is in it, which is no swap.
    let changed = if found.is_symlink() { (found.ctime(), found.ctime_nsec()) } else { (0, 0) };
    Some(Identity { device: found.dev(), inode: found.ino(), changed })
}

/// The values of a layer; `None` if its folder does not exist.
///
/// # Errors
/// What could not be read, or is more than the limits allow. Nothing of the layer counts then.
pub(super) fn read(
    layer: &DiskLayer,
    service_cluster: &str,
) -> io::Result<Option<BTreeMap<String, RuntimeEntry>>> {
    // Not `join`, for which an absolute part would be the whole path.
    let mut folder = format!("{}/{}", layer.symlink_root, layer.subdirectory);
    if layer.append_service_cluster {
        folder = format!("{folder}/{service_cluster}");
    }
    let folder = PathBuf::from(folder);
    if !folder.is_dir() {
        return Ok(None);
    }
    let mut values = BTreeMap::new();
    walk(&folder, "", 1, &mut values)?;
    Ok(Some(values))
}

fn walk(
    folder: &Path,
    prefix: &str,
    depth: usize,
    values: &mut BTreeMap<String, RuntimeEntry>,
) -> io::Result<()> {
    if depth > DEPTH_MAX {
        return Err(too_much(folder, &format!("more than {DEPTH_MAX} folders deep")));
    }
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let path = entry.path();
        // Follows links, as Envoy does.
        let Ok(found) = fs::metadata(&path) else { continue };
        let name = entry.file_name().to_string_lossy().into_owned();
        let key = if prefix.is_empty() { name } else { format!("{prefix}.{name}") };
        if found.is_dir() {
            walk(&path, &key, depth + 1, values)?;
        } else if found.is_file() {
            if values.len() >= FILES_MAX {
                return Err(too_much(folder, &format!("more than {FILES_MAX} files")));
            }
            values.insert(key, RuntimeEntry::parse(&value(&text_of(&path)?)));
        }
    }
    Ok(())
}

fn text_of(path: &Path) -> io::Result<String> {
    let limit = u64::try_from(FILE_BYTES_MAX).unwrap_or(u64::MAX);
    let mut bytes = Vec::new();
    fs::File::open(path)?.take(limit.saturating_add(1)).read_to_end(&mut bytes)?;
    if bytes.len() > FILE_BYTES_MAX {
        return Err(too_much(path, &format!("more than {FILE_BYTES_MAX} bytes")));
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn too_much(path: &Path, what: &str) -> io::Error {
    io::Error::other(format!("{}: {what}", path.display()))
}

/// The lines of a file without comments, empty lines and blanks at the end, as Envoy reads it.
fn value(text: &str) -> String {
    let lines: Vec<&str> = text.split('\n').filter(|line| !line.is_empty()).collect();
    let mut value = String::new();
    for line in lines.iter().filter(|line| !line.starts_with('#')) {
        if lines.last() == Some(line) {
            value.push_str(line.trim_end());
        } else {
            value.push_str(line);
            value.push('\n');
        }
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_its_lines_without_comments_and_empty_ones() {
        for (text, expected) in [
            ("5\n", "5"),
            ("# why\n7\n", "7"),
            ("x\n\n# y\nz  \n\n", "x\nz"),
            ("#only", ""),
            ("", ""),
            ("a\n#last", "a\n"),
        ] {
            assert_eq!(value(text), expected, "{text:?}");
        }
    }
}
