//! What stands in `deploy/`: it agrees with itself and with the program, and the tools that know better accept it.
//! A check whose tool is not here says so and is passed over.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use ingate::cli::Exit;
use ingate::config;
use serde::Deserialize;
use serde_json::Value;

use crate::process::{data, ingate, words};

/// Most that `systemd-analyze security` may find, in tenths: below 2.0 is as good as a service on the network gets.
const MOST_EXPOSURE: &str = "20";

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn text(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|why| panic!("{path}: {why}"))
}

/// What a tool says; `None`, with a word, where it is not here.
fn tool(name: &str, args: &[&str]) -> Option<Output> {
    let output = Command::new(name).args(args).current_dir(root()).output();
    if output.is_err() {
        println!("passed over: {name} is not here");
    }
    output.ok()
}

/// The values of a key of the unit, in order.
fn unit(key: &str) -> Vec<String> {
    text("deploy/systemd/ingate.service")
        .lines()
        .filter_map(|line| line.strip_prefix(key)?.strip_prefix('='))
        .map(str::to_owned)
        .collect()
}

fn seconds(text: &str) -> u64 {
    text.strip_suffix('s').unwrap().parse().unwrap()
}

#[test]
fn systemd_verifies_the_unit_without_a_word() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ingate.service");
    // It names where the package puts the program.
    let unit = text("deploy/systemd/ingate.service");
    let here = unit.replace("/usr/bin/ingate", env!("CARGO_BIN_EXE_ingate"));
    assert_ne!(unit, here);
    std::fs::write(&path, here).unwrap();
    let args = ["verify", "--man=no", path.to_str().unwrap()];
    if let Some(output) = tool("systemd-analyze", &args) {
        let said = data(&output) + &words(&output);
        assert!(output.status.success() && said.is_empty(), "{said}");
    }
}

#[test]
fn systemd_finds_little_exposure() {
    let threshold = format!("--threshold={MOST_EXPOSURE}");
    let unit = "deploy/systemd/ingate.service";
    let args = ["security", "--offline=true", "--no-pager", &threshold, unit];
    if let Some(output) = tool("systemd-analyze", &args) {
        let said = data(&output) + &words(&output);
        assert!(output.status.success(), "{said}");
        assert!(said.contains("Overall exposure level"), "{said}");
    }
}

#[test]
fn the_unit_agrees_with_the_program() {
    // What a restart cannot mend is not restarted.
    let never = [Exit::Usage, Exit::Config].map(|exit| (exit as u8).to_string());
    assert_eq!(unit("RestartPreventExitStatus"), [never.join(" ")]);
    // The command line is understood: with this configuration it would come to the configuration's errors.
    let start = unit("ExecStart").remove(0);
    let mut args: Vec<&str> = start.split(' ').skip(1).collect();
    let file = args
        .iter_mut()
        .find(|arg| arg.starts_with("/etc/ingate/"))
        .unwrap();
    *file = "there-is-no-such-file.yaml";
    assert_eq!(
        ingate(&args).status.code(),
        Some(Exit::Config as i32),
        "{args:?}"
    );
    // There is time for the drain.
    let drain = compiled_base().plan.drain.as_secs();
    assert!(seconds(&unit("TimeoutStopSec")[0]) > drain + 30);
    assert_eq!(unit("Type"), ["notify"]);
    assert_eq!(unit("ExecReload"), ["/bin/kill -HUP $MAINPID"]);
    assert_eq!(unit("StateDirectoryMode"), ["0700"]);
}

/// The documents of a file of the base.
fn documents(file: &str) -> Vec<Value> {
    let text = text(&format!("deploy/kubernetes/{file}"));
    serde_yaml::Deserializer::from_str(&text)
        .map(|document| Value::deserialize(document).unwrap_or_else(|why| panic!("{file}: {why}")))
        .collect()
}

fn stateful_set() -> Value {
    documents("statefulset.yaml").remove(0)
}

/// The strings under a key of each item of a list.
fn each<'a>(list: &'a Value, key: &str) -> Vec<&'a str> {
    let items = list.as_array().unwrap_or_else(|| panic!("no list: {list}"));
    items
        .iter()
        .map(|item| {
            item[key]
                .as_str()
                .unwrap_or_else(|| panic!("{key} in {item}"))
        })
        .collect()
}

