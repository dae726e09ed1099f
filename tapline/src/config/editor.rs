//! The JSON Schema of the configuration, for editors. Values may be written as `${VAR}`, so forms are
//! only given where a name is one of a few.

use serde_json::{Map, Value, json};

/// Identifies the schema, wherever it is kept.
const ID: &str = "urn:tapline:schema:config:1";

/// The schema of the configuration file.
pub(crate) fn schema() -> Value {
    let filter = |what: &str| {
        object(
            what,
            &[
                ("include", list("Patterns of whole names that are meant.")),
                ("exclude", list("Patterns of those that are not.")),
            ],
        )
    };
    let mut groups = filter("Consumer groups that are watched.");
    groups["properties"]["named"] = list("Groups watched by name, for brokers that can't list them.");
    let cluster = object(
        "The Kafka cluster.",
        &[
            ("name", text("The label `cluster`. Default: default.")),
            (
                "properties",
                json!({
                    "description": "Kafka client properties, as in any client.",
                    "type": ["object", "null"],
                    "additionalProperties": { "type": ["string", "number", "boolean"] },
                    "examples": [{ "bootstrap.servers": "localhost:9092" }],
                }),
            ),
            ("properties_file", text("A Java properties file with more of them.")),
        ],
    );
    let registry = object(
        "The schema registry.",
        &[
            ("url", text("A Confluent-compatible API, as in https://registry:8081.")),
            ("username", text("User name.")),
            ("password", text("Password; better in password_file, or as ${VAR}.")),
            ("password_file", text("A file whose first line is the password.")),
            ("ca_file", text("A CA certificate in PEM, beside the system's.")),
        ],
    );
    let watch = object(
        "What is watched of consumer groups and topics.",
        &[
            ("interval", duration("How often. Default: 15s.")),
            ("groups", groups),
            ("topics", filter("Topics that are watched.")),
            ("lag_seconds_max", duration("A group that lags more is a finding. Default: none is.")),
        ],
    );
    let agent = object(
        "What is read of topics.",
        &[
            ("name", text("Unique among the agents of a cluster. Default: the host's name.")),
            ("topics", filter("Topics that are read.")),
            ("group", text("The agent's consumer group. Default: tapline-agent.")),
            (
                "catch_up",
                duration("After a restart: resume if it was away no longer than this. Default: 1m."),
            ),
            ("threads", number("Consumers, 1 to 64. Default: 1.")),
            ("report_every", duration("How often open panes are reported. Default: 2s.")),
            (
                "idle",
                duration("A partition silent for this long does not hold back the others. Default: 15s."),
            ),
            ("collector", text("The collector's address. Default: http://127.0.0.1:9464.")),
            ("listen", text("Health and /metrics of an agent on its own. Default: 127.0.0.1:9465.")),
        ],
    );
    let mut pipeline = object(
        "Topics that one event passes through.",
        &[
            ("name", text("1 to 64 letters, digits, _ and -.")),
            ("stages", list("Topics in the order of the flow, at least two.")),
            ("correlate", choice("How records are recognised as the same event.", &["traceparent"])),
            (
                "deadline",
                duration("A trace not at the last stage after this long is incomplete. Default: 5m."),
            ),
            (
                "latency",
                json!({
                    "description": "What is promised, as in { p99: 2s }.",
                    "type": "object", "minProperties": 1, "maxProperties": 1,
                    "patternProperties": { "^p[0-9]+$": { "type": "string" } }, "additionalProperties": false,
                }),
            ),
            ("follow", text("Share of the traces that is followed. Default: 100%.")),
        ],
    );
    pipeline["required"] = json!(["name", "stages"]);
    let otlp = object(
        "Where traces are sent.",
        &[
            ("endpoint", text("Default: http://127.0.0.1:4317.")),
            ("protocol", choice("Default: grpc.", &["grpc", "http/protobuf"])),
            ("headers_file", text("A properties file of request headers.")),
            ("traces", text("Share of the traces that is exported beside the slow ones. Default: 1%.")),
        ],
    );
    let peers: Vec<&str> = collector::export::metrics::compat::Peer::NAMES.to_vec();
    let export = object(
        "What is served and sent.",
        &[
            ("listen", text("/metrics, the API and the status page. Default: 127.0.0.1:9464.")),
            ("otlp", otlp),
            ("series_budget", number("Most series. Default: 100000.")),
            (
                "compat",
                json!({
                    "description": "Serve the names of other exporters too.",
                    "type": "array", "items": { "enum": peers },
                }),
            ),
        ],
    );
    let history = object(
        "Where the collector's state is kept.",
        &[
            ("path", text("A file; `memory` keeps nothing. Default: the platform's folder for state.")),
            ("keep", duration("How long. Default: 35d.")),
        ],
    );
    let detect = object(
        "What is found without check files, by each topic's own past.",
        &[
            ("enabled", json!({ "description": "Default: true.", "type": ["boolean", "string"] })),
            ("topics", filter("Topics that are looked at.")),
            ("sensitivity", choice("Default: normal.", &["low", "normal", "high"])),
            ("time_zone", text("Where the seasons are, as in Europe/Berlin. Default: UTC.")),
            ("window", duration("What is compared with the past. Default: 5m.")),
            ("learn", duration("How long a topic is learned before it is judged. Default: 24h.")),
            ("adopt", duration("What lasts this long is usual from then on. Default: 24h.")),
        ],
    );
    let limits: Vec<(&str, Value)> = super::sections::LIMITS
        .iter()
        .map(|key| {
            (*key, json!({ "description": "A bound (checks/src/limits.rs).", "type": ["integer", "string"] }))
        })
        .collect();
    let mut root = object(
        "How Tapline runs: docs/configuration.md.",
        &[
            ("version", json!({ "description": "The version of the configuration.", "enum": [1, "1"] })),
            ("cluster", cluster),
            ("registry", registry),
            ("checks", list("Check files, and folders of them.")),
            ("watch", watch),
            ("agent", agent),
            (
                "pipelines",
                json!({ "description": "Topics joined by traces.", "type": ["array", "null"], "items": pipeline }),
            ),
            ("export", export),
            ("history", history),
            ("detect", detect),
            ("limits", object("Bounds on everything; sizes as 8MiB.", &limits)),
        ],
    );
    root["$schema"] = json!(checks::rules::DIALECT);
    root["$id"] = json!(ID);
    root["title"] = json!("Tapline configuration");
    root
}

