//! What docs/gates.md shows is run: the commands of the workflow, and the Python of the tasks with their
//! libraries' few names stood in for.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use anyhow::{Context as _, Result, ensure};
use checks::limits::Limits;
use checks::yaml::{self, Content, Node};

use super::{ORDERS, order};

/// Blocks of a language in the document.
fn blocks(language: &str) -> Result<Vec<String>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/gates.md");
    let text = std::fs::read_to_string(path)?;
    let marker = format!("```{language}\n");
    Ok(text.split(&marker).skip(1).filter_map(|rest| rest.split("```").next()).map(str::to_owned).collect())
}

/// A repository with check files and data that pass, or do not.
fn repository(amount: i64) -> Result<tempfile::TempDir> {
    let folder = tempfile::tempdir()?;
    std::fs::create_dir_all(folder.path().join("checks"))?;
    std::fs::create_dir_all(folder.path().join("samples"))?;
    let tests = "tests:\n  - { name: a negative amount, given: [{ value: { amount: -1 } }], expect: { amount-range: fail } }\n";
    std::fs::write(folder.path().join("checks/orders.yaml"), format!("{ORDERS}{tests}"))?;
    let data: String = (0..100).map(|id| order(id, amount)).collect();
    std::fs::write(folder.path().join("samples/orders.jsonl"), data)?;
    Ok(folder)
}

/// Runs a program where `tapline` is on the path.
fn run(program: &str, args: &[&str], folder: &Path) -> Result<Output> {
    let binary: PathBuf = lab::tapline::binary()?;
    let beside = binary.parent().context("a folder")?;
    let path = format!("{}:{}", beside.display(), std::env::var("PATH").unwrap_or_default());
    Ok(Command::new(program).args(args).current_dir(folder).env("PATH", path).output()?)
}

fn shown(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[test]
fn the_steps_of_the_workflow_pass_and_fail_with_the_data() -> Result<()> {
    let blocks = blocks("yaml")?;
    let workflow = yaml::parse(&blocks[0], &Limits::default())?;
    let steps =
        ["jobs", "checks", "steps"].iter().try_fold(&workflow, |node, key| node.get(key)).context("steps")?;
    let Content::Sequence(steps) = &steps.content else { anyhow::bail!("steps are a list") };
    let commands: Vec<&str> = steps
        .iter()
        .filter_map(|step| step.get("run").and_then(Node::as_scalar).map(|scalar| scalar.text.as_str()))
        .collect();
    ensure!(commands.len() == 2, "{commands:?}");
    for (amount, codes) in [(5, [0, 0]), (-5, [0, 1])] {
        let repository = repository(amount)?;
        for (command, code) in commands.iter().zip(codes) {
            // As the runner does.
            let output = run("bash", &["-e", "-c", command], repository.path())?;
            ensure!(output.status.code() == Some(code), "{command}: {}", shown(&output));
        }
        for report in ["test-report.xml", "check-report.xml"] {
            ensure!(
                std::fs::read_to_string(repository.path().join(report))?.contains("<testsuite "),
                "{report}"
            );
        }
    }
    Ok(())
}

const AIRFLOW: &str = r#"
import sys, types
for name in ("airflow", "airflow.decorators", "airflow.exceptions"):
    sys.modules[name] = types.ModuleType(name)
class AirflowException(Exception): pass
class AirflowFailException(AirflowException): pass
sys.modules["airflow.exceptions"].AirflowException = AirflowException
sys.modules["airflow.exceptions"].AirflowFailException = AirflowFailException
# A run of the graph is what is tested below: here it is only built.
tasks = []
def task(f):
    tasks.append(f.__name__)
    return lambda: None
sys.modules["airflow.decorators"].task = task
sys.modules["airflow.decorators"].dag = lambda **settings: lambda f: f
exec(open("example.py").read())
assert tasks == ["gate"], tasks
try:
    print("passed", tapline_check("checks/orders.yaml", "--data", sys.argv[1]))
except AirflowFailException as error:
    print("failed for good:", error)
except AirflowException as error:
    print("may be tried again:", error)
"#;

const TEMPORAL: &str = r#"
import asyncio, sys, types
for name in ("temporalio", "temporalio.activity", "temporalio.exceptions"):
    sys.modules[name] = types.ModuleType(name)
class ApplicationError(Exception):
    def __init__(self, message, *, type=None, non_retryable=False):
        super().__init__(message)
        self.non_retryable = non_retryable
sys.modules["temporalio.exceptions"].ApplicationError = ApplicationError
sys.modules["temporalio.activity"].defn = lambda f: f
sys.modules["temporalio"].activity = sys.modules["temporalio.activity"]
exec(open("example.py").read())
try:
    print("passed", asyncio.run(check_records("checks/orders.yaml", sys.argv[1])))
except ApplicationError as error:
    print("failed for good:" if error.non_retryable else "may be tried again:", error)
"#;

#[test]
fn the_tasks_in_python_tell_bad_data_from_what_could_not_run() -> Result<()> {
    let blocks = blocks("python")?;
    ensure!(blocks.len() == 2, "an Airflow task and a Temporal activity");
    for (example, harness) in blocks.iter().zip([AIRFLOW, TEMPORAL]) {
        for (amount, data, says) in [
            (5, "samples/orders.jsonl", "passed {'records': 100, 'verdict': 'pass'}"),
            (-5, "samples/orders.jsonl", "failed for good: amount-range: 100 of 100 values of $.amount"),
            (
                5,
                "samples/absent.jsonl",
                "may be tried again: could not be judged: tapline: samples/absent.jsonl",
            ),
        ] {
            let repository = repository(amount)?;
            std::fs::write(repository.path().join("example.py"), example)?;
            let output = run("python3", &["-c", harness, data], repository.path())?;
            ensure!(output.status.success() && shown(&output).contains(says), "{says}: {}", shown(&output));
        }
    }
    Ok(())
}
