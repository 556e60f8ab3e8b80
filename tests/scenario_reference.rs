//! The reference in `scenarios/README.md` is the one that the types give.

use drlab::scenario;

const BEGIN: &str = "<!-- reference -->";
const END: &str = "<!-- /reference -->";

#[test]
fn the_readme_of_scenarios_has_the_reference_that_the_types_give() {
    let path = format!("{}/scenarios/README.md", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(&path).unwrap();
    let (above, rest) = text.split_once(BEGIN).expect("the README has the marker that begins the reference");
    let (written, below) = rest.split_once(END).expect("the README has the marker that ends the reference");
    let generated = format!("\n{}", scenario::reference());
    if std::env::var_os("DRLAB_BLESS").is_some() {
        std::fs::write(&path, format!("{above}{BEGIN}{generated}{END}{below}")).unwrap();
        return;
    }
    assert!(
        written == generated,
        "the reference in scenarios/README.md is not what the types say; write it anew with\n\n    \
         DRLAB_BLESS=1 cargo test --test scenario_reference\n"
    );
}

#[test]
fn the_schema_is_one_that_editors_take() {
    let schema = scenario::schema();
    assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
    assert_eq!(schema["title"], "drlab scenario, format 1");
    assert!(schema.get("$id").is_none());
    assert_eq!(schema["additionalProperties"], false);
}
