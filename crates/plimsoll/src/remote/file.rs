//! `plimsoll reload` and `plimsoll diff`: the configuration file, and what was changed beside it.

use plimsoll_control::api::{Changed, Difference, Reloaded};
use reqwest::Method;

use super::arguments::{Diff, Reload};
use super::setup;
use super::status::json;
use super::table::{Column, Sheet, Table};
use super::text::{count, visible, visible_lines};
use crate::console::{print, say};
use crate::failure::Failure;

/// `plimsoll reload`.
pub(crate) fn reload(arguments: &Reload) -> Result<(), Failure> {
    let client = setup::client(&arguments.connection)?;
    let reloaded: Reloaded = client.ask(Method::POST, client.at(["reload"]), None::<&()>)?;
    say(format_args!("configuration {} is in force", reloaded.generation));
    for note in &reloaded.notes {
        say(format_args!("note: {}", visible_lines(note)));
    }
    if reloaded.differences > 0 {
        say(format_args!("edits that still stand: {}; see plimsoll diff", reloaded.differences));
    }
    Ok(())
}

/// `plimsoll diff`.
pub(crate) fn diff(arguments: &Diff) -> Result<(), Failure> {
    let client = setup::client(&arguments.connection)?;
    let url = client.at(["diff"]);
    if arguments.json {
        return Ok(print(&json(&client.text(url)?))?);
    }
    let differences: Vec<Difference> = client.get(url.clone())?;
    if arguments.undo {
        let changed: Changed = client.ask(Method::DELETE, url, None::<&()>)?;
        let undone = count(differences.len() as u64, "edit");
        say(format_args!("{undone} undone: configuration {} is what the file says", changed.generation));
        return Ok(());
    }
    if differences.is_empty() {
        say("nothing differs from the file");
        return Ok(());
    }
    Ok(print(&table(&differences, Sheet::stdout()))?)
}

fn table(differences: &[Difference], sheet: Sheet) -> String {
    let mut table = Table::new(&COLUMNS);
    let said = |value: &Option<String>| value.as_deref().map_or_else(|| "-".to_owned(), visible);
    for Difference { pool, server, setting, file, now } in differences {
        let server = visible(&format!("{pool}/{server}"));
        table.push(vec![server.into(), visible(setting).into(), said(file).into(), said(now).into()]);
    }
    table.render(sheet)
}

const COLUMNS: [Column; 4] =
    [Column::text("server", 0), Column::text("setting", 0), Column::text("file", 0), Column::text("now", 0)];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_shows_both_sides() {
        let difference = |setting: &str, file: Option<&str>, now: Option<&str>| Difference {
            pool: "app".to_owned(),
            server: "s1".to_owned(),
            setting: setting.to_owned(),
            file: file.map(str::to_owned),
            now: now.map(str::to_owned),
        };
        let differences =
            [difference("weight", Some("1"), Some("4")), difference("server", None, Some("10.0.0.9:80\n"))];
        let text = "server  setting  file  now\napp/s1  weight   1     4\napp/s1  server   -     10.0.0.9:80\\n\n";
        assert_eq!(table(&differences, Sheet { width: None, colours: false }), text);
    }
}
