//! The feature `cuda` in other people's builds: cargo unifies the features of cudarc over the whole graph of a program, and
//! some of them exclude others. Checked with the lock file of this workspace, without CUDA.
#![expect(clippy::unwrap_used, reason = "a test may fail by a panic")]

use std::fs;
use std::path::Path;

use bottleneck_tests::command::{bottleneck, cargo, workspace};

/// A program with a choice of features for cudarc, beside ours.
fn builds(name: &str, features: &str) {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("gpu-features-{name}"));
    fs::create_dir_all(folder.join("src")).unwrap();
    let runtime = workspace().join("bottleneck-runtime");
    let manifest = format!(
        "[package]\nname = \"user\"\nversion = \"0.0.0\"\nedition = \"2024\"\n\n[workspace]\n\n[dependencies]\n\
         bottleneck-runtime = {{ path = '{}', features = [\"cuda\"] }}\n\
         cudarc = {{ version = \"0.19\", default-features = false, features = [{features}] }}\n",
        runtime.display()
    );
    fs::write(folder.join("Cargo.toml"), manifest).unwrap();
    fs::write(folder.join("src/main.rs"), include_str!("../data/gpu_user.rs")).unwrap();
    fs::copy(workspace().join("Cargo.lock"), folder.join("Cargo.lock")).unwrap();
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("gpu-features-target");
    let output =
        cargo(&folder, ["check", "--offline"]).arg("--target-dir").arg(target).output().unwrap();
    assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn a_program_may_load_cuda_as_burn_does() {
    builds(
        "loading",
        r#""std", "driver", "nvrtc", "fallback-dynamic-loading", "cuda-version-from-build-system", "fallback-latest""#,
    );
}

#[test]
fn a_program_may_link_cuda_as_candle_does() {
    builds(
        "linking",
        r#""std", "driver", "nvrtc", "cublas", "curand", "dynamic-linking", "cuda-version-from-build-system""#,
    );
}

#[test]
fn a_program_may_fix_a_version_of_cuda() {
    builds("fixed", r#""std", "driver", "dynamic-loading", "cuda-12080""#);
}

/// They are compiled with the feature only, which plain `cargo test` does not set.
#[test]
fn the_tests_of_the_feature_itself_hold() {
    let arguments = ["test", "-p", "bottleneck-runtime", "--features", "cuda", "--lib", "cuda::"];
    let command = &mut cargo(workspace(), arguments);
    let output = command.arg("--target-dir").arg(bottleneck().target()).output().unwrap();
    let (stdout, stderr) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && stdout.contains("test result: ok"), "{stdout}\n{stderr}");
    assert!(!stdout.contains(" 0 passed"), "{stdout}");
}
