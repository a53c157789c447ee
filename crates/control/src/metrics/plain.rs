//! From `OpenMetrics` 1.0 to the text format 0.0.4 of Prometheus: the names of counters and of facts are told with what they
//! end in, units are not told, and there is no mark at the end.

/// The page in the older format.
pub(super) fn from_open_metrics(page: &str) -> String {
    let mut plain = String::with_capacity(page.len());
    let mut help = "";
    for line in page.split_inclusive('\n') {
        if line.starts_with("# HELP ") {
            // Told once the type is known, which comes next.
            help = line;
        } else if let Some((name, kind)) = line.strip_prefix("# TYPE ").and_then(|rest| rest.trim_end().split_once(' '))
        {
            let (end, kind) = match kind {
                "counter" => ("_total", "counter"),
                "info" => ("_info", "gauge"),
                "unknown" => ("", "untyped"),
                other => ("", other),
            };
            let about = help.strip_prefix("# HELP ").and_then(|rest| rest.strip_prefix(name)).unwrap_or("\n");
            for part in ["# HELP ", name, end, about, "# TYPE ", name, end, " ", kind, "\n"] {
                plain.push_str(part);
            }
        } else if !line.starts_with('#') {
            plain.push_str(line);
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_and_facts_are_told_with_their_ends() {
        let page = "# HELP a_seconds What a is.\n# TYPE a_seconds gauge\n# UNIT a_seconds seconds\na_seconds 1.5\n\
                    # HELP b What b is.\n# TYPE b counter\nb_total{pool=\"# TYPE\"} 2\n\
                    # HELP c What c is.\n# TYPE c info\nc_info{version=\"1\"} 1\n# EOF\n";
        let plain = "# HELP a_seconds What a is.\n# TYPE a_seconds gauge\na_seconds 1.5\n\
                     # HELP b_total What b is.\n# TYPE b_total counter\nb_total{pool=\"# TYPE\"} 2\n\
                     # HELP c_info What c is.\n# TYPE c_info gauge\nc_info{version=\"1\"} 1\n";
        assert_eq!(from_open_metrics(page), plain);
    }
}
