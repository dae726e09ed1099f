//! A data contract is taken wherever a check file is, and what docs/odcs.md shows is one.

use std::path::Path;

use checks::limits::Limits;
use checks::rules::inspect;

fn documented() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/odcs.md");
    let text = std::fs::read_to_string(path).unwrap();
    let block = text.split("```yaml\n").nth(1).and_then(|rest| rest.split("```").next());
    block.unwrap().to_owned()
}

#[test]
fn the_documented_contract_becomes_checks_without_a_warning() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("orders.odcs.yaml"), documented()).unwrap();
    let inspection = inspect(&[folder.path().to_path_buf()], &Limits::default()).unwrap();
    assert!(inspection.found.is_empty(), "{}", inspection.found);
    let rules = inspection.set.unwrap().for_topic("shop.orders");
    let ids: Vec<&str> = rules.rules.iter().map(|rule| rule.id.as_str()).collect();
    assert_eq!(
        ids,
        [
            "order_id-required",
            "order_id-not-null",
            "order_id-unique",
            "order_id-type",
            "amount-required",
            "amount-not-null",
            "amount-type",
            "amount-invalid-values",
            "totals-add-up",
        ]
    );
}

#[test]
fn a_contract_and_a_check_file_add_up_and_clash_by_name() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("a.odcs.yaml"), documented()).unwrap();
    let beside = "version: 1\ntopic: shop.orders\nwindow: { size: 5m }\nchecks:\n  - { id: volume, metric: rowCount, mustBeGreaterThan: 0 }\n";
    std::fs::write(folder.path().join("b.yaml"), beside).unwrap();
    let inspection = inspect(&[folder.path().to_path_buf()], &Limits::default()).unwrap();
    assert!(inspection.found.is_empty(), "{}", inspection.found);
    let rules = inspection.set.unwrap().for_topic("shop.orders");
    assert_eq!((rules.rules.len(), rules.window.size_ms), (10, 300_000));
    std::fs::write(folder.path().join("b.yaml"), beside.replace("volume", "order_id-type")).unwrap();
    let inspection = inspect(&[folder.path().to_path_buf()], &Limits::default()).unwrap();
    assert_eq!(inspection.found.errors(), 1, "{}", inspection.found);
    assert!(inspection.found.to_string().contains("already defined"), "{}", inspection.found);
}