fn set(names: Vec<&str>) -> BTreeSet<&str> {
    names.into_iter().collect()
}

#[test]
fn the_base_names_what_is_there() {
    let kustomization = documents("kustomization.yaml").remove(0);
    let folder = root().join("deploy/kubernetes");
    for resource in kustomization["resources"].as_array().unwrap() {
        assert!(
            folder.join(resource.as_str().unwrap()).is_file(),
            "{resource}"
        );
    }
    let maps = &kustomization["configMapGenerator"];
    for map in maps.as_array().unwrap() {
        for file in map["files"].as_array().unwrap() {
            assert!(folder.join(file.as_str().unwrap()).is_file(), "{file}");
        }
    }
    // All templates that are there are in the map.
    let listed = maps[1]["files"].as_array().unwrap().len();
    assert_eq!(
        listed,
        std::fs::read_dir(folder.join("templates")).unwrap().count()
    );
    assert_eq!(
        kustomization["images"][0]["newTag"],
        env!("CARGO_PKG_VERSION")
    );

    let pod = &stateful_set()["spec"]["template"]["spec"];
    let container = &pod["containers"][0];
    assert_eq!(container["image"], kustomization["images"][0]["name"]);
    let volumes = pod["volumes"].as_array().unwrap();
    let used: Vec<&str> = volumes
        .iter()
        .filter_map(|volume| volume["configMap"]["name"].as_str())
        .collect();
    assert_eq!(set(used), set(each(maps, "name")));
}

#[test]
fn volumes_ports_and_labels_of_the_base_agree() {
    let stateful_set = stateful_set();
    let spec = &stateful_set["spec"];
    let pod = &spec["template"]["spec"];
    let container = &pod["containers"][0];

    let mut volumes = each(&pod["volumes"], "name");
    let claims = spec["volumeClaimTemplates"].as_array().unwrap();
    volumes.extend(
        claims
            .iter()
            .map(|claim| claim["metadata"]["name"].as_str().unwrap()),
    );
    assert_eq!(set(volumes), set(each(&container["volumeMounts"], "name")));

    let ports = set(each(&container["ports"], "name"));
    let services = documents("services.yaml");
    let mut served = BTreeSet::new();
    for service in &services {
        assert_eq!(service["spec"]["selector"], spec["selector"]["matchLabels"]);
        served.extend(each(&service["spec"]["ports"], "targetPort"));
    }
    assert_eq!(served, ports);
    assert_eq!(
        spec["template"]["metadata"]["labels"],
        spec["selector"]["matchLabels"]
    );
    let names: Vec<&Value> = services
        .iter()
        .map(|service| &service["metadata"]["name"])
        .collect();
    assert!(names.contains(&&spec["serviceName"]));
    for (probe, path) in [
        ("startupProbe", "/livez"),
        ("livenessProbe", "/livez"),
        ("readinessProbe", "/readyz"),
    ] {
        let asked = &container[probe]["httpGet"];
        assert_eq!(asked["path"], path, "{probe}");
        assert!(ports.contains(asked["port"].as_str().unwrap()), "{probe}");
    }
}

#[test]
fn the_pod_of_the_base_may_do_little_and_has_time_to_end() {
    let spec = &stateful_set()["spec"];
    assert_eq!(spec["replicas"], 1, "one process owns a store");
    let pod = &spec["template"]["spec"];
    let container = &pod["containers"][0];
    let (of_pod, own) = (&pod["securityContext"], &container["securityContext"]);
    assert_eq!(of_pod["runAsNonRoot"], true);
    assert_eq!(of_pod["seccompProfile"]["type"], "RuntimeDefault");
    assert_eq!(own["readOnlyRootFilesystem"], true);
    assert_eq!(own["allowPrivilegeEscalation"], false);
    assert_eq!(own["capabilities"]["drop"][0], "ALL");
    let drain = compiled_base().plan.drain.as_secs();
    assert!(pod["terminationGracePeriodSeconds"].as_u64().unwrap() > drain + 30);
    // Only the store is written to.
    for mount in container["volumeMounts"].as_array().unwrap() {
        let is_store = mount["mountPath"] == "/var/lib/ingate";
        assert_ne!(mount["readOnly"] == true, is_store, "{mount}");
    }
}

