//! From options to a checked configuration.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use config::{Loaded, Report, Source};

use crate::demo;
use crate::options::Options;

/// Where the configuration comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Origin {
    /// The process was started without any argument.
    Demo,
    /// The command line names one.
    Options,
}

/// A configuration that may run, and where it comes from.
#[derive(Debug)]
pub(crate) struct Bootstrap {
    pub(crate) loaded: Loaded,
    /// The file, or what stands in for it.
    pub(crate) file: String,
}

/// Reads and checks the configuration: `--config-yaml` is merged into the file, and the command
/// line's node names go before the file's.
///
/// # Errors
/// Everything that is wrong with it.
pub(crate) fn load(options: &Options, origin: &Origin) -> Result<Bootstrap, Report> {
    let mut file = "--config-yaml".to_owned();
    let mut sources = Vec::new();
    match (origin, &options.config_path) {
        (Origin::Demo, _) => {
            "demo.yaml".clone_into(&mut file);
            sources.push(demo::source());
        }
        (Origin::Options, Some(path)) => {
            file = path.to_string_lossy().into_owned();
            let bytes = read(path).map_err(|error| Report::unreadable(&file, &error))?;
            sources.push(Source::file(&file, bytes));
        }
        (Origin::Options, None) => {}
    }
    // As in Envoy an empty text beside a file is none; alone it is an empty file, and refused.
    if let Some(yaml) = &options.config_yaml
        && (sources.is_empty() || !yaml.is_empty())
    {
        sources.push(Source::inline(yaml));
    }
    let mut loaded = config::load_with(&sources, options.unknown_fields())?;
    let node = &mut loaded.bootstrap.node;
    if !options.service_node.is_empty() {
        node.id.clone_from(&options.service_node);
    }
    if !options.service_cluster.is_empty() {
        node.cluster.clone_from(&options.service_cluster);
    }
    Ok(Bootstrap { loaded, file })
}

/// Reads a file up to one byte more than a configuration may have: enough to see that it is too
/// long, whatever is at the other end.
fn read(path: &Path) -> io::Result<Vec<u8>> {
    let bytes_max = u64::try_from(config::FILE_BYTES_MAX).unwrap_or(u64::MAX);
    let mut bytes = Vec::new();
    File::open(path)?.take(bytes_max.saturating_add(1)).read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    fn load_with(arguments: &[&str]) -> Result<Bootstrap, Report> {
        let arguments = ["nuncio"].iter().chain(arguments);
        load(&Options::try_parse_from(arguments).unwrap(), &Origin::Options)
    }

    #[test]
    fn the_command_line_names_the_node_before_the_file_does() {
        let yaml = "node: {id: from-file, cluster: from-file}";
        let node = |arguments: &[&str]| {
            let arguments = [&["--config-yaml", yaml], arguments].concat();
            load_with(&arguments).unwrap().loaded.bootstrap.node
        };
        assert_eq!(node(&[]).id, "from-file");
        assert_eq!(node(&["--service-node", "n"]).id, "n");
        assert_eq!(node(&["--service-node", "n"]).cluster, "from-file");
        assert_eq!(node(&["--service-cluster", "c"]).cluster, "c");
    }

    #[test]
    fn inline_yaml_is_merged_into_the_file() {
        let file = std::env::temp_dir().join(format!("nuncio-merge-{}.yaml", std::process::id()));
        std::fs::write(&file, "node: {id: from-file, cluster: from-file}").unwrap();
        let path = file.to_str().unwrap();
        let inline = load_with(&["-c", path, "--config-yaml", "node: {id: inline}"]);
        let empty = load_with(&["-c", path, "--config-yaml", ""]);
        std::fs::remove_file(&file).unwrap();
        let node = inline.unwrap().loaded.bootstrap.node;
        assert_eq!((node.id.as_str(), node.cluster.as_str()), ("inline", "from-file"));
        assert_eq!(empty.unwrap().loaded.bootstrap.node.id, "from-file");
        assert!(load_with(&["--config-yaml", ""]).is_err());
    }

    #[test]
    fn a_file_that_cannot_be_read_is_named() {
        let report = load_with(&["-c", "/nonexistent/envoy.yaml"]).unwrap_err().to_string();
        assert!(report.starts_with("/nonexistent/envoy.yaml: "), "{report}");
        assert!(report.contains("No such file"), "{report}");
        let report = load_with(&["-c", "/proc/self"]).unwrap_err().to_string();
        assert!(report.contains("Is a directory"), "{report}");
    }

    #[test]
    fn a_file_without_end_is_refused_by_its_length() {
        let report = load_with(&["-c", "/dev/zero"]).unwrap_err();
        assert_eq!(report.problems().len(), 1, "{report}");
    }

    #[test]
    fn the_demo_needs_no_option() {
        let options = Options::try_parse_from(["nuncio"]).unwrap();
        let bootstrap = load(&options, &Origin::Demo).unwrap();
        assert_eq!(bootstrap.loaded.bootstrap.listeners.len(), 4);
    }
}
