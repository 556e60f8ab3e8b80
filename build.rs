//! The shipped scenarios are built in; a change to them rebuilds the package.

fn main() {
    println!("cargo::rerun-if-changed=scenarios");
}
