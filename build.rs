//! Has cargo notice when the pages are built for the first time. Later changes it sees by itself, since they are embedded.

use std::path::Path;

fn main() {
    // A path that is missing would count as changed each time.
    let watched = if Path::new("web/dist").exists() { "web/dist" } else { "web" };
    println!("cargo::rerun-if-changed={watched}");
}
