//! Servers to be added, as they are typed: `10.0.0.8:8080,name=big,weight=4`, just as `serve --to` takes them.

use std::str::FromStr;

use plimsoll_control::api::{NewServer, State};

use super::text::nearest;

/// What can be set, as in the configuration file.
const SETTINGS: [&str; 5] = ["name", "weight", "max_connections", "backup", "state"];

/// The servers that `arguments` ask for. Whether their addresses and names are good is for the API to say.
///
/// # Errors
/// What is wrong with the first that is wrong, and what to write instead.
pub(crate) fn servers(arguments: &[String]) -> Result<Vec<NewServer>, String> {
    let server = |argument: &String| server(argument).map_err(|wrong| format!("`{argument}`: {wrong}"));
    arguments.iter().map(server).collect()
}

fn server(argument: &str) -> Result<NewServer, String> {
    let mut parts = argument.split(',');
    let mut server = NewServer {
        address: parts.next().unwrap_or_default().to_owned(),
        name: None,
        weight: 1,
        max_connections: None,
        backup: false,
        state: State::Ready,
    };
    let mut seen = Vec::new();
    for part in parts {
        let (key, value) = part
            .split_once('=')
            .ok_or_else(|| format!("`{part}` is no setting; write key=value after the comma, such as weight=4"))?;
        if seen.contains(&key) {
            return Err(format!("`{key}` is given twice; remove one of them"));
        }
        seen.push(key);
        match key {
            "name" => server.name = Some(value.to_owned()),
            "weight" => server.weight = read(key, value, "a whole number from 0 to 65535")?,
            "max_connections" => server.max_connections = Some(read(key, value, "a whole number from 1")?),
            "backup" => server.backup = read(key, value, "true or false")?,
            "state" => server.state = state(value)?,
            _ => return Err(unknown(key)),
        }
    }
    Ok(server)
}

fn read<T: FromStr>(key: &str, value: &str, expected: &str) -> Result<T, String> {
    value.parse().map_err(|_| format!("`{key}` must be {expected}, not `{value}`"))
}

fn state(value: &str) -> Result<State, String> {
    match value {
        "ready" => Ok(State::Ready),
        "drain" => Ok(State::Drain),
        "down" => Ok(State::Down),
        _ => Err(format!("`state` must be ready, drain or down, not `{value}`")),
    }
}

fn unknown(key: &str) -> String {
    match nearest(key, SETTINGS.into_iter()) {
        Some(near) => format!("there is no setting `{key}`; did you mean `{near}`?"),
        None => format!("there is no setting `{key}`; there are: {}", SETTINGS.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_its_address_and_its_settings() {
        let plain = server("10.0.0.8:8080").unwrap();
        let expected = NewServer {
            address: "10.0.0.8:8080".to_owned(),
            name: None,
            weight: 1,
            max_connections: None,
            backup: false,
            state: State::Ready,
        };
        assert_eq!(plain, expected);
        let all = server("[::1]:80,name=big,weight=4,max_connections=750,backup=true,state=drain").unwrap();
        let expected = NewServer {
            address: "[::1]:80".to_owned(),
            name: Some("big".to_owned()),
            weight: 4,
            max_connections: Some(750),
            backup: true,
            state: State::Drain,
        };
        assert_eq!(all, expected);
    }

    #[test]
    fn what_is_wrong_is_said_with_what_is_right() {
        for (argument, part) in [
            ("a:1,weigth=4", "did you mean `weight`?"),
            ("a:1,colour=red", "there are: name, weight"),
            ("a:1,weight=65536", "from 0 to 65535"),
            ("a:1,weight=1,weight=2", "given twice"),
            ("a:1,backup", "is no setting"),
            ("a:1,backup=yes", "true or false"),
            ("a:1,state=up", "ready, drain or down"),
        ] {
            let said = servers(&[argument.to_owned()]).expect_err(argument);
            assert!(said.contains(part) && said.starts_with(&format!("`{argument}`")), "{said}");
        }
    }
}
