use super::*;

fn environment(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
}

fn load_text(text: &str, pairs: &[(&str, &str)]) -> Result<Settings, String> {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("tapline.yaml");
    std::fs::write(&path, text).expect("written");
    load(&Flags { config: Some(path), ..Flags::default() }, &environment(pairs)).map_err(|e| e.to_string())
}

#[test]
fn the_example_of_the_design_is_read() {
    let text = r#"
version: 1
cluster:  { name: prod, properties: { bootstrap.servers: "b1:9092", security.protocol: SASL_SSL } }
registry: { url: "https://registry:8081/", username: "${REGISTRY_USER}", password: x }
checks:   [ ./checks ]
watch:    { interval: 5s, groups: { include: [".*"], exclude: ["^tmp"] }, topics: { exclude: ["^__"] } }
agent:    { topics: { include: ["orders.*"] }, group: tapline-agent-a, catch_up: 2m, threads: 2 }
pipelines:
  - { name: checkout, stages: [orders, payments, shipments], correlate: traceparent, deadline: 5m, latency: { p99: 2s } }
export:   { listen: "127.0.0.1:0", otlp: { endpoint: "http://127.0.0.1:4317", protocol: grpc, traces: 1% }, series_budget: 5000 }
history:  { path: prod.db, keep: 35d }
limits:   { message_bytes: 1MiB, nesting: 32 }
"#;
    let settings = load_text(text, &[("REGISTRY_USER", "me")]).expect("read");
    assert_eq!(settings.cluster, "prod");
    assert_eq!(settings.brokers().expect("brokers"), "b1:9092");
    assert_eq!(settings.watch_interval_ms, 5_000);
    assert!(!settings.watch_groups.matches("tmp-1") && settings.watch_groups.matches("a"));
    assert!(!settings.agent_topics.matches("payments") && settings.agent_topics.matches("orders.v1"));
    let registry = settings.registry.expect("a registry");
    assert_eq!(registry.url, "https://registry:8081");
    assert_eq!(registry.credentials, Some(("me".to_owned(), "x".to_owned())));
    let pipeline = &settings.pipelines[0];
    assert_eq!(pipeline.latency.map(|l| (l.quantile, l.ms)), Some((0.99, 2_000)));
    assert_eq!(settings.limits.message_bytes, 1 << 20);
    assert_eq!(settings.otlp.expect("otlp").traces, 0.01);
}

#[test]
fn the_environment_wins_over_the_file_and_flags_over_both() {
    let text = "watch: { interval: 5s }\nexport: { listen: '127.0.0.1:1' }\n";
    let settings =
        load_text(text, &[("TAPLINE_WATCH_INTERVAL", "7s"), ("TAPLINE_AGENT_TOPICS_INCLUDE", "[a, 'b.*']")])
            .expect("read");
    assert_eq!(settings.watch_interval_ms, 7_000);
    assert!(settings.agent_topics.matches("bb") && !settings.agent_topics.matches("c"));
    let flags =
        Flags { listen: Some("127.0.0.1:3".to_owned()), brokers: Some("x:1".to_owned()), ..Flags::default() };
    let settings = load(&flags, &environment(&[("TAPLINE_EXPORT_LISTEN", "127.0.0.1:2")])).expect("read");
    assert_eq!(settings.listen.port(), 3);
    assert_eq!(settings.brokers().expect("brokers"), "x:1");
}

#[test]
fn the_peers_to_be_compatible_with_are_named_once_each() {
    let text = "export: { compat: [kminion, kafka-exporter, kminion] }\n";
    let settings = load_text(text, &[]).expect("read");
    assert_eq!(settings.compat, [Peer::Kminion, Peer::KafkaExporter].into());
    let settings = load_text(text, &[("TAPLINE_EXPORT_COMPAT", "[]")]).expect("read");
    assert!(settings.compat.is_empty());
    let flags = Flags { compat: vec![Peer::KafkaLagExporter], ..Flags::default() };
    let settings = load(&flags, &environment(&[("TAPLINE_EXPORT_COMPAT", "[kminion]")])).expect("read");
    assert_eq!(settings.compat, [Peer::KafkaLagExporter].into());
    let error = load_text("export:\n  compat: [kminon]\n", &[]).err().expect("refused");
    assert!(error.contains("tapline.yaml:2:12") && error.contains("kminion"), "{error}");
}