/// The configuration of the base, compiled in a folder that stands for the file system of the pod.
fn compiled_base() -> config::Compiled {
    let folder = tempfile::tempdir().unwrap();
    let at = |path: &str| folder.path().join(path.trim_start_matches('/'));
    let written = text("deploy/kubernetes/config.yaml");
    // A Standard Webhooks secret is one that all presets in it can read.
    let secret = "whsec_cGFja2FnaW5nLXRlc3Qtc2VjcmV0LTAwMDAwMDAwMDAwMQ==\n";
    for rest in written.split("{file: ").skip(1) {
        let path = rest.split('}').next().unwrap();
        assert!(
            path.starts_with("/etc/ingate/secrets/"),
            "{path} is not in the Secret"
        );
        put(&at(path), secret);
    }
    let templates = root().join("deploy/kubernetes/templates");
    for template in std::fs::read_dir(templates).unwrap() {
        let template = template.unwrap().path();
        let name = template.file_name().unwrap().to_str().unwrap();
        let text = std::fs::read_to_string(&template).unwrap();
        put(&at("/etc/ingate/templates").join(name), &text);
    }
    let inside = |path: &str| format!("{}{path}", folder.path().display());
    let moved = written
        .replace("/etc/ingate/", &inside("/etc/ingate/"))
        .replace("/var/lib/ingate/", &inside("/var/lib/ingate/"));
    let config = at("/etc/ingate/config/config.yaml");
    put(&config, &moved);
    config::load(&config, &config::ProcessEnv).unwrap_or_else(|errors| panic!("{errors}"))
}

fn put(path: &Path, text: &str) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
}

#[test]
fn the_configuration_of_the_base_compiles_and_fits_the_pod() {
    let compiled = compiled_base();
    assert!(compiled.warnings.is_empty(), "{:?}", compiled.warnings);
    let plan = &compiled.plan;
    let container = &stateful_set()["spec"]["template"]["spec"]["containers"][0];
    for (name, address) in [("public", plan.listen), ("admin", plan.admin.listen)] {
        let ports = container["ports"].as_array().unwrap();
        let port = ports.iter().find(|port| port["name"] == name).unwrap();
        assert_eq!(port["containerPort"], address.port(), "{name}");
        assert!(address.ip().is_unspecified(), "{name}");
    }
    // The store is in the volume, with room for what comes on top of the journal.
    let store = plan.store.path.to_str().unwrap();
    assert!(store.ends_with("/var/lib/ingate/store"), "{store}");
    assert_eq!(plan.store.max_bytes, 10 << 30);
    // The Service by which the operator's door is called is a name that it goes by.
    let services = documents("services.yaml");
    let names: Vec<&str> = services
        .iter()
        .map(|service| service["metadata"]["name"].as_str().unwrap())
        .collect();
    assert!(
        plan.admin
            .hosts
            .iter()
            .all(|host| names.contains(&host.as_str()))
    );
    assert!(!plan.admin.hosts.is_empty());
    assert!(
        container["args"]
            .as_array()
            .unwrap()
            .contains(&"/etc/ingate/config/config.yaml".into())
    );
}

#[test]
fn kustomize_builds_the_base() {
    let Some(output) = tool("kubectl", &["kustomize", "deploy/kubernetes"]) else {
        return;
    };
    assert!(output.status.success(), "{}", words(&output));
    let built = data(&output);
    for kind in ["StatefulSet", "Service", "ConfigMap"] {
        assert!(
            built.contains(&format!("kind: {kind}\n")),
            "{kind} in\n{built}"
        );
    }
    assert!(built.contains(&format!("image: ingate:{}\n", env!("CARGO_PKG_VERSION"))));
}

