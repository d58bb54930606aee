//! What a container's program is started with: arguments, environment, ports.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, TcpListener};

use k8s_openapi::api::core::v1::{Container, EnvVar, EnvVarSource, Pod};
use kube::ResourceExt as _;

use super::volumes::{Mounts, read_config_map, read_secret};
use super::{PodError, Surroundings};

/// A pod's own address, and its ports there.
#[derive(Debug, Clone)]
pub(super) struct Network {
    pub(super) ip: Ipv4Addr,
    /// Name, number in the manifest, number on this machine.
    pub(super) ports: Vec<(String, u16, u16)>,
}

impl Network {
    /// An address of loopback that follows from `seed`, with the container's ports; another port where one is taken.
    pub(super) fn choose(seed: &[u8], container: &Container) -> Result<Self, PodError> {
        let digit = |n: usize| seed.get(n).copied().unwrap_or_default();
        // Not 127.0.x.x, where other things of this machine listen.
        let ip = Ipv4Addr::new(127, 16 + digit(0) % 200, digit(1), 1 + digit(2) % 254);
        let mut ports = Vec::new();
        for port in container.ports.iter().flatten() {
            let wanted = u16::try_from(port.container_port).unwrap_or_default();
            let free = TcpListener::bind((ip, wanted)).or_else(|_| TcpListener::bind((ip, 0)));
            let free = free.and_then(|listener| listener.local_addr());
            let free = free.map_err(PodError::system(format!("looking for a free port of {ip}")))?;
            ports.push((port.name.clone().unwrap_or_default(), wanted, free.port()));
        }
        Ok(Self { ip, ports })
    }

    /// Listening everywhere becomes listening at the pod's own address.
    fn translate(&self, text: &str) -> String {
        self.ports.iter().fold(text.to_owned(), |text, (_, inside, outside)| {
            let here = format!("{}:{outside}", self.ip);
            ["0.0.0.0", "[::]"].iter().fold(text, |text, all| {
                let from = format!("{all}:{inside}");
                if text.ends_with(&from) { text.replace(&from, &here) } else { text }
            })
        })
    }

    /// The number on this machine of a port that the manifest names or numbers.
    pub(super) fn port(&self, name_or_number: &str) -> Option<u16> {
        let meant =
            |(name, inside, _): &&(String, u16, u16)| name == name_or_number || inside.to_string() == name_or_number;
        self.ports.iter().find(meant).map(|(_, _, outside)| *outside)
    }
}

/// Arguments and environment of the program.
pub(super) struct Invocation {
    pub(super) args: Vec<String>,
    pub(super) env: BTreeMap<String, String>,
}

impl Invocation {
    /// Reads the manifest, and whatever it refers to.
    pub(super) async fn read(
        around: &Surroundings,
        pod: &Pod,
        container: &Container,
        mounts: &Mounts,
        network: &Network,
    ) -> Result<Self, PodError> {
        if container.command.as_ref().is_some_and(|command| !command.is_empty()) {
            return Err(PodError::Unknown("a command beside the image's own".to_owned()));
        }
        let mut env = BTreeMap::from([
            ("KUBERNETES_SERVICE_HOST".to_owned(), "127.0.0.1".to_owned()),
            ("KUBERNETES_SERVICE_PORT".to_owned(), around.api_server_port.to_string()),
        ]);
        for variable in container.env.iter().flatten() {
            if let Some(value) = value(around, pod, network, variable).await? {
                // Only variables that stand before can be referred to.
                let value = expand(&value, &env);
                env.insert(variable.name.clone(), value);
            }
        }
        let here = |text: &str| network.translate(&mounts.translate(text));
        let args = container.args.iter().flatten().map(|arg| here(&expand(arg, &env))).collect();
        Ok(Self { args, env: env.into_iter().map(|(name, value)| (name, here(&value))).collect() })
    }
}

