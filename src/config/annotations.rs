//! What Envoy's schema says of its own age: deprecated, refused by default, work in progress.
//!
//! Envoy warns of each use. A use of what is refused by default it warns of in the bootstrap
//! itself, which it reads before the runtime, and refuses inside an extension's configuration,
//! which it reads with it; unless the runtime allows that feature. Checked against Envoy 1.40.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use prost_reflect::{
    DynamicMessage, ExtensionDescriptor, FieldDescriptor, Kind, MessageDescriptor,
    ReflectMessage as _, Value,
};

use crate::schema;

/// Something to be told about a message: which field (none: the message itself), and what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Advice {
    /// The field's name, or empty.
    pub(crate) field: String,
    pub(crate) text: String,
    pub(crate) hint: Option<String>,
    /// Envoy refuses it inside an extension's configuration.
    pub(crate) is_refused: bool,
    /// The runtime key that allows it there, if one does.
    feature: String,
}

/// What has been read from the descriptors, which never change. Reading is slow, and every
/// configuration has the same types.
static READ: LazyLock<Mutex<HashMap<String, Arc<OfMessage>>>> = LazyLock::new(Mutex::default);

/// The annotations of message types.
#[derive(Debug)]
pub(crate) struct Annotations {
    extensions: HashMap<&'static str, ExtensionDescriptor>,
    by_message: HashMap<String, Arc<OfMessage>>,
    /// What `layered_runtime` says of deprecated features.
    runtime: BTreeMap<String, bool>,
}

/// The annotations of one message type.
#[derive(Debug, Default)]
struct OfMessage {
    /// Of any use of the message.
    message: Option<Advice>,
    /// Of a field that is set.
    fields: Vec<(FieldDescriptor, Advice)>,
    /// Of a field that has this enum value, which may be its default.
    values: Vec<(FieldDescriptor, i32, Advice)>,
}

const DISALLOWED_FIELD: &str = "envoy.annotations.disallowed_by_default";
const DISALLOWED_VALUE: &str = "envoy.annotations.disallowed_by_default_enum";
const FIELD_STATUS: &str = "xds.annotations.v3.field_status";
const MESSAGE_STATUS: &str = "xds.annotations.v3.message_status";
const FILE_STATUS: [&str; 2] = ["xds.annotations.v3.file_status", "udpa.annotations.file_status"];

/// Runtime keys begin so; the name of the field or enum value follows.
const FEATURE_PREFIX: &str = "envoy.deprecated_features:";

/// Runtime key that allows all features that are refused by default.
const ALL_FEATURES: &str = "envoy.features.enable_all_deprecated_features";

impl Annotations {
    /// For a configuration with this bootstrap, whose static runtime layers may allow features.
    pub(crate) fn new(bootstrap: &DynamicMessage) -> Self {
        let names = [DISALLOWED_FIELD, DISALLOWED_VALUE, FIELD_STATUS, MESSAGE_STATUS];
        let extensions = names
            .into_iter()
            .chain(FILE_STATUS)
            .filter_map(|name| Some((name, schema::pool().get_extension_by_name(name)?)))
            .collect();
        Self { extensions, by_message: HashMap::new(), runtime: static_runtime(bootstrap) }
    }

    /// Everything to be told about `message` and its fields, but not the messages inside it.
    pub(crate) fn of(&mut self, message: &DynamicMessage) -> Vec<Advice> {
        let found = self.of_type(&message.descriptor());
        let mut advice: Vec<Advice> = found.message.iter().cloned().collect();
        for (field, said) in &found.fields {
            if message.has_field(field) {
                advice.push(said.clone());
            }
        }
        for (field, number, said) in &found.values {
            if message.get_field(field).as_enum_number() == Some(*number) {
                let mut said = said.clone();
                if !message.has_field(field) {
                    said.text = format!("its default is {}", said.text);
                }
                advice.push(said);
            }
        }
        for said in &mut advice {
            said.is_refused &= !self.is_allowed(&said.feature);
        }
        advice
    }

    fn of_type(&mut self, descriptor: &MessageDescriptor) -> Arc<OfMessage> {
        let name = descriptor.full_name();
        if let Some(found) = self.by_message.get(name) {
            return Arc::clone(found);
        }
        let mut read = READ.lock().unwrap_or_else(PoisonError::into_inner);
        let found = read.entry(name.to_owned()).or_insert_with(|| Arc::new(self.read(descriptor)));
        self.by_message.insert(name.to_owned(), Arc::clone(found));
        Arc::clone(found)
    }

