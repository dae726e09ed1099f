//! Apache Kafka 4.3.0: one broker, or several of one cluster.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use rdkafka::consumer::{BaseConsumer, Consumer};
use tokio::sync::OnceCell;

use crate::place::Folder;
use crate::process::{Process, Signal, tool};
use crate::{cache, clients, ports, wait};

/// The user that the SASL listener knows, for PLAIN, SCRAM-SHA-256 and SCRAM-SHA-512.
pub const SASL_USER: &str = "alice";
/// That user's password.
pub const SASL_PASSWORD: &str = "alice-secret";

/// Of the key stores, which hold throw-away keys.
const STORE_PASSWORD: &str = "tapline-lab";

/// Starting costs seconds, on a busy machine many.
const START: Duration = Duration::from_secs(180);

/// What kind of cluster.
#[derive(Debug, Clone)]
pub struct KafkaOptions {
    /// How many brokers. Node 0 is the controller too: stop others to move leaders and coordinators.
    pub nodes: usize,
    /// Further server properties, for every node; the last of a name counts.
    pub properties: Vec<(String, String)>,
    /// Options for the Java machine of every node.
    pub java: Vec<String>,
}

impl Default for KafkaOptions {
    fn default() -> Self {
        Self { nodes: 1, properties: Vec::new(), java: Vec::new() }
    }
}

/// The broker that all tests of this binary share; started by the first who asks.
///
/// Name topics and groups by [`crate::unique`], and change nothing that others see.
pub async fn broker() -> Result<&'static Kafka> {
    static BROKER: OnceCell<Kafka> = OnceCell::const_new();
    BROKER.get_or_try_init(|| Kafka::start(KafkaOptions::default())).await
}

/// A running cluster.
#[derive(Debug)]
pub struct Kafka {
    folder: Arc<Folder>,
    jars: PathBuf,
    certificates: PathBuf,
    java_options: Vec<String>,
    nodes: Vec<Node>,
}

#[derive(Debug)]
struct Node {
    name: String,
    ports: Ports,
    process: Mutex<Option<Process>>,
}

#[derive(Debug, Clone, Copy)]
struct Ports {
    plain: u16,
    sasl: u16,
    tls: u16,
    controller: u16,
}

impl Kafka {
    /// Starts a cluster of its own and waits until it answers.
    pub async fn start(options: KafkaOptions) -> Result<Self> {
        ensure!(options.nodes > 0, "a cluster has at least one broker");
        let (jars, certificates) = (jars().await?, certificates().await?);
        let mut tries = 0;
        loop {
            tries += 1;
            let error = match Self::try_start(&jars, &certificates, &options).await {
                Ok(kafka) => return Ok(kafka),
                Err(error) => error,
            };
            if tries == 3 || !ports::lost(&format!("{error:#}")) {
                return Err(error.context("start Kafka"));
            }
        }
    }

    async fn try_start(jars: &Path, certificates: &Path, options: &KafkaOptions) -> Result<Self> {
        let folder = Arc::new(Folder::new()?);
        fs::write(folder.path().join("log4j2.properties"), include_str!("recipes/log4j2.properties"))?;
        let mut nodes = Vec::new();
        for number in 0..options.nodes {
            nodes.push(Node {
                name: format!("kafka-{number}"),
                ports: Ports {
                    plain: ports::free()?,
                    sasl: ports::free()?,
                    tls: ports::free()?,
                    controller: ports::free()?,
                },
                process: Mutex::new(None),
            });
        }
        let kafka = Self {
            folder,
            jars: jars.to_path_buf(),
            certificates: certificates.to_path_buf(),
            java_options: options.java.clone(),
            nodes,
        };
        for number in 0..options.nodes {
            kafka.format(number, options).await?;
        }
        for number in 0..options.nodes {
            kafka.launch(number)?;
        }
        kafka.answers().await?;
        Ok(kafka)
    }

    /// The addresses to give to clients, without encryption or credentials.
    pub fn bootstrap(&self) -> String {
        self.addresses(|ports| ports.plain)
    }