fn object(description: &str, keys: &[(&str, Value)]) -> Value {
    let properties: Map<String, Value> =
        keys.iter().map(|(key, of)| ((*key).to_owned(), of.clone())).collect();
    json!({
        "description": description, "type": ["object", "null"],
        "properties": properties, "additionalProperties": false,
    })
}

fn text(description: &str) -> Value {
    json!({ "description": description, "type": ["string", "number", "boolean"] })
}

fn duration(description: &str) -> Value {
    json!({ "description": description, "type": ["string", "integer"], "examples": ["15s", "5m"] })
}

fn number(description: &str) -> Value {
    json!({ "description": description, "type": ["integer", "string"] })
}

fn list(description: &str) -> Value {
    json!({ "description": description, "type": ["array", "null"], "items": { "type": ["string", "number", "boolean"] } })
}

fn choice(description: &str, names: &[&str]) -> Value {
    json!({ "description": description, "enum": names })
}

#[cfg(test)]
mod tests {
    use checks::limits::Limits;
    use checks::yaml;

    use super::*;

    /// Keys of a schema's object, with the section that they are in.
    fn keys(schema: &Value) -> Vec<String> {
        schema["properties"].as_object().map(|keys| keys.keys().cloned().collect()).unwrap_or_default()
    }

    fn unknown(text: &str) -> bool {
        let reader = yaml::Reader::new("tapline.yaml", text);
        let node = yaml::parse(text, &Limits::default()).expect("YAML");
        let mut settings = super::super::Settings::default();
        super::super::sections::read(&reader, &node, std::path::Path::new(""), &mut settings);
        reader.finish(()).is_err_and(|found| found.iter().any(|d| d.message.contains("unknown key")))
    }

    #[test]
    fn what_the_schema_offers_the_parser_knows() {
        let schema = schema();
        assert!(unknown("version: 1\nwatch: { intervall: 1s }\n"));
        for section in keys(&schema) {
            assert!(!unknown(&format!("{section}: ~\n")), "{section}");
            let of = &schema["properties"][&section];
            for key in keys(of) {
                assert!(!unknown(&format!("{section}: {{ {key}: ~ }}\n")), "{section}.{key}");
                for inner in keys(&of["properties"][&key]) {
                    let text = format!("{section}: {{ {key}: {{ {inner}: ~ }} }}\n");
                    assert!(!unknown(&text), "{section}.{key}.{inner}");
                }
            }
        }
        for key in keys(&schema["properties"]["pipelines"]["items"]) {
            assert!(!unknown(&format!("pipelines: [{{ {key}: ~ }}]\n")), "pipelines: {key}");
        }
    }

    /// What the document shows, every key of it, is in the schema.
    #[test]
    fn the_documented_configuration_is_accepted() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/configuration.md");
        let text = std::fs::read_to_string(path).expect("docs/configuration.md");
        let block =
            text.split("```yaml\n").nth(1).and_then(|rest| rest.split("```").next()).expect("a block");
        let node = yaml::parse(block, &Limits::default()).expect("YAML");
        let shown: Value = serde_json::from_str(&yaml::to_json(&node).expect("JSON")).expect("JSON");
        let schema = schema();
        let validator = jsonschema::validator_for(&schema).expect("a schema");
        let wrong: Vec<String> =
            validator.iter_errors(&shown).map(|e| format!("{}: {e}", e.instance_path())).collect();
        assert!(wrong.is_empty(), "{wrong:#?}");
        assert!(!validator.is_valid(&json!({ "watch": { "intervall": "1s" } })));
        assert!(!validator.is_valid(&json!({ "export": { "otlp": { "protocol": "tcp" } } })));
    }
}