async fn value(
    around: &Surroundings,
    pod: &Pod,
    network: &Network,
    variable: &EnvVar,
) -> Result<Option<String>, PodError> {
    let Some(EnvVarSource { config_map_key_ref, field_ref, secret_key_ref, .. }) = &variable.value_from else {
        return Ok(Some(variable.value.clone().unwrap_or_default()));
    };
    if let Some(field_ref) = field_ref {
        return match field_ref.field_path.as_str() {
            "status.podIP" => Ok(Some(network.ip.to_string())),
            path => field(pod, path).map(Some),
        };
    }
    let (all, key, optional) = if let Some(secret) = secret_key_ref {
        (read_secret(around, &secret.name).await, &secret.key, secret.optional)
    } else if let Some(map) = config_map_key_ref {
        (read_config_map(around, &map.name).await, &map.key, map.optional)
    } else {
        return Err(PodError::Unknown(format!("where variable {} comes from", variable.name)));
    };
    match (all.map(|all| all.get(key).cloned()), optional) {
        (Ok(Some(value)), _) => Ok(Some(String::from_utf8_lossy(&value).into_owned())),
        (Ok(None) | Err(_), Some(true)) => Ok(None),
        (Ok(None), _) => Err(PodError::Missing(format!("there is no key {key} for variable {}", variable.name))),
        (Err(error), _) => Err(error),
    }
}

/// `$(NAME)` as Kubernetes expands it: unknown names stay, `$$(NAME)` is `$(NAME)`.
fn expand(text: &str, env: &BTreeMap<String, String>) -> String {
    let mut expanded = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        expanded.push_str(&rest[..at]);
        rest = &rest[at..];
        if let Some(escaped) = rest.strip_prefix("$$") {
            expanded.push('$');
            rest = escaped;
            continue;
        }
        let name = rest.strip_prefix("$(").and_then(|inner| inner.split_once(')'));
        if let Some((value, after)) = name.and_then(|(name, after)| Some((env.get(name)?, after))) {
            expanded.push_str(value);
            rest = after;
        } else {
            expanded.push('$');
            rest = &rest[1..];
        }
    }
    expanded + rest
}

/// A field of the pod, as `fieldRef` names it.
pub(super) fn field(pod: &Pod, path: &str) -> Result<String, PodError> {
    let spec = pod.spec.as_ref();
    let known = match path {
        "metadata.name" => Some(pod.name_any()),
        "metadata.namespace" => pod.namespace(),
        "metadata.uid" => pod.uid(),
        "spec.serviceAccountName" => spec.and_then(|spec| spec.service_account_name.clone()),
        "spec.nodeName" => Some("local".to_owned()),
        _ => {
            let labelled = path.strip_prefix("metadata.labels['").and_then(|rest| rest.strip_suffix("']"));
            let annotated = path.strip_prefix("metadata.annotations['").and_then(|rest| rest.strip_suffix("']"));
            let label = labelled.map(|key| pod.labels().get(key).cloned().unwrap_or_default());
            label.or_else(|| annotated.map(|key| pod.annotations().get(key).cloned().unwrap_or_default()))
        }
    };
    known.ok_or_else(|| PodError::Unknown(format!("the field {path}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_are_expanded_as_kubernetes_does() {
        let env = BTreeMap::from([("HOST".to_owned(), "10.0.0.1".to_owned())]);
        let cases = [
            ("$(HOST),.svc", "10.0.0.1,.svc"),
            ("$(NOBODY)", "$(NOBODY)"),
            ("$$(HOST)", "$(HOST)"),
            ("5$ and $HOST", "5$ and $HOST"),
        ];
        for (text, expected) in cases {
            assert_eq!(expand(text, &env), expected);
        }
    }

    #[test]
    fn to_listen_everywhere_is_to_listen_at_the_pods_own_address() {
        let network = Network { ip: Ipv4Addr::new(127, 20, 1, 2), ports: vec![("http".into(), 8080, 9001)] };
        assert_eq!(network.translate("--listen=0.0.0.0:8080"), "--listen=127.20.1.2:9001");
        assert_eq!(network.translate("--listen=[::]:8080"), "--listen=127.20.1.2:9001");
        assert_eq!(network.translate("--other=0.0.0.0:80801"), "--other=0.0.0.0:80801");
        assert_eq!((network.port("http"), network.port("8080"), network.port("x")), (Some(9001), Some(9001), None));
    }
}