    /// True when the runtime allows what Envoy refuses by default.
    fn is_allowed(&self, feature: &str) -> bool {
        let said = [feature, ALL_FEATURES].iter().find_map(|key| self.runtime.get(*key));
        said == Some(&true)
    }

    fn read(&self, descriptor: &MessageDescriptor) -> OfMessage {
        let mut found = OfMessage::default();
        let file = descriptor.parent_file().options();
        let is_unfinished = self.is_in_progress(&descriptor.options(), MESSAGE_STATUS)
            || FILE_STATUS.iter().any(|name| self.is_in_progress(&file, name));
        if is_unfinished {
            found.message = Some(unfinished("", descriptor.full_name()));
        }
        for field in descriptor.fields() {
            let options = field.options();
            if self.is_in_progress(&options, FIELD_STATUS) {
                found.fields.push((field.clone(), unfinished(field.name(), field.name())));
            }
            if is_deprecated(&options) {
                let is_refused = self.is_true(&options, DISALLOWED_FIELD);
                let advice = deprecated(&field, "it", field.full_name(), is_refused);
                found.fields.push((field.clone(), advice));
            }
            let Kind::Enum(values) = field.kind() else {
                continue;
            };
            if field.is_list() || field.is_map() {
                continue;
            }
            for value in values.values().filter(|value| is_deprecated(&value.options())) {
                let is_refused = self.is_true(&value.options(), DISALLOWED_VALUE);
                let what = format!("the value {}, which", value.name());
                let advice = deprecated(&field, &what, value.full_name(), is_refused);
                found.values.push((field.clone(), value.number(), advice));
            }
        }
        found
    }

    fn is_in_progress(&self, options: &DynamicMessage, name: &str) -> bool {
        self.extensions.get(name).is_some_and(|extension| {
            let status = options.get_extension(extension);
            let status = status.as_message().and_then(|s| s.get_field_by_name("work_in_progress"));
            status.is_some_and(|status| status.as_bool() == Some(true))
        })
    }

    fn is_true(&self, options: &DynamicMessage, name: &str) -> bool {
        let extension = self.extensions.get(name);
        extension.is_some_and(|name| options.get_extension(name).as_bool() == Some(true))
    }
}

fn deprecated(field: &FieldDescriptor, what: &str, feature: &str, is_refused: bool) -> Advice {
    let key = format!("{FEATURE_PREFIX}{feature}");
    let (text, hint) = if is_refused {
        let hint = format!("Envoy allows it while the runtime key {key} is true");
        ("is deprecated and refused by default", Some(hint))
    } else {
        ("is deprecated", Some("Envoy's version history names what replaces it".to_owned()))
    };
    Advice {
        field: field.name().to_owned(),
        text: format!("{what} {text}"),
        hint,
        is_refused,
        feature: key,
    }
}

fn is_deprecated(options: &DynamicMessage) -> bool {
    let value = options.get_field_by_name("deprecated");
    value.is_some_and(|value| value.as_bool() == Some(true))
}

fn unfinished(field: &str, name: &str) -> Advice {
    Advice {
        field: field.to_owned(),
        text: format!("{name} is work in progress in Envoy"),
        hint: Some("not stable, and not covered by Envoy's threat model".to_owned()),
        is_refused: false,
        feature: String::new(),
    }
}

/// The keys about deprecated features in the static layers of `layered_runtime`; later layers win.
fn static_runtime(bootstrap: &DynamicMessage) -> BTreeMap<String, bool> {
    let mut keys = BTreeMap::new();
    let runtime = bootstrap.get_field_by_name("layered_runtime");
    let runtime = runtime.as_deref().and_then(Value::as_message);
    let layers = runtime.and_then(|runtime| runtime.get_field_by_name("layers"));
    for layer in layers.as_deref().and_then(Value::as_list).unwrap_or_default() {
        let layer = layer.as_message().and_then(|layer| layer.get_field_by_name("static_layer"));
        let layer = layer.as_deref().and_then(Value::as_message);
        let fields = layer.and_then(|layer| layer.get_field_by_name("fields"));
        for (key, value) in fields.as_deref().and_then(Value::as_map).into_iter().flatten() {
            let value = value.as_message().and_then(|value| value.get_field_by_name("bool_value"));
            if let (Some(key), Some(value)) = (key.as_str(), value.and_then(|v| v.as_bool()))
                && (key == ALL_FEATURES || key.starts_with(FEATURE_PREFIX))
            {
                keys.insert(key.to_owned(), value);
            }
        }
    }
    keys
}