#[test]
fn detectors_are_on_and_take_their_settings() {
    assert!(load_text("version: 1\n", &[]).expect("read").detect.enabled);
    let text = "detect: { topics: { exclude: [\"t.*\"] }, sensitivity: low, time_zone: Europe/Berlin, window: 1m, learn: 2h, adopt: 3h }\n";
    let settings = load_text(text, &[("TAPLINE_DETECT_ENABLED", "false")]).expect("read");
    let how = &settings.detect.settings;
    assert_eq!((how.window_ms, how.learn_ms, how.adopt_ms), (60_000, 7_200_000, 10_800_000));
    assert_eq!((how.time_zone.to_string().as_str(), how.sensitivity.name()), ("Europe/Berlin", "low"));
    assert!(!settings.detect.enabled && !settings.detect.topics.matches("test"));
    let error = load_text("detect:\n  time_zone: Europe/Berlni\n", &[]).err().expect("refused");
    assert!(
        error.contains("tapline.yaml:2:14") && error.contains("did you mean \"Europe/Berlin\"?"),
        "{error}"
    );
    let error = load_text("detect: { sensitivity: hihg }\n", &[]).err().expect("refused");
    assert!(error.contains("high"), "{error}");
}

#[test]
fn a_typo_names_line_and_nearest_key() {
    let error = load_text("version: 1\nwatch: { intervall: 5s }\n", &[]).err().expect("refused");
    assert!(error.contains("tapline.yaml:2:10") && error.contains("did you mean `interval`?"), "{error}");
    let error = load(&Flags::default(), &environment(&[("TAPLINE_WATCH_INTERVAL_MS", "1")]));
    let error = error.err().expect("refused").to_string();
    assert!(
        error.contains("TAPLINE_WATCH_INTERVAL_MS") && error.contains("`TAPLINE_WATCH_INTERVAL`"),
        "{error}"
    );
    let error = load(&Flags::default(), &environment(&[("TAPLINE_WATCH_INTERVAL", "soon")]));
    let error = error.err().expect("refused").to_string();
    assert!(error.contains("TAPLINE_WATCH_INTERVAL"), "{error}");
}

#[test]
fn secrets_are_not_shown() {
    let error = load_text("registry: { password: hunter2, urll: x }\n", &[]).err().expect("refused");
    assert!(!error.contains("hunter2") && error.contains("urll"), "{error}");
    let error = load_text("registry: { password: \"${NOPE}\" }\n", &[]).err().expect("refused");
    assert!(error.contains("`NOPE` is not set"), "{error}");
}

#[test]
fn every_key_of_the_environment_is_a_key_of_the_file() {
    // A key of the table that the sections do not know would be refused as unknown.
    for (name, value) in [
        ("TAPLINE_CLUSTER_PROPERTIES", "{ bootstrap.servers: 'a:1' }"),
        ("TAPLINE_CHECKS", "[a]"),
        ("TAPLINE_PIPELINES", "[{ name: a, stages: [b, c] }]"),
        ("TAPLINE_EXPORT_OTLP_TRACES", "5%"),
        ("TAPLINE_HISTORY_PATH", "memory"),
        ("TAPLINE_LIMITS_REMOTE_TIMEOUT", "3s"),
        ("TAPLINE_LIMITS_FIELDS", "77"),
        ("TAPLINE_WATCH_GROUPS_NAMED", "[g]"),
        ("TAPLINE_WATCH_LAG_SECONDS_MAX", "30s"),
        ("TAPLINE_AGENT_IDLE", "3s"),
        ("TAPLINE_REGISTRY_URL", "http://r"),
        ("TAPLINE_EXPORT_COMPAT", "[kminion]"),
        ("TAPLINE_DETECT_TOPICS_INCLUDE", "[a]"),
        ("TAPLINE_DETECT_LEARN", "2h"),
    ] {
        if let Err(error) = load(&Flags::default(), &environment(&[(name, value)])) {
            panic!("{name}: {error}");
        }
    }
}

#[test]
fn properties_files_are_read_as_java_does() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("client.properties");
    std::fs::write(&path, "# note\nbootstrap.servers=a:1,\\\n   b:2\nsasl.jaas.config = x y=\"z\";\n")
        .expect("written");
    let read = properties::read_file(&path, 1000).expect("read");
    assert_eq!(read["bootstrap.servers"], "a:1,b:2");
    assert_eq!(read["sasl.jaas.config"], "x y=\"z\";");
    let flags = Flags { properties_file: Some(path.clone()), ..Flags::default() };
    std::fs::write(&path, "group.id=x\n").expect("written");
    let error = load(&flags, &BTreeMap::new()).err().expect("refused").to_string();
    assert!(error.contains("`group.id`") && error.contains("agent.group"), "{error}");
}