    /// The addresses of the SASL_PLAINTEXT listeners: [`SASL_USER`] with [`SASL_PASSWORD`].
    pub fn sasl_bootstrap(&self) -> String {
        self.addresses(|ports| ports.sasl)
    }

    /// The addresses of the SASL_SSL listeners: the same user, and a certificate for 127.0.0.1 and localhost that
    /// [`Kafka::ca_file`] vouches for.
    pub fn sasl_ssl_bootstrap(&self) -> String {
        self.addresses(|ports| ports.tls)
    }

    /// The certificate of the authority that the brokers' own are signed by, in PEM.
    pub fn ca_file(&self) -> PathBuf {
        self.certificates.join("ca.pem")
    }

    /// The folder of Kafka's jars, clients included.
    pub fn jars(&self) -> &Path {
        &self.jars
    }

    fn addresses(&self, port: impl Fn(Ports) -> u16) -> String {
        let addresses: Vec<String> =
            self.nodes.iter().map(|node| format!("127.0.0.1:{}", port(node.ports))).collect();
        addresses.join(",")
    }

    /// The broker id of a node, as metadata shows it.
    pub fn broker_id(number: usize) -> i32 {
        i32::try_from(number).unwrap_or(i32::MAX - 1) + 1
    }

    /// The process id of a node; `None` while it is down.
    pub fn pid(&self, number: usize) -> Option<u32> {
        self.slot(number).as_ref().map(Process::pid)
    }

    /// Ends a node: in good order, handing over its leaderships, with [`Signal::Term`]; at once with [`Signal::Kill`].
    pub async fn stop_node(&self, number: usize, signal: Signal) -> Result<()> {
        let process = self.slot(number).take();
        if let Some(mut process) = process {
            process.signal(signal)?;
            process.wait(Duration::from_secs(60)).await?;
        }
        Ok(())
    }

    /// Sends a signal to a node and waits for nothing: [`Signal::Stop`] makes it hang, [`Signal::Cont`] go on.
    pub fn signal_node(&self, number: usize, signal: Signal) -> Result<()> {
        self.slot(number).as_ref().map_or(Ok(()), |process| process.signal(signal))
    }

    /// Starts a node again that was stopped, on its old ports with its old data, and waits until the cluster is whole.
    pub async fn start_node(&self, number: usize) -> Result<()> {
        self.launch(number)?;
        self.answers().await
    }

    /// Runs one of Kafka's own commands, such as `org.apache.kafka.tools.TopicCommand`, and returns what it prints.
    ///
    /// The independent witness of what is true on the broker.
    pub async fn command(&self, class: &str, args: &[&str]) -> Result<String> {
        let mut command = self.java(&["-XX:TieredStopAtLevel=1", "-Xmx256m"])?;
        command.arg(class).args(args);
        tokio::task::spawn_blocking(move || cache::run(&mut command)).await?
    }

    /// `kafka-consumer-groups --describe --group G --offsets`: topic, partition, committed offset, end and lag.
    pub async fn describe_group(&self, group: &str) -> Result<String> {
        self.command(
            "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand",
            &["--bootstrap-server", &self.bootstrap(), "--describe", "--offsets", "--group", group],
        )
        .await
    }

    /// Starts a Kafka Streams application that copies a topic to another, in the streams group protocol (KIP-1071).
    /// It leaves its group on [`Signal::Term`].
    pub async fn copy_by_streams(&self, application: &str, from: &str, to: &str) -> Result<Process> {
        let jars = streams_jars().await?;
        // Only a JDK can run a source file.
        tool("javac", "default-jdk-headless")?;
        let source = self.folder.path().join("Copy.java");
        fs::write(&source, include_str!("recipes/Copy.java"))?;
        let mut command = self.java_with(&jars, &["-XX:TieredStopAtLevel=1", "-Xmx256m"])?;
        command.arg(format!("-Djava.io.tmpdir={}", self.folder.path().display()));
        command.arg(&source).args([&self.bootstrap(), application, from, to]);
        Process::start(&self.folder, application, &command)
    }

    fn slot(&self, number: usize) -> std::sync::MutexGuard<'_, Option<Process>> {
        self.nodes[number].process.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn java(&self, options: &[&str]) -> Result<Command> {
        self.java_with(&self.jars, options)
    }

