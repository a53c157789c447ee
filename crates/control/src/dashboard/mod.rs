//! The dashboard: one page with its styles and scripts, which are part of the program.
//!
//! Nothing is built or fetched: what stands here is what a browser gets, and it asks this address alone. No framework
//! and no library for charts, since either would be a copy of somebody else's files. `app.js` is the first to run and
//! wires the others; `api.js` alone speaks to the admin API.

/// A file that browsers are given.
#[derive(Debug)]
pub(crate) struct Asset {
    /// Its path, with the slash it begins with.
    pub(crate) path: &'static str,
    /// What it is.
    pub(crate) content_type: &'static str,
    /// What is in it.
    pub(crate) content: &'static str,
}

/// Every file of the dashboard.
pub(crate) static ASSETS: &[Asset] = &[
    Asset { path: "/", content_type: "text/html; charset=utf-8", content: include_str!("index.html") },
    style("/dashboard/style.css", include_str!("style.css")),
    style("/dashboard/servers.css", include_str!("servers.css")),
    script("/dashboard/api.js", include_str!("api.js")),
    script("/dashboard/app.js", include_str!("app.js")),
    script("/dashboard/chart.js", include_str!("chart.js")),
    script("/dashboard/dialogs.js", include_str!("dialogs.js")),
    script("/dashboard/dom.js", include_str!("dom.js")),
    script("/dashboard/events.js", include_str!("events.js")),
    script("/dashboard/format.js", include_str!("format.js")),
    script("/dashboard/history.js", include_str!("history.js")),
    script("/dashboard/limits.js", include_str!("limits.js")),
    script("/dashboard/row.js", include_str!("row.js")),
    script("/dashboard/servers.js", include_str!("servers.js")),
    script("/dashboard/standing.js", include_str!("standing.js")),
    script("/dashboard/summary.js", include_str!("summary.js")),
    script("/dashboard/why.js", include_str!("why.js")),
];

const fn style(path: &'static str, content: &'static str) -> Asset {
    Asset { path, content_type: "text/css; charset=utf-8", content }
}

const fn script(path: &'static str, content: &'static str) -> Asset {
    Asset { path, content_type: "text/javascript; charset=utf-8", content }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// What stands between `before` and the next `"`, wherever it does.
    fn quoted<'a>(text: &'a str, before: &str) -> Vec<&'a str> {
        text.split(before).skip(1).filter_map(|rest| rest.split('"').next()).collect()
    }

    #[test]
    fn everything_the_page_loads_is_part_of_the_program_and_nothing_else_is() {
        let mut loaded = BTreeSet::from(["/".to_owned()]);
        for asset in ASSETS {
            let (of_page, of_script) = (quoted(asset.content, "=\"dashboard/"), quoted(asset.content, "from \"./"));
            loaded.extend(of_page.iter().chain(&of_script).map(|name| format!("/dashboard/{name}")));
        }
        let held: BTreeSet<String> = ASSETS.iter().map(|asset| asset.path.to_owned()).collect();
        assert_eq!(loaded, held);
    }

    #[test]
    fn nothing_goes_elsewhere_and_no_text_becomes_markup() {
        // Names, not places: browsers do not ask them.
        let names = ["http://www.w3.org/2000/svg"];
        for asset in ASSETS {
            let content = names.iter().fold(asset.content.to_owned(), |content, name| content.replace(name, ""));
            for never in ["http:", "https:", "innerHTML", "outerHTML", "insertAdjacentHTML", "eval(", " style="] {
                assert!(!content.contains(never), "{} has {never}", asset.path);
            }
        }
    }
}
