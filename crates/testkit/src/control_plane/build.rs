//! How etcd and kube-apiserver are built from the Go module in `tests/tools/controlplane`.

use crate::go::Recipe;

/// The Go module, file by file: name and content.
const MODULE: [(&str, &str); 3] = [
    ("main.go", include_str!("../../../../tests/tools/controlplane/main.go")),
    ("go.mod", include_str!("../../../../tests/tools/controlplane/go.mod")),
    ("go.sum", include_str!("../../../../tests/tools/controlplane/go.sum")),
];

/// One binary with both servers.
pub(crate) fn recipe() -> Recipe {
    Recipe {
        what: "kube-apiserver and etcd",
        takes: "about four minutes",
        folder: "controlplane",
        result: "controlplane",
        files: &MODULE,
        packages: &["."],
        tags: "",
        linker_flags: linker_flags(),
    }
}

/// No debug symbols, and the version that the server says at `/version` (a plain build would say v0.0.0, and charts
/// that ask for a minimal version would refuse).
fn linker_flags() -> String {
    let version = kubernetes_version();
    let mut numbers = version.trim_start_matches('v').split('.');
    let (major, minor) = (numbers.next().unwrap_or_default(), numbers.next().unwrap_or_default());
    let variable = "-X k8s.io/component-base/version.git";
    format!("-s -w {variable}Version={version} {variable}Major={major} {variable}Minor={minor}")
}

/// The Kubernetes release that go.mod names, such as `v1.34.4`.
fn kubernetes_version() -> &'static str {
    let required = MODULE[1].1.lines().find_map(|line| line.trim().strip_prefix("k8s.io/kubernetes "));
    required.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_server_will_say_the_version_that_go_mod_names() {
        let version = kubernetes_version();
        assert!(version.starts_with("v1."), "{version}");
        assert!(linker_flags().contains(&format!("gitVersion={version} ")), "{}", linker_flags());
        assert!(linker_flags().contains("gitMajor=1 "), "{}", linker_flags());
    }
}