#[test]
fn the_image_is_static_and_nobody_in_particular() {
    let dockerfile = text("deploy/docker/Dockerfile");
    let (build, image) = dockerfile.split_once("\nFROM scratch\n").unwrap();
    let toolchain = format!(
        "FROM rust:{}-alpine AS build",
        env!("CARGO_PKG_RUST_VERSION")
    );
    assert!(build.contains(&toolchain), "{toolchain}");
    assert!(!image.contains("\nRUN "), "there is nothing that could run");
    let pod = &stateful_set()["spec"]["template"]["spec"];
    let (user, group) = (
        &pod["securityContext"]["runAsUser"],
        &pod["securityContext"]["runAsGroup"],
    );
    assert!(image.contains(&format!("\nUSER {user}:{group}\n")));
    assert!(image.contains(&format!("--chown={user}:{group} /store /var/lib/ingate\n")));
    assert!(image.contains("\nVOLUME /var/lib/ingate\n"));
    let ports = pod["containers"][0]["ports"].as_array().unwrap();
    let ports: Vec<String> = ports
        .iter()
        .map(|port| port["containerPort"].to_string())
        .collect();
    assert!(image.contains(&format!("\nEXPOSE {}\n", ports.join(" "))));
}

#[test]
fn the_build_of_the_image_gets_what_it_needs() {
    let left_out: Vec<String> = text(".dockerignore")
        .lines()
        .filter(|line| !line.starts_with('#'))
        .map(str::to_owned)
        .collect();
    assert!(left_out.contains(&"target".to_owned()));
    // Cargo reads these, and sources include files from there.
    for needed in [
        "Cargo.toml",
        "Cargo.lock",
        "src",
        "templates",
        "tests",
        "benches",
    ] {
        assert!(root().join(needed).exists(), "{needed}");
        assert!(!left_out.contains(&needed.to_owned()), "{needed}");
    }
}

/// The table of the package in Cargo.toml.
fn debian() -> Value {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let args = ["metadata", "--no-deps", "--offline", "--format-version=1"];
    let output = Command::new(cargo)
        .args(args)
        .current_dir(root())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", words(&output));
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    let own = packages
        .iter()
        .find(|package| package["name"] == "ingate")
        .unwrap();
    own["metadata"]["deb"].clone()
}

#[test]
fn everything_in_the_debian_package_is_there_or_made() {
    let debian = debian();
    let recipe = text("deploy/deb/build");
    let mut places = BTreeSet::new();
    for asset in debian["assets"].as_array().unwrap() {
        let (source, place) = (asset[0].as_str().unwrap(), asset[1].as_str().unwrap());
        places.insert(place);
        if let Some(made) = source.strip_prefix("target/package/") {
            // By the recipe, in a folder or as a file of its own.
            let name = made.strip_suffix("/*.1").unwrap_or(made);
            assert!(
                recipe.contains(&format!("$made/{name}\"")),
                "{source} is not made"
            );
        } else if source != "target/release/ingate" {
            assert!(!matching(source).is_empty(), "{source} is not there");
        }
    }
    for place in ["usr/bin/", "usr/share/man/man1/", "usr/share/doc/ingate/"] {
        assert!(places.contains(place), "{place}");
    }
    let units = debian["systemd-units"]["unit-scripts"].as_str().unwrap();
    assert!(root().join(units).join("ingate.service").is_file());
    assert_eq!(
        debian["systemd-units"]["start"], false,
        "there is no configuration yet"
    );
    assert!(
        root()
            .join(debian["license-file"][0].as_str().unwrap())
            .is_file()
    );
}

/// The files that a path with at most one `*`, in its last part, stands for.
fn matching(pattern: &str) -> Vec<PathBuf> {
    let path = root().join(pattern);
    let name = path.file_name().unwrap().to_str().unwrap();
    let Some((before, after)) = name.split_once('*') else {
        return path.is_file().then_some(path).into_iter().collect();
    };
    std::fs::read_dir(path.parent().unwrap())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| {
            let name = path.file_name().unwrap().to_str().unwrap();
            name.starts_with(before) && name.ends_with(after)
        })
        .collect()
}

#[test]
fn the_change_log_knows_this_version_and_says_what_is_stable() {
    let log = text("CHANGELOG.md");
    assert!(log.contains(&format!("\n## [{}]", env!("CARGO_PKG_VERSION"))));
    let policy = log.split("\n## What is stable\n").nth(1).unwrap();
    let policy = policy.split("\n## ").next().unwrap();
    let rust = format!("Rust {}", env!("CARGO_PKG_RUST_VERSION"));
    for word in [
        "Configuration",
        "Command line",
        "API",
        "Metrics",
        "Store",
        "Linux",
        "macOS",
        &rust,
    ] {
        assert!(policy.contains(word), "{word}");
    }
}