    fn java_with(&self, jars: &Path, options: &[&str]) -> Result<Command> {
        let mut command = Command::new(tool("java", "default-jre-headless")?);
        let logging = self.folder.path().join("log4j2.properties");
        command
            .args(["-XX:+UseSerialGC", "-Xshare:auto"])
            .args(options)
            .arg(format!("-Dlog4j2.configurationFile={}", logging.display()))
            .arg("-cp")
            .arg(jars.join("*"))
            .current_dir(self.folder.path());
        Ok(command)
    }

    async fn format(&self, number: usize, options: &KafkaOptions) -> Result<()> {
        let node = &self.nodes[number];
        let file = self.folder.path().join(format!("{}.properties", node.name));
        fs::write(&file, self.properties(number, options))?;
        let mut command = self.java(&["-XX:TieredStopAtLevel=1"])?;
        // Any 16 bytes name a cluster; it shows in nobody's results.
        command.args(["kafka.tools.StorageTool", "format", "-t"]);
        command.arg("dGFwbGluZS1sYWItdGVzdA").arg("-c").arg(&file);
        if number == 0 {
            command.arg("--standalone");
        }
        for mechanism in ["SCRAM-SHA-256", "SCRAM-SHA-512"] {
            command
                .arg("--add-scram")
                .arg(format!("{mechanism}=[name={SASL_USER},password={SASL_PASSWORD}]"));
        }
        tokio::task::spawn_blocking(move || cache::run(&mut command))
            .await?
            .context("format the broker's storage")?;
        Ok(())
    }

    fn properties(&self, number: usize, options: &KafkaOptions) -> String {
        let node = &self.nodes[number];
        let Ports { plain, sasl, tls, controller } = node.ports;
        let quorum = self.nodes[0].ports.controller;
        let data = self.folder.path().join(format!("{}-data", node.name));
        let (roles, control) = if number == 0 {
            ("broker,controller", format!(",CONTROLLER://127.0.0.1:{controller}"))
        } else {
            ("broker", String::new())
        };
        let id = Self::broker_id(number);
        let replicas = self.nodes.len().min(3);
        let login = "org.apache.kafka.common.security";
        let mut text = format!(
            r#"process.roles={roles}
node.id={id}
controller.quorum.bootstrap.servers=127.0.0.1:{quorum}
controller.listener.names=CONTROLLER
listeners=PLAINTEXT://127.0.0.1:{plain},SASL://127.0.0.1:{sasl},TLS://127.0.0.1:{tls}{control}
advertised.listeners=PLAINTEXT://127.0.0.1:{plain},SASL://127.0.0.1:{sasl},TLS://127.0.0.1:{tls}
inter.broker.listener.name=PLAINTEXT
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SASL:SASL_PLAINTEXT,TLS:SASL_SSL
ssl.keystore.location={}
ssl.keystore.password={STORE_PASSWORD}
ssl.keystore.type=PKCS12
log.dirs={}
offsets.topic.replication.factor={replicas}
offsets.topic.num.partitions=6
transaction.state.log.replication.factor={replicas}
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=3
share.coordinator.state.topic.replication.factor={replicas}
share.coordinator.state.topic.min.isr=1
share.coordinator.state.topic.num.partitions=3
group.initial.rebalance.delay.ms=0
"#,
            self.certificates.join("broker.p12").display(),
            data.display()
        );
        for listener in ["sasl", "tls"] {
            let name = format!("listener.name.{listener}");
            text.push_str(&format!(
                r#"{name}.sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256,SCRAM-SHA-512
{name}.plain.sasl.jaas.config={login}.plain.PlainLoginModule required user_{SASL_USER}="{SASL_PASSWORD}";
{name}.scram-sha-256.sasl.jaas.config={login}.scram.ScramLoginModule required;
{name}.scram-sha-512.sasl.jaas.config={login}.scram.ScramLoginModule required;
"#
            ));
        }
        for (key, value) in &options.properties {
            text.push_str(&format!("{key}={value}\n"));
        }
        text
    }

