use super::*;

fn candidate(name: &str, verdict: &str, score: f64) -> Candidate {
    Candidate {
        name: name.to_owned(),
        in_flight: 1,
        weight: 1,
        charged: 0,
        max_connections: Some(5),
        backup: false,
        score: Some(score),
        turn: 0.0,
        verdict: verdict.to_owned(),
    }
}

#[test]
fn every_server_has_a_reason_in_words() {
    let servers = vec![
        candidate("s1", "eligible", 1.0),
        candidate("s2", "eligible", 1.0),
        candidate("s3", "eligible", 2.0),
        candidate("s4", "full", 5.0),
        candidate("s5", "some later verdict\n", 5.0),
    ];
    let explanation = Explanation {
        pool: "app".to_owned(),
        policy: "least-connections".to_owned(),
        rule: "in flight / weight, the least wins".to_owned(),
        picked: Some("s1".to_owned()),
        because: None,
        refused: None,
        servers,
    };
    let text = of_now(&explanation, Sheet { width: None, colours: false });
    let lines: Vec<String> = text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    assert_eq!(
        lines,
        [
            "pool app, least-connections: in flight / weight, the least wins",
            "server in flight weight score turn why",
            "> s1 1/5 1 1.00 0.00 picked",
            "s2 1/5 1 1.00 0.00 as good, but its turn comes later",
            "s3 1/5 1 2.00 0.00 its score is 2.00, and s1 has 1.00",
            "s4 1/5 1 5.00 0.00 full: it may have 5 in flight",
            "s5 1/5 1 5.00 0.00 some later verdict\\n",
        ]
    );
}

#[test]
fn every_verdict_there_is_has_words_of_its_own() {
    let verdicts =
        ["standby", "full", "weight 0", "draining", "down", "ejected", "on trial", "warming up", "tried before"];
    for verdict in verdicts {
        let said = why(&candidate("s1", verdict, 1.0), None, "least-connections");
        assert_ne!(said, verdict);
    }
    let trial = candidate("s1", "on trial", 1.0);
    assert!(why(&trial, Some(&trial), "least-connections").starts_with("picked: "));
}

#[test]
fn who_is_refused_is_told() {
    let explanation = Explanation {
        pool: "app".to_owned(),
        policy: "random".to_owned(),
        rule: "by chance".to_owned(),
        picked: None,
        because: None,
        refused: Some("all servers are at their limit".to_owned()),
        servers: vec![candidate("s1", "full", 1.0)],
    };
    let text = of_now(&explanation, Sheet { width: None, colours: false });
    assert!(text.ends_with("none would be picked: all servers are at their limit\n"), "{text}");
}

#[test]
fn picks_are_told_as_they_were_made() {
    let pick = Pick {
        number: 1,
        at: "2026-03-01T12:00:00Z".to_owned(),
        picked: Some("s1".to_owned()),
        refused: None,
        in_flight: 2,
        retry: true,
        candidates: vec![candidate("s1", "eligible", 0.5), candidate("s2", "eligible", 1.0)],
        passed_over: [("full".to_owned(), 3)].into(),
    };
    let refused = Pick { picked: None, refused: Some("all-full".to_owned()), candidates: Vec::new(), ..pick.clone() };
    let text = of_picks(&[pick, refused], Sheet { width: None, colours: false });
    let lines: Vec<String> = text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    assert_eq!(lines[1], "2026-03-01T12:00:00Z s1 2 0.50 retry s2 1.00 3 full");
    assert_eq!(lines[2], "2026-03-01T12:00:00Z none: all-full 2 retry 3 full");
    assert_eq!(of_picks(&[], Sheet { width: None, colours: false }), "no pick was made\n");
}