    fn launch(&self, number: usize) -> Result<()> {
        let node = &self.nodes[number];
        let mut slot = self.slot(number);
        ensure!(slot.is_none(), "{} runs already", node.name);
        let mut command = self.java(&["-Xmx768m"])?;
        command.args(&self.java_options);
        command.arg("kafka.Kafka").arg(self.folder.path().join(format!("{}.properties", node.name)));
        *slot = Some(Process::start(&self.folder, &node.name, &command)?);
        Ok(())
    }

    /// Waits until every node that should run is in the metadata that the cluster hands out.
    async fn answers(&self) -> Result<()> {
        wait::eventually("every broker is in the metadata", START, async || {
            let mut expected = Vec::new();
            for (number, node) in self.nodes.iter().enumerate() {
                if let Some(process) = self.slot(number).as_mut() {
                    if let Err(ended) = process.must_run() {
                        return Ok(Err(ended));
                    }
                    expected.push((Self::broker_id(number), node.ports.plain));
                }
            }
            for (_, port) in &expected {
                let seen = brokers(format!("127.0.0.1:{port}")).await?;
                for (id, _) in &expected {
                    if !seen.contains(id) {
                        bail!("broker {id} is not in the metadata yet: {seen:?}");
                    }
                }
            }
            Ok(Ok(()))
        })
        .await?
    }
}

async fn brokers(bootstrap: String) -> Result<Vec<i32>> {
    tokio::task::spawn_blocking(move || {
        let consumer: BaseConsumer = clients::config(&bootstrap).create()?;
        let metadata = consumer.fetch_metadata(None, Duration::from_secs(5))?;
        Ok(metadata.brokers().iter().map(|broker| broker.id()).collect())
    })
    .await?
}

/// The folder of the broker's jars.
pub(crate) async fn jars() -> Result<PathBuf> {
    dependencies("kafka-4.3.0", include_str!("recipes/kafka-pom.xml")).await
}

/// The folder of the jars of Kafka Streams.
pub(crate) async fn streams_jars() -> Result<PathBuf> {
    dependencies("kafka-streams-4.3.0", include_str!("recipes/kafka-streams-pom.xml")).await
}

/// The folder of the jars that a Maven project depends on.
async fn dependencies(name: &'static str, project: &'static str) -> Result<PathBuf> {
    let folder = cache::cached_async(name, move |folder| {
        let pom = folder.join("pom.xml");
        fs::write(&pom, project)?;
        cache::run(
            Command::new(tool("mvn", "maven")?)
                .args(["-q", "-B", "dependency:copy-dependencies"])
                .arg(format!("-DoutputDirectory={}", folder.join("libs").display()))
                .arg("-f")
                .arg(&pom),
        )?;
        Ok(())
    })
    .await?;
    Ok(folder.join("libs"))
}

/// The folder of a throw-away authority's certificate (`ca.pem`) and a key store signed by it (`broker.p12`).
pub(crate) async fn certificates() -> Result<PathBuf> {
    cache::cached_async("certificates-1", |folder| {
        let keytool = tool("keytool", "default-jre-headless")?;
        let run = |store: &str, args: &str| {
            let mut command = Command::new(&keytool);
            command.args(args.split(' ')).args(["-keystore", store, "-storetype", "PKCS12"]);
            cache::run(command.args(["-storepass", STORE_PASSWORD]).current_dir(folder))
        };
        let key = "-genkeypair -keyalg EC -groupname secp256r1 -validity 3650";
        run("ca.p12", &format!("{key} -alias ca -dname CN=tapline-lab-ca -ext bc:c=ca:true"))?;
        run("ca.p12", "-exportcert -rfc -alias ca -file ca.pem")?;
        run("broker.p12", &format!("{key} -alias broker -dname CN=localhost"))?;
        run("broker.p12", "-certreq -alias broker -file broker.csr")?;
        run(
            "ca.p12",
            "-gencert -rfc -alias ca -validity 3650 -ext san=dns:localhost,ip:127.0.0.1 -infile broker.csr -outfile broker.pem",
        )?;
        run("broker.p12", "-importcert -noprompt -alias ca -file ca.pem")?;
        run("broker.p12", "-importcert -noprompt -alias broker -file broker.pem")?;
        Ok(())
    })
    .await
}
